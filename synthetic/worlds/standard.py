"""Four small worlds that are the same for everyone, each with one difficulty.

    world = standard.world("hierarchy")

A dictionary is fitted to any of them in seconds. Features have a magnitude of 1, give or
take 0.15, and there is neither bias nor noise. Numbers reported on a name can be compared:
a change to a world would be a new name.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from scipy.linalg import hadamard

from synthetic import directions, firing
from synthetic.firing.correlation import Copula
from synthetic.hierarchy import Gated, compensation
from synthetic.hierarchy.forest import Forest
from synthetic.magnitude import RectifiedNormal
from synthetic.random import key
from synthetic.sparse import SparseFeatures

_MAGNITUDE = RectifiedNormal(1.0, 0.15)


def easy() -> SparseFeatures:
    """16 orthogonal features in 16 dimensions, each present with probability 0.1."""
    rows = directions.orthogonal(key(1), 16, 16)
    return SparseFeatures(rows, firing.Independent(firing.constant(16, 0.1)), _MAGNITUDE)


def superposed() -> SparseFeatures:
    """64 features in 32 dimensions: two orthonormal bases.

    Two features of different bases have a cosine of 1 / sqrt(32) = 0.18, or of -0.18.
    Each is present with probability 0.02.
    """
    bit = (np.arange(32) >> np.arange(5)[:, None]) & 1
    # Signs that leave every feature 16 or 20 positive cosines of its 32.
    sign = 1 - 2 * (bit[0] & bit[1] ^ bit[2] & bit[3])
    second = sign[:, None] * hadamard(32) * sign / np.sqrt(32)
    bases = jnp.asarray(np.concatenate([np.eye(32), second]), jnp.float32)
    rows = directions.rotated(key(2), bases)
    return SparseFeatures(rows, firing.Independent(firing.constant(64, 0.02)), _MAGNITUDE)


def hierarchy() -> SparseFeatures:
    """20 orthogonal features: 4 parents, 12 children, 4 without relatives.

    Features 0 to 3 are present with probability 0.2. Parent i has the children
    4 + 3i to 6 + 3i, of which at most one is present, each in a quarter of the parent's
    samples: in the last quarter the parent is alone. Features 16 to 19 have 0.1.
    """
    forest = Forest.regular(20, roots=4, branching=3, depth=1, exclusive=True)
    wanted = np.repeat([0.2, 0.05, 0.1], [4, 12, 4])
    law = firing.Independent(jnp.asarray(compensation.exact(wanted, forest), jnp.float32))
    rows = directions.orthogonal(key(3), 20, 20)
    return SparseFeatures(rows, Gated(law, forest), _MAGNITUDE)


def correlated() -> SparseFeatures:
    """20 orthogonal features in 5 groups of 4 that tend to come together.

    Each is present with probability 0.1; features 4i to 4i + 3 are a group, in which the
    normal numbers behind the firing (`correlation.Copula`) have correlation 0.6.
    """
    group = np.full((4, 4), 0.6) + 0.4 * np.eye(4)
    law = Copula.of_correlation(firing.constant(20, 0.1), np.kron(np.eye(5), group))
    return SparseFeatures(directions.orthogonal(key(4), 20, 20), law, _MAGNITUDE)


WORLDS: dict[str, Callable[[], SparseFeatures]] = {
    "easy": easy,
    "superposed": superposed,
    "hierarchy": hierarchy,
    "correlated": correlated,
}


def world(name: str) -> SparseFeatures:
    """The world of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in WORLDS:
        raise ValueError(
            f"world is {name!r}, expected one of {', '.join(WORLDS)}; check the name"
        )
    return WORLDS[name]()
