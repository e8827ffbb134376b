"""A split batch, on devices or on processes, gives the numbers of a whole one."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from toymodels.sae import TopK, training
from toymodels.training import loop, parallel

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "data_parallel.py"


def trained(world, place):
    """Weights after 30 steps, with the sampler as `place` gives it."""
    dictionary = TopK(8, k=2)
    optimizer = training.adam(3e-3, 30)
    sample = place(lambda key: world.sample(key, 64).x)

    @jax.jit
    def advance(state):
        return loop.advance(
            random.key(0),
            state,
            30,
            loss=dictionary.loss,
            sample=sample,
            optimizer=optimizer,
            after=dictionary.after,
        )

    start = training.start(random.key(1), dictionary, world.d_model, optimizer)
    state, _ = advance(parallel.replicated(start, parallel.mesh()))
    return state.params


def test_a_batch_split_over_devices_trains_the_same_weights(easy_world):
    whole = trained(easy_world, lambda sample: sample)
    split = trained(easy_world, lambda s: parallel.over_data(s, parallel.mesh()))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(split), strict=True):
        # Sums over the batch in another order, over 30 steps.
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_every_device_holds_its_share():
    devices = parallel.mesh()
    sample = parallel.over_data(lambda key: jax.random.normal(key, (6, 3)), devices)
    shards = jax.jit(sample)(random.key(2)).addressable_shards
    assert len(shards) == devices.size == 2
    assert {shard.data.shape for shard in shards} == {(3, 3)}


def test_a_batch_that_devices_do_not_divide_is_refused():
    sample = parallel.over_data(lambda key: jnp.zeros((5, 3)), parallel.mesh())
    with pytest.raises(ValueError, match=r"5 samples, expected a multiple of 2"):
        jax.jit(sample)(random.key(3))


def lines(*runs: tuple[dict, list[str]]) -> list[tuple[int, float, float]]:
    """What the example prints: devices, loss, mcc_dec; all runs at the same time."""
    running = [
        subprocess.Popen(
            [sys.executable, str(EXAMPLE), "--steps=40", *arguments],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for environment, arguments in runs
    ]
    outputs = [process.communicate(timeout=240)[0] for process in running]
    found = [re.search(r"(\d+) devices loss (\S+) mcc_dec (\S+)", out) for out in outputs]
    return [(int(m[1]), float(m[2]), float(m[3])) for m in found if m]


@pytest.mark.slow
def test_eight_devices_and_two_processes_give_the_numbers_of_one():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        at = f"--at=127.0.0.1:{free.getsockname()[1]}"
    one = {"JAX_NUM_CPU_DEVICES": "1"}
    (alone,) = lines((one, []))
    (eight,) = lines(({"JAX_NUM_CPU_DEVICES": "8"}, []))
    pair = lines(*((one, [f"--process={i}", "--of=2", at]) for i in range(2)))
    assert [alone[0], eight[0], *(line[0] for line in pair)] == [1, 8, 2, 2]
    assert pair[0] == pair[1]
    for other in (eight, *pair):
        # Sums over the batch in another order, over 40 steps.
        assert other[1] == pytest.approx(alone[1], rel=1e-4)
        assert other[2] == pytest.approx(alone[2], abs=1e-4)
