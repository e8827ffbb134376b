"""One or more ISTA steps after the encoder, before the last selection.

The refinement of the best published scores on SynthSAEBench-16k (Chanin 2026; there called
LISTA), after Gregor and LeCun 2010.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike

from synthetic.shapes import of_fields
from synthetic.validation import require_range
from toymodels.sae import base
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sae.threshold import above, exact_threshold, tracked
from toymodels.sparse_coding.select import keep_batch_k
from toymodels.training.loop import Outcome


class RefinedParams(NamedTuple):
    """The weights of `threshold.ThresholdParams`, with a threshold for each selection.

    Attributes:
        W_enc: [d_model, latent].
        b_enc: [latent].
        W_dec: [latent, d_model].
        b_dec: [d_model].
        threshold: scalar; of the last selection.
        earlier: [n_steps]; of the selections before the last, in their order.
    """

    W_enc: Array
    b_enc: Array
    W_dec: Array
    b_dec: Array
    threshold: Array
    earlier: Array

    __repr__ = of_fields


class Memory(NamedTuple):
    """The inner variant's memory and the running thresholds [n_steps] of earlier codes."""

    inner: Any
    earlier: Array


@struct.dataclass
class IstaStep:
    r"""BatchTopK or Matryoshka whose codes are refined by what they leave unexplained.

    From z_pre = (x - b_dec) W_enc + b_enc and z = select(z_pre), each step moves
    z_pre <- z_pre + eta (x - x_hat(z)) W_enc and selects anew; gradients flow through all
    of it. A latent that fired because of another's direction loses what that one explains.
    With eta = 0 this is the inner variant.

    In training every selection keeps the k * batch largest. `encode` has a threshold for
    each selection, tracked as in `BatchTopK`; `calibrate` makes all of them exact.

    Attributes:
        inner: the variant whose loss it minimises.
        eta: length of a step; a leaf. 0.25 to 0.3 in the source.
        n_steps: how many; static. More than one did not help in the source.
    """

    inner: BatchTopK | Matryoshka
    eta: ArrayLike = 0.3
    n_steps: int = struct.field(pytree_node=False, default=1)

    def __post_init__(self):
        require_range("n_steps", self.n_steps, low=1, fix="use `inner` for none")

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    @property
    def k(self) -> ArrayLike:
        return self.inner.k

    def init(self, key, d_model):
        return RefinedParams(
            *self.inner.init(key, d_model), jnp.zeros(self.n_steps, jnp.float32)
        )

    def memory(self, params):
        return Memory(self.inner.memory(params), params.earlier)

    def candidates(self, params, x):
        """What competes in the last selection, the earlier ones made by thresholds."""
        selections = [_by_threshold(t) for t in params.earlier]
        z_pre, _ = self.refined(params, x, selections)
        return jax.nn.relu(z_pre)

    def encode(self, params, x):
        return above(self.candidates(params, x), params.threshold)

    def encode_batch(self, params, x):
        """The codes as in training: every selection over all of `x` together."""
        z_pre, _ = self.refined(params, x, [_by_batch(self.k)] * self.n_steps)
        return keep_batch_k(jax.nn.relu(z_pre), self.k)

    def decode(self, params, z):
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        x = x.reshape(-1, x.shape[-1])
        k = self.inner.k_at(step)
        z_pre, earlier = self.refined(params, x, [_by_batch(k)] * self.n_steps)
        z = keep_batch_k(jax.nn.relu(z_pre), k)
        value, (metrics, inner) = self.inner.objective(
            params, x, z_pre, z, memory.inner, step
        )
        thresholds = [
            tracked(old, codes, self.inner.threshold_rate, step)
            for old, codes in zip(memory.earlier, earlier, strict=True)
        ]
        return value, Outcome(metrics, Memory(inner, jnp.stack(thresholds)))

    def after(self, key, state, x):
        """What `inner` does after a step, and the earlier thresholds."""
        memory = state.memory
        moved = self.inner.after(key, replace(state, memory=memory.inner), x)
        params = moved.params._replace(earlier=memory.earlier)
        return replace(moved, params=params, memory=Memory(moved.memory, memory.earlier))

    def refined(
        self, params: Any, x: base.X, selections: Sequence[Callable[[base.Z], base.Z]]
    ) -> tuple[base.Z, list[base.Z]]:
        """The last pre-activations, and the codes of each selection before them."""
        z_pre, codes = base.pre_activation(params, x), []
        for select in selections:
            codes.append(select(jax.nn.relu(z_pre)))
            residual = x - self.decode(params, codes[-1])
            z_pre = z_pre + self.eta * (residual @ params.W_enc)
        return z_pre, codes

    def calibrate(self, params, x):
        """`params` with every threshold exact on `x`: round(k * n) latents on each time."""
        earlier = []

        def exact(z: base.Z) -> base.Z:
            earlier.append(exact_threshold(z, self.k))
            return above(z, earlier[-1])

        z_pre, _ = self.refined(params, x, [exact] * self.n_steps)
        last = exact_threshold(jax.nn.relu(z_pre), self.k)
        return params._replace(threshold=last, earlier=jnp.stack(earlier))


def _by_batch(k: ArrayLike) -> Callable[[base.Z], base.Z]:
    return lambda z: keep_batch_k(z, k)


def _by_threshold(threshold: Array) -> Callable[[base.Z], base.Z]:
    return lambda z: above(z, threshold)
