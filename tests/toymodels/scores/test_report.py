"""One call from two callables to a table: who may be scored, and what is refused."""

import json
from dataclasses import replace
from typing import NamedTuple
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.base import Batch
from toymodels.scores import Report, callables, evaluation, prepared, score, streaming
from toymodels.scores.statistics import measure, merge_all

N_FEATURES, D_MODEL = 6, 4
# Small whole numbers, so that x, z and x_hat are exact in float32 and in NumPy alike.
ROWS = np.array(
    [[2, 0, 0, 1], [0, 2, 1, 0], [0, -1, 2, 0], [1, 0, 0, 2], [1, 1, 0, 0], [0, 0, 1, -1]],
    np.float32,
)
W_ENC = np.float32(ROWS[:5].T)
W_DEC = np.float32(ROWS[:5] / 4)
B_DEC = np.array([1, 0, -1, 0.5], np.float32)
THRESHOLD = 3


class Coins(NamedTuple):
    """Features that are 1 with probability 1/4: a world that compiles fast."""

    directions: jax.Array

    @property
    def n_features(self) -> int:
        return self.directions.shape[0]

    @property
    def d_model(self) -> int:
        return self.directions.shape[1]

    def sample(self, key, batch_size) -> Batch:
        fires = jax.random.bernoulli(key, 0.25, (batch_size, self.n_features))
        features = fires.astype(jnp.float32)
        return Batch(features @ self.directions, features)


WORLD = Coins(jnp.asarray(ROWS))


def jax_encode(x):
    pre = x @ W_ENC - THRESHOLD
    return jnp.where(pre > 0, pre, 0)


def jax_decode(z):
    return z @ W_DEC + B_DEC


class Doubles(NamedTuple):
    """Every sample has two of the five features, each with the value 1.5."""

    directions: jax.Array

    @property
    def n_features(self) -> int:
        return 5

    @property
    def d_model(self) -> int:
        return 5

    def sample(self, key, batch_size) -> Batch:
        pairs = jnp.asarray([np.eye(5)[[i, j]].sum(0) for i in range(5) for j in range(i)])
        features = 1.5 * pairs[jax.random.randint(key, (batch_size,), 0, len(pairs))]
        return Batch(features @ self.directions, features)


class Seen:
    """A callable that remembers what kinds of array it got through with."""

    def __init__(self, function):
        self.function, self.finished = function, []

    def __call__(self, array):
        result = self.function(array)
        self.finished.append(type(array))
        return result


def numpy_encode(x):
    pre = x @ W_ENC - THRESHOLD
    x.fill(np.nan)  # what it was given is its own
    pre[pre <= 0] *= 0  # reads by a mask, which a tracer refuses with an IndexError
    return pre


def numpy_decode(z):
    x_hat = np.empty((len(z), D_MODEL), np.float32)
    np.matmul(z, W_DEC, out=x_hat)
    z.fill(np.nan)
    x_hat += B_DEC
    return x_hat


def scored(encode=jax_encode, decode=jax_decode, seed=0, **settings) -> Report:
    settings = {"n_samples": 1000, "block": 512, "draws": 10} | settings
    return score((encode, decode), WORLD, random.key(seed), **settings)


@pytest.fixture(scope="module")
def jitted() -> Report:
    return scored(jax.jit(jax_encode), jax.jit(jax_decode))


def test_numbers_are_those_of_the_samples(jitted):
    """Against NumPy on the very samples: the first key of the stream "score", split once
    per block.
    """
    key_samples = jax.random.split(random.named(random.key(0), "score"), 5)[0]
    keys = jax.random.split(key_samples, 2)
    sample = jax.jit(lambda key: WORLD.sample(key, 512))
    batches = [sample(key) for key in keys]
    x = np.concatenate([batch.x for batch in batches]).astype(float)
    a = np.concatenate([batch.features for batch in batches])
    z = np.maximum(x @ W_ENC - THRESHOLD, 0)
    x_hat = z @ W_DEC + B_DEC
    lost, total = ((x - x_hat) ** 2).sum(), ((x - x.mean(0)) ** 2).sum()
    assert jitted.n_samples == 1024  # 1,000, rounded up to whole blocks
    assert jitted["l0"] == np.count_nonzero(z) / 1024
    assert jitted["true_l0"] == np.count_nonzero(a) / 1024
    # Float32 sums of 512 samples and four dimensions.
    assert jitted["explained_variance"] == pytest.approx(1 - lost / total, abs=1e-6)
    assert jitted["dead"] == np.mean(~(z != 0).any(0))
    # The five rows are five of the six directions, scaled.
    assert jitted["mcc_dec"] == pytest.approx(1, abs=1e-6)
    assert jitted["recovered"] == pytest.approx(5 / 6, abs=1e-6)
    hits = ((z != 0) & (a[:, :5] != 0)).sum(0)
    assert jitted["latent_recall"] == pytest.approx(
        np.mean(hits / (a[:, :5] != 0).sum(0)), abs=1e-12
    )


