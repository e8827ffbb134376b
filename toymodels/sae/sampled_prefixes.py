"""Matryoshka SAE whose prefixes are drawn anew at every step (Nabeshima 2024)."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Int, Key

from synthetic.validation import require_range
from toymodels.sae import base
from toymodels.sae.frequency import FrequencySort, by_frequency
from toymodels.training.loop import Outcome, State


class Memory(NamedTuple):
    """What one step hands to the next.

    Attributes:
        prefixes: [n_prefixes], the widths of the next step, rising to n_latents.
        frequency: [latent], the running mean of how often each is on.
    """

    prefixes: Array
    frequency: Array


@struct.dataclass
class SampledMatryoshka:
    r"""Minimises mean_l (||x - x_hat_l||^2 + sparsity * sum_{i < m_l} z_i ||W_dec_i||).

    z = relu((x - b_dec) W_enc + b_enc), and x_hat_l decodes the first m_l latents alone.
    The last m_l is n_latents; the others are drawn without replacement, width i with a
    probability in proportion to i^(-1/2). No latent sits on a fixed border, so the order
    of the latents becomes one of importance. Rows of W_dec are free. With one prefix this
    is the plain L1 dictionary.

    The source sorts latents after every step by the mean square of z_i ||W_dec_i||; here
    the rule of `FrequencySort` does, by how often they fire, and the optimizer's moments
    move with them. Each prefix costs a product with W_dec.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        n_prefixes: how many, at most n_latents; static. The source has 10.
        sparsity: weight of the penalty; a leaf, in units of the data.
        sort: when latents are put in order; None leaves them in place.
    """

    n_latents: int = struct.field(pytree_node=False)
    n_prefixes: int = struct.field(pytree_node=False, default=10)
    sparsity: ArrayLike = 0.03
    sort: FrequencySort | None = FrequencySort(every=100, start=100, rate=0.05)

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        fix = "prefixes have different widths"
        require_range("n_prefixes", self.n_prefixes, 1, self.n_latents, fix)
        require_range("sparsity", self.sparsity, low=0.0)

    def init(self, key, d_model):
        return base.init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        """Widths evenly spaced for the first step, which has no key to draw by."""
        even = -(-self.n_latents * jnp.arange(1, self.n_prefixes + 1) // self.n_prefixes)
        return Memory(even.astype(jnp.int32), jnp.zeros(self.n_latents, jnp.float32))

    def encode(self, params, x):
        return jax.nn.relu(base.pre_activation(params, x))

    def decode(self, params, z):
        """All latents: the last prefix."""
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        z = self.encode(params, x)
        within = self._within(memory.prefixes)

        def error(is_in: Bool[Array, " latent"]) -> Array:
            return base.squared_error(x, self.decode(params, jnp.where(is_in, z, 0)))

        errors = jax.vmap(error)(within)
        length = jnp.linalg.norm(params.W_dec, axis=-1)
        share = jnp.mean(within, axis=0, dtype=z.dtype)
        penalty = jnp.mean(z @ (share * length))
        metrics = {"squared_error": errors[-1], "l0": base.mean_l0(z)}
        if self.sort is not None:
            frequency = self.sort.tracked(memory.frequency, z, step)
            memory = memory._replace(frequency=frequency)
        return jnp.mean(errors) + self.sparsity * penalty, Outcome(metrics, memory)

    def after(self, key, state, x):
        """Latents in order where that is due, and the widths of the next step."""
        if self.sort is not None:
            due = self.sort.is_due(state.step)
            state = lax.cond(due, _in_order, lambda state: state, state)
        prefixes = drawn_prefixes(key, self.n_latents, self.n_prefixes)
        return replace(state, memory=state.memory._replace(prefixes=prefixes))

    def _within(self, prefixes: Int[Array, " level"]) -> Bool[Array, "level latent"]:
        return jnp.arange(self.n_latents) < prefixes[:, None]


def drawn_prefixes(
    key: Key[Array, ""], n_latents: int, n_prefixes: int
) -> Int[Array, " level"]:
    """Rising widths, the last n_latents; the others differ, with P(i) ~ i^(-1/2)."""
    widths = jnp.arange(1, n_latents, dtype=jnp.int32)
    chance = 1 / jnp.sqrt(widths.astype(jnp.float32))
    shape = (n_prefixes - 1,)
    inner = jax.random.choice(key, widths, shape, False, chance / jnp.sum(chance))
    return jnp.append(jnp.sort(inner), n_latents).astype(jnp.int32)


def _in_order(state: State) -> State:
    return by_frequency(state, "frequency")
