"""What is scored of a dictionary: two callables compiled, their signs and skips seen to.

Two habits of other libraries would score as wrong though nothing is. A latent whose code
is never positive stands for its feature with both code and row negated; here both are
turned (as `sae.abstopk.turned` does with weights), which leaves each reconstruction as it
is. And a transcoder's `forward` may add a skip connection to decode(encode(x)); here the
reconstruction is then that of `forward`. Either is said in a note.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from synthetic.base import Batch, KnownDirections
from synthetic.validation import require_width
from toymodels.scores.callables import (
    WithForward,
    callable_on_arrays,
    decoder_rows,
    require_codes,
)

Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_ALIKE = 1e-2  # of two reconstructions, relative: half precision differs by less


class Prepared(NamedTuple):
    """A dictionary as it is scored.

    Attributes:
        encode: [batch, d_model] -> [batch, latent], the latents turned.
        decode: [batch, latent] -> [batch, d_model], of turned latents.
        W_dec: [latent, d_model], the rows of `decode`.
        forward: [batch, d_model] -> [batch, d_model], where that is more than
            decode(encode(x)); else None.
        notes: what was turned, left or used instead, in sentences.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    W_dec: np.ndarray
    forward: Callable[[Any], Any] | None
    notes: list[str]

    def codes(self, batch: Batch) -> tuple[Any, Any]:
        """z and x_hat."""
        z = self.encode(batch.x)
        return z, self.decode(z) if self.forward is None else self.forward(batch.x)

    def permuted(self, order: Int[np.ndarray, " latent"], batch: Batch):
        """The codes as they are, each read by another latent's row; a skip stays."""
        z, x_hat = self.codes(batch)
        read = np.empty_like(z)
        read[:, order] = z
        if self.forward is None:
            return z, self.decode(read)
        return z, x_hat - self.decode(z) + self.decode(read)

    def flipped(self, batch: Batch):
        """Codes and rows both negated: the reconstruction is as it was."""
        z, x_hat = self.codes(batch)
        return -z, x_hat


def prepare(
    pair: Pair, world: KnownDirections, example: Batch, key: Key[Array, ""]
) -> Prepared:
    """Looks at a dictionary once, on calibration samples.

    Raises:
        ValueError: shapes do not fit, a value is not finite, `decode` is not affine, or
            `forward` returns several arrays that could be the reconstruction.
    """
    encode = callable_on_arrays(pair[0], example.x)
    z = encode(example.x)
    require_codes(z, len(example.x))
    decode = callable_on_arrays(pair[1], z)
    W_dec = decoder_rows(decode, z.shape[-1], key)
    fix = "decode maps latents back to the space of x"
    require_width("the width of what decode returns", W_dec.shape[1], world.d_model, fix)
    forward, notes = None, []
    if isinstance(pair[1], WithForward):
        x, x_hat = np.array(example.x), np.asarray(decode(z))
        forward, notes = _compared(pair[1].forward, x, np.asarray(z), x_hat)
    sign, told = signs(np.asarray(z), np.asarray(example.features))
    if (sign < 0).any():
        encode, decode, W_dec = _turned(encode, decode, W_dec, sign)
    return Prepared(encode, decode, W_dec, forward, notes + told)


def signs(
    z: Float[np.ndarray, "batch latent"], features: Float[np.ndarray, "batch feature"]
) -> tuple[Int[np.ndarray, " latent"], list[str]]:
    """-1 for latents to turn, else 1; and what to say of it.

    Turned are latents that are on in these samples and never positive. Those that take
    both signs stay as they are. Where a feature is negative itself nothing is turned: its
    sign belongs to the truth.
    """
    sign = np.ones(z.shape[1], np.int8)
    if (features < 0).any():
        return sign, []
    negative, positive = (z < 0).any(axis=0), (z > 0).any(axis=0)
    sign[negative & ~positive] = -1
    turned, both = int((sign < 0).sum()), int((negative & positive).sum())
    told = []
    if turned:
        told.append(
            f"{turned} of {len(sign)} latents had negative codes alone and were turned, "
            "code and decoder row negated together, which leaves the reconstruction as it "
            "is"
        )
    if both:
        told.append(
            f"{both} of {len(sign)} latents take both signs and are scored as they are; "
            "the sign of such a row says nothing by itself, absolute=True leaves it out"
        )
    return sign, told


def _turned(encode, decode, W_dec: np.ndarray, sign: Int[np.ndarray, " latent"]):
    return (
        lambda x: encode(x) * sign,
        lambda z: decode(jnp.asarray(z) * sign),
        W_dec * sign[:, None],
    )


def _compared(forward, x: np.ndarray, z: np.ndarray, x_hat: np.ndarray):
    """`forward` where it is another reconstruction than `x_hat`, else None; and notes."""
    unknown = "so it is not known whether it adds to decode(encode(x)), which is scored"
    try:
        outputs = forward(x)
    except NotImplementedError:
        return None, []
    except Exception as error:  # foreign code; encode and decode are enough without it
        return None, [f"forward(x) raised {type(error).__name__}, {unknown}"]
    gaps = {
        i: _gap(output, x_hat)
        for i, output in enumerate(outputs)
        if output.shape == x_hat.shape and not np.array_equal(output, z)
    }
    if not gaps:
        shapes = " and ".join(str(output.shape) for output in outputs) or "no array"
        return None, [f"forward(x) returned {shapes}, not a reconstruction, {unknown}"]
    if min(gaps.values()) <= _ALIKE:
        return None, []
    if len(gaps) > 1:
        raise ValueError(
            f"forward(x) returned {len(gaps)} arrays of shape {x_hat.shape}, none of them "
            "decode(encode(x)), expected one reconstruction; pass the callables encode and "
            "decode"
        )
    ((i, gap),) = gaps.items()
    return lambda x: forward(np.array(x))[i], [
        f"forward(x) differs from decode(encode(x)) by {gap:.1%}, as with a skip "
        "connection; reconstructions are scored as forward's, directions as decode's"
    ]


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    """||a - b|| over the larger of ||a|| and ||b||; infinite where that is not finite."""
    size = max(np.linalg.norm(one), np.linalg.norm(other), 1e-12)
    gap = float(np.linalg.norm(one - other) / size)
    return gap if np.isfinite(gap) else np.inf