def test_functions_that_are_not_compiled_yet_score_the_same(jitted):
    assert scored().to_dict() == jitted.to_dict()


def test_numpy_callables_are_not_traced_and_score_the_same(jitted):
    encode, decode = Seen(numpy_encode), Seen(numpy_decode)
    found = scored(encode, decode)
    assert set(encode.finished) == set(decode.finished) == {np.ndarray}
    assert found.to_dict() == jitted.to_dict()


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError, AttributeError])
def test_whatever_a_tracer_makes_foreign_code_raise(error):
    """Frameworks differ in what they say to an array that is not theirs."""

    def foreign(array):
        if not isinstance(array, np.ndarray):
            raise error("expected an array of ours")
        return 2 * array

    called = callables.callable_on_arrays(foreign, np.ones(3))
    result = called(jnp.ones(3))
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, [2, 2, 2])


def test_errors_of_the_callable_itself_come_through():
    def broken(array):
        raise KeyError("no such weight")

    with pytest.raises(KeyError, match="no such weight"):
        callables.callable_on_arrays(broken, np.ones(3))(np.ones(3))


def test_ceiling_and_floor(jitted):
    """The world has no noise: its oracle is perfect. The floor has our L0 and no more."""
    # The directions lean and are not unit; correlations of 1,024 samples are not 0.
    other = {"decoder_cosine", "amplitude_slope", "disentanglement", "completeness"}
    expected = dict.fromkeys(jitted.values.keys() - other, 1.0)
    expected |= {"dead": 0.0, "dense": 0.0, "hedging": 0.0}
    expected |= dict.fromkeys(["l0", "true_l0"], jitted["true_l0"])
    found = {name: jitted.ceiling[name] for name in expected}
    # Float32 moments and reconstructions.
    assert found == pytest.approx(expected, abs=1e-5)
    assert min(jitted.ceiling[name] for name in other) > 0.3
    # Five standard errors: 1,024 samples, calibrated on 4,096 others; the L0 of a sample,
    # in [0, 5], deviates by at most 2.5.
    assert abs(jitted.floor["l0"] - jitted["l0"]) < 5 * 2.5 * np.sqrt(1 / 1024 + 1 / 4096)
    assert jitted.floor["mcc_dec"] < 0.95 < jitted["mcc_dec"]
    assert jitted.floor.keys() == jitted.ceiling.keys() == jitted.values.keys()


def test_same_key_same_report_other_key_other_samples(jitted):
    assert scored().values == jitted.values
    other = scored(seed=1)
    assert other["true_l0"] != jitted["true_l0"]
    # What needs no samples stays: only rounding of one matrix product.
    assert other["mcc_dec"] == pytest.approx(jitted["mcc_dec"], abs=1e-12)


def test_blocks_join_to_the_whole():
    """Three blocks as they come, against one `measure` of their samples together."""
    keys = jax.random.split(random.key(3), 3)

    def codes(batch):
        z = jax_encode(batch.x)
        return z, jax_decode(z)

    compiled = jax.jit(lambda batch: measure(batch, *codes(batch)))
    found = merge_all(streaming.blocks(codes, WORLD, keys, 256))
    sample = jax.jit(lambda key: WORLD.sample(key, 256))
    batches = [sample(key) for key in keys]
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *batches)
    expected = merge_all([compiled(whole)])
    for name, one, other in zip(found._fields, found, expected, strict=True):
        # Float32 sums of at most 768 terms.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4, err_msg=name)
    assert found.n == 768


