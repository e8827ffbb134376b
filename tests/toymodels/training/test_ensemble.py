"""Members on devices: every order of work gives the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.training import ensemble


def power_iterations(matrix, n):
    """A member's own arrays, a shared number."""
    return jax.lax.fori_loop(0, n, lambda _, v: matrix @ v / 2, jnp.ones(3))


@pytest.fixture(scope="module")
def matrices():
    return jax.random.normal(jax.random.key(0), (6, 3, 3))


@pytest.mark.parametrize("block", [None, 1, 2, 3, 100])
@pytest.mark.parametrize("n_members", [1, 5, 6])
def test_stacked_members_equal_a_loop(matrices, n_members, block):
    """Blocks that do and do not divide the members; one member on two devices."""
    matrices = matrices[:n_members]
    together = ensemble.over_members(power_iterations, n_members, shared=1, block=block)
    expected = [power_iterations(jnp.asarray(m), 4) for m in matrices]
    # Another order of summation in products of 3 terms: float32 rounding only.
    np.testing.assert_allclose(
        jax.jit(together)(matrices, 4), expected, rtol=1e-5, atol=1e-6
    )


def test_members_are_spread_over_the_devices(matrices):
    result = jax.jit(ensemble.over_members(power_iterations, 6, shared=1))(matrices, 2)
    assert len(result.sharding.device_set) == len(jax.devices()) == 2


@pytest.mark.parametrize(("n_members", "n_devices"), [(1, 1), (3, 2), (4, 2)])
def test_the_mesh_has_no_more_devices_than_members(n_members, n_devices):
    assert ensemble.mesh(n_members).devices.size == n_devices
