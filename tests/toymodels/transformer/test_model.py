"""Causality, sites, edits and an independent forward pass in NumPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from synthetic import random
from toymodels.transformer import Transformer, site
from toymodels.transformer.positions import Rotary

WORDS, CONTEXT, D_MODEL, LAYERS, HEADS = 7, 9, 12, 2, 3
POSITIONS = {"learned": lambda: None, "rotary": Rotary}


def made(position="learned", key=1):
    """A model whose weights are large enough that every part of it matters."""
    model = Transformer(
        random.key(key),
        WORDS,
        CONTEXT,
        D_MODEL,
        LAYERS,
        HEADS,
        position=POSITIONS[position](),
    )
    return jax.tree.map(lambda leaf: 10 * leaf if leaf.ndim > 1 else leaf, model)


TOKENS = jax.random.randint(random.key(2), (2, 6), 0, WORDS)


def numpy_forward(model, tokens):
    """One sequence, from the weights alone (learned positions)."""

    def norm(x, of):
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return centred / deviation * w(of.scale) + w(of.shift)

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def w(param):
        return np.asarray(param[...], np.float64)

    n, d_head = len(tokens), D_MODEL // HEADS
    x = w(model.W_E)[tokens] + w(model.position.vector)[:n]
    residual = [x]
    for block in model.blocks:
        a = block.attention
        qkv = norm(x, block.norm_attention) @ w(a.W_qkv) + w(a.b_qkv)
        mixed = np.zeros((n, D_MODEL))
        for h in range(HEADS):
            where = slice(h * d_head, (h + 1) * d_head)
            q, k, v = (qkv[:, i * D_MODEL : (i + 1) * D_MODEL][:, where] for i in range(3))
            for t in range(n):
                score = np.exp(q[t] @ k[: t + 1].T / np.sqrt(d_head))
                mixed[t, where] = score / score.sum() @ v[: t + 1]
        x = x + mixed @ w(a.W_out) + w(a.b_out)
        residual.append(x)
        m = block.mlp
        hidden = gelu(norm(x, block.norm_mlp) @ w(m.W_in) + w(m.b_in))
        x = x + hidden @ w(m.W_out) + w(m.b_out)
        residual.append(x)
    return norm(x, model.norm) @ w(model.W_U), np.stack(residual)


def test_the_forward_pass_is_that_of_plain_numpy():
    model = made()
    found = jax.jit(lambda model: model(TOKENS))(model)
    assert found.residual.shape == (model.n_sites, 2, 6, D_MODEL) == (5, 2, 6, 12)
    for row in range(2):
        logits, residual = numpy_forward(model, np.asarray(TOKENS[row]))
        # float32 sums of a few dozen terms, on values of order ten.
        np.testing.assert_allclose(found.logits[row], logits, atol=1e-4)
        np.testing.assert_allclose(found.residual[:, row], residual, atol=1e-4)


@pytest.mark.parametrize("position", POSITIONS)
def test_nothing_depends_on_later_tokens(position):
    """By gradients: d logits_t / d x_s is zero for s > t and for other sequences."""
    model = made(position)

    def logit_sums(delta):
        return model(TOKENS, {0: lambda x: x + delta}).logits.sum(-1)

    jacobian = jax.jit(jax.jacrev(logit_sums))(jnp.zeros((2, 6, D_MODEL)))
    size = np.abs(np.asarray(jacobian)).max(-1)  # [batch, t, batch, s]
    later = np.triu(np.ones((6, 6), bool), 1)
    for row in range(2):
        assert not size[row][:, 1 - row].any()
        assert not size[row][:, row][later].any()
        assert (size[row][:, row][~later] > 0).all()


def test_rotations_know_distances_alone():
    """The product of a turned query and a turned key depends on their distance."""
    q, k = jax.random.normal(random.key(3), (2, 1, 1, 1, 8))
    turn = Rotary(100.0).turn
    many = [jnp.broadcast_to(x, (1, 6, 1, 8)) for x in (q, k)]
    products = np.einsum("thd,shd->ts", *(np.asarray(turn(x))[0] for x in many))
    for distance in range(-5, 6):
        line = np.diagonal(products, distance)
        np.testing.assert_allclose(line, line[0], atol=1e-5)
    # The first pair turns by one radian a step, the last by 100^(-3/4).
    turned = np.asarray(turn(jnp.ones((1, 2, 1, 8))))[0, 1, 0]
    angle = 100.0 ** (-np.arange(4) / 4)
    expected = [*(np.cos(angle) - np.sin(angle)), *(np.sin(angle) + np.cos(angle))]
    np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_edits_act_from_their_site_on():
    model = made()
    plain = model(TOKENS)
    other = made(key=5)(TOKENS).residual
    for where in range(model.n_sites):
        found = model(TOKENS, {where: other[where]})
        np.testing.assert_array_equal(found.residual[:where], plain.residual[:where])
        np.testing.assert_array_equal(found.residual[where], other[where])
        same = model(TOKENS, {where: lambda x: x})
        np.testing.assert_array_equal(same.logits, plain.logits)
    # The stream of another model at the last site, through this one's unembedding.
    last = {model.n_sites - 1: other[-1]}
    expected = model.norm(other[-1]) @ model.W_U[...]
    np.testing.assert_allclose(model(TOKENS, last).logits, expected, atol=1e-5)
    one_vector = model(TOKENS, {site(1, "attention"): jnp.ones(D_MODEL)})
    np.testing.assert_array_equal(one_vector.residual[3], jnp.ones((2, 6, D_MODEL)))


def test_sites_alternate_between_attention_and_mlp():
    assert [site(0, "attention"), site(0, "mlp"), site(1, "attention")] == [1, 2, 3]


@pytest.mark.slow
def test_vmapped_models_are_the_models_one_by_one():
    keys = jax.random.split(random.key(6), 2)

    def make(key):
        return Transformer(key, WORDS, CONTEXT, D_MODEL, LAYERS, HEADS)

    stacked = jax.vmap(make)(jax.random.clone(keys))
    together = jax.vmap(lambda model: model(TOKENS).logits)(stacked)
    for i, key in enumerate(keys):
        np.testing.assert_allclose(together[i], make(key)(TOKENS).logits, atol=1e-6)


def test_weights_are_traced_and_survive_a_loop():
    model = made()
    forward = jax.jit(chex.assert_max_traces(lambda model: model(TOKENS).logits, n=1))
    first = forward(model)
    halved = jax.tree.map(lambda leaf: leaf / 2, model)
    assert not np.array_equal(first, forward(halved))
    looped = lax.fori_loop(0, 1, lambda i, m: jax.tree.map(lambda x: x / 2, m), model)
    chex.assert_trees_all_equal(jax.tree.leaves(looped), jax.tree.leaves(halved))


def test_the_start_is_that_of_gpt_2():
    model = Transformer(random.key(7), 50, 20, 64, 8, 4)
    block = model.blocks[3]
    for param, expected in [
        (model.W_E, 0.02),
        (model.W_U, 0.02),
        (model.position.vector, 0.02),
        (block.attention.W_qkv, 0.02),
        (block.mlp.W_in, 0.02),
        (block.attention.W_out, 0.005),
        (block.mlp.W_out, 0.005),
    ]:
        # The deviation of n normal numbers is known to a share of 1 / sqrt(2 n).
        error = 5 / np.sqrt(2 * param.size)
        assert float(param[...].std()) == pytest.approx(expected, rel=error)
    assert not block.mlp.b_in[...].any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="d_model modulo n_heads is 2, expected 0"):
        Transformer(random.key(0), 5, 5, 8, 1, 3)
    with pytest.raises(ValueError, match="n_layers is 0"):
        Transformer(random.key(0), 5, 5, 8, 0, 2)
    with pytest.raises(ValueError, match="the number of tokens is 10, expected"):
        made()(jnp.zeros((1, 10), int))
    with pytest.raises(ValueError, match="a site to edit is 5, expected a number in"):
        made()(TOKENS, {5: lambda x: x})
    with pytest.raises(ValueError, match="d_head modulo 2 is 1"):
        Transformer(random.key(0), 5, 5, 6, 1, 2, position=Rotary())(TOKENS[:, :2] % 5)


def test_what_an_mlp_writes_comes_from_its_neurons():
    model = made()
    residual = jax.jit(lambda model: model(TOKENS))(model).residual
    for layer, block in enumerate(model.blocks):
        before, after = residual[site(layer, "attention")], residual[site(layer, "mlp")]
        neurons = model.neurons(before, layer)
        assert neurons.shape == (2, 6, 4 * D_MODEL)
        written = neurons @ block.mlp.W_out[...] + block.mlp.b_out[...]
        np.testing.assert_allclose(after - before, written, atol=1e-4)


def test_what_an_attention_writes_comes_from_its_heads():
    """Its bias apart; a head's pattern is that of its queries and keys, in NumPy."""
    model = made()
    residual = jax.jit(lambda model: model(TOKENS))(model).residual
    for layer, block in enumerate(model.blocks):
        before, after = residual[2 * layer], residual[site(layer, "attention")]
        pattern, written = model.attention(before, layer)
        assert written.shape == (2, 6, HEADS, D_MODEL)
        whole = written.sum(2) + block.attention.b_out[...]
        np.testing.assert_allclose(after - before, whole, atol=1e-4)
        of = block.attention
        x = np.asarray(block.norm_attention(before))
        qkv = x @ np.asarray(of.W_qkv[...]) + np.asarray(of.b_qkv[...])
        q, k = qkv[1, 4, 4:8], qkv[1, :5, D_MODEL + 4 : D_MODEL + 8]  # the second head
        weight = np.exp(k @ q / 2)
        np.testing.assert_allclose(pattern[1, 1, 4, :5], weight / weight.sum(), atol=1e-4)
        assert not pattern[1, 1, 4, 5:].any()
