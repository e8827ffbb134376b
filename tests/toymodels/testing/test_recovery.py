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
    assert text.splitlines()[-1] == "look at the width, the penalty and the training time"
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
    text = refusal(lambda x: np.maximum(x @ rows.T - 0.3, 0), lambda z: -z @ rows)
    assert "mcc_dec -" in text or "mcc_dec 0.0" in text


@pytest.mark.parametrize("every", [1, 2])
def test_latents_negated_in_code_and_row_score_as_the_others(rows, every):
    """z w = (-z)(-w): the dictionary is the same."""
    sign = np.ones(20, np.float32)
    sign[::every] = -1

    def encode(x):
        return sign * np.where(x @ rows.T > 0.3, x @ rows.T, 0)

    found = assert_recovers(encode, lambda z: (sign * z) @ rows)
    expected = assert_recovers(*detector(rows.T, rows))
    for score, value in expected.items():
        # The same float32 sums, by two libraries.
        assert found[score] == pytest.approx(value, abs=1e-4), score


def silencing(rows, parents):
    """Every child of these parents silences its latent and brings its direction along."""
    W_enc, W_dec = rows.T.copy(), rows.copy()
    for parent in parents:
        children = np.arange(4 + 3 * parent, 7 + 3 * parent)
        W_enc[:, parent] -= 3 * rows[children].sum(0)
        W_dec[children] += rows[parent]
    return detector(W_enc, W_dec)


def test_a_failure_says_what_was_turned(rows):
    kept = -np.delete(rows, 3, axis=0)
    text = refusal(lambda x: np.minimum(x @ kept.T + 0.3, 0), lambda z: z @ kept)
    assert text.splitlines()[-2].startswith("19 of 19 latents had negative codes alone")


def test_means_above_their_bars_do_not_hide_two_absorbed_parents(rows):
    """Of four: six edges, and all of mcc_act, mcc_dec and F1 are above 0.9."""
    dictionary = silencing(rows, parents=[0, 2])
    text = refusal(*dictionary)
    head = "the dictionary does not recover the world 'hierarchy': 6 absorbed (at most 0)"
    assert text.splitlines()[0] == head
    assert "mcc_dec" not in text
    for parent, child in [(0, 4), (0, 5), (0, 6), (2, 10), (2, 11), (2, 12)]:
        assert f"feature {parent} by its child {child} (latent {parent} is off" in text
    scores = assert_recovers(*dictionary, absorbed=6)
    assert min(scores[name] for name in ("mcc_act", "mcc_dec", "feature_f1")) >= 0.9
    assert "6 absorbed (at most 5)" in refusal(*dictionary, absorbed=5)


def test_means_above_their_bars_do_not_hide_two_missing_features(rows):
    """18 of 20 have a perfect latent: mcc_act and mcc_dec are 1, F1 is 0.9."""
    kept = np.delete(rows, [3, 17], axis=0)
    text = refusal(*detector(kept.T, kept))
    head = "the dictionary does not recover the world 'hierarchy': 2 missed (at most 0)"
    assert text.splitlines()[0] == head
    scores = assert_recovers(*detector(kept.T, kept), missed=2)
    assert scores["feature_f1"] == pytest.approx(0.9, abs=0.005)
    assert "2 missed (at most 1)" in refusal(*detector(kept.T, kept), missed=1)


def test_means_above_their_bars_do_not_hide_a_merged_latent(rows):
    """Latent 16 stands for 16 and 18, and 18 has none of its own."""
    merged = np.delete(rows, 18, axis=0)
    merged[16] = (rows[16] + rows[18]) / np.sqrt(2)
    text = refusal(*detector(merged.T, merged))
    assert text.splitlines()[0].endswith("'hierarchy': 1 merged (at most 0)")
    assert "merged: features 16 and 18 in latent 16 (cosines 0.71 and 0.71, on in" in text
    assert_recovers(*detector(merged.T, merged), merged=1)


def test_limits_are_counts():
    with pytest.raises(ValueError, match=r"absorbed is -1, expected .*0 allows none"):
        assert_recovers(None, absorbed=-1)


def test_latents_that_are_on_too_often_are_not_called_dead(rows):
    """Latent 7 is always on, by a bias, its feature in 0.05 of the samples.

    F1 is then 2 * 0.05 / 1.05; of 16,384 samples it deviates by 0.003.
    """

    def encode(x):
        z = x @ rows.T
        return jnp.where(z > 0.3, z, 0).at[:, 7].add(0.01)

    text = refusal(encode, lambda z: z @ rows)
    (line,) = [line for line in text.splitlines() if line.startswith("missed")]
    assert line.startswith("missed: feature 7 (latent 7: cosine 1.00, F1 0.")
    assert float(line[-5:-1]) == pytest.approx(0.095, abs=0.018)
    last = text.splitlines()[-1]
    assert last.startswith("some latents point along their feature and are on without it;")
    assert "dead" not in text


def test_latents_that_are_seldom_on_are_not_called_dead(rows):
    """Magnitudes are 1 within 0.15: above 1.1 are a quarter."""

    def at(threshold):
        return detector(rows.T, rows, np.where(np.arange(20) == 7, threshold, 0.3))

    text = refusal(*at(1.1))
    assert "missed: feature 7 (latent 7: cosine 1.00, F1 0." in text
    assert "are seldom on with it; look at thresholds" in text.splitlines()[-1]
    assert "dead" not in text
    assert "look at dead latents" in refusal(*at(100.0))


@pytest.mark.parametrize("world", ["easy", standard.easy()], ids=["name", "world"])
def test_a_world_may_follow_the_dictionary(world):
    """assert_recovers(module, "easy"), as one would write it."""
    true = np.asarray(standard.easy().directions)
    params = Params(true.T, np.full(16, -0.3, np.float32), true, np.zeros(16, np.float32))
    ours = (ReLU(16), params)
    found = assert_recovers(ours, world)
    assert found == assert_recovers(ours, world=world)
    wrong = Params(true.T, params.b_enc, -true, params.b_dec)
    name = "the world 'easy'" if isinstance(world, str) else "the world"
    head = f"the dictionary does not recover {name}: mcc_dec"
    assert refusal((ReLU(16), wrong), world).startswith(head)


def test_two_worlds_are_refused():
    with pytest.raises(TypeError, match=r"are 'easy' and 0\.8, expected one world; name"):
        assert_recovers((ReLU(16), None), "easy", 0.8)


def test_a_decoder_that_is_not_finite_is_refused(rows):
    with pytest.raises(ValueError, match="decode returned NaN or infinite values, exp"):
        assert_recovers(lambda x: x, lambda z: z * np.nan)


def test_codes_that_depend_on_the_batch_are_refused(rows):
    def encode(x):
        z = np.maximum(x @ rows.T, 0)
        return np.where(z > np.quantile(z, 0.95), z, 0)

    assert "changed with the other rows" in refusal(encode, lambda z: z @ rows)


def test_an_encoder_that_draws_is_called_that(rows):
    generator = np.random.default_rng(0)

    def encode(x):
        z = np.maximum(np.asarray(x) @ rows.T - 0.3, 0)
        return z * (generator.random(z.shape) > 0.1)  # dropout left on

    text = refusal(encode, lambda z: z @ rows)
    assert text.startswith("encode is not deterministic: ")
    assert "other rows" not in text


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
