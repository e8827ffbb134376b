"""The loop: hand-computed steps, cuts, members, NaN, resumption."""

import io
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synthetic import random
from toymodels.training import loop
from toymodels.training.checkpoints import CheckpointMismatchError, DirectoryCheckpoints
from toymodels.training.progress import Progress

KEY_DATA = random.key(3)


def sample(key):
    return jax.random.normal(key, (4, 3))


def loss(params, batch, memory, step):
    value = jnp.mean(jnp.square(batch @ params["w"] - 1.0)) + 0.1 * jnp.sum(
        params["w"] ** 4
    )
    return value, loop.Outcome({"norm": jnp.sum(params["w"] ** 2)}, memory + 1)


def fresh(scale=1.0):
    params = {"w": scale * jnp.arange(3.0)}
    return loop.start(params, optax.adam(1e-2), jnp.int32(0))


@pytest.fixture(scope="module")
def advance():
    return jax.jit(
        lambda state, n: loop.advance(
            jax.random.clone(KEY_DATA),
            state,
            n,
            loss=loss,
            sample=sample,
            optimizer=optax.adam(1e-2),
        )
    )


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_three_gradient_steps_by_hand():
    """d/dw (w - 2)^2 = 2 (w - 2), rate 0.25: the distance to 2 halves each step."""
    optimizer = optax.sgd(0.25)
    state, chunk = loop.advance(
        random.key(0),
        loop.start(jnp.float32(10.0), optimizer),
        3,
        loss=lambda w, batch, memory, step: ((w - batch) ** 2, loop.Outcome({"w": w})),
        sample=lambda key: jnp.float32(2.0),
        optimizer=optimizer,
    )
    assert state.params == 3.0
    assert state.step == 3
    assert chunk.metrics["w"] == pytest.approx((10 + 6 + 4) / 3)
    assert chunk.metrics["loss"] == pytest.approx((64 + 16 + 4) / 3)
    assert chunk.bad_step == -1


@pytest.mark.parametrize("cut", [1, 7, 19])
def test_a_cut_run_equals_the_whole_bit_for_bit(advance, cut):
    whole, _ = advance(fresh(), 20)
    first, _ = advance(fresh(), cut)
    assert_same(whole, advance(first, 20 - cut)[0])


def test_every_step_has_a_batch_of_its_own():
    optimizer = optax.sgd(1.0)
    _, chunk = loop.advance(
        random.key(1),
        loop.start(jnp.zeros(64), optimizer),
        64,
        # The gradient writes -batch at position `step`, so the weights list the batches.
        loss=lambda w, b, memory, step: (b * w[step], loop.Outcome({"second": w[1]})),
        sample=lambda key: jax.random.normal(key),
        optimizer=optimizer,
    )
    state, _ = loop.advance(
        random.key(1),
        loop.start(jnp.zeros(64), optimizer),
        64,
        loss=lambda w, b, memory, step: (b * w[step], loop.Outcome({})),
        sample=lambda key: jax.random.normal(key),
        optimizer=optimizer,
    )
    assert len(np.unique(state.params)) == 64
    assert chunk.metrics["second"] != 0


def test_after_sees_the_batch_and_has_a_key_of_its_own():
    def after(key, state, batch):
        return state.replace(memory=jnp.stack([batch, jax.random.normal(key)]))

    state, _ = loop.advance(
        random.key(2),
        loop.start(jnp.zeros(()), optax.sgd(0.1), jnp.zeros(2)),
        1,
        loss=lambda w, b, memory, step: (w * b, loop.Outcome({}, memory)),
        sample=lambda key: jax.random.normal(key),
        optimizer=optax.sgd(0.1),
        after=after,
    )
    batch, other = state.memory
    assert batch != other
    assert state.params == pytest.approx(-0.1 * batch)


def test_vmapped_members_equal_looped_ones(advance):
    scales = jnp.array([0.5, 1.0, 2.0])
    together, _ = jax.vmap(lambda s: advance(fresh(s), 10))(scales)
    for i, scale in enumerate(scales):
        alone, _ = advance(fresh(scale), 10)
        # Batched products may sum in another order: a few float32 roundings in ten steps.
        np.testing.assert_allclose(
            together.params["w"][i], alone.params["w"], rtol=1e-5, atol=1e-6
        )


def test_one_compilation_serves_every_length_and_seed():
    traces = 0

    @jax.jit
    def run(key, state, n):
        nonlocal traces
        traces += 1
        return loop.advance(
            key, state, n, loss=loss, sample=sample, optimizer=optax.adam(1e-2)
        )

    run(random.key(0), fresh(), 3)
    run(random.key(1), fresh(2.0), 11)
    assert traces == 1


def test_history_has_a_row_per_chunk_and_progress_sees_each(advance):
    seen = []
    state, history = loop.run(
        advance, fresh(), 25, chunk=10, progress=lambda step, metrics: seen.append(step)
    )
    assert list(history.step) == seen == [10, 20, 25]
    assert state.step == state.memory == 25
    _, last = advance(advance(fresh(), 20)[0], 5)
    assert history.metrics["loss"][-1] == last.metrics["loss"]