def test_members_are_scored_as_each_alone():
    """The statistics of a stack of dictionaries are those of its members."""
    scales = jnp.array([0.5, 1.0, 2.0])

    def codes(scale, batch):
        z = jax_encode(batch.x)
        return z, scale * jax_decode(z)

    found = streaming.member_statistics(codes, scales, WORLD, random.key(4), 500, 256)
    keys = jax.random.split(random.key(4), 2)
    assert len(found) == 3
    for scale, member in zip(scales, found, strict=True):
        alone = merge_all(
            streaming.blocks(lambda batch, s=scale: codes(s, batch), WORLD, keys, 256)
        )
        for name, one, other in zip(member._fields, member, alone, strict=True):
            # The same float32 sums, differently fused.
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4, err_msg=name)


def test_what_does_not_depend_on_chance_does_not_depend_on_block():
    """Every sample is alike but for which features it has: these scores are fixed."""
    rows = np.eye(5, dtype=np.float32)[[1, 2, 3, 4, 0]]

    def encode(x):
        z = x @ rows.T
        return jnp.where(z > 0.5, z, 0)

    for block, samples in ((2048, 2048), (1500, 3000)):
        found = score(
            (encode, lambda z: z @ rows),
            Doubles(jnp.asarray(rows)),
            random.key(6),
            2048,
            block,
            draws=0,
            pursuit_samples=0,
        )
        assert found.n_samples == samples
        assert found["l0"] == found["true_l0"] == 2
        for name in ("explained_variance", "shrinkage", "latent_f1", "mcc_act", "mcc_dec"):
            # Float32 products and sums of some thousand terms.
            assert found[name] == pytest.approx(1, abs=1e-5), name


def test_absolute_counts_anti_aligned_latents():
    """Codes of both signs, so that nothing is turned: x is read and written negated."""
    rows = np.eye(5, dtype=np.float32)
    world = Doubles(jnp.asarray(rows))
    settings = {"draws": 0, "pursuit_samples": 0}

    def scored(**more):
        pair = (lambda x: 0.75 - x, lambda z: -z @ rows)
        return score(pair, world, random.key(5), 1024, 512, **settings, **more)

    signed, absolute = scored(), scored(absolute=True)
    assert signed["mcc_dec"] == 0
    assert signed["mcc_act"] < 0.5
    for name in ("mcc_dec", "mcc_act"):
        # Float32 products and sums of a thousand terms.
        assert absolute[name] == pytest.approx(1, abs=1e-5), name
        assert absolute.ceiling[name] == pytest.approx(1, abs=1e-5), name
    (flag,) = signed.flags[:1]
    assert flag.startswith("5 of 5 latents take both signs and are scored as they are")


SIGNS = np.array([1, -1, -1, 1, -1], np.float32)


def numpy_pair_with_signs():
    def encode(x):
        return SIGNS * numpy_encode(x)

    return encode, lambda z: numpy_decode(SIGNS * z)


@pytest.mark.parametrize("kind", ["jax", "numpy"])
def test_negated_latents_are_turned_and_score_as_the_others(jitted, kind):
    """z w = (-z)(-w): the dictionary is the same, and so is its whole report."""
    ours = (lambda x: SIGNS * jax_encode(x), lambda z: jax_decode(SIGNS * z))
    found = scored(*(ours if kind == "jax" else numpy_pair_with_signs()))
    (flag,) = found.flags
    assert flag.startswith("3 of 5 latents had negative codes alone and were turned")
    for part in ("values", "floor", "intervals", "by_frequency"):
        one, other = getattr(found, part), getattr(jitted, part)
        assert one.keys() == other.keys()
        for name in other:
            # Products by 1 and -1 are exact; programs may be fused otherwise.
            np.testing.assert_allclose(one[name], other[name], atol=1e-5, err_msg=name)


def test_others_are_turned_too():
    found = scored(others={"negated": numpy_pair_with_signs()})
    assert found.controls["negated"] == pytest.approx(found.values, abs=1e-6)


def test_where_features_are_negative_nothing_is_turned():
    """A world of -1 and 0: negative codes along the true rows are the truth."""
    z = np.array([[-1.0, 0], [0, -2], [-1, 3]])
    sign, told = prepared.signs(z, -np.abs(z))
    np.testing.assert_array_equal(sign, [1, 1])
    assert told == []
    sign, told = prepared.signs(z, np.abs(z))
    np.testing.assert_array_equal(sign, [-1, 1])
    assert [text[:16] for text in told] == ["1 of 2 latents h", "1 of 2 latents t"]


