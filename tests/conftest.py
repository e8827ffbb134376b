"""Two host devices, key reuse as an error, and compiled runs that many tests share."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_debug_key_reuse", True)

from synthetic import SparseFeatures, directions, firing, random  # noqa: E402


@pytest.fixture(scope="session")
def easy_world() -> SparseFeatures:
    """8 orthogonal features in 8 dimensions, one of them present on average."""
    rows = directions.orthogonal(random.key(11), 8, 8)
    return SparseFeatures(rows, firing.Independent(firing.constant(8, 1 / 8)))
