"""Sparse codes of samples on a given dictionary: one method, one file."""

from jaxtyping import Array, Float

X = Float[Array, "batch d_model"]
Atoms = Float[Array, "atom d_model"]
Codes = Float[Array, "batch atom"]