def test_notebooks_show_the_table(jitted):
    """One line of it a score, and nothing of the dataclass."""
    assert repr(jitted) == str(jitted)
    assert max(map(len, repr(jitted).splitlines())) < 160
    html = jitted._repr_html_()
    root = ElementTree.fromstring(f"<div>{html}</div>")
    table, beside = root.findall("table")
    rows = [[cell.text or "" for cell in row] for row in table.findall("tr")]
    assert [row[0] for row in rows[1:]] == list(jitted.values)
    for name, *numbers, ends in rows[1:]:
        columns = (jitted[name], jitted.floor[name], jitted.ceiling[name])
        assert numbers == [f"{number:.3f}" for number in columns]
        low_high = jitted.intervals.get(name, ())
        assert ends == " to ".join(f"{end:.3f}" for end in low_high)
    named = [row[0].text for row in beside.findall("tr")[1:]]
    assert named == list(jitted.controls | jitted.ceilings)


def test_html_escapes_what_others_named(jitted):
    found = replace(jitted, controls={"a<b": jitted.floor}, flags=["x < y & z"])
    html = found._repr_html_()
    assert "a&lt;b" in html
    assert "x &lt; y &amp; z" in html


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_a_decoder_that_is_not_finite(bad):
    with pytest.raises(ValueError, match="decode returned NaN or infinite values, exp"):
        scored(decode=lambda z: jax_decode(z) * bad)


def test_text_and_json_hold_every_score(jitted):
    text, data = str(jitted), json.loads(jitted.to_json())
    assert set(data["values"]) == set(jitted.values) == EVERY_SCORE
    assert data == jitted.to_dict()
    for name, value in jitted.values.items():
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
        columns = (value, jitted.floor[name], jitted.ceiling[name])
        columns += jitted.intervals.get(name, ())
        assert line.split()[1:] == [f"{column:.3f}" for column in columns]
    for name in jitted.controls | jitted.ceilings:
        assert f"\n{name} " in text
    assert "1,024 samples" in text


EVERY_SCORE = {
    *("mcc_dec", "recovered", "feature_max_cosine", "latent_max_cosine", "uniqueness"),
    *("mcc_act", "latent_precision", "latent_recall", "latent_f1", "feature_precision"),
    *("feature_recall", "feature_f1", "explained_variance", "shrinkage", "l0", "true_l0"),
    *("dead", "dense", "coverage_0.8", "coverage_0.9", "decoder_cosine", "best_f1", "phi"),
    *("rare_recall", "rare_f1", "amplitude_slope", "amplitude_r2", "disentanglement"),
    *("completeness", "latents_per_feature", "auroc", "average_precision"),
    *("threshold_f1", "features_per_latent", "hedging"),
}


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_refuses_a_curved_decoder(offset):
    """However large the bias beside it."""
    with pytest.raises(ValueError, match=r"differs from its affine .* by .*%, expected"):
        scored(decode=lambda z: jnp.tanh(z) @ W_DEC + offset)


def test_accepts_an_affine_decoder_with_a_large_bias():
    """Only rounding bends it: 100 has a float32 spacing of 8e-6."""
    rows = callables.decoder_rows(lambda z: z @ W_DEC + 100.0, 5, random.key(7))
    np.testing.assert_allclose(rows, W_DEC, atol=2e-5)


def test_accepts_a_decoder_of_zeros():
    rows = callables.decoder_rows(lambda z: 0 * z @ W_DEC + B_DEC, 5, random.key(8))
    assert not rows.any()


def test_refuses_a_decoder_of_the_wrong_width():
    with pytest.raises(ValueError, match=r"decode returns is 3, expected 4; decode maps"):
        scored(decode=lambda z: z @ W_DEC[:, :3])


@pytest.mark.parametrize(
    ("decode", "shape"),
    [
        (lambda z: (z @ W_DEC).T, r"\(4, 1\) for 1 rows"),
        (lambda z: (z @ W_DEC).mean(0), r"\(4,\) for 1 rows"),
        (lambda z: z[:, :, None] * W_DEC, r"\(1, 5, 4\) for 1 rows"),
    ],
    ids=["transposed", "averaged", "summands"],
)
def test_refuses_a_decoder_of_the_wrong_shape(decode, shape):
    with pytest.raises(ValueError, match=rf"decode returned shape {shape}.*exp.* \[1, d_m"):
        scored(decode=decode)


