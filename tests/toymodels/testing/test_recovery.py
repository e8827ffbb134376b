"""The truth passes; what is missed, merged or absorbed is called that, by its index."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic.worlds import standard
from toymodels.sae import Params, ReLU
from toymodels.testing import assert_recovers


@pytest.fixture(scope="module")
def rows():
    return np.asarray(standard.hierarchy().directions)


def detector(W_enc, W_dec, threshold=0.3):
    """Above a threshold a latent is what it reads."""

    def encode(x):
        z = x @ W_enc
        return jnp.where(z > threshold, z, 0)

    return encode, lambda z: z @ W_dec


def refusal(*dictionary, **settings):
    with pytest.raises(AssertionError) as caught:
        assert_recovers(*dictionary, **settings)
    return str(caught.value)


@pytest.mark.parametrize("name", standard.WORLDS)
def test_the_truth_passes(name):
    true = np.asarray(standard.world(name).directions)
    order = np.random.default_rng(0).permutation(len(true))
    orthogonal = name != "superposed"
    dictionary = detector(true[order].T, true[order], 0.5 if orthogonal else 0.6)
    bars = (0.999, 0.999, 0.999) if orthogonal else ()
    scores = assert_recovers(*dictionary, name, *bars)
    assert scores["mcc_dec"] == pytest.approx(1, abs=1e-5)


def test_a_pair_of_ours_and_numpy_functions_score_alike(rows):
    bias = np.full(20, -0.3, np.float32)
    params = Params(rows.T, bias, rows, np.zeros(20, np.float32))
    ours = assert_recovers((ReLU(20), params))

    def encode(x):
        assert isinstance(x, np.ndarray)
        return np.maximum(x @ rows.T - 0.3, 0)

    foreign = assert_recovers(encode, lambda z: z @ rows)
    assert ours.keys() == foreign.keys()
    for score, value in ours.items():
        # The same float32 sums, by two libraries.
        assert foreign[score] == pytest.approx(value, abs=1e-4), score


def test_the_bars_are_held(rows):
    shrunk = detector(rows.T, rows, threshold=0.95)
    assert_recovers(*shrunk, mcc_act=0.0, f1=0.0)
    assert "mcc_act" in refusal(*shrunk, f1=0.0).splitlines()[0]
    assert "feature_f1" in refusal(*shrunk, mcc_act=0.0).splitlines()[0]


def test_a_random_dictionary_misses_everything():
    random = np.random.default_rng(0).normal(size=(20, 20))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    text = refusal(*detector(random.T, random))
    assert text.startswith("the dictionary does not recover the world 'hierarchy': mcc_act")
    assert "mcc_dec" in text
    assert "feature_f1" in text
    assert "missed: feature 0 (latent" in text
    assert "absorbed" not in text


def test_a_feature_without_a_latent_is_missed(rows):
    kept = np.delete(rows, [3, 17], axis=0)
    text = refusal(*detector(kept.T, kept), f1=0.95)
    left = "(no latent is left for it)"
    assert f"missed: feature 3 {left}; feature 17 {left}\n" in text
    assert "merged" not in text


def test_two_features_in_one_latent_are_merged(rows):
    """Latent 5 reads and writes features 16 and 18; latent 6 points nowhere."""
    merged = rows.copy()
    merged[5] = (rows[16] + rows[18]) / np.sqrt(2)
    order = np.delete(np.arange(20), [5, 16, 18])
    merged[16], merged[18] = rows[5], 0
    assert len(order) == 17
    text = refusal(*detector(merged.T, merged), f1=0.99)
    (line,) = [line for line in text.splitlines() if line.startswith("merged")]
    expected = "merged: features 16 and 18 in latent 5 (cosines 0.71 and 0.71, on in "
    assert line.startswith(expected)
    assert "missed" not in text
    assert "absorbed" not in text


def absorbing(rows, parent, child):
    """Latent `parent` is silenced by the child, whose row brings the parent along."""
    W_enc, W_dec = rows.T.copy(), rows.copy()
    W_enc[:, parent] -= 3 * rows[child]
    W_dec[child] += rows[parent]
    return detector(W_enc, W_dec)


def test_an_absorbed_parent_is_called_absorbed(rows):
    text = refusal(*absorbing(rows, parent=2, child=11), f1=0.995)
    (line,) = [line for line in text.splitlines() if line.startswith("absorbed")]
    expected = "absorbed: feature 2 by its child 11 (latent 2 is off in 100% more of the"
    assert line.startswith(expected)
    assert "supply 100% of it there" in line
    assert "merged" not in text
    assert "missed" not in text


def test_anti_aligned_latents_have_found_nothing(rows):
    text = refusal(lambda x: -np.maximum(x @ rows.T - 0.3, 0), lambda z: -z @ rows)
    assert "mcc_dec -" in text or "mcc_dec 0.0" in text


def test_codes_that_depend_on_the_batch_are_refused(rows):
    def encode(x):
        z = np.maximum(x @ rows.T, 0)
        return np.where(z > np.quantile(z, 0.95), z, 0)

    assert "changed with the other rows" in refusal(encode, lambda z: z @ rows)


def test_a_world_of_ones_own(rows):
    world = standard.easy()
    true = np.asarray(world.directions)
    assert_recovers(*detector(true.T, true), world=world)
    text = refusal(*detector(true.T, true), world=world, f1=1.01)
    assert text.startswith("the dictionary does not recover the world: feature_f1 1.000")
    assert "every feature has a latent, but" in text


def test_a_width_that_is_not_the_worlds_is_refused(rows):
    with pytest.raises(ValueError, match="the width of what decode returns is 16"):
        assert_recovers(lambda x: x, lambda z: z[:, :16])
