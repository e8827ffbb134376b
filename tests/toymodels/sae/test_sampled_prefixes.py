"""Sampled prefixes: their law, the loss by NumPy, and a parent that is not absorbed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import Params, base, training
from toymodels.sae.frequency import FrequencySort
from toymodels.sae.matryoshka_relu import MatryoshkaReLU
from toymodels.sae.sampled_prefixes import Memory, SampledMatryoshka, drawn_prefixes
from toymodels.training import loop


def test_conformance():
    testing.check(SampledMatryoshka(12, 4), random.key(0))


def test_recovers_an_easy_world(easy_world):
    """Prefixes hedge while latents are missing, so the rows are a little mixed."""
    dictionary = SampledMatryoshka(8, 3, sparsity=0.05)
    testing.check_recovers(dictionary, easy_world, random.key(1), 0.97)


@pytest.mark.parametrize("n_prefixes", [1, 2, 5, 12])
def test_widths_rise_to_the_whole(n_prefixes):
    keys = jax.random.split(random.key(2), 50)
    drawn = jax.vmap(lambda key: drawn_prefixes(key, 12, n_prefixes))(keys)
    assert drawn.shape == (50, n_prefixes)
    assert (np.diff(drawn, axis=1) > 0).all()
    assert drawn.min() >= 1
    assert (drawn[:, -1] == 12).all()
    start = SampledMatryoshka(12, n_prefixes).memory(None).prefixes
    assert (np.diff(start, prepend=0) > 0).all()
    assert start[-1] == 12


def test_the_law_of_a_width():
    n, n_latents = 20_000, 6
    keys = jax.random.split(random.key(3), n)
    drawn = jax.vmap(lambda key: drawn_prefixes(key, n_latents, 2)[0])(keys)
    found = np.bincount(np.asarray(drawn), minlength=n_latents)[1:] / n
    law = np.arange(1, n_latents) ** -0.5
    # Five binomial standard deviations.
    np.testing.assert_allclose(found, law / law.sum(), atol=5 * np.sqrt(0.25 / n))


@pytest.fixture(scope="module")
def case():
    key_w, key_x = jax.random.split(random.key(4))
    params = base.init_tied(key_w, 12, 6)
    return params._replace(W_dec=1.5 * params.W_dec), jax.random.normal(key_x, (24, 6))


def test_loss_against_numpy(case):
    params, x = case
    prefixes = [2, 7, 12]
    memory = Memory(jnp.array(prefixes), jnp.zeros(12))
    dictionary = SampledMatryoshka(12, 3, sparsity=0.4)
    value, _ = jax.jit(dictionary.loss)(params, x, memory, jnp.int32(0))
    W_enc, W_dec, rows = (np.asarray(a, float) for a in (params.W_enc, params.W_dec, x))
    z = np.maximum(rows @ W_enc, 0)
    expected = 0.0
    for m in prefixes:
        error = np.square(rows - z[:, :m] @ W_dec[:m]).sum(1)
        penalty = (z[:, :m] * np.linalg.norm(W_dec[:m], axis=1)).sum(1)
        expected += (error + 0.4 * penalty).mean() / 3
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_one_prefix_is_the_plain_dictionary(case):
    params, x = case
    ours, plain = SampledMatryoshka(12, 1), MatryoshkaReLU(12, (12,))

    def gradient(dictionary):
        memory = dictionary.memory(params)
        return jax.jit(jax.grad(lambda p: dictionary.loss(p, x, memory, jnp.int32(0))[0]))(
            params
        )

    for a, b in zip(gradient(ours), gradient(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def parent_and_children():
    """A parent (0.15) with three exclusive children (0.2 each, 0.4 none), on axes."""
    patterns = np.eye(4) + np.array([1.0, 0, 0, 0])
    rows = np.concatenate([np.zeros((1, 4)), np.eye(4)[:1], patterns[1:]])
    return jnp.asarray(np.repeat(rows, [850, 60, 30, 30, 30], axis=0), jnp.float32)


def test_a_parent_is_absorbed_without_prefixes_and_kept_with_them():
    """From the truth, on the whole world; samples with a child, seen by latent 0."""
    x = parent_and_children()
    truth = Params(jnp.eye(4), jnp.zeros(4), jnp.eye(4), jnp.zeros(4))

    def parent_where_child(n_prefixes):
        sort = FrequencySort(every=100, start=100)
        dictionary = SampledMatryoshka(4, n_prefixes, sparsity=0.05, sort=sort)
        optimizer = training.adam(3e-3, 2_000)
        state = loop.start(truth, optimizer, dictionary.memory(truth))
        end = jax.jit(
            lambda state: loop.advance(
                random.key(5),
                state,
                2_000,
                loss=dictionary.loss,
                sample=lambda key: x,
                optimizer=optimizer,
                after=dictionary.after,
            )[0]
        )(state)
        z = dictionary.encode(end.params, x[-90:])
        parent = np.abs(end.params.W_dec[:, 0]).argmax()
        return float((z[:, parent] > 0.1).mean())

    assert parent_where_child(1) == 0
    assert parent_where_child(3) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SampledMatryoshka(8, 9), r"n_prefixes is 9, expected .* \[1, 8\]"),
        (lambda: SampledMatryoshka(8, 3, sparsity=-1.0), "sparsity is -1"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