@pytest.mark.parametrize(
    ("encode", "came"),
    [
        (lambda x: jax_encode(x).T, r"shape \(5, 4096\)"),
        (lambda x: jax_encode(x).sum(1), r"shape \(4096,\)"),
        (lambda x: jax_encode(x)[:7], r"shape \(7, 5\)"),
        (lambda x: (jax_encode(x), x), "a tuple"),
    ],
    ids=["transposed", "summed", "cut", "tuple"],
)
def test_refuses_codes_of_the_wrong_shape(encode, came):
    with pytest.raises(
        ValueError, match=rf"encode returned {came} for 4096 .* \[4096, n_latents\]; return"
    ):
        scored(encode)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_codes_that_are_not_finite(bad):
    with pytest.raises(ValueError, match=r"returned NaN or .*expected finite.*look"):
        scored(lambda x: jax_encode(x) + bad)


def test_refuses_a_decoder_that_gives_nan():
    with pytest.raises(ValueError, match=r"decode returned NaN or .*expected finite recon"):
        scored(decode=lambda z: jax_decode(z) * jnp.nan)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float16, jnp.bfloat16, np.float64])
def test_codes_of_any_dtype_are_scored_as_numbers(dtype):
    """Codes that are 0 or 1, which every dtype holds; traced and in NumPy."""
    expected = scored(lambda x: (x @ W_ENC > THRESHOLD).astype(jnp.float32))
    traced = scored(lambda x: (x @ W_ENC > THRESHOLD).astype(dtype))
    called = scored(lambda x: (np.array(x) @ W_ENC > THRESHOLD).astype(dtype))
    for found in (traced, called):
        for name, value in expected.values.items():
            assert found[name] == pytest.approx(value, abs=1e-6), name


def test_reconstructions_in_half_precision_are_scored_in_single():
    """Eight bits: what rounding leaves of the error is below a hundredth."""
    found = scored(decode=lambda z: jax_decode(z.astype(jnp.bfloat16)).astype(jnp.bfloat16))
    assert found["explained_variance"] == pytest.approx(
        scored()["explained_variance"], abs=0.01
    )


@pytest.mark.parametrize(("dtype", "bias"), [(np.float16, 1000.3), (jnp.bfloat16, 60.3)])
def test_half_precision_beside_a_large_bias_is_called_that(dtype, bias):
    """Numbers near 1000 and near 60 are 0.5 and 0.25 apart, as long as the rows."""
    with pytest.raises(
        ValueError, match=r"decode gives half precision, whose rounding ben"
    ):
        scored(decode=lambda z: (z @ W_DEC + bias).astype(dtype))


def test_refuses_codes_that_are_no_numbers():
    with pytest.raises(ValueError, match="encode returned dtype complex64, expected real"):
        scored(lambda x: jax_encode(x) * 1j)


def test_flags_an_encoder_that_draws_instead_of_blaming_the_batch():
    """Noise of its own, in code that JAX cannot trace and in code that it can."""
    generator = np.random.default_rng(0)

    def encode(x):
        z = np.maximum(np.array(x) @ W_ENC - THRESHOLD, 0)
        return z + 0.5 * generator.random(z.shape)

    def traceable(x):
        return jax_encode(x) + 0.5 * generator.random((len(x), 5))

    for stochastic in (encode, traceable):
        (flag,) = scored(stochastic).flags
        assert flag.startswith(
            "encode is not deterministic: 100.0% of the samples got other"
        )


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"n_samples": 0}, ValueError, r"n_samples is 0, expected a number in \[1, inf\]"),
        (
            {"n_samples": 1e4},
            ValueError,
            r"n_samples is 10000.0 \(float64\), expected a wh",
        ),
        (
            {"block": 0},
            ValueError,
            r"block is 0, expected a number in \[1, inf\]; an empty",
        ),
        ({"block": -5}, ValueError, r"block is -5, expected"),
        ({"draws": 0.5}, ValueError, r"draws is 0.5 \(float64\), expected a whole number"),
    ],
)
def test_refuses_sizes_that_are_none(settings, kind, message):
    with pytest.raises(kind, match=message):
        scored(**settings)


