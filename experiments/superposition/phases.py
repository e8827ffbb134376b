"""What the two phase diagrams share: the trained grid, its phases and their boundaries.

The last of n features is the extra one: its importance r and the density p of all features
vary from cell to cell; every other feature has importance 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax
from scipy.ndimage import maximum_filter, minimum_filter

from experiments.harness.experiment import Job
from synthetic import SparseFeatures, firing, random
from toymodels import superposition
from toymodels.superposition.exact import expected_loss

DROPPED, ALONE, SHARED = range(3)
NEAR = 0.15


@dataclass(frozen=True)
class Settings:
    """Attributes:
    n_importances, n_densities: cells; importances 0.1 to 10 and densities 1 to 0.01.
    n_seeds: models per cell.
    steps, batch_size, learning_rate: of Adam; the rate falls linearly to 0.
    """

    n_importances: int = 50
    n_densities: int = 50
    n_seeds: int = 10
    steps: int = 2_000
    batch_size: int = 256
    learning_rate: float = 0.03


class Map(NamedTuple):
    """The extra feature in every cell [density, importance].

    Attributes:
        norm: |W_n|.
        superposition: sum over the others of (W_n / |W_n| . W_j)^2.
    """

    norm: np.ndarray
    superposition: np.ndarray


def axes(settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Importances, rising, and densities, falling."""
    return (
        np.geomspace(0.1, 10, settings.n_importances),
        np.geomspace(1, 0.01, settings.n_densities),
    )


def importances(r: np.ndarray, n_features: int) -> np.ndarray:
    """[..., feature]: ones, and r last."""
    r = np.asarray(r)[..., None]
    return np.concatenate([np.ones((*r.shape[:-1], n_features - 1)), r], axis=-1)


def train(
    settings: Settings, n_features: int, n_hidden: int, seed: int, job: Job
) -> tuple[np.ndarray, np.ndarray]:
    """Every model of the grid, in one program.

    Returns:
        W [density, importance, seed, feature, hidden], and the exact expected loss of each.
    """
    r, p = axes(settings)
    density, extra = (grid.ravel() for grid in np.meshgrid(p, r, indexing="ij"))

    def problem(cell):
        importance, density = cell
        law = firing.Independent(jnp.full(n_features, density))
        model = superposition.Bottleneck(n_features, n_hidden, importance=importance)
        return model, SparseFeatures.of_features(law)

    params, _ = superposition.train(
        random.key(seed),
        problem,
        (importances(extra, n_features), density),
        n_seeds=settings.n_seeds,
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=optax.adam(
            optax.linear_schedule(settings.learning_rate, 0, settings.steps)
        ),
        n_rows=10,
        progress=job.progress("toy models", settings.steps),
        checkpoints=job.checkpoints("models"),
    )
    shape = (len(p), len(r), settings.n_seeds)
    W = np.asarray(params.W).reshape(*shape, n_features, n_hidden)
    b = np.asarray(params.b).reshape(*shape, n_features)
    importance = importances(r, n_features)[:, None]
    return W, expected_loss.losses((W, b), p[:, None, None, None], importance)


def measure(W: np.ndarray) -> Map:
    """Of the last of the rows W [..., feature, hidden]."""
    norm = np.linalg.norm(W[..., -1, :], axis=-1)
    unit = W[..., -1, :] / np.where(norm > 1e-6, norm, 1)[..., None]
    products = np.einsum("...jk,...k->...j", W[..., :-1, :], unit)
    return Map(norm, np.square(products).sum(axis=-1))


def average_without_worst(W: np.ndarray, loss: np.ndarray) -> Map:
    """The mean of each cell's models but the one with the highest loss.

    The superposition is weighted by the norm, so that colours are averaged: a model that
    drops the feature has none to speak of.
    """
    kept = np.argsort(loss, axis=-1)[..., :-1]
    norm, shared = (np.take_along_axis(x, kept, axis=-1) for x in measure(W))
    total = np.maximum(norm.sum(axis=-1), 1e-6)
    return Map(norm.mean(axis=-1), (norm * np.minimum(shared, 1)).sum(axis=-1) / total)


def best(W: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """W [..., feature, hidden] of the candidate with the least loss [..., candidate]."""
    place = loss.argmin(axis=-1)[..., None, None, None]
    return np.take_along_axis(W, place, axis=-3)[..., 0, :, :]


def phase(cells: Map) -> np.ndarray:
    """What became of the extra feature: DROPPED, ALONE or SHARED."""
    held = np.where(cells.superposition < 0.25, ALONE, SHARED)
    return np.where(cells.norm < 0.5, DROPPED, held)


def interior(phases: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Cells whose surroundings, 15 % and more to each side, are all of one phase."""
    size = 2 * int(np.ceil(np.log1p(NEAR) / np.log(p[0] / p[1]))) + 1
    return maximum_filter(phases, size) == minimum_filter(phases, size)


def edge(phases: np.ndarray, p: np.ndarray) -> np.ndarray:
    """For every importance the density below which the extra feature is SHARED, or NaN."""
    shared = phases == SHARED
    first = shared.argmax(axis=0)
    between = np.sqrt(p[first] * p[np.maximum(first - 1, 0)])
    return np.where(shared.any(axis=0), between, np.nan)


def agreement(found: np.ndarray, exact: np.ndarray, p: np.ndarray) -> float:
    """Share of the cells away from boundaries of `exact` that are in its phase."""
    far = interior(exact, p)
    return float((found == exact)[far].mean())
