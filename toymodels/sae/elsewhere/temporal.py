"""T-SAE: the first prefix of a Matryoshka changes little from one position to the next.

Bhalla et al. 2025, "Temporal Sparse Autoencoders" (arXiv 2511.05541).
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float

from synthetic.directions import unit_rows
from synthetic.validation import require_range
from toymodels.sae import base
from toymodels.sae.matryoshka import Matryoshka
from toymodels.sparse_coding.select import keep_batch_k


@struct.dataclass
class TSAE:
    r"""Matryoshka's loss plus weight * L_contrast on the codes of its first prefix.

    Data are sequences, x [*batch, time, d_model] (`synthetic.temporal`). With h the codes
    of the first prefix, L_contrast asks which of the batch's sequences a position continues
    (`contrast`): codes of adjacent positions become alike, and different from those of
    other sequences. What lasts (a topic) moves to the first prefix, what changes at every
    position to the rest. The source gives the first prefix a fifth of the latents.

    `encode` looks at one position at a time, as all variants do. A two-dimensional x is
    one sequence: there is nothing to contrast it with, and the loss is Matryoshka's.

    Attributes:
        inner: the variant with the prefixes; the first one holds the lasting latents.
        weight: of the contrast, in units of the squared error; a leaf.
        temperature: by which cosines are divided; a leaf.
    """

    inner: Matryoshka
    weight: ArrayLike = 1.0
    temperature: ArrayLike = 1.0

    def __post_init__(self):
        require_range("weight", self.weight, low=0.0)
        require_range("temperature", self.temperature, low=1e-3, fix="it divides cosines")

    @property
    def n_latents(self) -> int:
        return self.inner.n_latents

    @property
    def k(self) -> ArrayLike:
        return self.inner.k

    def init(self, key, d_model):
        return self.inner.init(key, d_model)

    def memory(self, params):
        return self.inner.memory(params)

    def candidates(self, params, x):
        """What competes for a place in z."""
        return self.inner.candidates(params, x)

    def encode(self, params, x):
        return self.inner.encode(params, x)

    def encode_batch(self, params, x):
        """The codes as in training: k * batch * time latents on."""
        return self.inner.encode_batch(params, x)

    def decode(self, params, z):
        """All latents: the last prefix."""
        return self.inner.decode(params, z)

    def loss(self, params, x, memory, step):
        rows = x.reshape(-1, x.shape[-1])
        z_pre = base.pre_activation(params, rows)
        z = keep_batch_k(jax.nn.relu(z_pre), self.inner.k_at(step))
        value, outcome = self.inner.objective(params, rows, z_pre, z, memory, step)
        lasting = z[:, : self.inner.prefixes[0]]
        sequences = lasting.reshape(-1, x.shape[-2], lasting.shape[-1])
        between = contrast(sequences, self.temperature)
        metrics = outcome.metrics | {"contrast": between}
        return value + self.weight * between, outcome._replace(metrics=metrics)

    def after(self, key, state, x):
        return self.inner.after(key, state, x)


def contrast(
    z: Float[Array, "batch time latent"], temperature: ArrayLike = 1.0
) -> Float[Array, ""]:
    r"""InfoNCE between adjacent positions, averaged over positions and both directions.

    With s_bc the cosine of sequence b at t with sequence c at t - 1, over the temperature:
    -mean_{b, t} log softmax_c(s_b)[b], and the same with the parts of t and t - 1
    exchanged. Codes of only zeros have cosine 0 with all. log(batch) for codes that say
    nothing, 0 for a single sequence.

    Raises:
        ValueError: sequences have fewer than two positions.
    """
    if z.shape[1] < 2:
        raise ValueError(
            f"sequences have length {z.shape[1]}, expected at least 2; x is "
            "[*batch, time, d_model]"
        )
    unit = unit_rows(z)
    cosine = jnp.einsum("btl,ctl->tbc", unit[:, 1:], unit[:, :-1]) / temperature
    forward, backward = (
        jnp.diagonal(jax.nn.log_softmax(cosine, axis=axis), axis1=1, axis2=2)
        for axis in (2, 1)
    )
    return -jnp.mean(forward + backward) / 2
