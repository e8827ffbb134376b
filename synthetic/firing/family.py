"""A parent and children that fire with one chance where it fires and another elsewhere."""

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Key

from synthetic.firing.laws import Draw, from_uniform, samples_of_features
from synthetic.shapes import of_fields
from synthetic.validation import require_probability, require_width


@struct.dataclass
class Family:
    """Feature 0 is the parent; given it, the children fire independently.

    With `otherwise` at 0 it is a hierarchy: what `hierarchy.Gated` makes of independent
    features under one root, siblings not excluding each other. With `otherwise` equal to
    `given` all features are independent; below it they are positively correlated with the
    parent, above it negatively. All probabilities are leaves, so that one program sweeps
    from one to the other. There is no `parents`: children may fire without the parent.

    Attributes:
        parent: P(the parent fires).
        given: [child], P(a child fires | the parent fires).
        otherwise: [child], P(a child fires | the parent does not).
    """

    parent: ArrayLike
    given: Array
    otherwise: Array

    __repr__ = of_fields

    def __post_init__(self):
        if getattr(self.given, "ndim", 0) < 1:
            return
        for name in ("parent", "given", "otherwise"):
            require_probability(name, getattr(self, name))
        fix = "give both chances for every child"
        received, expected = jnp.size(self.otherwise), jnp.size(self.given)
        require_width("the number of entries of otherwise", received, expected, fix)

    @property
    def n_features(self) -> int:
        return 1 + self.given.shape[-1]

    @property
    def probability(self) -> Float[Array, " feature"]:
        """How often each feature fires."""
        child = self.parent * self.given + (1 - self.parent) * self.otherwise
        return jnp.concatenate(
            [jnp.reshape(jnp.asarray(self.parent, child.dtype), 1), child]
        )

    @property
    def mean_l0(self) -> Float[Array, ""]:
        return jnp.sum(self.probability, axis=-1)

    def draw(self, key: Key[Array, ""], batch_size: int) -> Draw:
        u = samples_of_features(key, batch_size, self.n_features)
        parent = from_uniform(u[:, :1], jnp.asarray(self.parent))
        chance = jnp.where(parent.fires, self.given, self.otherwise)
        children = from_uniform(u[:, 1:], chance)
        return Draw(
            jnp.concatenate([parent.fires, children.fires], axis=1),
            jnp.concatenate([parent.level, children.level], axis=1),
        )
