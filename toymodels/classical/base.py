"""What the classical methods share: their contract, their rows, how atoms start."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from synthetic.directions import unit_rows
from synthetic.validation import require_range
from toymodels.sae.base import require_data

X = Float[Array, "sample d_model"]
Z = Float[Array, "sample latent"]
W = Float[Array, "latent d_model"]


class Classical(Protocol):
    """A method that is fitted to an array of samples in one go, without the loop.

    A frozen pytree like the sparse autoencoders: `encode` and `decode` are scored in the
    same way, and `jax.jit(type(method).fit)(method, key, x)` compiles the fit.
    """

    @property
    def n_latents(self) -> int: ...

    def fit(self, key: Key[Array, ""], x: X) -> Any: ...

    def encode(self, params: Any, x: X) -> Z: ...

    def decode(self, params: Any, z: Z) -> X: ...


class Rows(NamedTuple):
    """The weights of a method without a bias.

    Attributes:
        W_dec: [latent, d_model].
    """

    W_dec: Array


def require_samples(x: X, n_latents: int) -> None:
    """Raises ValueError unless `x` [sample, d_model] is finite, with enough samples."""
    if jnp.ndim(x) != 2:
        raise ValueError(
            f"x has shape {jnp.shape(x)}, expected [sample, d_model]; stack the samples"
        )
    require_data(x, jnp.shape(x)[1])
    fix = "give at least as many samples as latents"
    require_range("the number of samples", jnp.shape(x)[0], low=n_latents, fix=fix)


def turned_to_positive_skew(rows: W, x: X) -> W:
    """Each row or its opposite, so that the third moment of its code is not negative.

    The sign of such a row is arbitrary; features that are rare and positive settle it.
    """
    third = jnp.mean((x @ rows.T) ** 3, axis=0)
    return jnp.where(third < 0, -1, 1)[:, None] * rows


def atoms_from_samples(key: Key[Array, ""], x: X, n_latents: int) -> W:
    """Different samples as unit rows; a sample of length 0 gives a random direction."""
    key_rows, key_rest = jax.random.split(key)
    rows = jax.random.choice(key_rows, x, (n_latents,), replace=False)
    spare = jax.random.normal(key_rest, rows.shape, jnp.float32)
    is_nothing = jnp.sum(jnp.square(rows), axis=1, keepdims=True) == 0
    return unit_rows(jnp.where(is_nothing, spare, rows))


def replace_unused(rows: W, used: Bool[Array, " latent"], x: X, x_hat: X) -> W:
    """Rows that no sample uses become the samples that are reconstructed worst.

    As Aharon et al. (2006) do: the first unused row takes the worst sample, the next one
    the second worst.
    """
    loss = jnp.sum(jnp.square(x - x_hat), axis=1)
    worst = jnp.argsort(-loss)
    turn = jnp.cumsum(~used) - 1
    return jnp.where(used[:, None], rows, unit_rows(x[worst[turn % len(x)]]))
