"""Hierarchies drawn from the top down: only children of active features are looked at."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Key

from synthetic.active import Active, compact, scatter
from synthetic.compensation import marginals
from synthetic.firing import ConditionalFiring, Draw, from_uniform, uniform
from synthetic.forest import Forest, require_forest


@struct.dataclass
class TopDown:
    """`hierarchy.Gated`, the same law of the samples, drawn without the inactive children.

    Roots are drawn one by one, and below them only the children of features that fire, so
    the cost grows with the number of roots and of active features.

    Attributes:
        law: `firing.Independent` or `correlation.LowRank`.
        forest: who is whose child.
        slots: the most active features in each level of the forest, roots first; static.
            `of` finds them.
    """

    law: ConditionalFiring
    forest: Forest
    slots: tuple[int, ...] = struct.field(pytree_node=False)

    def __post_init__(self):
        require_forest(self.law.n_features, self.forest)
        if len(self.slots) != self.forest.depth + 1 or min(self.slots) < 1:
            raise ValueError(
                f"slots is {self.slots}, expected {self.forest.depth + 1} positive "
                "numbers, one a level; use TopDown.of"
            )

    @classmethod
    def of(cls, law: ConditionalFiring, forest: Forest) -> "TopDown":
        """With slots that about one sample in 10^8 overflows.

        They are found from the mean number of active features in each level, given the
        sources of 2,000 samples: eight deviations of a Poisson number above the largest.
        """
        require_forest(law.n_features, forest)
        level, most = forest.level(), np.zeros(forest.depth + 1)
        shared = law.shared(jax.random.key(0), 2000)
        for part in jnp.split(shared, 20):
            rate = marginals(np.clip(law.given(part), 0, 1), forest)
            for depth in range(forest.depth + 1):
                mean = rate[..., level == depth].sum(-1).max()
                most[depth] = max(most[depth], mean)
        size = np.bincount(level, minlength=forest.depth + 1)
        slots = np.minimum(size, most + 8 * np.sqrt(most) + 12).astype(int)
        return cls(law, forest, tuple(int(s) for s in slots))

    @property
    def n_features(self) -> int:
        return self.forest.n_features

    @property
    def parents(self) -> Array:
        return self.forest.parents

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        return scatter(self.draw_active(key, batch_size), self.n_features)

    def draw_active(self, key: Key[Array, ""], batch_size: int) -> Active:
        key_shared, key_roots, key_below = jax.random.split(key, 3)
        shared = self.law.shared(key_shared, batch_size)
        roots = self.forest.roots
        u = uniform(key_roots, (batch_size, roots.shape[-1]))
        draw = from_uniform(u, self.law.given(shared, roots))
        place, used, overflow = compact(draw.fires, self.slots[0])
        level = jnp.take_along_axis(draw.level, place, axis=1)
        above = jnp.full_like(place, -1)
        levels = [Active(jnp.where(used, roots[place], 0), level, used, above)]
        start = 0
        for depth, slots in enumerate(self.slots[1:]):
            key_depth = jax.random.fold_in(key_below, depth)
            below, full = self._children(key_depth, shared, levels[-1], slots)
            levels.append(
                below._replace(above=jnp.where(below.used, below.above + start, -1))
            )
            overflow, start = overflow | full, start + self.slots[depth]
        active = Active(
            *(jnp.concatenate(part, axis=1) for part in zip(*levels, strict=True))
        )
        return active._replace(level=jnp.where(overflow[:, None], jnp.nan, active.level))

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
    order = jnp.cumsum(fires.astype(jnp.int32), axis=-1)
    u = uniform(key, fires.shape[:-1])
    chosen = jnp.floor(u * order[..., -1]) + 1
    return (order == chosen[..., None]) | ~exclusive[..., None]
