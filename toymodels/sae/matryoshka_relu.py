"""Matryoshka SAE with ReLU codes and an L1 penalty, for toy phenomena.

Chanin et al. 2025 (arXiv 2505.11756): prefixes trade absorption for hedging.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import ArrayLike

from synthetic.validation import require_range
from toymodels.sae import base, matryoshka
from toymodels.training.loop import Outcome


@struct.dataclass
class MatryoshkaReLU:
    r"""Minimises sum_l weight_l ||x - x_hat_l||^2 + sparsity * sum_i z_i ||W_dec_i||.

    z = relu((x - b_dec) W_enc + b_enc), and x_hat_l = z[:m_l] W_dec[:m_l] + b_dec decodes
    the first m_l latents alone. The penalty counts once, whatever the number of levels.
    The rows of W_dec are free: weighted by their length, the penalty does not change when
    a row grows and its latent shrinks.

    A parent feature in the first prefix and its children after it show both failures.
    Without the inner level (weight 0) the parent is absorbed: its latent is silent where a
    child is on. With the inner level alone (`detach="all"`) it hedges: its row takes on
    the children that the prefix has no latents for. A small weight balances the two.

    Attributes:
        n_latents: dictionary size; static, it changes shapes.
        prefixes: the widths m_l, rising, the last one n_latents; static.
        weights: one leaf per prefix; () weighs every level with 1. The balance of hedging
            and absorption is the weight of the inner levels.
        sparsity: weight of the penalty; a leaf, in units of the data.
        detach: "none", "inner" or "all", as in `Matryoshka`; static.
    """

    n_latents: int = struct.field(pytree_node=False)
    prefixes: tuple[int, ...] = struct.field(pytree_node=False)
    weights: tuple[ArrayLike, ...] = ()
    sparsity: ArrayLike = 0.03
    detach: str = struct.field(pytree_node=False, default="none")

    def __post_init__(self):
        require_range("n_latents", self.n_latents, low=1)
        require_range("sparsity", self.sparsity, low=0.0)
        matryoshka.require_levels(self)

    def init(self, key, d_model):
        return base.init_tied(key, self.n_latents, d_model)

    def memory(self, params):
        return ()

    def encode(self, params, x):
        return jax.nn.relu(base.pre_activation(params, x))

    def decode(self, params, z):
        """All latents: the last prefix."""
        return base.decode(params, z)

    def loss(self, params, x, memory, step):
        z = self.encode(params, x)
        x_hats = matryoshka.reconstructions(params, z, self.prefixes, self.detach)
        errors = [base.squared_error(x, x_hat) for x_hat in x_hats]
        penalty = jnp.mean(z @ jnp.linalg.norm(params.W_dec, axis=-1))
        metrics = {"squared_error": errors[-1], "l0": base.mean_l0(z)}
        value = matryoshka.weighted(self.weights, errors) + self.sparsity * penalty
        return value, Outcome(metrics, ())

    def after(self, key, state, x):
        return state
