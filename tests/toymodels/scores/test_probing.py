"""Probes against closed forms, and k latents that hold a label in known ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from synthetic import SparseFeatures, directions, firing, random
from synthetic.magnitude import Constant
from toymodels.scores import ceilings, probing

FIT, SPARSE = jax.jit(probing.fit_logistic), jax.jit(probing.fit_sparse, static_argnums=2)


def test_one_binary_input_gives_the_log_odds():
    """P(y = 1) is 3 / 4 with the input and 1 / 5 without it."""
    x = np.repeat([1.0, 0.0], [400, 500])[:, None]
    y = np.concatenate([np.arange(400) < 300, np.arange(500) < 100])[:, None]
    W, b = FIT(jnp.asarray(x), jnp.asarray(y), 0.0)
    assert float(b[0]) == pytest.approx(logit(1 / 5), abs=1e-3)
    assert float(W[0, 0] + b[0]) == pytest.approx(logit(3 / 4), abs=1e-3)


def test_labels_together_against_another_optimiser():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)) * [1, 10, 0.1] + [0, 5, 1]
    y = expit(x @ rng.normal(size=(3, 2))) > rng.uniform(size=(300, 2))
    found = FIT(jnp.asarray(x, jnp.float32), jnp.asarray(y), 0.01)
    unit = (x - x.mean(0)) / x.std(0)
    for label in range(2):

        def loss(p, sign=2 * y[:, label] - 1):
            wrong = np.logaddexp(0, -sign * (unit @ p[:3] + p[3]))
            return wrong.mean() + 0.005 * p[:3] @ p[:3]

        best = minimize(loss, np.zeros(4), tol=1e-10).x
        np.testing.assert_allclose(
            found.logits(jnp.asarray(x, jnp.float32))[:, label],
            unit @ best[:3] + best[3],
            atol=2e-3,
        )


def test_two_normals_give_the_discriminant():
    """N(+-mu, I) with equal chance: the logit is 2 mu x, the accuracy Phi(|mu|)."""
    rng = np.random.default_rng(1)
    mu = np.array([0.6, -0.8])
    y = rng.uniform(size=40_000) < 0.5
    x = rng.normal(size=(40_000, 2)) + np.where(y, 1, -1)[:, None] * mu
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y)[:, None]
    probe = FIT(x[:20_000], y[:20_000], 0.0)
    np.testing.assert_allclose(probe.W[:, 0], 2 * mu, atol=0.08)
    found = probing.readings(probe.logits(x[20_000:]), y[20_000:])
    assert found.accuracy[0] == pytest.approx(0.8413, abs=0.01)
    # Logits are N(+-2, 4); those of two samples differ by N(4, 8): Phi(sqrt 2).
    assert found.auroc[0] == pytest.approx(0.9214, abs=0.01)


def test_readings_by_hand():
    """One label read without a mistake, one with a tie, one that is always there."""
    logits = jnp.array([[2.0, 1.0, 1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0], [-3, 3, 1]])
    labels = jnp.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]], bool)
    found = probing.readings(logits, labels)
    np.testing.assert_allclose(found.accuracy, [1, 2 / 4, 3 / 4])
    np.testing.assert_allclose(found.f1, [1, 2 / 4, 6 / 7])
    np.testing.assert_allclose(found.auroc, [1, (0.5 + 1 + 0) / 3, 0.5])


@pytest.fixture(scope="module")
def split():
    """A label held by one latent in two thirds of its samples, by another in the rest."""
    kind = np.arange(1_200) % 4
    part = (np.arange(1_200) // 4) % 3
    label = kind == 0
    main, rest = label & (part < 2), label & (part == 2)
    noise = np.random.default_rng(2).uniform(size=(1_200, 3))
    z = np.column_stack([noise[:, 0], 5 * rest, noise[:, 1], 0.01 * main, noise[:, 2]])
    return jnp.asarray(z, jnp.float32), jnp.asarray(label)[:, None]


def test_a_label_that_was_split_needs_both_its_latents(split):
    """One latent misses a third of a quarter of the samples, two miss none."""
    z, label = split
    np.testing.assert_array_equal(probing.best_latents(z, label, 2), [[3, 1]])
    for k, accuracy, f1, auroc in ((1, 11 / 12, 4 / 5, 2 / 3 + 1 / 6), (2, 1, 1, 1)):
        probe = SPARSE(z, label, k)
        assert np.count_nonzero(probe.W) == k
        found = probing.readings(probe.logits(z), label)
        assert np.ravel(found) == pytest.approx([accuracy, f1, auroc])


def test_scale_of_latents_does_not_matter(split):
    z, label = split
    scaled = z * jnp.array([100.0, 1e-3, 1, 50, 1])
    a, b = (probing.readings(SPARSE(x, label, 1).logits(x), label) for x in (z, scaled))
    np.testing.assert_allclose(a.accuracy, b.accuracy)


def test_both_of_two_features_are_read_from_x_and_not_from_one_latent():
    """AND of two fair bits: one latent leaves it at 3 / 4, x tells it without a mistake."""
    bits = np.array([[i & 1, i >> 1] for i in np.arange(4_000) % 4], np.float32)
    rows = np.asarray(directions.orthogonal(random.key(0), 2, 6))
    label = jnp.asarray(bits.all(1))[:, None]
    one = probing.readings(SPARSE(jnp.asarray(bits), label, 1).logits(bits), label)
    x = jnp.asarray(bits @ rows)
    ceiling = probing.readings(FIT(x, label).logits(x), label)
    assert one.accuracy[0] == pytest.approx(3 / 4)
    # Of the samples without the label two thirds lack the bit, and a third ties.
    assert one.auroc[0] == pytest.approx(2 / 3 + 1 / 6)
    assert ceiling.accuracy[0] == ceiling.auroc[0] == 1


def test_probe_as_a_ceiling_reads_orthogonal_features_without_a_mistake():
    """Of three features in three dimensions it finds all, of value 2, and no other."""
    world = SparseFeatures(
        directions.orthogonal(random.key(1), 3, 3),
        firing.Independent(jnp.array([0.5, 0.2, 0.1])),
        Constant(2.0),
    )
    example, test = world.sample(random.key(2), 2_048), world.sample(random.key(3), 512)
    z, x_hat = ceilings.logistic_probe(world, example).codes(test)
    np.testing.assert_allclose(z, test.features, atol=1e-5)
    np.testing.assert_allclose(x_hat, test.x, atol=1e-5)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda z, y: probing.fit_logistic(z[:5], y), "rows of labels is 1200, expected 5"),
        (lambda z, y: probing.fit_logistic(z, y, -1.0), "ridge is -1"),
        (lambda z, y: probing.best_latents(z, y, 6), "k is 6, expected a number in"),
    ],
)
def test_what_makes_no_sense_is_refused(split, run, message):
    with pytest.raises(ValueError, match=message):
        run(*split)
