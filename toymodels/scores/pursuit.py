"""Sparse codes of samples on a given dictionary: FISTA, OMP, and a known support."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, Int

_ROWS = 256  # samples solved side by side
_RIDGE = 1e-5  # of the mean square length of an atom
_NOTHING_LEFT = 1e-5  # of ||x||

X = Float[Array, "batch d_model"]
Atoms = Float[Array, "atom d_model"]
Codes = Float[Array, "batch atom"]


def fista(
    x: X, atoms: Atoms, penalty: ArrayLike, steps: int = 200, nonnegative: bool = True
) -> Codes:
    """argmin_a 1/2 ||x - a D||^2 + penalty ||a||_1, to within O(1 / steps^2).

    The accelerated proximal gradient of Beck & Teboulle (2009), its step 1 / ||D||_2^2
    from 30 power iterations. For orthonormal D the answer is a soft threshold,
    max(x . d_j - penalty, 0).

    Args:
        x: samples, any bias removed.
        atoms: the dictionary D, rows.
        penalty: of the l1 norm; a leaf.
        steps: iterations.
        nonnegative: a >= 0 as well.
    """
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    start = jnp.full(gram.shape[0], gram.shape[0] ** -0.5)
    v = lax.fori_loop(0, 30, lambda _, v: _unit(gram @ (v + 1e-6 * start)), start)
    step = 1 / jnp.maximum(1.05 * jnp.vdot(v, gram @ v), 1e-12)
    target = jnp.matmul(x, atoms.T, precision=lax.Precision.HIGHEST)

    def shrink(a: Codes) -> Codes:
        size = jnp.maximum(jnp.abs(a) - step * penalty, 0)
        return jnp.where(a > 0, size, 0 if nonnegative else -size)

    def advance(_, carry):
        a, ahead, t = carry
        slope = jnp.matmul(ahead, gram, precision=lax.Precision.HIGHEST) - target
        a_next = shrink(ahead - step * slope)
        t_next = (1 + jnp.sqrt(1 + 4 * t * t)) / 2
        return a_next, a_next + (t - 1) / t_next * (a_next - a), t_next

    zero = jnp.zeros_like(target)
    return lax.fori_loop(0, steps, advance, (zero, zero, jnp.ones(())))[0]


def omp(
    x: X, atoms: Atoms, count: Int[Array, " batch"], most: int, nonnegative: bool = True
) -> Codes:
    """Orthogonal matching pursuit (Pati et al. 1993): one atom at a time, then refit.

    Each step takes the atom with the largest correlation with what is left and solves
    least squares on all taken so far. A sample stops at its `count`, or when nothing is
    left of it.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary, rows of length 1.
        count: how many atoms each sample may take.
        most: no sample takes more; static.
        nonnegative: take the largest correlation, not the largest in size.
    """
    most = min(most, atoms.shape[0])
    slots = jnp.arange(most)

    def pursue(sample):
        x, count = sample
        enough = _NOTHING_LEFT * jnp.linalg.norm(x)

        def take(t, carry):
            index, used, a, left = carry
            correlation = atoms @ left
            correlation = correlation if nonnegative else jnp.abs(correlation)
            taken = jnp.zeros(len(atoms), bool).at[index].max(used)
            best = jnp.argmax(jnp.where(taken, -jnp.inf, correlation))
            goes_on = (t < count) & (jnp.linalg.norm(left) > enough)
            index = jnp.where(slots == t, best, index)
            used = used | ((slots == t) & goes_on)
            chosen = atoms[index]
            a = _least_squares(x, chosen, used)
            return index, used, a, x - a @ chosen

        start = jnp.zeros(most, int), jnp.zeros(most, bool), jnp.zeros(most), x
        index, used, a, _ = lax.fori_loop(0, most, take, start)
        return jnp.zeros(len(atoms)).at[index].add(jnp.where(used, a, 0))

    return lax.map(pursue, (x, count), batch_size=_ROWS)


def on_support(x: X, atoms: Atoms, support: Bool[Array, "batch atom"], most: int) -> Codes:
    """Least squares on the atoms in `support`, 0 elsewhere.

    Args:
        x: samples, any bias removed.
        atoms: the dictionary, rows.
        support: which atoms each sample may use.
        most: how many it may use at most, the first ones; static.
    """
    most = min(most, atoms.shape[0])

    def solve(sample):
        x, support = sample
        used, index = lax.top_k(support.astype(jnp.float32), most)
        a = _least_squares(x, atoms[index], used > 0)
        return jnp.zeros(len(atoms)).at[index].add(a)

    return lax.map(solve, (x, support), batch_size=_ROWS)


def _least_squares(x, atoms, used):
    """By the normal equations with a trace of ridge, and one step that corrects for it."""
    atoms = jnp.where(used[:, None], atoms, 0)
    gram = jnp.matmul(atoms, atoms.T, precision=lax.Precision.HIGHEST)
    size = jnp.trace(gram) / jnp.maximum(used.sum(), 1)
    ridge = jnp.where(used, _RIDGE * size, 1)
    factor = jax.scipy.linalg.cho_factor(gram + jnp.diag(ridge))
    a = jax.scipy.linalg.cho_solve(factor, atoms @ x)
    return a + jax.scipy.linalg.cho_solve(factor, atoms @ (x - a @ atoms))


def _unit(v: Float[Array, " atom"]) -> Float[Array, " atom"]:
    return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)
