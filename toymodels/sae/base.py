"""What every sparse autoencoder shares: the protocol, the affine maps, the errors."""

from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key, PyTree

from synthetic.directions import random, unit_rows
from synthetic.shapes import of_fields
from synthetic.validation import require_finite
from toymodels.training.loop import Outcome, State

_NARROW = 1024  # latents up to which `_product` pays

X = Float[Array, "*batch d_model"]
Z = Float[Array, "*batch latent"]
Weights = TypeVar("Weights", bound=Any)  # a NamedTuple with W_dec


class Params(NamedTuple):
    """The weights of an affine encoder and decoder.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model]; its rows are the learned directions.
        b_dec: [d_model]; subtracted before encoding, added after decoding.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array

    __repr__ = of_fields


class Dictionary(Protocol):
    """What every variant offers; variants share functions, never a parent class.

    A variant is a frozen pytree: `n_latents` is static, the numbers people sweep are
    leaves. `memory` starts what the loss needs beside the weights (() when that is
    nothing) and each loss hands it on; `after` is applied after each optimizer step.
    """

    @property
    def n_latents(self) -> int: ...

    def init(self, key: Key[Array, ""], d_model: int) -> Any: ...

    def memory(self, params: Any) -> PyTree: ...

    def encode(self, params: Any, x: X) -> Z: ...

    def decode(self, params: Any, z: Z) -> X: ...

    def loss(
        self, params: Any, x: X, memory: PyTree, step: Int[Array, ""]
    ) -> tuple[Float[Array, ""], Outcome]: ...

    def after(self, key: Key[Array, ""], state: State, x: X) -> State: ...


def init_tied(key: Key[Array, ""], n_latents: int, d_model: int) -> Params:
    """Random unit rows, the encoder their transpose, zero biases."""
    W_dec = random(key, n_latents, d_model)
    return Params(
        W_dec.T, jnp.zeros(n_latents, jnp.float32), W_dec, jnp.zeros(d_model, jnp.float32)
    )


def require_data(x: X, d_model: int) -> None:
    """Raises ValueError unless `x` is a non-empty, finite array [..., d_model]."""
    came = f"x has shape {jnp.shape(x)}"
    if jnp.shape(x)[-1:] != (d_model,):
        raise ValueError(
            f"{came}, expected [..., {d_model}]; the last axis must be the width that the "
            "dictionary was made for"
        )
    if 0 in jnp.shape(x):
        raise ValueError(
            f"{came}, expected at least one sample; an empty batch has no data"
        )
    require_finite("x", x)


def pre_activation(params: Params, x: X) -> Z:
    """(x - b_dec) W_enc + b_enc.

    Raises:
        ValueError: `x` has another width, is empty, or (outside jit) is not finite.
    """
    require_data(x, params.W_enc.shape[-2])
    return (x - params.b_dec) @ params.W_enc + params.b_enc


def decode(params: Params, z: Z) -> X:
    """z W_dec + b_dec."""
    return combine(z, params.W_dec) + params.b_dec


def combine(z: Z, rows: Float[Array, "latent d_model"]) -> X:
    """The rows of a decoder summed with weights z."""
    return z @ rows if z.shape[-1] > _NARROW else _product(z, rows)


@jax.custom_vjp
def _product(z: Z, W: Float[Array, "latent d_model"]) -> X:
    return z @ W


def _product_forward(z: Z, W: Array):
    return z @ W, (z, W)


def _product_backward(residuals: tuple[Array, Array], g: X):
    """The usual gradients; W's is computed as (g^T z)^T.

    On a CPU that product takes half the time of z^T g at up to about a thousand latents;
    the barrier keeps XLA from turning it back.
    """
    z, W = residuals
    rows = g.reshape(-1, g.shape[-1]).T @ z.reshape(-1, z.shape[-1])
    d_z, d_W = g @ W.T, lax.optimization_barrier(rows).T
    return d_z.astype(z.dtype), d_W.astype(W.dtype)


_product.defvjp(_product_forward, _product_backward)


def squared_error(x: X, x_hat: X) -> Float[Array, ""]:
    """||x - x_hat||^2, summed over d_model, averaged over the batch."""
    return jnp.mean(jnp.sum(jnp.square(x - x_hat), axis=-1))


def mean_l0(z: Z) -> Float[Array, ""]:
    """The mean number of non-zero latents in a sample."""
    return jnp.mean(jnp.sum(z != 0, axis=-1, dtype=jnp.float32))


def with_unit_rows(params: Weights) -> Weights:
    """The decoder's rows scaled to length 1, all else as it was."""
    return params._replace(W_dec=unit_rows(params.W_dec))
