"""Sufficient statistics against a plain float64 computation, whole and in blocks."""

from itertools import pairwise

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores.statistics import (
    Statistics,
    above_rounding,
    measure,
    merge,
    merge_all,
    on_host,
)

SAMPLES, D_MODEL, FEATURES, LATENTS = 840, 7, 5, 4
SPLITS = {
    "halves": [420],
    "unequal, one of a single sample": [1, 61, 700],
    "many": list(range(60, 840, 60)),
}

# Sums of at most 840 float32 terms. XLA adds plain sums in a tree, which keeps the error
# near the unit roundoff of 6e-8; matrix products add in runs, whose errors grow like the
# root of the length: sqrt(840) * 6e-8 = 2e-6.
FLOAT32 = 1e-6
PRODUCT = 1e-5

compiled = jax.jit(measure)


class Data:
    """Random samples, sparse where they should be, and what NumPy makes of them."""

    def __init__(self, seed: int, mean: float = 0.0, std: float = 1.0):
        rng = np.random.default_rng(seed)

        def normal(width):
            return mean + std * rng.normal(size=(SAMPLES, width))

        def sparse(width):
            return rng.normal(size=(SAMPLES, width)) * (rng.random((SAMPLES, width)) < 0.3)

        dense = mean != 0
        self.x = normal(D_MODEL).astype(np.float32)
        self.x[5] = 0  # not counted in norm_ratio
        self.x[6] = np.float32(1e-7)
        self.x_hat = (self.x + 0.3 * std * rng.normal(size=self.x.shape)).astype(np.float32)
        features = normal(FEATURES) if dense else sparse(FEATURES)
        self.features = features.astype(np.float32)
        mixed = features[:, :LATENTS] + std * rng.normal(size=(SAMPLES, LATENTS))
        z = mixed if dense else mixed * (rng.random(mixed.shape) < 0.6)
        self.z = z.astype(np.float32)

    def measure(self, part: slice = slice(None)) -> Statistics:
        batch = Batch(self.x[part], self.features[part])
        return compiled(batch, self.z[part], self.x_hat[part])

    def blocks(self, cuts: list[int]) -> list[Statistics]:
        edges = [0, *cuts, SAMPLES]
        return [self.measure(slice(*edge)) for edge in pairwise(edges)]

    def expected(self) -> dict[str, np.ndarray]:
        """Every statistic, by its definition, in float64."""
        x, x_hat, z, a = (
            array.astype(np.float64)
            for array in (self.x, self.x_hat, self.z, self.features)
        )
        norms = [(np.sqrt(u @ u), np.sqrt(v @ v)) for u, v in zip(x, x_hat, strict=True)]
        ratios = [after / before for before, after in norms if before > 1e-6]
        columns = range(LATENTS), range(FEATURES)
        return {
            "n": np.float64(SAMPLES),
            "z_on": np.array([np.count_nonzero(column) for column in z.T]),
            "a_on": np.array([np.count_nonzero(column) for column in a.T]),
            "both_on": np.array(
                [
                    [sum((z[:, i] != 0) & (a[:, j] != 0)) for j in columns[1]]
                    for i in columns[0]
                ]
            ),
            "z_mean": z.mean(0),
            "a_mean": a.mean(0),
            "x_mean": x.mean(0),
            "z_m2": SAMPLES * z.var(0),
            "a_m2": SAMPLES * a.var(0),
            "za": SAMPLES * np.cov(z.T, a.T, bias=True)[:LATENTS, LATENTS:],
            "x_m2": SAMPLES * x.var(0).sum(),
            "error": np.sum((x - x_hat) ** 2),
            "norm_ratio": np.sum(ratios),
            "norm_count": np.float64(len(ratios)),
        }


