"""Each variant by hand, by the conformance battery, and by what it must recover."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from synthetic import random
from toymodels import testing
from toymodels.classical import KSVD, MOD
from toymodels.sae import (
    AbsTopK,
    Archetypal,
    FrozenDecoder,
    Params,
    ReLU,
    SkipTranscoder,
    TopK,
    base,
    revival,
    training,
)
from toymodels.training import loop

VARIANTS = [
    ReLU(12, sparsity=0.1),
    ReLU(12, sparsity=0.1, revive=None),
    TopK(12, k=3),
    FrozenDecoder(TopK(12, k=3)),
    FrozenDecoder(ReLU(12)),
]


@pytest.mark.parametrize("dictionary", VARIANTS, ids=repr)
def test_conformance(dictionary):
    testing.check(dictionary, random.key(0))


@pytest.mark.parametrize("dictionary", [TopK(12, k=3), ReLU(8, sparsity=0.1)], ids=repr)
def test_recovers_an_easy_world(dictionary, easy_world):
    testing.check_recovers(dictionary, easy_world, random.key(1))


@pytest.fixture
def by_hand():
    """Two dimensions, three latents; the second latent points at (-1, 0)."""
    W_dec = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    return Params(W_dec.T, jnp.array([0.0, 0.5, -1.0]), W_dec, jnp.array([1.0, 0.0]))


def test_relu_by_hand(by_hand):
    """x - b_dec = (2, 3): pre-activations 2, -1.5, 2; x_hat = (1 + 2, 2)."""
    x = jnp.array([[3.0, 3.0]])
    dictionary = ReLU(3, sparsity=0.5)
    z = dictionary.encode(by_hand, x)
    np.testing.assert_array_equal(z, [[2.0, 0.0, 2.0]])
    np.testing.assert_array_equal(dictionary.decode(by_hand, z), [[3.0, 2.0]])
    memory = dictionary.memory(by_hand)
    value, outcome = dictionary.loss(by_hand, x, memory, jnp.int32(0))
    assert value == 1.0 + 0.5 * 4.0
    assert outcome.metrics == {"squared_error": 1.0, "l0": 2.0}
    np.testing.assert_array_equal(outcome.memory, [0, 1, 0])


def test_topk_by_hand(by_hand):
    """Of 3 and 1.5 only the larger stays: x_hat = (1 + 3, 0), the error 2.5^2."""
    x = jnp.array([[4.0, 2.5]])
    dictionary = TopK(3, k=1, aux=0.0)
    np.testing.assert_array_equal(dictionary.encode(by_hand, x), [[3.0, 0.0, 0.0]])
    memory = jnp.array([5, 6, 7])
    value, outcome = dictionary.loss(by_hand, x, memory, jnp.int32(0))
    assert value == 2.5**2
    np.testing.assert_array_equal(outcome.memory, [0, 7, 8])


def test_topk_keeps_at_most_k(easy_world):
    x = easy_world.sample(random.key(2), 64).x
    params = TopK(40).init(random.key(3), 8)
    for k in (1, 5, 40):
        assert int((TopK(40, k=k).encode(params, x) != 0).sum(-1).max()) <= k


@pytest.mark.parametrize(
    "dictionary", [ReLU(6, sparsity=0.3), TopK(6, k=2, aux=0.0)], ids=repr
)
def test_gradients_against_finite_differences(dictionary):
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (9, 4))
        params = jax.tree.map(
            lambda leaf: leaf.astype(float), dictionary.init(jax.random.key(1), 4)
        )
        memory = dictionary.memory(params)

        def loss(params):
            return dictionary.loss(params, x, memory, jnp.int32(0))[0]

        check_grads(jax.jit(loss), (params,), order=1, modes="rev", atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_rows_have_unit_length_after_training(easy_world):
    for dictionary in (ReLU(8), TopK(8, k=2)):
        params = training.fit(random.key(4), dictionary, easy_world, 20, 32).params
        # A float32 root and division: two roundings.
        np.testing.assert_allclose(jnp.linalg.norm(params.W_dec, axis=1), 1.0, rtol=3e-7)


def test_frozen_decoder_never_moves_and_its_encoder_does(easy_world):
    dictionary = FrozenDecoder(TopK(8, k=2))
    key_init, _ = jax.random.split(random.key(5))
    start = dictionary.init(key_init, easy_world.d_model)
    params = training.fit(random.key(5), dictionary, easy_world, 50, 64).params
    np.testing.assert_array_equal(params.W_dec, start.W_dec)
    assert float(jnp.abs(params.W_enc - start.W_enc).max()) > 1e-3


def auxk_case():
    key_w, key_x = jax.random.split(random.key(6))
    params = base.init_tied(key_w, 6, 4)
    x = jax.random.normal(key_x, (5, 4))
    return params, x, jnp.array([True, False, False, True, False, False])


def test_auxk_moves_dead_latents_only():
    params, x, dead = auxk_case()

    def aux(params):
        pre = base.pre_activation(params, x)
        residual = x - base.decode(params, jax.nn.relu(pre))
        return revival.auxk(residual, pre, params.W_dec, dead, 2)

    grads = jax.jit(jax.grad(aux))(params)
    for alive in (grads.W_dec[~dead], grads.W_enc[:, ~dead], grads.b_enc[~dead]):
        np.testing.assert_array_equal(alive, 0)
    assert float(jnp.abs(grads.W_dec[dead]).max()) > 0


def test_auxk_value_against_numpy():
    params, x, dead = auxk_case()
    pre = np.asarray(base.pre_activation(params, x))
    residual = np.asarray(x) * 0.5
    z = np.where(np.asarray(dead), np.maximum(pre, 0), 0)
    z = np.where(z == z.max(1, keepdims=True), z, 0)
    expected = np.square(residual - z @ np.asarray(params.W_dec)).sum(1).mean()
    found = revival.auxk(jnp.asarray(residual), jnp.asarray(pre), params.W_dec, dead, 1)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    none_dead = revival.auxk(jnp.asarray(residual), pre, params.W_dec, dead & False, 1)
    assert float(none_dead) == 0.0


def test_quiet_counts_samples_not_steps():
    z = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    quiet = revival.count_quiet(jnp.array([4, 4, 0]), z)
    np.testing.assert_array_equal(quiet, [0, 6, 0])


def resampled_case():
    """Latent 1 of 3 is dead and sample 2 of 4 carries nearly all the loss."""
    params = base.init_tied(random.key(7), 3, 2)
    optimizer = optax.adam(1e-2)
    state = loop.start(params, optimizer, jnp.array([0, 10**6, 3]))
    noise = jax.tree.map(lambda leaf: leaf + 0.5, state.opt[0].mu)
    state = state.replace(opt=(state.opt[0]._replace(mu=noise, nu=noise), *state.opt[1:]))
    x = jnp.array([[1e-3, 0.0], [0.0, 1e-3], [3.0, 4.0], [1e-3, 1e-3]])
    dead = jnp.array([False, True, False])
    return state, revival.resample(random.key(8), state, x, jnp.zeros_like(x), dead, 0.2)


def test_resampling_points_at_the_worst_sample():
    _, new = resampled_case()
    np.testing.assert_allclose(new.params.W_dec[1], [0.6, 0.8], rtol=1e-6)
    # The living encoder columns have length 1, so the new one has length 0.2.
    np.testing.assert_allclose(new.params.W_enc[:, 1], [0.12, 0.16], rtol=1e-6)
    assert new.params.b_enc[1] == 0
    assert new.memory[1] == 0


def test_resampling_leaves_the_living_bitwise_and_clears_moments_of_the_dead():
    state, new = resampled_case()
    alive = np.array([0, 2])
    np.testing.assert_array_equal(new.params.W_dec[alive], state.params.W_dec[alive])
    np.testing.assert_array_equal(new.params.W_enc[:, alive], state.params.W_enc[:, alive])
    np.testing.assert_array_equal(new.memory[alive], state.memory[alive])
    for moment in (new.opt[0].mu, new.opt[0].nu):
        np.testing.assert_array_equal(moment.W_dec[1], 0)
        np.testing.assert_array_equal(moment.W_enc[:, 1], 0)
        assert moment.b_enc[1] == 0
        np.testing.assert_array_equal(moment.W_dec[alive], 0.5)
        np.testing.assert_array_equal(moment.b_dec, 0.5)


def all_dead(n_latents, d_model=2):
    params = base.init_tied(random.key(9), n_latents, d_model)
    return loop.start(params, optax.adam(1e-2), jnp.full(n_latents, 10**6))


def test_resampling_draws_in_proportion_to_squared_loss():
    """Losses 1, 2 and 3: squared losses 1, 4 and 9 of 14. Without replacement the first
    draw is sample i with p_i, and the second j with sum over i of p_i p_j / (1 - p_i).
    """
    x, n = jnp.sqrt(jnp.diag(jnp.array([1.0, 2.0, 3.0]))), 4_000
    dead, state = jnp.ones(2, bool), all_dead(2, 3)

    def rows(key):
        return revival.resample(key, state, x, x * 0, dead, 0.2).params.W_dec

    drawn = jax.jit(jax.vmap(rows))(jax.random.split(random.key(10), n))
    found = np.asarray(drawn > 0.5).mean(axis=0)
    p = np.array([1, 4, 9]) / 14
    after = np.array(
        [sum(p[i] * p[j] / (1 - p[i]) for i in {0, 1, 2} - {j}) for j in range(3)]
    )
    # Five binomial standard deviations of 4,000 draws.
    for share, expected in zip(found, (p, after), strict=True):
        assert (np.abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / n)).all()


def test_resampling_gives_every_dead_latent_a_sample_of_its_own():
    """48 of 64 dead on a batch of 256: drawn with replacement, about eight pairs would be
    the same for ever.
    """
    x = jax.random.normal(random.key(15), (256, 8))
    dead = jnp.arange(64) >= 16
    new = revival.resample(random.key(16), all_dead(64, 8), x, x * 0, dead, 0.2)
    rows = np.asarray(new.params.W_dec)
    units = np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)
    sample = (rows[16:] @ units.T).argmax(axis=1)
    np.testing.assert_allclose(rows[16:], units[sample], atol=1e-6)
    assert len(set(sample)) == 48
    assert len(np.unique(rows, axis=0)) == 64
    assert (new.memory == jnp.where(dead, 0, 10**6)).all()


def test_more_dead_latents_than_samples_wait_for_a_later_round():
    x = jnp.eye(3)
    state = all_dead(5, 3)
    new = revival.resample(random.key(17), state, x, x * 0, jnp.ones(5, bool), 0.2)
    rows = np.asarray(new.params.W_dec)
    assert sorted(map(tuple, rows[:3])) == sorted(map(tuple, np.eye(3)))
    np.testing.assert_array_equal(rows[3:], state.params.W_dec[3:])
    np.testing.assert_array_equal(new.params.W_enc[:, 3:], state.params.W_enc[:, 3:])
    np.testing.assert_array_equal(new.memory, [0, 0, 0, 10**6, 10**6])


def test_resampling_makes_no_twins():
    """Of 64 latents 48 are dead, and a few samples carry most of the loss."""
    x = jax.random.normal(random.key(14), (256, 16))
    x = x * jnp.where(jnp.arange(256) < 8, 20.0, 1.0)[:, None]
    state = loop.start(
        base.init_tied(random.key(15), 64, 16), optax.adam(1e-2), jnp.full(64, 10**6)
    )
    dead = jnp.arange(64) < 48
    new = revival.resample(random.key(16), state, x, x * 0, dead, 0.2)
    cosine = np.asarray(new.params.W_dec @ new.params.W_dec.T) - np.eye(64)
    assert cosine.max() < 0.999
    np.testing.assert_array_equal(new.memory, jnp.where(dead, 0, 10**6))


def test_dead_latents_beyond_the_samples_wait():
    x = jnp.array([[3.0, 0.0], [0.0, 4.0]])
    params = base.init_tied(random.key(17), 5, 2)
    state = loop.start(params, optax.adam(1e-2), jnp.full(5, 10**6))
    new = revival.resample(random.key(18), state, x, x * 0, jnp.ones(5, bool), 0.2)
    np.testing.assert_array_equal(new.memory, [0, 0, 10**6, 10**6, 10**6])
    np.testing.assert_array_equal(new.params.W_dec[2:], params.W_dec[2:])
    assert sorted(np.asarray(new.params.W_dec[:2]).tolist()) == [[0.0, 1.0], [1.0, 0.0]]


def test_resampling_happens_on_schedule():
    schedule = revival.Resample(every=10, until=30)
    due = [step for step in range(1, 60) if bool(schedule.is_due(jnp.int32(step)))]
    assert due == [10, 20, 30]


@pytest.mark.slow
def test_relu_brings_dead_latents_back(easy_world):
    """All latents start dead (bias -10); only resampling can move them."""

    def dead_at_the_end(revive):
        dictionary = ReLU(8, sparsity=0.05, revive=revive)
        optimizer = training.adam(3e-3, 400)
        state = training.start(random.key(12), dictionary, 8, optimizer)
        params = state.params._replace(b_enc=jnp.full(8, -10.0))
        run = jax.jit(
            lambda state: training.advance(
                random.key(13),
                dictionary,
                state,
                400,
                world=easy_world,
                optimizer=optimizer,
                batch_size=128,
            )[0]
        )
        end = run(state.replace(params=params))
        x = easy_world.sample(random.key(14), 2_000).x
        return int((dictionary.encode(end.params, x) == 0).all(0).sum())

    assert dead_at_the_end(None) == 8
    assert dead_at_the_end(revival.Resample(every=50, until=300, dead_after=1_000)) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TopK(8, k=9), r"k is 9, expected a number in \[1, 8\]"),
        (lambda: TopK(8, k=0), r"k is 0, expected"),
        (lambda: TopK(0), r"n_latents is 0"),
        (lambda: ReLU(8, sparsity=-0.1), r"sparsity is -0.1, expected"),
        (lambda: TopK(8, k=jnp.array([3, 12])), r"k is 12"),
        (lambda: TopK(8, k=1.8), r"k is 1\.8, expected a whole number; BatchTopK takes"),
        (lambda: TopK(8, k=jnp.array([3.0, 2.5])), r"k is 2\.5, expected a whole number"),
        (lambda: AbsTopK(8, k=1.8), r"k is 1\.8, expected a whole number"),
        (lambda: SkipTranscoder(8, k=1.8), r"k is 1\.8, expected a whole number"),
        (lambda: Archetypal(8, jnp.eye(8), k=1.8), r"k is 1\.8, expected a whole number"),
        (lambda: KSVD(8, k=2.5), r"k is 2\.5 .*, expected a whole number"),
        (lambda: MOD(8, k=2.5), r"k is 2\.5 .*, expected a whole number"),
    ],
)
def test_bad_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [TopK, AbsTopK])
def test_a_whole_k_may_be_a_float_and_is_swept(make):
    """What has no number yet passes; members with k = 1, 2 and 3 have so many on."""
    params = base.init_tied(random.key(18), 8, 8)
    x = jax.random.normal(random.key(19), (64, 8))
    ks = jnp.array([1.0, 2.0, 3.0])
    found = jax.jit(jax.vmap(lambda k: make(8, k=k).encode(params, x)))(ks)
    count = np.asarray(found != 0).sum(axis=-1)
    expected = np.minimum(
        ks[:, None], np.asarray(make(8, k=8).encode(params, x) != 0).sum(1)
    )
    np.testing.assert_array_equal(count, expected)


def test_latents_that_read_alike_tie_and_stay_together(by_hand):
    """As the docstring of `TopK` says: k = 1, and two equal latents are both on."""
    twins = by_hand._replace(
        W_enc=jnp.array([[1.0, 1.0, 0.5], [0.0, 0.0, 0.0]]), b_enc=jnp.zeros(3)
    )
    z = TopK(3, k=1).encode(twins, jnp.array([[3.0, 0.0]]))
    np.testing.assert_array_equal(z, [[2.0, 2.0, 0.0]])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((4, 3)), r"x has shape \(4, 3\), expected \[\.\.\., 2\]"),
        (np.ones((0, 2)), "expected at least one sample"),
        (np.array([[1.0, 0.0], [0.0, np.nan]]), r"x holds nan at index \(1, 1\)"),
    ],
)
@pytest.mark.parametrize("dictionary", [ReLU(3), TopK(3, k=1)], ids=repr)
def test_bad_data_is_refused(dictionary, by_hand, x, message):
    with pytest.raises(ValueError, match=message):
        dictionary.encode(by_hand, x)


def test_learning_rate_is_constant_and_then_falls_to_zero():
    optimizer = training.adam(0.5, 10, decay=0.4)
    state = optimizer.init(jnp.zeros(()))
    sizes = []
    for _ in range(11):
        update, state = optimizer.update(jnp.ones(()), state)
        sizes.append(-float(update))
    # Adam's step for a constant gradient is the learning rate; its bias correction
    # divides two numbers near 1e-3 in float32, which leaves about 1e-5.
    expected = [0.5] * 7 + [0.375, 0.25, 0.125, 0.0]
    np.testing.assert_allclose(sizes, expected, rtol=3e-5, atol=1e-6)


@dataclass(frozen=True)
class Broken:
    """A TopK dictionary with one thing wrong."""

    fault: str
    n_latents: int = 12

    def __getattr__(self, name):
        return getattr(TopK(self.n_latents, k=3), name)

    def init(self, key, d_model):
        key = jax.random.key(0) if self.fault == "ignores its key" else key
        params = TopK(self.n_latents).init(key, d_model)
        if self.fault == "draws without a key":
            noise = np.random.default_rng().normal(size=params.W_dec.shape)
            params = params._replace(W_dec=params.W_dec + noise)
        return params

    def encode(self, params, x):
        z = TopK(self.n_latents, k=3).encode(params, x)
        if self.fault == "batch-dependent":
            return z - z.mean(0)
        if self.fault == "transposed":
            return z.T
        return z * jnp.nan if self.fault == "NaN" else z

    def loss(self, params, x, memory, step):
        value, outcome = TopK(self.n_latents, k=3).loss(params, x, memory, step)
        if self.fault == "one loss per sample":
            value = jnp.full(len(x), value)
        if self.fault == "forgets its memory":
            outcome = outcome._replace(memory=())
        return value, outcome


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("ignores its key", "same weights for two keys"),
        ("draws without a key", "other weights for the same key"),
        ("batch-dependent", "alone than in its batch"),
        ("transposed", "encode gave shape"),
        ("NaN", "NaN or infinite"),
        ("one loss per sample", "one finite number"),
        ("forgets its memory", "hand on what"),
    ],
)
def test_the_battery_notices(fault, message):
    with pytest.raises(AssertionError, match=message):
        testing.check(Broken(fault), random.key(0))


def test_the_battery_notices_a_static_number():
    @jax.tree_util.register_static
    @dataclass(frozen=True)
    class Static(Broken):
        pass

    testing.check_no_retrace(Static("none"), *params_and_x())
    with pytest.raises(AssertionError, match="n_latents is 5"):
        testing.check(Broken("none", n_latents=5), random.key(0))


def params_and_x():
    return TopK(12).init(random.key(0), 5), jnp.ones((7, 5))


@pytest.mark.parametrize("variant", [TopK, AbsTopK])
def test_a_number_of_latents_that_is_a_fraction_is_refused(variant):
    with pytest.raises(ValueError, match=r"k is 1\.8, expected a whole number; BatchTopK"):
        variant(8, k=1.8)
    assert variant(8, k=2.0).k == 2
    stacked = jax.vmap(lambda k: variant(8, k=k))(jnp.array([1.0, 2.0]))
    assert stacked.k.shape == (2,)
