"""How far a share that was counted on a few seeds may be off."""

import numpy as np
from jaxtyping import ArrayLike, Float

from synthetic.validation import require_range


def wilson(
    successes: ArrayLike, n: int, z: float = 1.96
) -> tuple[Float[np.ndarray, "*any"], Float[np.ndarray, "*any"]]:
    """The interval of a share (Wilson 1927); 95 % for z = 1.96.

    (p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n) with p = successes / n.
    Unlike p -+ z sqrt(p (1 - p)/n) it has a width at p = 0 and 1 and stays inside [0, 1].

    Raises:
        ValueError: n is below 1, or `successes` is not in [0, n].
    """
    require_range("n", n, low=1)
    require_range("successes", successes, 0, n, "it counts some of the n")
    share = np.asarray(successes, float) / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    whole = 1 + z**2 / n
    return (centre - half) / whole, (centre + half) / whole
