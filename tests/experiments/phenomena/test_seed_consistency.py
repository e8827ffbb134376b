"""The fixed samples, the penalty that can be escaped, and checks that notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.phenomena import seed_consistency
from experiments.phenomena.seed_consistency import PlainL1, Settings
from synthetic import Stored, random
from synthetic.testing import check as check_world
from toymodels.sae import Params, ReLU


@pytest.fixture(scope="module")
def fixed():
    settings = Settings()
    world = seed_consistency.make_world(random.key(0), settings)
    return Stored(*jax.jit(world.sample, static_argnums=1)(random.key(1), 2_000))


def test_samples_have_three_features_with_folded_normal_values(fixed):
    features = np.asarray(fixed.features)
    assert ((features > 0).sum(axis=1) == 3).all()
    # E |N(0, 1)| = sqrt(2 / pi); 6,000 draws with deviation 0.6.
    assert features[features > 0].mean() == pytest.approx(np.sqrt(2 / np.pi), abs=0.04)


def test_every_batch_is_taken_from_the_fixed_samples(fixed):
    batch = fixed.sample(random.key(2), 64)
    distance = np.abs(np.asarray(batch.x)[:, None] - np.asarray(fixed.x)).max(axis=2)
    row = distance.argmin(axis=1)
    assert distance.min(axis=1).max() == 0
    np.testing.assert_array_equal(batch.features, np.asarray(fixed.features)[row])
    assert len(set(row)) > 50


def test_conformance_of_the_fixed_world(fixed):
    check_world(fixed, random.key(3))


def scaled(params, by):
    """The same reconstruction with codes `by` times as large."""
    return Params(by * params.W_enc, by * params.b_enc, params.W_dec / by, params.b_dec)


def test_long_rows_escape_the_plain_penalty_and_not_that_of_unit_rows(fixed):
    x = fixed.x[:100]
    params = ReLU(32).init(random.key(4), 16)
    found = {}
    for name, dictionary in (("plain", PlainL1(32, 0.16)), ("unit", ReLU(32, 0.16))):
        losses = [
            dictionary.loss(p, x, dictionary.memory(p), jnp.int32(0))
            for p in (params, scaled(params, 0.5))
        ]
        errors = [outcome.metrics["squared_error"] for _, outcome in losses]
        found[name] = [
            float(value - e) for (value, _), e in zip(losses, errors, strict=True)
        ]
        if name == "plain":
            np.testing.assert_allclose(errors[0], errors[1], rtol=1e-5)
    assert found["plain"][1] == pytest.approx(found["plain"][0] / 2, rel=1e-5)
    # At rows of length 1 both penalties are one.
    assert found["unit"][0] == pytest.approx(found["plain"][0], rel=1e-5)


def test_the_published_start():
    params = PlainL1(32).init(random.key(5), 16)
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 0.1, rtol=1e-5)
    np.testing.assert_array_equal(params.W_enc.T, params.W_dec)
    assert 0.2 < float(jnp.abs(params.b_enc).max()) <= 0.25


PUBLISHED = {
    "kinds": ["ReLU, as published", "ReLU, unit rows", "TopK"],
    "ReLU, as published": {
        "pw_mcc": 0.609,
        "mcc_dec": [0.626, 0.625, 0.652, 0.62, 0.63],
        "l0": 15.7,
    },
    "ReLU, unit rows": {"pw_mcc": 0.93, "mcc_dec": [0.93] * 5, "l0": 7.5},
    "TopK": {
        "pw_mcc": 0.951,
        "mcc_dec": [0.992, 0.953, 0.951, 0.991, 0.951],
        "l0": 3.0,
    },
}


def failed(metrics):
    checks = seed_consistency.make_checks(Settings(), metrics)
    return [check.name for check in checks if not check.passed]


def test_the_published_table_passes_and_seeds_that_disagree_fail():
    assert failed(PUBLISHED) == []
    worse = PUBLISHED | {"TopK": PUBLISHED["TopK"] | {"pw_mcc": 0.7}}
    assert failed(worse) == [
        "PW-MCC that TopK gains over ReLU as published",
        "TopK: PW-MCC",
    ]
