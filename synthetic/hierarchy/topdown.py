"""Hierarchies drawn from the top down: only children of active features are looked at."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Key

from synthetic.firing import ConditionalFiring, Draw, from_uniform, uniform
from synthetic.firing.active import Active, compact, scatter
from synthetic.hierarchy.compensation import marginals
from synthetic.hierarchy.forest import Forest, require_forest
from synthetic.shapes import of_fields


@struct.dataclass
class TopDown:
    """`hierarchy.Gated`, the same law of the samples, drawn without the inactive children.

    Roots are drawn one by one, and below them only the children of features that fire, so
    the cost grows with the number of roots and of active features.

    Attributes:
        law: `firing.Independent` or `correlation.LowRank`.
        forest: who is whose child.
        slots: the most active features among those outside all trees, among the roots of
            trees, and in each level below; static. `of` finds them.
    """

    law: ConditionalFiring
    forest: Forest
    slots: tuple[int, ...] = struct.field(pytree_node=False)

    __repr__ = of_fields

    def __post_init__(self):
        require_forest(self.law.n_features, self.forest)
        if len(self.slots) != self.forest.depth + 2 or min(self.slots) < 0:
            raise ValueError(
                f"slots is {self.slots}, expected {self.forest.depth + 2} numbers: for the "
                "features outside all trees and for each level; use TopDown.of"
            )

    @classmethod
    def of(cls, law: ConditionalFiring, forest: Forest) -> "TopDown":
        """With slots that about one sample in 10^9 overflows.

        What a sample shares makes the mean number of active features in a level vary from
        sample to sample. That mean is taken as log-normal, six deviations up; the number
        itself then exceeds it by four deviations of a Poisson number.
        """
        require_forest(law.n_features, forest)
        shared = law.shared(jax.random.key(0), 500)
        rate = marginals(np.clip(law.given(shared), 0, 1), forest)
        rate = np.broadcast_to(rate, (2, forest.n_features)) if rate.ndim == 1 else rate
        part = np.where(np.isin(np.arange(forest.n_features), forest.singles), 0, 1)
        part = np.where(part > 0, part + forest.level(), 0)
        slots = []
        for number in range(forest.depth + 2):
            size = int((part == number).sum())
            mean = np.log(rate[:, part == number].sum(-1) + 1e-9)
            high = np.exp(mean.mean() + 6 * mean.std())
            slots.append(min(size, int(high + 4 * np.sqrt(high) + 6)))
        return cls(law, forest, tuple(slots))

    @property
    def n_features(self) -> int:
        return self.forest.n_features

    @property
    def parents(self) -> Array:
        return self.forest.parents

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        return scatter(self.draw_active(key, batch_size), self.n_features)

    def draw_active(self, key: Key[Array, ""], batch_size: int) -> Active:
        key_shared, key_singles, key_roots, key_below = jax.random.split(key, 4)
        shared = self.law.shared(key_shared, batch_size)
        forest, slots = self.forest, self.slots
        singles, overflow = self._top(key_singles, shared, forest.singles, slots[0])
        heads, full = self._top(key_roots, shared, forest.roots, slots[1])
        parts, start = [singles, heads], slots[0]
        overflow = overflow | full
        for depth in range(forest.depth):
            key_depth = jax.random.fold_in(key_below, depth)
            heads, full = self._children(key_depth, shared, heads, slots[depth + 2])
            above = jnp.where(heads.used, heads.above + start, -1)
            parts.append(heads._replace(above=above))
            overflow, start = overflow | full, start + slots[depth + 1]
        active = Active(
            *(jnp.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        )
        return active._replace(level=jnp.where(overflow[:, None], jnp.nan, active.level))

    def _top(
        self, key: Key[Array, ""], shared: Float[Array, "batch s"], index: Array, slots: int
    ) -> tuple[Active, Array]:
        """Which of the roots `index` fire, and which samples overflow."""
        u = uniform(key, (len(shared), len(index)))
        draw = from_uniform(u, self.law.given(shared, index))
        place, used, full = compact(draw.fires, slots)
        if not slots:
            return Active(place, jnp.zeros(place.shape, jnp.float32), used, place), full
        level = jnp.take_along_axis(draw.level, place, axis=1)
        above = jnp.full_like(place, -1)
        return Active(jnp.where(used, index[place], 0), level, used, above), full

    def _children(
        self,
        key: Key[Array, ""],
        shared: Float[Array, "batch s"],
        heads: Active,
        slots: int,
    ) -> tuple[Active, Array]:
        """The active children of active features, and which samples overflow."""
        key_fires, key_pick = jax.random.split(key)
        group = jnp.where(heads.used, self.forest.group[heads.index], -1)
        child = jnp.where(group[..., None] < 0, -1, self.forest.family[group])
        flat = child.reshape(len(child), -1)
        u = uniform(key_fires, flat.shape)
        draw = from_uniform(u, self.law.given(shared, flat))
        fires = (draw.fires & (flat >= 0)).reshape(child.shape)
        kept = fires & keep_one(key_pick, fires, self.forest.exclusive[group])
        place, used, full = compact(kept.reshape(flat.shape), slots)
        index = jnp.where(used, jnp.take_along_axis(flat, place, axis=1), 0)
        level = jnp.take_along_axis(draw.level, place, axis=1)
        return Active(index, level, used, place // child.shape[-1]), full


def keep_one(key: Key[Array, ""], fires: Array, exclusive: Array) -> Array:
    """Which siblings stay: one of those that fire, at random, if they exclude each other.

    Args:
        key: decides who stays.
        fires: [batch, group, place].
        exclusive: whether a group's members exclude each other; [*batch, group].
    """
    order = jnp.cumsum(fires, axis=-1, dtype=jnp.int32)
    u = uniform(key, fires.shape[:-1])
    chosen = jnp.floor(u * order[..., -1]) + 1
    return (order == chosen[..., None]) | ~exclusive[..., None]
