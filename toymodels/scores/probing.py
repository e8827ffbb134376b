"""Logistic probes: what labels can be read from x, or from k latents alone.

A probe on x is the ceiling of every linear reader: a dictionary can be asked how close its
k best latents come to it (k-sparse probing, Gurnee et al. 2023, arXiv 2305.01610; as a
score of dictionaries, Karvonen et al. 2025, arXiv 2503.09532). Labels are any yes or no
questions about the true features: presence of one, or "both", "either" of two.

Probes are fitted on some samples and scored on others. Labels that are the same for all
samples leave nothing to tell apart: their accuracy is 1, F1 0 or 1, AUROC 1/2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int
from scipy import stats

from synthetic.validation import require_range, require_width
from toymodels.scores.classification import ratio
from toymodels.training import newton

_TOLERANCE = 1e-5  # of the gradient, in float32


class Probes(NamedTuple):
    """logit = inputs W + b.

    Attributes:
        W: [input, label].
        b: [label].
    """

    W: Array
    b: Array

    def logits(self, inputs: Float[Array, "batch input"]) -> Float[Array, "batch label"]:
        return inputs @ self.W + self.b


class Readings(NamedTuple):
    """How well labels are read.

    Attributes:
        accuracy: share of samples answered right, the answer being yes at logit > 0. Floor:
            the larger of the label's frequency and its rest.
        f1: 2 TP / (2 TP + FP + FN), of the same answers.
        auroc: P(logit is larger with the label than without), ties counting half.
    """

    accuracy: Float[np.ndarray, " label"]
    f1: Float[np.ndarray, " label"]
    auroc: Float[np.ndarray, " label"]


def fit_logistic(
    inputs: Float[Array, "batch input"],
    labels: Bool[Array, "batch label"],
    ridge: ArrayLike = 1e-4,
) -> Probes:
    r"""A logistic regression for each label, by Newton steps to the minimum.

    Minimises mean_n log(1 + exp(-(2 y_n - 1) l_n)) + ridge / 2 |u|^2, where u are the
    weights of the inputs at mean 0 and deviation 1, so that `ridge` has no unit. It keeps
    the weights finite where a label can be read without a mistake.

    Costs some ten times batch * input^2 * label products.

    Raises:
        ValueError: inputs and labels count samples differently, or ridge is negative.
    """
    fix = "labels has one row per sample of inputs"
    require_width("the number of rows of labels", len(labels), len(inputs), fix)
    require_range("ridge", ridge, low=0.0, fix="it weighs a penalty")
    center, scale = inputs.mean(0), inputs.std(0)
    scale = jnp.where(scale > 0, scale, 1)
    standard = (inputs - center) / scale

    def fit_one(label):
        sign = 2.0 * label - 1

        def loss(params):
            w, b = params
            wrong = jax.nn.softplus(-sign * (standard @ w + b))
            return jnp.mean(wrong) + ridge / 2 * jnp.sum(jnp.square(w))

        start = (jnp.zeros(inputs.shape[1], inputs.dtype), jnp.zeros((), inputs.dtype))
        return newton.minimise(loss, start, 40, _TOLERANCE).params

    w, b = lax.map(fit_one, jnp.asarray(labels).T.astype(inputs.dtype))
    W = (w / scale).T
    return Probes(W, b - center @ W)


def best_latents(
    z: Float[Array, "batch latent"], labels: Bool[Array, "batch label"], k: int
) -> Int[Array, "label k"]:
    """The k latents whose means with and without the label lie furthest apart.

    In units of the latent's deviation, so that its scale does not matter: the order is that
    of the size of the correlation.

    Raises:
        ValueError: k is not between 1 and the number of latents.
    """
    require_range("k", k, 1, z.shape[1], "there are no more latents")
    y = jnp.asarray(labels, z.dtype)
    centered, deviation = z - z.mean(0), z.std(0)
    apart = jnp.abs((y - y.mean(0)).T @ centered)
    return lax.top_k(apart / jnp.where(deviation > 0, deviation, jnp.inf), k)[1]


def fit_sparse(
    z: Float[Array, "batch latent"],
    labels: Bool[Array, "batch label"],
    k: int,
    ridge: ArrayLike = 1e-4,
) -> Probes:
    """A probe of each label on its `best_latents`; W is 0 at all others."""

    def fit_one(one):
        latents, label = one
        probe = fit_logistic(z[:, latents], label[:, None], ridge)
        return jnp.zeros(z.shape[1], z.dtype).at[latents].set(probe.W[:, 0]), probe.b[0]

    chosen = best_latents(z, labels, k)
    W, b = lax.map(fit_one, (chosen, jnp.asarray(labels).T))
    return Probes(W.T, b)


def readings(
    logits: Float[Array, "batch label"], labels: Bool[Array, "batch label"]
) -> Readings:
    """Accuracy, F1 and AUROC of each label, on the host."""
    value, truth = np.asarray(logits), np.asarray(labels, bool)
    said = value > 0
    right, both = (said == truth).mean(0), (said & truth).sum(0)
    yes, no = truth.sum(0), (~truth).sum(0)
    ranks = np.where(truth, stats.rankdata(value, axis=0), 0).sum(0)
    wins = ranks - yes * (yes + 1) / 2
    auroc = np.where(yes * no > 0, ratio(wins, yes * no), 0.5)
    return Readings(right, ratio(2 * both, said.sum(0) + yes), auroc)