def assert_equal(found: Statistics, expected: dict[str, np.ndarray]) -> None:
    """Counts exactly, the rest to FLOAT32 of its own scale."""
    spread = np.sqrt(expected["z_m2"][:, None] * expected["a_m2"])
    deviation = {
        f"{axis}_mean": np.sqrt(np.max(expected[f"{axis}_m2"]) / SAMPLES) for axis in "zax"
    }
    assert found.norm_count == expected["norm_count"] < SAMPLES
    for name in ("n", "z_on", "a_on", "both_on"):
        np.testing.assert_array_equal(getattr(found, name), expected[name], name)
    for name in ("z_m2", "a_m2", "x_m2", "error", "norm_ratio"):
        np.testing.assert_allclose(
            getattr(found, name), expected[name], rtol=FLOAT32, err_msg=name
        )
    assert np.max(np.abs(found.za - expected["za"]) / spread) < PRODUCT
    for name, scale in deviation.items():
        gap = np.max(np.abs(getattr(found, name) - expected[name]))
        assert gap < FLOAT32 * scale, name


@pytest.fixture(scope="module")
def data() -> Data:
    return Data(seed=0)


@pytest.mark.parametrize("seed", [0, 1])
def test_measure_is_the_plain_computation(seed):
    data = Data(seed)
    assert_equal(on_host(data.measure()), data.expected())


@pytest.mark.parametrize("cuts", SPLITS.values(), ids=SPLITS.keys())
def test_blocks_together_are_the_whole(data, cuts):
    assert_equal(merge_all(data.blocks(cuts)), data.expected())


@pytest.mark.parametrize("cuts", SPLITS.values(), ids=SPLITS.keys())
def test_nothing_cancels_at_mean_1e4_and_std_1(cuts):
    """Naive float32 sums of squares would lose everything: 1e8 has a spacing of 8."""
    data = Data(seed=3, mean=1e4)
    data.x[5:7] = 1e4
    expected = data.expected()
    found = merge_all(data.blocks(cuts))
    for name in ("z_m2", "a_m2", "x_m2", "z_mean", "a_mean", "x_mean", "error"):
        np.testing.assert_allclose(
            getattr(found, name), expected[name], rtol=FLOAT32, err_msg=name
        )
    spread = np.sqrt(expected["z_m2"][:, None] * expected["a_m2"])
    assert np.max(np.abs(found.za - expected["za"]) / spread) < PRODUCT


def test_mean_of_a_block_is_held_in_two_float32_numbers():
    """A mean of 1e4 in one float32 number would be off by up to 5e-4."""
    data = Data(seed=4, mean=1e4)
    found = on_host(data.measure())
    for name, values in (("z_mean", data.z), ("a_mean", data.features)):
        expected = values.astype(np.float64).mean(0)
        # The low part has the error of a float32 mean of deviations of size 1.
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6, rtol=0)
    assert not found.z_low.any()


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_order_of_blocks_does_not_matter(mean):
    """To float64 rounding, in any order and in any tree."""
    blocks = Data(seed=5, mean=mean).blocks([1, 61, 700])
    forwards = merge_all(blocks)
    first, second, third, fourth = map(on_host, blocks)
    others = (
        merge_all(reversed(blocks)),
        merge_all([blocks[2], blocks[0], blocks[3], blocks[1]]),
        merge(merge(first, second), merge(third, fourth)),
        merge(first, merge(second, merge(third, fourth))),
    )
    # Float64 roundoff 1e-16; the means of 1e4 are subtracted: 1e4 * 1e-16 per step.
    scale = np.sqrt(forwards.z_m2[:, None] * forwards.a_m2)
    for other in others:
        assert np.max(np.abs(other.za - forwards.za) / scale) < 1e-11
        for name in set(Statistics._fields) - {"za"}:
            np.testing.assert_allclose(
                getattr(other, name), getattr(forwards, name), rtol=1e-11, atol=1e-11
            )


