"""Two host devices, key reuse as an error, and compiled runs that many tests share."""

import os

import jax
import pytest

# Compiling is most of the tests' time, and without this step of XLA's a small program takes
# a quarter less. XLA stops at a flag it does not know, so the flag is set where it was
# tried; with XLA_FLAGS=--xla_cpu_use_fusion_emitters=true tests run as users do.
_FLAGS = os.environ.get("XLA_FLAGS", "")
if jax.__version_info__ < (0, 11) and "fusion_emitters" not in _FLAGS:
    os.environ["XLA_FLAGS"] = f"{_FLAGS} --xla_cpu_use_fusion_emitters=false"
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_debug_key_reuse", True)

from synthetic import SparseFeatures, directions, firing, random  # noqa: E402


@pytest.fixture(scope="session")
def easy_world() -> SparseFeatures:
    """8 orthogonal features in 8 dimensions, one of them present on average."""
    rows = directions.orthogonal(random.key(11), 8, 8)
    return SparseFeatures(rows, firing.Independent(firing.constant(8, 1 / 8)))