@pytest.mark.parametrize(
    ("key", "came"),
    [
        (0, "0"),
        (None, "a NoneType"),
        (np.random.default_rng(0), "a Generator"),
        (jax.random.split(jax.random.key(0), 3), r"keys of shape \(3,\)"),
    ],
)
def test_refuses_what_is_no_key(key, came):
    message = rf"key is {came}, expected one random key; write synthetic.random.key\(0\)"
    with pytest.raises(TypeError, match=message):
        score((jax_encode, jax_decode), WORLD, key)


def test_old_keys_are_keys():
    key = jax.random.PRNGKey(0)
    settings = {"n_samples": 512, "block": 512, "draws": 0, "pursuit_samples": 0}
    found = score((jax_encode, jax_decode), WORLD, key, **settings)
    same = score((jax_encode, jax_decode), WORLD, jax.random.key(0), **settings)
    assert found.values == same.values


def test_refuses_what_is_no_dictionary():
    with pytest.raises(TypeError, match="the dictionary is a tuple, expected a pai"):
        score((3, jax_decode), WORLD, random.key(0))
    with pytest.raises(TypeError, match="the dictionary is a tuple, expected a pai"):
        score((jax_encode, WORLD.directions), WORLD, random.key(0))


def test_an_encoder_that_needs_tensors_is_told_of_adapters():
    def encode(x):
        return x.unsqueeze(0)

    with pytest.raises(
        TypeError, match=r"encode raised AttributeError .*adapters.adapt\(m"
    ):
        scored(encode)


@pytest.mark.parametrize("where", ["encode", "decode"])
def test_refuses_a_callable_in_numpy_that_gives_a_tuple(where):
    def pair(array):
        assert isinstance(array, np.ndarray), "NumPy only"
        return array, array[:3]

    with pytest.raises(ValueError, match=f"{where} returned a tuple for .* expected"):
        scored(**{where: pair})


@pytest.mark.parametrize("where", ["encode", "decode"])
def test_refuses_what_is_not_finite_on_a_few_samples_only(where):
    """Samples after the first look, so that only the statistics can tell."""
    calls = []

    def second_block_has_nan(function):
        def call(array):
            if not isinstance(array, np.ndarray):
                raise TypeError("NumPy only")
            result = np.array(function(array))
            calls.append(len(array))
            if calls.count(512) == 2:
                result[-1, 0] = np.nan
            return result

        return call

    callables = {"encode": jax_encode, "decode": jax_decode}
    callables[where] = second_block_has_nan(callables[where])
    with pytest.raises(ValueError, match=r"over the samples is NaN or .*expected finite"):
        scored(**callables)


def test_a_world_is_compiled_once_not_once_per_score():
    """Once for the first look and once for a block, also for a world with other rows."""
    traced = []

    class Counted(Coins):
        def sample(self, key, batch_size):
            traced.append(batch_size)
            return super().sample(key, batch_size)

    for seed in (9, 10):
        world = Counted(jnp.asarray(ROWS * seed))
        score(
            (jax_encode, jax_decode), world, random.key(seed), 512, 256, pursuit_samples=0
        )
    assert traced == [4096, 256]


def test_controls_and_ceilings(jitted):
    """Each breaks, or keeps, what it should."""
    permuted, flipped = (
        jitted.controls["permuted decoder"],
        jitted.controls["signs flipped"],
    )
    for name in ("mcc_dec", "mcc_act", "l0", "uniqueness"):
        # The same rows and the same codes, in another company.
        assert permuted[name] == pytest.approx(jitted[name], abs=1e-9), name
    assert permuted["explained_variance"] < jitted["explained_variance"]
    assert permuted["feature_f1"] < jitted["feature_f1"]
    assert flipped["mcc_dec"] < 0.8
    for name in ("explained_variance", "l0"):
        assert flipped[name] == pytest.approx(jitted[name], abs=1e-9), name
    assert jitted.controls["random at this L0"] == jitted.floor
    assert jitted.ceilings["true codes"] == jitted.ceiling
    for name in ("least squares", "FISTA", "OMP"):
        assert jitted.ceilings[name]["mcc_dec"] == pytest.approx(1, abs=1e-6)
        assert jitted.ceilings[name].keys() == jitted.values.keys()