def test_merge_keeps_the_two_part_means_of_blocks_still_in_float32():
    data = Data(seed=6, mean=1e4)
    data.x[5:7] = 1e4
    blocks = [jax.device_get(block) for block in data.blocks([420])]
    found = jax.device_get(merge(*blocks))
    expected = data.expected()
    # One more float32 rounding of each step between the means.
    np.testing.assert_allclose(found.z_m2, expected["z_m2"], rtol=1e-6)
    np.testing.assert_allclose(found.x_m2, expected["x_m2"], rtol=1e-6)


def test_merged_numbers_are_float64(data):
    for name, leaf in merge_all(data.blocks([1]))._asdict().items():
        assert leaf.dtype == np.float64, name


@pytest.mark.parametrize("level", [0.0, 0.1, 1e4, -3.3])
def test_constants_have_no_spread_above_rounding(level):
    """0.1 is no float32 number, and its float32 mean need not be itself."""
    x, z, a = (np.full((480, w), level, np.float32) for w in (D_MODEL, LATENTS, FEATURES))
    z[:, 1] = np.linspace(0, 1, 480)
    parts = (slice(0, 60), slice(60, 480))
    found = merge_all(compiled(Batch(x[p], a[p]), z[p], x[p]) for p in parts)
    assert above_rounding(found.x_m2, np.linalg.norm(found.x_mean)) == 0
    assert not above_rounding(found.a_m2, found.a_mean).any()
    spread = above_rounding(found.z_m2, found.z_mean)
    assert np.flatnonzero(spread).tolist() == [1]
    assert spread[1] == found.z_m2[1]


def test_the_smallest_float32_variation_is_above_rounding():
    """Half of the samples one float32 step of 1e4 above the others."""
    x, z, a = (np.full((420, w), 1e4, np.float32) for w in (D_MODEL, LATENTS, FEATURES))
    z[::2] = np.nextafter(z[::2], np.float32(np.inf))
    found = on_host(compiled(Batch(x, a), z, x))
    assert above_rounding(found.z_m2, found.z_mean).all()


def test_negative_values_are_on():
    x = np.ones((3, 2), np.float32)
    features = np.array([[0.0], [1.0], [-2.0]], np.float32)
    z = np.array([[-1.0], [0.0], [-3.0]], np.float32)
    found = compiled(Batch(x, features), z, x)
    assert (found.z_on[0], found.a_on[0], found.both_on[0, 0]) == (2, 2, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)], ids=str)
def test_a_lone_latent_or_feature_keeps_its_precision(shape):
    """Plain matrix-vector products would be off by 1e-4 here, which a score shows."""
    latents, features = shape
    rng = np.random.default_rng(7)
    a = (rng.random((8000, features)) < 1 / 3).astype(np.float32)
    z = np.resize(a.T, (latents, 8000)).T.copy()
    found = on_host(compiled(Batch(a, a), z, a))
    expected = (z - z.mean(0, dtype=float)).T @ (a - a.mean(0, dtype=float))
    scale = np.sqrt(found.z_m2[:, None] * found.a_m2)
    # Runs of 64 terms: 64 * 6e-8 = 4e-6 at worst.
    assert np.max(np.abs(found.za - expected) / scale) < 4e-6


def test_products_ask_for_full_float32_precision():
    """Accelerators otherwise multiply with 10 bits, and correlations lose three digits.

    (Zeros and ones survive that: the counts need no more.)
    """
    x = np.ones((3, 2), np.float32)
    text = str(jax.make_jaxpr(measure)(Batch(x, x), x, x))
    assert text.count("Precision.HIGHEST, Precision.HIGHEST") == 1


def test_refuses_blocks_whose_counts_float32_cannot_hold():
    def shapes(samples):
        x = jax.ShapeDtypeStruct((samples, 2), np.float32)
        return jax.eval_shape(measure, Batch(x, x), x, x)

    shapes(2**24)
    for samples in (0, 2**24 + 1):
        with pytest.raises(ValueError, match=rf"has {samples} samples, expected 1 to .*;"):
            shapes(samples)
