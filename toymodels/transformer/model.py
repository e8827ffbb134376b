"""A small decoder whose residual stream is returned, and can be edited, at every site.

    x = W_E[token] + position;  x += attention(norm(x));  x += mlp(norm(x));  ...
    logits = norm(x) W_U

as in GPT-2: pre-norm, GELU, learned positions by default. Modules are `flax.nnx` modules
used as plain pytrees: made from a key, forward without mutation, and then `jax.jit`,
`jax.vmap`, `jax.grad` and optax as for any pytree.

A *site* is a place in the residual stream: 0 after the embedding, then two per layer,
after its attention and after its MLP (`site`). What a component wrote is the difference
of two neighbouring sites.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from synthetic.validation import require_range, require_width
from toymodels.transformer.positions import Learned, Rotary

Stream = Float[Array, "batch token d_model"]
Edit = Array | Callable[[Array], Array]


class Output(NamedTuple):
    """Attributes:
    logits: of the next token, at every token.
    residual: the stream at every site, edits included.
    """

    logits: Float[Array, "batch token word"]
    residual: Float[Array, "site batch token d_model"]


class Heads(NamedTuple):
    """Attributes:
    pattern: attention; sums to 1 over the keys.
    mixed: the values, weighted by it.
    """

    pattern: Float[Array, "batch head query key"]
    mixed: Float[Array, "batch token head d_head"]


def site(layer: int, after: Literal["attention", "mlp"]) -> int:
    """The site after a component of a layer (counted from 0); the embedding's is 0."""
    return 2 * layer + {"attention": 1, "mlp": 2}[after]


class Attention(nnx.Module):
    """Causal attention with biases."""

    def __init__(self, key: Key[Array, ""], d_model: int, n_heads: int, out_scale: float):
        key_in, key_out = jax.random.split(key)
        self.W_qkv = nnx.Param(
            0.02 * jax.random.normal(key_in, (d_model, 3 * d_model), jnp.float32)
        )
        self.b_qkv = nnx.Param(jnp.zeros(3 * d_model, jnp.float32))
        self.W_out = nnx.Param(
            out_scale * jax.random.normal(key_out, (d_model, d_model), jnp.float32)
        )
        self.b_out = nnx.Param(jnp.zeros(d_model, jnp.float32))
        self.n_heads = n_heads

    def heads(self, x: Stream, position: Learned | Rotary) -> Heads:
        """Where every head looks, and the mean of the values that it finds there."""
        qkv = x @ self.W_qkv[...] + self.b_qkv[...]
        parts = qkv.reshape(*x.shape[:-1], 3, self.n_heads, -1)
        q, k, v = (parts[..., i, :, :] for i in range(3))
        scores = jnp.einsum("bqhd,bkhd->bhqk", position.turn(q), position.turn(k))
        pattern = _causal_softmax(scores / q.shape[-1] ** 0.5)
        return Heads(pattern, jnp.einsum("bhqk,bkhd->bqhd", pattern, v))

    def written(self, mixed: Float[Array, "batch token head d_head"]) -> Array:
        """What each head writes into the stream, without the bias that they share:
        [batch, token, head, d_model].
        """
        W_out = self.W_out[...].reshape(self.n_heads, -1, self.W_out.shape[-1])
        return jnp.einsum("bqhd,hdm->bqhm", mixed, W_out)

    def __call__(self, x: Stream, position: Learned | Rotary) -> Stream:
        mixed = self.heads(x, position).mixed
        return mixed.reshape(x.shape) @ self.W_out[...] + self.b_out[...]


def _causal_softmax(
    scores: Float[Array, "batch head query key"],
) -> Float[Array, "batch head query key"]:
    """Over the keys up to each query; in float32 at least."""
    n = scores.shape[-1]
    wide = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    masked = jnp.where(jnp.tri(n, dtype=bool), wide, -jnp.inf)
    return jax.nn.softmax(masked, axis=-1).astype(scores.dtype)


class MLP(nnx.Module):
    """gelu(x W_in + b_in) W_out + b_out."""

    def __init__(self, key: Key[Array, ""], d_model: int, d_mlp: int, out_scale: float):
        key_in, key_out = jax.random.split(key)
        self.W_in = nnx.Param(
            0.02 * jax.random.normal(key_in, (d_model, d_mlp), jnp.float32)
        )
        self.b_in = nnx.Param(jnp.zeros(d_mlp, jnp.float32))
        self.W_out = nnx.Param(
            out_scale * jax.random.normal(key_out, (d_mlp, d_model), jnp.float32)
        )
        self.b_out = nnx.Param(jnp.zeros(d_model, jnp.float32))

    def neurons(self, x: Stream) -> Float[Array, "batch token d_mlp"]:
        """gelu(x W_in + b_in)."""
        return jax.nn.gelu(x @ self.W_in[...] + self.b_in[...])

    def __call__(self, x: Stream) -> Stream:
        return self.neurons(x) @ self.W_out[...] + self.b_out[...]


