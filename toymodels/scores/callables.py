"""Dictionaries of any framework, given as two callables on arrays."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key


def callable_on_arrays(function: Callable[[Any], Any], example: Any) -> Callable:
    """`function` compiled where JAX can trace it, else called with NumPy arrays."""
    try:
        jax.eval_shape(function, jnp.asarray(example))
    except Exception:  # what a tracer makes other code raise depends on that code
        return lambda array: np.asarray(function(np.array(array)))
    return jax.jit(function)


def decoder_rows(
    decode: Callable[[Any], Any], n_latents: int, key: Key[Array, ""]
) -> Float[np.ndarray, "latent d_model"]:
    """Row i is decode(e_i) - decode(0), exact for an affine decoder.

    Raises:
        ValueError: `decode` is not affine, so it has no rows to compare with directions;
            or it does not return one row per sample.
    """

    def decoded(z):
        x_hat = np.asarray(decode(z))
        if x_hat.ndim != 2 or len(x_hat) != len(z):
            raise ValueError(
                f"decode returned shape {x_hat.shape} for {len(z)} rows of latents, "
                f"expected [{len(z)}, d_model]; return one reconstruction per row"
            )
        return x_hat

    origin = decoded(jnp.zeros((1, n_latents)))
    rows = decoded(jnp.eye(n_latents)) - origin
    z = jax.random.uniform(key, (8, n_latents))
    moved, affine = decoded(z) - origin, np.asarray(z) @ rows
    gap = np.abs(moved - affine).max() / max(np.abs(affine).max(), 1e-12)
    if not gap < 1e-2:
        raise ValueError(
            f"decode(z) differs from its affine form z W + b by {gap:.1%}, expected an "
            "affine decoder; the directions of a curved one cannot be scored"
        )
    return rows


def require_codes(z: Any, batch_size: int) -> None:
    if getattr(z, "ndim", None) != 2 or z.shape[0] != batch_size:
        came = f"shape {tuple(z.shape)}" if hasattr(z, "shape") else f"a {type(z).__name__}"
        raise ValueError(
            f"encode returned {came} for {batch_size} samples, expected "
            f"[{batch_size}, n_latents]; return one row of latents per sample"
        )
    if not np.isfinite(z).all():
        raise ValueError(
            "encode returned NaN or infinite values, expected finite latents; look for "
            "NaN in the weights"
        )
