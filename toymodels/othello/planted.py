"""Planted directions: a trained transformer whose feature directions are known.

In a trained model nobody knows the true direction of a feature, so that the cosine of a
decoder's row with it cannot be scored. Here chosen directions d_i are made to carry chosen
properties of the position, f_i, at one site of the stream x. With bars for centred values
and r = x - size * sum_i f_i d_i, the loss of a model is

    loss = next-token loss + weight * (missed + leaked)
    missed = E sum_i (r . d_i)^2 / E sum_i (size * sum_j f_j d_j . d_i)^2
    leaked = sum_i |E f_i r|^2 / sum_i |E f_i size * sum_j f_j d_j|^2

(all of r, f and x centred over the batch). Both have no unit, are 1 for a stream that says
nothing of the features and 0 where planting is perfect. `missed` = 0: a plain projection on
d_i reads the features. `leaked` = 0: what is left of the stream is uncorrelated with them,
so that the regression of x on the features has the rows size * d_i and no others. Without
that part a model may write a feature a second time, in a direction of its own, and a
dictionary would rightly find the sum of both.

A feature that the layers before the site cannot compute is planted as far as they can;
`missed` says how far. Directions may be any unit rows. The more of the space they span, the
less is left for what the game needs.

    rows = directions.random(key_rows, 2, preset.d_model)
    planting = Planting(rows, ("mine a1", "flipped_before b1"), site=2)
    model, _ = train(key, preset.init(key_init), preset.game, planting, 2_000, 64)
    world = PlantedResidual(preset.game, model, planting)
    score(encode, decode, world, key_score)["mcc_dec"]
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, ArrayLike, Float, Int, Key, PyTree

from synthetic.base import Batch
from synthetic.othello import OthelloGame, labels, positions
from synthetic.shapes import of_fields
from synthetic.validation import require_range, require_width
from toymodels.othello.residual import OthelloResidual
from toymodels.training import loop
from toymodels.training.progress import Choice
from toymodels.transformer import Transformer, next_token


class Labelled(NamedTuple):
    """Attributes:
    lesson: what the model reads, and what comes next.
    features: true after each token.
    """

    lesson: next_token.Lesson
    features: Float[Array, "batch token feature"]


class Remainders(NamedTuple):
    """How far planting is from perfect; see the module's docstring."""

    missed: Float[Array, ""]
    leaked: Float[Array, ""]


def remainders(
    x: Float[Array, "*batch d_model"],
    features: Float[Array, "*batch feature"],
    weights: Float[Array, "*batch"],
    directions: Float[Array, "feature d_model"],
    size: ArrayLike = 1.0,
) -> Remainders:
    """`missed` and `leaked` of a stream, over rows of these weights.

    NaN where no feature varies.
    """
    share = (weights / jnp.sum(weights))[..., None]
    over_rows = tuple(range(weights.ndim))

    def centred(values):
        return values - jnp.sum(share * values, axis=over_rows)

    features = centred(features)
    due = size * features @ directions
    rest = centred(x) - due

    def read(of):
        return jnp.sum(share * jnp.square(of @ directions.T))

    def shared(of):
        return jnp.sum(jnp.square(jnp.tensordot(share * features, of, (over_rows,) * 2)))

    return Remainders(read(rest) / read(due), shared(rest) / shared(due))


@struct.dataclass
class Planting:
    """Which features lie along which directions, and how firmly; its `loss` wraps that of
    `next_token`.

    Raises:
        ValueError: there are not as many directions as names, a direction's length is not
            1, size is not positive or weight is negative.

    Attributes:
        directions: [feature, d_model], unit rows.
        names: of features, as `synthetic.othello.labels.names` has them ("mine a1");
            static.
        site: of the stream, as in `transformer.site`; static.
        size: how far a feature moves the stream, in its own unit; a leaf.
        weight: of planting in the loss; 0 trains on next tokens alone. A leaf.
    """

    directions: Array
    names: tuple[str, ...] = struct.field(pytree_node=False)
    site: int = struct.field(pytree_node=False)
    size: ArrayLike = 1.0
    weight: ArrayLike = 1.0

    def __post_init__(self):
        if getattr(self.directions, "ndim", 0) < 2:
            return
        fix = "give one direction for each name"
        require_width(
            "the number of directions", self.directions.shape[-2], len(self.names), fix
        )
        length = jnp.linalg.norm(self.directions, axis=-1)
        fix = "pass directions.unit_rows(rows) and put the scale into size"
        require_range("the length of a direction", length, 1 - 1e-4, 1 + 1e-4, fix)
        fix = "with weight=0 nothing is planted"
        require_range("size", self.size, low=1e-6, fix=fix)
        require_range("weight", self.weight, low=0, fix="it weighs a penalty")

    @property
    def families(self) -> tuple[str, ...]:
        """The families of the features."""
        return tuple(dict.fromkeys(name.split()[0] for name in self.names))

    def columns(self, size: int) -> Int[Array, " feature"]:
        """The place of each feature among all features of its families.

        Raises:
            ValueError: there is no such feature on a board of this size.
        """
        known = labels.names(size, self.families)
        for name in self.names:
            if name not in known:
                raise ValueError(
                    f"there is no feature {name!r} on {size} x {size} squares, expected a "
                    f"name like {known[0]!r}; `labels.names` lists them"
                )
        return jnp.array([known.index(name) for name in self.names])

    def lesson(self, game: OthelloGame, key: Key[Array, ""], batch_size: int) -> Labelled:
        """Sequences of a game, with the features after each token."""
        drawn = game.sample(key, batch_size)
        values = labels.values(game.rules, positions(drawn.games), self.families)
        features = values[:, : drawn.tokens.shape[1], self.columns(game.rules.size)]
        lesson = next_token.Lesson(drawn.tokens, drawn.targets, drawn.weights)
        return Labelled(lesson, features)

    def loss(
        self,
        model: Transformer,
        batch: Labelled,
        memory: PyTree = (),
        step: Int[ArrayLike, ""] = 0,
    ) -> tuple[Float[Array, ""], loop.Outcome]:
        """The next-token loss, in nats, plus weight * (missed + leaked).

        The metrics are those of `next_token.metrics`, and `missed` and `leaked`.
        """
        _require_room(self, model)
        output = model(batch.lesson.tokens)
        found = next_token.metrics(output.logits, batch.lesson)
        left = remainders(
            output.residual[self.site],
            batch.features,
            batch.lesson.weights,
            self.directions,
            self.size,
        )
        value = found["cross_entropy"] + self.weight * (left.missed + left.leaked)
        return value, loop.Outcome(found | left._asdict())