class Norm(nnx.Module):
    """Layer normalisation; mean and variance in float32 whatever the stream is in."""

    def __init__(self, d_model: int):
        self.scale = nnx.Param(jnp.ones(d_model, jnp.float32))
        self.shift = nnx.Param(jnp.zeros(d_model, jnp.float32))

    def __call__(self, x: Stream) -> Stream:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        normal = (centred * jax.lax.rsqrt(variance + 1e-5)).astype(x.dtype)
        return normal * self.scale[...] + self.shift[...]


class Block(nnx.Module):
    """Attention and MLP, each with the norm of what it reads."""

    def __init__(
        self,
        key: Key[Array, ""],
        d_model: int,
        n_heads: int,
        d_mlp: int,
        out_scale: float,
    ):
        key_attention, key_mlp = jax.random.split(key)
        self.norm_attention = Norm(d_model)
        self.attention = Attention(key_attention, d_model, n_heads, out_scale)
        self.norm_mlp = Norm(d_model)
        self.mlp = MLP(key_mlp, d_model, d_mlp, out_scale)


class Transformer(nnx.Module):
    """A decoder. Weights start normal with deviation 0.02, those that write into the
    stream with 0.02 / sqrt(2 n_layers) (GPT-2); biases start at 0.

    Raises:
        ValueError: heads do not divide d_model, or a size is less than 1.

    Args:
        key: of the weights.
        n_words: the vocabulary, of tokens and of logits.
        n_context: the longest sequence.
        d_model: width of the residual stream.
        n_layers: blocks of attention and MLP.
        n_heads: of every attention.
        d_mlp: neurons of every MLP; four times d_model by default.
        position: `positions.Learned` by default; `positions.Rotary()`, for example.
    """

    def __init__(
        self,
        key: Key[Array, ""],
        n_words: int,
        n_context: int,
        d_model: int,
        n_layers: int,
        n_heads: int,
        d_mlp: int | None = None,
        position: Learned | Rotary | None = None,
    ):
        sizes = {"n_words": n_words, "n_context": n_context, "d_model": d_model}
        for name, size in (sizes | {"n_layers": n_layers, "n_heads": n_heads}).items():
            require_range(name, size, low=1)
        fix = "choose a number of heads that divides d_model"
        require_width("d_model modulo n_heads", d_model % n_heads, 0, fix)
        keys = jax.random.split(key, 3 + n_layers)
        out_scale = 0.02 / (2 * n_layers) ** 0.5
        self.W_E = nnx.Param(
            0.02 * jax.random.normal(keys[0], (n_words, d_model), jnp.float32)
        )
        self.position = position or Learned(keys[1], n_context, d_model)
        self.n_layers = n_layers
        for i, key_block in enumerate(keys[3:]):
            block = Block(key_block, d_model, n_heads, d_mlp or 4 * d_model, out_scale)
            setattr(self, f"block_{i}", block)
        self.norm = Norm(d_model)
        self.W_U = nnx.Param(
            0.02 * jax.random.normal(keys[2], (d_model, n_words), jnp.float32)
        )

    @property
    def d_model(self) -> int:
        return self.W_E.shape[-1]

    @property
    def blocks(self) -> list[Block]:
        """In order; each is an attribute of its own, so that its weights have names."""
        return [getattr(self, f"block_{i}") for i in range(self.n_layers)]

    @property
    def n_sites(self) -> int:
        return 1 + 2 * self.n_layers

    def neurons(self, stream: Stream, layer: int) -> Float[Array, "batch token d_mlp"]:
        """The MLP neurons of a layer, from the stream at the site before that MLP."""
        block = self.blocks[layer]
        return block.mlp.neurons(block.norm_mlp(stream))

    def attention(self, stream: Stream, layer: int) -> tuple[Array, Array]:
        """Of the heads of a layer, from the stream at the site before it: the pattern
        [batch, head, query, key], and what each writes [batch, token, head, d_model].
        """
        block = self.blocks[layer]
        found = block.attention.heads(block.norm_attention(stream), self.position)
        return found.pattern, block.attention.written(found.mixed)

    def __call__(
        self, tokens: Int[Array, "batch token"], edits: Mapping[int, Edit] | None = None
    ) -> Output:
        """Logits and the residual stream.

        Args:
            tokens: what was seen so far.
            edits: site to what happens there: an array takes the place of the stream (it
                is broadcast to [batch, token, d_model]), a function maps the stream to its
                successor. Later sites see the edited stream.

        Raises:
            ValueError: a site does not exist, or there are more tokens than the context.
        """
        edits = edits or {}
        fix = "0 is the embedding; transformer.site counts the others"
        for where in edits:
            require_range("a site to edit", where, 0, self.n_sites - 1, fix)
        residual: list[Array] = []

        def visit(x: Stream) -> Stream:
            edit = edits.get(len(residual))
            if callable(edit):
                x = edit(x)
            elif edit is not None:
                x = jnp.broadcast_to(edit, x.shape).astype(x.dtype)
            residual.append(x)
            return x

        x = visit(self.position.embed(self.W_E[...][tokens]))
        for block in self.blocks:
            x = visit(x + block.attention(block.norm_attention(x), self.position))
            x = visit(x + block.mlp(block.norm_mlp(x)))
        return Output(self.norm(x) @ self.W_U[...], jnp.stack(residual))
