"""The I of DCI: how much of each feature a linear map of the codes predicts."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from synthetic.base import GroundTruth
from synthetic.validation import require_range
from toymodels.scores.callables import callable_on_arrays, require_codes
from toymodels.scores.streaming import opened, sample


def informativeness(
    encode: Callable[[Any], Any],
    world: GroundTruth,
    key: Key[Array, ""],
    n_samples: int = 16_384,
) -> Float[np.ndarray, " feature"]:
    """R^2 of each feature, predicted from all latents by least squares.

    R^2_j = 1 - E(a_j - b_j - w_j . z)^2 / Var a_j, with w and b fitted on half of the
    samples in float64 and R^2 measured on the other half (Eastwood & Williams 2018, where
    it is the error of a fitted regressor). 1 where the codes tell a feature linearly,
    about 0 where they tell nothing; below 0 where the fit does not carry over, as with
    hardly more samples than latents. NaN for a feature without variance.

    It says nothing about how many latents it takes: any invertible linear map of x has
    that of x. Disentanglement and completeness (`correlation.dci`) say the rest.

    Args:
        encode: [batch, d_model] -> [batch, latent].
        world: whose features are to be told.
        key: of the samples.
        n_samples: half of them to fit, half to measure.

    Raises:
        ValueError: there are fewer samples to fit than latents and one.
    """
    require_range("n_samples", n_samples, low=2, fix="half fit, half measure")
    n_fit = n_samples // 2
    key_fit, key_test = jax.random.split(key)
    world, fit = opened(world, key_fit, n_fit, directions=False)
    test = sample(world, key_test, n_samples - n_fit)
    encode = callable_on_arrays(encode, fit.x)
    z = encode(fit.x)
    require_codes(z, n_fit)
    fix = "give more samples: each latent has a coefficient"
    require_range("n_samples", n_samples, 2 * (z.shape[-1] + 1), fix=fix)
    coefficients = np.linalg.lstsq(_with_one(z), np.asarray(fit.features, float))[0]
    truth = np.asarray(test.features, float)
    error = np.square(truth - _with_one(encode(test.x)) @ coefficients).mean(0)
    variance = truth.var(0)
    return np.where(variance > 0, 1 - error / np.where(variance > 0, variance, 1), np.nan)


def _with_one(z: Any) -> Float[np.ndarray, "batch column"]:
    z = np.asarray(z, float)
    return np.column_stack([z, np.ones(len(z))])
