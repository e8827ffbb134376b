"""Training transformers on the exact distribution of every next token.

A game (`synthetic.othello.OthelloGame`, `synthetic.maze.MazeGame`) makes sequences inside
the compiled step, together with the distribution of the token that follows each of their
tokens. Trained on it instead of on one draw, a model needs fewer steps, and what is left
of its loss above the entropy of the targets is its Kullback-Leibler divergence from the
game: how far it is from perfect, which a loss on draws does not tell.
"""

from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, DTypeLike, Float, Int, Key, PyTree

from synthetic import random
from toymodels.training import loop
from toymodels.training.progress import Choice
from toymodels.transformer.model import Transformer


class Lesson(NamedTuple):
    """The part of a game's sequences that a model is trained on.

    Attributes:
        tokens: what the model reads.
        targets: the distribution of the token after each.
        weights: of each token in the loss.
    """

    tokens: Int[Array, "batch token"]
    targets: Float[Array, "batch token word"]
    weights: Float[Array, "batch token"]


class Game(Protocol):
    """Makes sequences with at least the fields of a `Lesson`."""

    def sample(self, key: Key[Array, ""], batch_size: int) -> Any: ...


def lesson(game: Game, key: Key[Array, ""], batch_size: int) -> Lesson:
    """Sequences of a game, without what only labels need."""
    drawn = game.sample(key, batch_size)
    return Lesson(drawn.tokens, drawn.targets, drawn.weights)


def loss(
    model: Transformer,
    lesson: Lesson,
    memory: PyTree = (),
    step: Int[ArrayLike, ""] = 0,
    dtype: DTypeLike | None = None,
) -> tuple[Float[Array, ""], loop.Outcome]:
    """Weighted mean of -sum_w targets log softmax(logits), in nats, and `metrics`.

    Args:
        model: what is trained.
        lesson: tokens, targets and weights.
        memory, step: not used.
        dtype: of weights and stream (bfloat16 on an accelerator); None leaves the weights'
            own. The softmax is in float32 at least.
    """
    if dtype is not None:
        model = jax.tree.map(lambda leaf: leaf.astype(dtype), model)
    logits = model(lesson.tokens).logits
    found = metrics(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), lesson)
    return found.pop("cross_entropy"), loop.Outcome(found)


def metrics(
    logits: Float[Array, "batch token word"], lesson: Lesson
) -> dict[str, Float[Array, ""]]:
    """How near logits are to the exact distribution; weighted means over tokens.

    cross_entropy: -sum_w targets log p. excess: that minus the entropy of the targets,
    which is KL(targets || p). illegal_top1: how often the likeliest word is none that can
    come. illegal_mass: the probability of such words together.
    """
    targets = lesson.targets
    log_p = jax.nn.log_softmax(logits)
    can_come = targets > 0
    top = jnp.argmax(logits, axis=-1)[..., None]
    cross_entropy = -jnp.sum(targets * log_p, axis=-1)
    entropy = -jnp.sum(jax.scipy.special.xlogy(targets, targets), axis=-1)
    found = {
        "cross_entropy": cross_entropy,
        "excess": cross_entropy - entropy,
        "illegal_top1": ~jnp.take_along_axis(can_come, top, axis=-1)[..., 0],
        "illegal_mass": jnp.sum(jnp.where(can_come, 0, jnp.exp(log_p)), axis=-1),
    }
    share = lesson.weights / jnp.sum(lesson.weights)
    return {name: jnp.sum(share * value) for name, value in found.items()}


def top_n_recall(
    logits: Float[Array, "batch token word"], lesson: Lesson
) -> Float[Array, ""]:
    """The share of the words that can come, n of them, that are among the n likeliest.

    Weighted mean over tokens. Words of equal logits count as found together.
    """
    can_come = lesson.targets > 0
    n = jnp.sum(can_come, axis=-1, keepdims=True)
    descending = jnp.sort(logits, axis=-1, descending=True)
    least = jnp.take_along_axis(descending, jnp.maximum(n - 1, 0), axis=-1)
    found = jnp.sum(can_come & (logits >= least), axis=-1) / jnp.maximum(n[..., 0], 1)
    return jnp.sum(lesson.weights * found) / jnp.sum(lesson.weights)


def adam(
    learning_rate: ArrayLike, n_steps: int, warm_up: float = 0.02, decay: float = 0.5
) -> optax.GradientTransformation:
    """Adam with gradients clipped to length 1. The rate rises linearly over the first
    share `warm_up` of the steps and falls linearly to 0 over the last share `decay`.
    """
    rise, fall = max(1, round(warm_up * n_steps)), max(1, round(decay * n_steps))

    def schedule(step):
        share = jnp.minimum((step + 1) / rise, (n_steps - step) / fall)
        return learning_rate * jnp.clip(share, 0, 1)

    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def train(
    key: Key[Array, ""],
    model: Transformer,
    game: Game,
    n_steps: int,
    batch_size: int,
    learning_rate: float = 2e-3,
    dtype: DTypeLike | None = None,
    chunk: int = 100,
    progress: Choice = None,
    checkpoints: loop.Checkpoints | None = None,
) -> tuple[Transformer, loop.History]:
    """Trains a model on fresh games, compiled; returns it and one row per chunk.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
    """
    own = (key, game, learning_rate)
    state, history = loop.run(
        lambda state, n: _step_chunk(n_steps, batch_size, dtype, own, state, n),
        loop.start(model, adam(learning_rate, n_steps)),
        n_steps,
        chunk,
        progress,
        checkpoints,
    )
    return state.params, history


def evaluate(
    key: Key[Array, ""],
    model: Transformer,
    game: Game,
    n_sequences: int = 2048,
    block: int = 256,
) -> dict[str, float]:
    """The metrics and `top_n_recall` on fresh sequences, means over blocks of them.

    Whatever `key` is, no batch that `train` drew is among them: `random.named` sets them
    apart.
    """
    key = random.named(key, "next_token.evaluate")
    keys = jax.random.split(key, -(-n_sequences // block))
    found = [jax.device_get(_measured(block, model, game, k)) for k in keys]
    return {name: float(sum(row[name] for row in found) / len(found)) for name in found[0]}


# Outside `train` and `evaluate`: calls which differ in leaves alone share one program.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _step_chunk(
    n_steps: int,
    batch_size: int,
    dtype: DTypeLike | None,
    own: PyTree,
    state: loop.State,
    n: int,
) -> tuple[loop.State, loop.Chunk]:
    key, game, learning_rate = own
    return loop.advance(
        key,
        state,
        n,
        loss=partial(loss, dtype=dtype),
        sample=lambda key: lesson(game, key, batch_size),
        optimizer=adam(learning_rate, n_steps),
    )


@partial(jax.jit, static_argnums=0)
def _measured(
    block: int, model: Transformer, game: Game, key: Key[Array, ""]
) -> dict[str, Float[Array, ""]]:
    drawn = lesson(game, key, block)
    logits = model(drawn.tokens).logits
    return metrics(logits, drawn) | {"top_n_recall": top_n_recall(logits, drawn)}
