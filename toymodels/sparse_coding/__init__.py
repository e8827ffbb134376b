"""Sparse codes of samples on a given dictionary: one method, one file."""

import jax.numpy as jnp
from jaxtyping import Array, Float

X = Float[Array, "batch d_model"]
Atoms = Float[Array, "atom d_model"]
Codes = Float[Array, "batch atom"]


def of_one_dtype(x: X, atoms: Atoms) -> tuple[X, Atoms]:
    """Both in the wider of their dtypes, so that what a loop carries keeps its dtype."""
    dtype = jnp.result_type(x, atoms)
    return jnp.asarray(x, dtype), jnp.asarray(atoms, dtype)
