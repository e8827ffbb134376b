"""Normalisation: its moments, and the weights that do without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels import testing
from toymodels.sae import BatchTopK, ReLU, TopK, tied
from toymodels.sae.april import ReLUApril
from toymodels.sae.around import scaling
from toymodels.sae.around.scaling import Normalised, Uniformly, fold
from toymodels.sae.gated import Gated
from toymodels.sae.jumprelu import JumpReLU


@pytest.fixture(scope="module")
def x():
    """Correlated, off centre, and far from unit scale."""
    key_x, key_mix = jax.random.split(random.key(0))
    mix = jax.random.normal(key_mix, (5, 5)) + 2 * jnp.eye(5)
    return 7 * (jax.random.normal(key_x, (600, 5)) @ mix) + 10.0


def scalings(x):
    return {
        "none": Uniformly(),
        "unit_mean_square": scaling.unit_mean_square(x),
        "root_width": scaling.root_width(x),
        "centred": scaling.centred(x),
        "whitening": scaling.whitening(x),
    }


def normalised(scaling, x):
    return np.asarray(scaling.rows(x - scaling.shift), np.float64)


def test_moments(x):
    found = {name: normalised(one, x) for name, one in scalings(x).items()}
    np.testing.assert_array_equal(found["none"], x)
    # Means of 600 float32 numbers.
    square = np.square(found["unit_mean_square"]).sum(1).mean()
    assert square == pytest.approx(1, rel=1e-5)
    length = np.linalg.norm(found["root_width"], axis=1).mean()
    assert length == pytest.approx(np.sqrt(5), rel=1e-5)
    np.testing.assert_allclose(found["centred"].mean(0), 0, atol=1e-5)
    assert np.square(found["centred"]).sum(1).mean() == pytest.approx(5, rel=1e-5)
    np.testing.assert_allclose(found["whitening"].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(
        found["whitening"].T @ found["whitening"] / 600, np.eye(5), atol=1e-4
    )


def test_whitening_is_symmetric_and_undone_by_its_inverse(x):
    found = scaling.whitening(x)
    np.testing.assert_allclose(found.matrix, found.matrix.T, atol=1e-6)
    np.testing.assert_allclose(found.matrix @ found.inverse, np.eye(5), atol=1e-5)


def test_root_width_does_not_depend_on_units(x):
    one = normalised(scaling.root_width(x), x)
    other = normalised(scaling.root_width(1000 * x), 1000 * x)
    np.testing.assert_allclose(one, other, rtol=1e-5)


VARIANTS = {
    "ReLU": ReLU(9),
    "TopK": TopK(9, k=3),
    "JumpReLU": JumpReLU(9),
    "Gated": Gated(9),
    "BatchTopK": BatchTopK(9, k=3),
    "April": ReLUApril(9, pre_bias=0.0, start_norm=0.8),
    "April with half a pre-bias": ReLUApril(9, pre_bias=0.5),
    "tied": tied.Tied(9),
}


def disturbed(params):
    """Every weight moved, so that no bias is 0 and no threshold the same."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        leaf + 0.5 * jax.random.uniform(key, leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize("name", ["none", "root_width", "centred", "whitening"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_weights_do_the_same_on_raw_inputs(variant, name, x):
    """In float64, so that no threshold is met by rounding."""
    with jax.enable_x64(True):
        x = x.astype(float)
        found = scalings(x)[name]
        dictionary = VARIANTS[variant]
        params = disturbed(dictionary.init(jax.random.key(2), 5))
        behind = Normalised(dictionary, found)
        if variant == "tied":
            dictionary = ReLUApril(9, pre_bias=0.0)
            folded = fold(tied.untied(params), found, pre_bias=0.0)
        else:
            folded = fold(params, found, getattr(dictionary, "pre_bias", 1.0))
        z, z_raw = behind.encode(params, x), dictionary.encode(folded, x)
        assert 0.02 < float((z != 0).mean()) < 0.98
        # float32 weights in float64 arithmetic; codes are of order 1 to 10.
        np.testing.assert_allclose(z_raw, z, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            dictionary.decode(folded, z), behind.decode(params, z), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("variant", ["ReLU", "TopK", "JumpReLU", "Gated", "BatchTopK"])
def test_folding_a_number_in_formulas(variant, x):
    """W_enc s, W_dec / s, b_dec / s; all else as it was, bit for bit."""
    params = disturbed(VARIANTS[variant].init(random.key(3), 5))
    folded = fold(params, Uniformly(0.25))
    for name, leaf in folded._asdict().items():
        factor = {"W_enc": 0.25, "W_dec": 4.0, "b_dec": 4.0}.get(name, 1.0)
        np.testing.assert_array_equal(leaf, factor * getattr(params, name))


def test_a_selection_by_code_times_norm_would_need_another_threshold(x):
    """The known mistake: z ||W_dec|| shrinks by s when W_dec is folded."""
    params = disturbed(VARIANTS["BatchTopK"].init(random.key(4), 5))
    found = scaling.root_width(x)
    folded = fold(params, found)

    def selected(params, x, threshold):
        z = ReLU(9).encode(params, x)
        return z * jnp.linalg.norm(params.W_dec, axis=1) > threshold

    behind = selected(params, found.rows(x), 2.0)
    assert (selected(folded, x, 2.0) != behind).any()
    np.testing.assert_array_equal(selected(folded, x, 2.0 / found.scale), behind)


def test_conformance(x):
    testing.check(Normalised(ReLU(12), scaling.centred(x)), random.key(5))


@pytest.mark.slow
def test_recovers_an_easy_world_far_from_unit_scale(easy_world):
    """Its samples 1,000 times as large: no rate or penalty would fit them raw."""
    world = easy_world.replace(directions=1_000 * easy_world.directions)
    found = scaling.root_width(world.sample(random.key(6), 4_096).x)
    # E||x|| = sqrt(8): penalties and magnitudes are about 6 times those of the raw world.
    dictionary = Normalised(ReLU(8, sparsity=0.5), found)
    testing.check_recovers(dictionary, world, random.key(7))


def test_bad_samples_are_refused():
    with pytest.raises(ValueError, match="the mean square of the sample is 0, expected"):
        scaling.root_width(jnp.zeros((4, 3)))
    flat = jax.random.normal(random.key(8), (50, 3)) * jnp.array([1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="the least variance over the largest is"):
        scaling.whitening(flat)
    with pytest.raises(ValueError, match=r"scale is 0, expected .* invertible"):
        Uniformly(0.0)
