"""How often features are present and how large they are, without drawing samples."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synthetic.hierarchy.compensation import marginals
from synthetic.magnitude import Magnitude

Rate = Float[np.ndarray, " feature"]

_SHARED = 500  # draws of what the features of a sample share, each with its mirror image
_LEVELS = 1_024


def firing_rate(law: Any) -> Rate:
    """P(feature fires) under a law of firing with probabilities, or one around such a law.

    A forest thins (`compensation.marginals`). Where features share sources, that is the
    mean over draws of these, always the same ones: 500 and their mirror images, which
    leaves an error well below one per cent.

    Raises:
        ValueError: the law has neither probabilities nor a law below it.
    """
    forest = getattr(law, "forest", None)
    if forest is not None:
        shared = law.law.shared(jax.random.key(0), _SHARED)
        both = [
            marginals(np.clip(law.law.given(side), 0, 1), forest)
            for side in (shared, -shared)
        ]
        return np.mean([np.atleast_2d(rate).mean(axis=0) for rate in both], axis=0)
    if hasattr(law, "probability"):
        return np.asarray(law.probability, np.float64)
    raise ValueError(
        f"the firing of the world is {type(law).__name__}, expected a law with "
        "probabilities, alone or under a forest; count features in a sample instead"
    )


def mean_magnitude(magnitude: Magnitude, n_features: int) -> Rate:
    """E[value | present] of each feature on its own: the mean over uniform levels.

    The midpoint rule with 1,024 levels; what a child inherits from its parent
    (`hierarchy.Inherited`) is left out.
    """
    own = getattr(magnitude, "law", magnitude) if _inherits(magnitude) else magnitude
    level = (jnp.arange(_LEVELS, dtype=jnp.float32) + 0.5) / _LEVELS

    @jax.jit
    def mean(level):
        at = jnp.broadcast_to(level[:, None], (_LEVELS, n_features))
        return own.from_level(at).mean(axis=0)

    return np.asarray(mean(level), np.float64)


def _inherits(magnitude: Magnitude) -> bool:
    return hasattr(magnitude, "scale_by")
