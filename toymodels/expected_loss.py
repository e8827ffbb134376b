"""The exact expected loss of a small bottleneck model, and its optimum, in float64.

Features are independent: each is 0, or with probability p uniform on [0, 1]. The
expectation is a sum over the 2^n patterns of active features, each an integral over the
cube of their values, done by Gauss-Legendre quadrature. An independent yardstick for
trained models; for n up to about 6.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

_NODES_PER_PATTERN = 2_000
_MOST_NODES_PER_FEATURE = 64


class Quadrature(NamedTuple):
    """Attributes:
    points: feature values.
    weights: their probabilities; they sum to 1.
    """

    points: Float[np.ndarray, "node feature"]
    weights: Float[np.ndarray, " node"]


def quadrature(n_features: int, density: float) -> Quadrature:
    """Nodes and weights for n independent features of one density."""
    points, weights = [], []
    for n_active in range(n_features + 1):
        values, mass = _cube(n_active)
        probability = density**n_active * (1 - density) ** (n_features - n_active)
        for active in combinations(range(n_features), n_active):
            rows = np.zeros((len(mass), n_features))
            rows[:, list(active)] = values
            points.append(rows)
            weights.append(probability * mass)
    return Quadrature(np.concatenate(points), np.concatenate(weights))


def _cube(n_active: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes [node, n_active] and weights on the unit cube."""
    if n_active == 0:
        return np.zeros((1, 0)), np.ones(1)
    order = min(_MOST_NODES_PER_FEATURE, int(_NODES_PER_PATTERN ** (1 / n_active)))
    x, w = np.polynomial.legendre.leggauss(max(order, 3))
    grid = np.stack(np.meshgrid(*[(x + 1) / 2] * n_active, indexing="ij"), axis=-1)
    mass = np.stack(np.meshgrid(*[w / 2] * n_active, indexing="ij"), axis=-1).prod(-1)
    return grid.reshape(-1, n_active), mass.ravel()


def expected_loss(
    W: Float[np.ndarray, "feature hidden"],
    b: Float[np.ndarray, " feature"],
    nodes: Quadrature,
    importance: Float[np.ndarray, " feature"],
) -> tuple[float, np.ndarray, np.ndarray]:
    """The loss (1/n) sum_i I_i E(f_i - relu((f W W^T + b)_i))^2 and its gradients."""
    hidden = nodes.points @ W
    pre = hidden @ W.T + b
    error = np.maximum(pre, 0) - nodes.points
    scale = nodes.weights[:, None] * importance / len(b)
    slope = 2 * scale * error * (pre > 0)
    gradient_W = nodes.points.T @ (slope @ W) + slope.T @ hidden
    return float(np.sum(scale * error**2)), gradient_W, slope.sum(0)


def optimum(
    n_features: int,
    n_hidden: int,
    density: float,
    importance: Float[np.ndarray, " feature"],
    starts: int = 8,
    seed: int = 0,
) -> float:
    """The lowest expected loss that L-BFGS finds from `starts` random initial weights."""
    nodes = quadrature(n_features, density)
    size = n_features * n_hidden

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat[:size].reshape(n_features, n_hidden)
        loss, gradient_W, gradient_b = expected_loss(W, flat[size:], nodes, importance)
        return loss, np.concatenate([gradient_W.ravel(), gradient_b])

    generator = np.random.default_rng(seed)
    scale = (2 / (n_features + n_hidden)) ** 0.5
    found = []
    for _ in range(starts):
        W = scale * generator.normal(size=size)
        start = np.concatenate([W, np.zeros(n_features)])
        options = {"maxiter": 2_000, "ftol": 1e-12, "gtol": 1e-9}
        found.append(
            minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        )
    return float(min(result.fun for result in found))