def test_several_models_in_one_program(advance):
    def both(states, n):
        moved = {name: advance(state, n) for name, state in states.items()}
        return {k: v[0] for k, v in moved.items()}, {k: v[1] for k, v in moved.items()}

    states, history = loop.run(jax.jit(both), {"a": fresh(), "b": fresh(2.0)}, 6, chunk=3)
    assert_same(states["a"], advance(fresh(), 6)[0])
    assert set(history.metrics) == {"a/loss", "a/norm", "b/loss", "b/norm"}


def poisoned(bad_step):
    """A run whose data turns NaN at one step."""

    def loss_of_data(params, batch, memory, step):
        value = jnp.mean((params - batch) ** 2)
        return jnp.where(step == bad_step, jnp.nan, value), loop.Outcome({})

    return jax.jit(
        lambda state, n: loop.advance(
            jax.random.clone(KEY_DATA),
            state,
            n,
            loss=loss_of_data,
            sample=sample,
            optimizer=optax.sgd(0.1),
        )
    )


def test_nan_stops_at_its_chunk_names_the_step_and_keeps_the_checkpoint(tmp_path):
    checkpoints = DirectoryCheckpoints(tmp_path / "run")
    start = loop.start(jnp.zeros(3), optax.sgd(0.1))
    with pytest.raises(loop.NonFiniteLossError, match=r"at step 37;.*kept") as error:
        loop.run(poisoned(37), start, 100, chunk=10, checkpoints=checkpoints)
    assert "lower the learning rate" in str(error.value)
    state, history = checkpoints.restore(start)
    assert state.step == history.step[-1] == 30
    assert np.isfinite(state.params).all()


def test_nan_in_one_member_names_the_member():
    run = poisoned(2)
    states = jax.vmap(lambda w: loop.start(w, optax.sgd(0.1)))(jnp.zeros((3, 3)))
    with pytest.raises(loop.NonFiniteLossError, match=r"members \[\[0\], \[1\], \[2\]\]"):
        loop.run(jax.vmap(run, in_axes=(0, None)), states, 5, chunk=5)


def test_an_interrupted_run_resumes_bit_for_bit(advance, tmp_path):
    whole, history = loop.run(advance, fresh(), 50, chunk=10)
    checkpoints = DirectoryCheckpoints(tmp_path / "run")

    def interrupt(step, metrics):
        if step == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run(advance, fresh(), 50, 10, interrupt, checkpoints)
    reopened = DirectoryCheckpoints(tmp_path / "run")
    assert reopened.latest_step == 40
    state, resumed = loop.run(advance, fresh(9.0), 50, 10, checkpoints=reopened)
    assert_same(whole, state)
    assert_same(history, resumed)


def test_what_stops_a_run_saves_it_however_recent_the_last_save_is(advance, tmp_path):
    checkpoints = DirectoryCheckpoints(tmp_path / "run", seconds=3600)

    def stop(step, metrics):
        if step == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.run(advance, fresh(), 50, 10, stop, checkpoints)
    assert checkpoints.latest_step == 20
    loop.run(advance, fresh(), 50, 10, checkpoints=checkpoints)
    assert checkpoints.latest_step == 50


def test_nan_before_the_first_save_promises_no_checkpoint(tmp_path):
    checkpoints = DirectoryCheckpoints(tmp_path / "run", seconds=3600)
    start = loop.start(jnp.zeros(3), optax.sgd(0.1))
    with pytest.raises(loop.NonFiniteLossError) as error:
        loop.run(poisoned(37), start, 100, chunk=10, checkpoints=checkpoints)
    assert "kept" not in str(error.value)
    assert checkpoints.restore(start) is None


def test_a_progress_is_told_where_a_run_resumes(advance, tmp_path):
    loop.run(advance, fresh(), 20, 10, checkpoints=DirectoryCheckpoints(tmp_path))
    for total, sentence in ((50, "resuming fit at step 20 of 50"), (20, "all 20 steps")):
        stream = io.StringIO()
        progress = Progress("fit", total, stream=stream)
        loop.run(advance, fresh(), total, 10, progress, DirectoryCheckpoints(tmp_path))
        assert sentence in stream.getvalue()
        shutil.rmtree(tmp_path / "50", ignore_errors=True)
        loop.run(advance, fresh(), 20, 10, checkpoints=DirectoryCheckpoints(tmp_path))


def test_a_checkpoint_of_another_shape_is_refused(advance, tmp_path):
    checkpoints = DirectoryCheckpoints(tmp_path / "run")
    loop.run(advance, fresh(), 10, 10, checkpoints=checkpoints)
    other = loop.start({"w": jnp.zeros(5)}, optax.adam(1e-2), jnp.int32(0))
    with pytest.raises(CheckpointMismatchError, match="settings differ"):
        checkpoints.restore(other)


def test_nothing_is_written_before_the_first_save(tmp_path):
    checkpoints = DirectoryCheckpoints(tmp_path / "run", seconds=3600)
    assert checkpoints.restore(fresh()) is None
    checkpoints.save(1, fresh(), loop.History(np.array([1]), {}))
    assert not (tmp_path / "run").exists()