def test_intervals_hold_the_values_and_only_sampled_scores_have_them(jitted):
    assert "mcc_dec" not in jitted.intervals
    for name in ("explained_variance", "l0", "feature_f1", "auroc", "mcc_act"):
        low, high = jitted.intervals[name]
        assert low - 0.1 < jitted[name] < high + 0.1
        assert low <= high
    assert scored(draws=0).intervals == {}
    assert scored(n_samples=512).intervals == {}  # one block has no spread


def test_bins_by_frequency_average_to_the_whole(jitted):
    """Six features in five bins, the first of which holds two."""
    for bins, name in (("recall", "feature_recall"), ("f1", "feature_f1")):
        first, *rest = jitted.by_frequency[bins]
        assert (2 * first + sum(rest)) / 6 == pytest.approx(jitted[name])


def test_other_controls_are_scored_beside():
    found = scored(others={"frozen": (numpy_encode, numpy_decode)})
    assert found.controls["frozen"] == found.values


def test_flags_nothing_where_nothing_is_wrong(jitted):
    assert jitted.flags == []
    assert "\n!" not in str(jitted)


def test_flags_an_encoder_that_looks_at_other_rows():
    """The largest tenth of the whole batch stays on, as in training with BatchTopK."""

    def encode(x):
        pre = jax_encode(x)
        return jnp.where(pre > jnp.quantile(pre, 0.9), pre, 0)

    (flag,) = scored(encode).flags
    assert "the codes depend on the other rows of the batch" in flag
    assert flag in str(scored(encode))


def test_flags_anti_aligned_latents():
    found = scored(jax_encode, lambda z: -z @ W_DEC + B_DEC)
    (flag,) = found.flags
    assert flag.startswith("5 of 5 latents point against a feature")


class Noisy(Coins):
    """The same with noise, which true codes cannot explain."""

    def sample(self, key, batch_size) -> Batch:
        key, key_noise = jax.random.split(key)
        batch = super().sample(key, batch_size)
        return batch._replace(x=batch.x + jax.random.normal(key_noise, batch.x.shape))


def test_flags_explained_variance_above_the_oracle():
    found = score(
        (lambda x: x, lambda z: z), Noisy(WORLD.directions), random.key(0), 1024, 512
    )
    assert found["explained_variance"] == pytest.approx(1)
    assert found.flags[-1].startswith("explained variance is 0.")


class Family(NamedTuple):
    """A parent in half of the samples, its child in half of these, and a loner."""

    directions: jax.Array
    parents: jax.Array

    @property
    def n_features(self) -> int:
        return 3

    @property
    def d_model(self) -> int:
        return self.directions.shape[1]

    def sample(self, key, batch_size) -> Batch:
        features = jax.random.bernoulli(key, 0.5, (batch_size, 3)).astype(jnp.float32)
        features = features.at[:, 1].multiply(features[:, 0])
        return Batch(features @ self.directions, features)


def test_worlds_with_a_hierarchy_are_scored_for_absorption():
    """The absorbing dictionary, against the truth in the same report."""
    world = Family(jnp.eye(3, 4), jnp.array([-1, 0, -1]))
    W_dec = jnp.array([[1.0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])

    def encode(x):
        return jnp.stack([x[:, 0] - x[:, 1], x[:, 1], x[:, 2]], axis=1)

    settings = {"draws": 10, "pursuit_samples": 0}
    found = score(
        (encode, lambda z: z @ W_dec), world, random.key(1), 1024, 512, **settings
    )
    for name in ("absorption_gap", "absorption_gap_of_child", "absorption_mass"):
        assert found[name] == pytest.approx(1, abs=1e-5)
        assert found.ceiling[name] == pytest.approx(0, abs=1e-5)
        np.testing.assert_allclose(found.intervals[name], 1, atol=1e-5)
    assert found["explained_variance"] == pytest.approx(1, abs=1e-6)


def test_reordered_rows_are_those_of_the_reordered_decoder():
    """What is carried over from one matching is what a second would find."""
    order = np.array([3, 0, 4, 1, 2])
    rows = evaluation.rows_of(W_DEC + 0.1 * np.eye(5, 4), WORLD)
    found = evaluation.reordered(rows, order)
    again = evaluation.rows_of(rows.W_dec[order], WORLD)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), found, again)
