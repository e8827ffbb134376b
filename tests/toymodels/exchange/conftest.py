"""Small dictionaries of every kind that other libraries have, made by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.sae import Params, ReLU, TopK
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.gated import Gated, GatedParams
from toymodels.sae.jumprelu import JumpReLU, JumpReLUParams
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.threshold import ThresholdParams

D_MODEL, N_LATENTS = 7, 10


def affine(rng, d_model=D_MODEL, n_latents=N_LATENTS):
    """Unit rows, read by columns that point along them, nearly."""
    rows = rng.normal(size=(n_latents, d_model))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    arrays = (
        (0.9 * rows + 0.05 * rng.normal(size=rows.shape)).T,
        -0.1 * rng.uniform(size=n_latents),
        rows,
        0.3 * rng.normal(size=d_model),
    )
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def of_every_kind(rng, **size):
    weights = affine(rng, **size)
    n_latents = len(weights[1])
    threshold = jnp.asarray(rng.uniform(0.2, 0.6, n_latents), jnp.float32)
    r_mag, b_gate, b_mag = jnp.asarray(0.2 * rng.normal(size=(3, n_latents)), jnp.float32)
    W_enc, _, W_dec, b_dec = weights
    one = ThresholdParams(*weights, jnp.float32(0.4))
    return {
        "ReLU": (ReLU(n_latents), Params(*weights)),
        "TopK": (TopK(n_latents, k=3), Params(*weights)),
        "JumpReLU": (JumpReLU(n_latents), JumpReLUParams(*weights, threshold)),
        "Gated": (
            Gated(n_latents),
            GatedParams(W_enc, r_mag, b_gate, b_mag, W_dec, b_dec),
        ),
        "BatchTopK": (BatchTopK(n_latents, k=2), one),
        "Matryoshka": (Matryoshka(n_latents, (3, 6, n_latents), k=2), one),
    }


@pytest.fixture(scope="session")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def every_kind():
    """Name to (dictionary, params): 10 latents in 7 dimensions."""
    return of_every_kind(np.random.default_rng(1))


@pytest.fixture(scope="session")
def square():
    """As many latents as dimensions: shapes cannot tell an orientation."""
    return of_every_kind(np.random.default_rng(2), d_model=12, n_latents=12)


@pytest.fixture(scope="session")
def x():
    return np.random.default_rng(3).normal(size=(40, D_MODEL)).astype(np.float32)