@partial(jax.jit, static_argnames=("n_steps", "batch_size"))
def _advance(key, state, n, planting, game, learning_rate, n_steps, batch_size):
    """Compiled once for all plantings of one shape."""
    return loop.advance(
        key,
        state,
        n,
        loss=planting.loss,
        sample=lambda key: planting.lesson(game, key, batch_size),
        optimizer=next_token.adam(learning_rate, n_steps),
    )


def train(
    key: Key[Array, ""],
    model: Transformer,
    game: OthelloGame,
    planting: Planting,
    n_steps: int,
    batch_size: int,
    learning_rate: float = 2e-3,
    chunk: int = 100,
    progress: Choice = None,
    checkpoints: loop.Checkpoints | None = None,
) -> tuple[Transformer, loop.History]:
    """`next_token.train` with a planting: the model, and one row of metrics per chunk.

    The games of a key are the same whatever is planted.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite.
        ValueError: the planting does not fit the model or the game.
    """
    _require_room(planting, model)
    planting.columns(game.rules.size)
    start = loop.start(model, next_token.adam(learning_rate, n_steps))

    def step_chunk(state, n):
        return _advance(key, state, n, planting, game, learning_rate, n_steps, batch_size)

    state, history = loop.run(step_chunk, start, n_steps, chunk, progress, checkpoints)
    return state.params, history


@struct.dataclass
class PlantedResidual:
    """The stream at the site of a planting, as a world whose `directions` are known.

    The features are the planted ones, their values as coefficients of unit directions. The
    rest of the stream is no noise: it is what else the model knows, so that a dictionary
    rightly explains more of x than the planted features do.

    Raises:
        ValueError: the planting does not fit the model.

    Attributes:
        game: makes the moves.
        model: reads them.
        planting: the answer key; of a model that it was not planted into, a control.
        slots: positions of each game; static.
    """

    game: OthelloGame
    model: Transformer
    planting: Planting
    slots: int = struct.field(pytree_node=False, default=8)

    __repr__ = of_fields

    def __post_init__(self):
        if isinstance(self.model, Transformer) and isinstance(self.planting, Planting):
            _require_room(self.planting, self.model)
            self.planting.columns(self.game.rules.size)

    @property
    def n_features(self) -> int:
        return len(self.planting.names)

    @property
    def d_model(self) -> int:
        return self.model.d_model

    @property
    def directions(self) -> Float[Array, "feature d_model"]:
        """The planted ones."""
        return self.planting.directions

    @property
    def stream(self) -> OthelloResidual:
        """The same stream, with all features of the planted families."""
        planting = self.planting
        return OthelloResidual(
            self.game, self.model, planting.families, planting.site, self.slots
        )

    def sample(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """`batch_size` positions; those of one game follow each other."""
        found = self.stream.sample(key, batch_size)
        columns = self.planting.columns(self.game.rules.size)
        features = found.features[:, columns]
        return Batch(found.x, jnp.asarray(self.planting.size, features.dtype) * features)


def _require_room(planting: Planting, model: Transformer) -> None:
    fix = "0 is the embedding; transformer.site counts the others"
    require_range("site", planting.site, 0, model.n_sites - 1, fix)
    fix = "directions are rows in the stream of the model"
    width = planting.directions.shape[-1]
    require_width("the width of the directions", width, model.d_model, fix)
