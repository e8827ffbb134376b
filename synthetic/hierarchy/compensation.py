"""How often features fire under a forest, and what makes up for the thinning.

For a law under which features fire independently with probabilities b, a child that
excludes no sibling fires given its parent with probability b_i. One that does is kept with
the chance 1 / (1 + X), X being the number of siblings that fire too, so with probability

    k_i(b) = b_i E[1 / (1 + X)] = b_i int_0^1 prod_{j != i} (1 - b_j + b_j t) dt,

a polynomial, integrated here without error. All in float64, on the host.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import ArrayLike, Float

from synthetic.hierarchy.forest import Forest
from synthetic.validation import require_probability, require_width

Probability = Float[np.ndarray, "*batch feature"]
_ROUNDS = 20_000
_TOLERANCE = 1e-7


def marginals(probability: ArrayLike | Sequence[float], forest: Forest) -> Probability:
    """How often each feature of `hierarchy.Gated(Independent(probability), forest)` fires.

    Args:
        probability: b [*batch, feature].
        forest: who is whose child.
    """
    given_parent = _given_parent(_checked(probability, forest), forest)
    return _along_branches(given_parent, np.asarray(forest.parents), forest.depth)


def as_published(probability: ArrayLike | Sequence[float], forest: Forest) -> Probability:
    """The probabilities b that SynthSAEBench gives its law for wanted ones p.

    b_i = p_i / p_parent, times 1 + sum_{j != i} p_j / p_parent over siblings that i
    excludes, at most 1 (Chanin & Garriga-Alonso, arXiv 2602.14687; SAELens 6). This is
    approximate, and where siblings that exclude each other are wanted more often than
    their parent, as in SynthSAEBench-16k, nothing can be exact: there the first three
    levels below the roots keep 74, 46 and 35 % of what was wanted. `exact` refuses that.
    """
    wanted = _checked(probability, forest)
    share = _share_of_parent(wanted, forest)
    members, exclusive = _members(share, forest)
    others = members.sum(-1, keepdims=True) - members
    raised = np.where(exclusive, members * (1 + others), members)
    return np.minimum(_to_features(raised, share, forest), 1)


def exact(probability: ArrayLike | Sequence[float], forest: Forest) -> Probability:
    """The probabilities b that make `marginals(b, forest)` equal to `probability`.

    For features that share sources there is `shared_compensation.exact`.

    For siblings that exclude each other, k(b) = q is solved for b, with q_i = p_i /
    p_parent: from b = q, each round divides q_i by the integral above. The iterates rise
    to the solution.

    Raises:
        ValueError: a child is wanted more often than its parent allows, or siblings that
            exclude each other are together.
    """
    wanted = _checked(probability, forest)
    share = _share_of_parent(wanted, forest)
    _require_possible(wanted, share, forest)
    q, exclusive = _members(share, forest)
    b = q.copy()
    for _ in range(_ROUNDS):
        miss = np.where(exclusive, q - b * _chance(b), 0)
        if np.abs(miss).max(initial=0) < _TOLERANCE:
            break
        b = np.where(exclusive, np.minimum(q / _chance(b), 1), q)
    return _to_features(b, share, forest)


def _chance(b: Float[np.ndarray, "*batch group place"]) -> np.ndarray:
    """E[1 / (1 + X_i)]: the chance that feature i is kept, given that the law fires it."""
    nodes, weights = np.polynomial.legendre.leggauss(b.shape[-1] // 2 + 1)
    total = np.zeros_like(b)
    for t, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        factor = 1 - b + b * t
        total += weight * factor.prod(-1, keepdims=True) / factor
    return total


def _given_parent(b: Probability, forest: Forest) -> Probability:
    members, exclusive = _members(b, forest)
    kept = np.where(exclusive, members * _chance(members), members)
    return _to_features(kept, b, forest)


def _along_branches(given_parent, parents: np.ndarray, depth: int) -> Probability:
    product = given_parent
    for _ in range(depth):
        product = given_parent * np.where(parents < 0, 1, product[..., parents])
    return product


def _share_of_parent(wanted: Probability, forest: Forest) -> Probability:
    """p_i / p_parent, p_i itself for a root; a feature that never fires has no share."""
    parents = np.asarray(forest.parents)
    above = np.where(parents < 0, 1, wanted[..., parents])
    return wanted / np.where(wanted > 0, np.maximum(above, 1e-300), 1)


def _members(values: Probability, forest: Forest) -> tuple[np.ndarray, np.ndarray]:
    """`values` by group [*batch, group, place], 0 in the padding, and who excludes."""
    family = np.asarray(forest.family)
    members = np.where(family >= 0, values[..., family], 0)
    return members, np.asarray(forest.exclusive)[:, None]


def _to_features(members: np.ndarray, roots: Probability, forest: Forest) -> Probability:
    """The inverse of `_members`; roots keep their value."""
    if not members.size:
        return roots
    flat = members.reshape(*members.shape[:-2], -1)
    is_root = np.asarray(forest.parents) < 0
    return np.where(is_root, roots, flat[..., np.asarray(forest.place)])


def _checked(probability: ArrayLike | Sequence[float], forest: Forest) -> Probability:
    probability = np.asarray(probability, np.float64)
    require_probability("probability", probability)
    fix = "give one probability per feature of the forest"
    received = probability.shape[-1] if probability.ndim else 0
    require_width("the number of probabilities", received, forest.n_features, fix)
    return probability


def _require_possible(wanted: Probability, share: Probability, forest: Forest) -> None:
    parents = np.asarray(forest.parents)
    above = (parents >= 0) & (share > 1 + 1e-6)
    if above.any():
        child = int(np.argmax(above))
        parent = int(parents[child])
        raise ValueError(
            f"feature {child} is to fire with probability {wanted[child]:g} and its parent "
            f"{parent} with {wanted[parent]:g}, expected a child no more frequent than its "
            "parent; lower the child or raise the parent"
        )
    members, exclusive = _members(share, forest)
    total = np.where(exclusive[:, 0], members.sum(-1), 0)
    if (total > 1 + 1e-6).any():
        group = int(np.argmax(total))
        head = int(np.asarray(forest.head)[group])
        raise ValueError(
            f"the children of feature {head} exclude each other and are to fire with "
            f"probability {total[group] * wanted[head]:g} together, expected at most their "
            f"parent's {wanted[head]:g}; lower them or let them fire together"
        )
