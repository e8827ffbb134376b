"""Hierarchies: children fire only with their parents, siblings may exclude each other."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Key

from synthetic.firing import Draw, Firing
from synthetic.firing.active import Active, of_active
from synthetic.hierarchy.forest import Forest, require_forest
from synthetic.hierarchy.topdown import keep_one
from synthetic.magnitude import Magnitude
from synthetic.shapes import of_fields
from synthetic.validation import require_range


@struct.dataclass
class Gated:
    """Any law of firing, thinned by a forest, as in SynthSAEBench.

    Of the children of one feature that exclude each other, one of those that the law lets
    fire is kept, each with the same chance. Then a child is kept where its parent is. How
    much rarer features become, and what makes up for it, is in
    `synthetic.hierarchy.compensation`.

    Attributes:
        law: who would fire without the forest.
        forest: who is whose child.
    """

    law: Firing
    forest: Forest

    __repr__ = of_fields

    def __post_init__(self):
        require_forest(self.law.n_features, self.forest)

    @property
    def n_features(self) -> int:
        return self.forest.n_features

    @property
    def parents(self) -> Array:
        return self.forest.parents

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        key_law, key_pick = jax.random.split(key)
        fires, level = self.law.draw(key_law, batch_size)
        forest, is_root = self.forest, self.forest.parents < 0
        active = fires[:, forest.family] & (forest.family >= 0)
        kept = keep_one(key_pick, active, forest.exclusive).reshape(batch_size, -1)
        if kept.shape[1]:
            fires = fires & (kept[:, forest.place] | is_root)
        for _ in range(forest.depth):
            fires = fires & (fires[:, forest.parents] | is_root)
        return Draw(fires, level)


@struct.dataclass
class Inherited:
    """A magnitude under which a child is 0 where its parent is 0, and may grow with it.

    With `scale_by`, a child's value is multiplied by v / s, where v is its parent's value
    (itself so multiplied) and s its parent's `scale_by`: the mean of the magnitude in
    SynthSAEBench. For laws of firing with parents.

    Attributes:
        law: the magnitude of each feature on its own.
        forest: who is whose child.
        scale_by: [feature], positive; None leaves children unscaled.
    """

    law: Magnitude
    forest: Forest
    scale_by: Array | None = None

    __repr__ = of_fields

    def __post_init__(self):
        if self.scale_by is not None:
            require_range("scale_by", self.scale_by, low=1e-30, fix="it divides the parent")

    def from_level(self, level: Float[Array, "*batch feature"]) -> Array:
        own = value = self.law.from_level(level)
        is_root = self.forest.parents < 0
        for _ in range(self.forest.depth):
            share = self._share(value, self.scale_by)[..., self.forest.parents]
            value = own * jnp.where(is_root, 1, share)
        return value

    def from_active(self, active: Active) -> Float[Array, "batch slot"]:
        """The value in every slot, of use where the slot is."""
        own = of_active(self.law, active)
        by = None if self.scale_by is None else self.scale_by[active.index]

        def inherit(_, value):
            share = jnp.take_along_axis(self._share(value, by), active.above, axis=1)
            return own * jnp.where(active.above < 0, 1, share)

        # A loop, for written out XLA computes the values again for every descendant.
        return jax.lax.fori_loop(0, self.forest.depth, inherit, own)

    @staticmethod
    def _share(value: Array, by: Array | None) -> Array:
        if by is None:
            return (value != 0).astype(value.dtype)
        return value / jnp.asarray(by, value.dtype)
