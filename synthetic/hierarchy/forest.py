"""Forests over features: a feature with a parent fires only where its parent does."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_width


@struct.dataclass
class Forest:
    """Trees of any shape; build one by `of` or `regular`.

    A group is a feature that has children, together with them. All arrays are leaves.

    Attributes:
        parents: [feature], the index of each feature's parent, -1 for a root.
        exclusive: [group], whether at most one of its children fires.
        family: [group, place], its children in index order, padded with -1.
        head: [group], the feature whose children they are.
        group: [feature], the group each feature heads, -1 where it has no children.
        place: [feature], where it stands in the flattened `family`; 0 for a root.
        roots: [root], the features that have children and no parent.
        singles: [single], the features that have neither.
        depth: levels below the roots; static.
    """

    parents: Array
    exclusive: Array
    family: Array
    head: Array
    group: Array
    place: Array
    roots: Array
    singles: Array
    depth: int = struct.field(pytree_node=False)

    __repr__ = of_fields

    @classmethod
    def of(
        cls, parents: ArrayLike | Sequence[int], exclusive: ArrayLike = False
    ) -> "Forest":
        """From the parent of each feature.

        Args:
            parents: [feature], indices, -1 for a root.
            exclusive: whether the children of each feature exclude each other: one
                answer for all, or [feature].

        Raises:
            ValueError: a parent is no feature, or features are their own ancestors.
        """
        parents = np.asarray(parents)
        if parents.ndim != 1 or not np.issubdtype(parents.dtype, np.integer):
            raise ValueError(
                f"parents has shape {parents.shape} and dtype {parents.dtype}, expected "
                "one integer per feature; write -1 for a root"
            )
        n_features = len(parents)
        require_range("a parent", parents, -1, n_features - 1, "write -1 for a root")
        depth = _depth(parents)
        children = np.flatnonzero(parents >= 0)
        children = children[np.argsort(parents[children], kind="stable")]
        head, first, count = np.unique(
            parents[children], return_index=True, return_counts=True
        )
        row = np.repeat(np.arange(len(head)), count)
        column = np.arange(len(children)) - first[row]
        family = np.full((len(head), count.max(initial=1)), -1)
        family[row, column] = children
        group, place = np.full(n_features, -1), np.zeros(n_features, int)
        group[head] = np.arange(len(head))
        place[children] = row * family.shape[1] + column
        excludes = np.broadcast_to(np.asarray(exclusive, bool), (n_features,))[head]
        roots = np.flatnonzero((parents < 0) & (group >= 0))
        singles = np.flatnonzero((parents < 0) & (group < 0))
        whole = [parents, excludes, family, head, group, place, roots, singles]
        return cls(*map(_leaf, whole), depth=depth)

    @classmethod
    def regular(
        cls,
        n_features: int,
        roots: int,
        branching: int,
        depth: int,
        exclusive: ArrayLike = True,
    ) -> "Forest":
        """`roots` equal trees, numbered level by level; the features left over are roots
        without children, as in SynthSAEBench (Chanin & Garriga-Alonso, arXiv 2602.14687).
        """
        require_range("roots", roots, low=1)
        require_range("branching", branching, low=1)
        require_range("depth", depth, low=0, fix="it counts the levels below the roots")
        inside = roots * sum(branching**level for level in range(depth + 1))
        require_range("n_features", n_features, inside, fix="plant fewer or lower trees")
        parents = np.full(n_features, -1)
        parents[roots:inside] = np.arange(inside - roots) // branching
        return cls.of(parents, exclusive)

    @property
    def n_features(self) -> int:
        return self.parents.shape[-1]

    def level(self) -> np.ndarray:
        """How many ancestors each feature has [feature]; needs known parents."""
        return _ancestors(np.asarray(self.parents))


def _leaf(array: np.ndarray) -> Array:
    """Indices have 32 bits whatever JAX's default is; flags stay flags."""
    return jnp.asarray(array, bool if array.dtype == bool else jnp.int32)


def _ancestors(parents: np.ndarray) -> np.ndarray:
    """The number of ancestors, by pointer doubling; more than all features in a cycle."""
    end = len(parents)
    above = np.append(np.where(parents < 0, end, parents), end)
    count = np.append((parents >= 0).astype(np.int64), 0)
    for _ in range(end.bit_length()):
        count += count[above]
        above = above[above]
    return np.where(above[:-1] < end, end + 1, count[:-1])


def _depth(parents: np.ndarray) -> int:
    count = _ancestors(parents)
    if (count > len(parents)).any():
        loop = [int(np.argmax(count))]
        for _ in range(len(parents)):
            loop.append(int(parents[loop[-1]]))
        raise ValueError(
            f"feature {loop[-1]} is its own ancestor (its parent is "
            f"{parents[loop[-1]]}), expected a forest without cycles; give one feature of "
            "the cycle the parent -1"
        )
    return int(count.max(initial=0))


def require_forest(n_features: int, forest: Forest) -> None:
    """Raises ValueError unless a law of firing and a forest are about as many features."""
    fix = "give one parent and one firing probability per feature"
    require_width("the number of parents", forest.n_features, n_features, fix)
