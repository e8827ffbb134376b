"""Latents in the order of how often they fire, so that prefixes hold the most frequent."""

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int

from synthetic.validation import require_range
from toymodels.sae import base, revival
from toymodels.training.loop import State


@struct.dataclass
class FrequencySort:
    """When latents are put in order again, and over how long their firing is averaged.

    Sorting every thousand steps was the largest single gain of the best published scores
    on SynthSAEBench-16k. A control that holds some rows in place (`frozen`) must not be
    put around a variant that sorts.

    Attributes:
        every: steps between two rounds.
        start: the first step with one, so that frequencies have settled.
        rate: weight of a new batch in the running mean of how often each latent fires.
    """

    every: ArrayLike = 1_000
    start: ArrayLike = 2_000
    rate: ArrayLike = 0.01

    def __post_init__(self):
        require_range("every", self.every, low=1, fix="it counts steps")
        fix = "it is the weight of one batch in a running mean"
        require_range("rate", self.rate, 0.0, 1.0, fix)

    def is_due(self, step: Int[Array, ""]) -> Array:
        """Whether a round follows the update that led to `step`."""
        return (step % self.every == 0) & (step >= self.start)

    def tracked(
        self, frequency: Float[Array, " latent"], z: base.Z, step: Int[Array, ""]
    ) -> Float[Array, " latent"]:
        """The running mean after one more batch; the first batches count alike."""
        weight = jnp.maximum(self.rate, 1 / (step + 1)).astype(frequency.dtype)
        return frequency + weight * (
            jnp.mean(z != 0, axis=0, dtype=frequency.dtype) - frequency
        )


def descending(frequency: Float[Array, " latent"]) -> Int[Array, " latent"]:
    """The order from the most frequent to the rarest; equals keep their places."""
    return jnp.argsort(-frequency, stable=True)


def by_frequency(state: State, *of_latents: str) -> State:
    """The state with its latents in falling order of `state.memory.frequency`.

    Weights, the optimizer's moments, and the fields of the memory that are named (one
    entry per latent) move together.
    """
    order = descending(state.memory.frequency)

    def permuted(weights: Any) -> Any:
        return weights._replace(
            W_enc=weights.W_enc[:, order],
            b_enc=weights.b_enc[order],
            W_dec=weights.W_dec[order],
        )

    memory = state.memory
    moved = {name: getattr(memory, name)[order] for name in of_latents}
    return replace(
        state,
        params=permuted(state.params),
        opt=revival.on_moments(state.opt, state.params, permuted),
        memory=memory._replace(**moved),
    )
