"""Who takes part in `dictionaries` with data of its own, made from the standard worlds.

The features of a sample are those of the standard world, with its law and sizes. What a
variant reads differs, and its rows are held against the directions of what it writes:

transcoders    read x and write y = sum_i a_i w_i, the w_i random unit vectors
crosscoders    read and write x and such a y at once, as two sources
T-SAE          reads two positions at a time, of which the second has the features of the
               first with probability 0.5; it is scored on single positions
end-to-end     reads x and is trained on the readings relu(x . d_i - 0.3) alone
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from experiments.recovery.contenders import Contest, Make, prefixes, steered
from synthetic import SparseFeatures, directions, firing
from synthetic.base import Batch
from synthetic.parts.paired import ReLUFunctions
from synthetic.parts.views import Views
from synthetic.temporal import TopicsAndTokens
from toymodels import sae
from toymodels.sae import base
from toymodels.sae.elsewhere.end_to_end import Effects

_STAYS = 0.5
_POSITIONS = 2
_READ_ABOVE = 0.3


class Contender(NamedTuple):
    """A dictionary, its data, and how its codes are held against the truth.

    Attributes:
        make: the dictionary; from a contest and the standard world.
        trained_on: the world it is fitted to, from a key and the standard world.
        scored_on: that world's samples, for the scores.
        read: what the encoder is given, of a sample's x.
        written: what the decoder must give, of a sample's x; [batch, width].
        directions: of the features in what is written, [feature, width].
    """

    make: Callable[[Contest, SparseFeatures], Any]
    trained_on: Callable[[Key[Array, ""], SparseFeatures], Any]
    scored_on: Callable[[Any, SparseFeatures], Any] = lambda own, world: own
    read: Callable[[Any], Array] = lambda x: x
    written: Callable[[Any], Array] = lambda x: x
    directions: Callable[[Any], Array | np.ndarray] = lambda world: world.directions

    def of(self, world: SparseFeatures) -> Make:
        """The dictionary for contests in `world`."""
        return lambda contest: self.make(contest, world)

    def codes(self, member: Any, batch: Batch) -> tuple[Array, Array]:
        """z and what is written, one row per sample."""
        dictionary, params = member
        z = dictionary.encode(params, self.read(batch.x))
        return z, dictionary.decode(params, z).reshape(len(z), -1)

    def truth(self, batch: Batch) -> Batch:
        """What the codes are measured against."""
        return Batch(self.written(batch.x), batch.features)


def in_world(make: Make) -> Contender:
    """One that reads the samples of the standard world as they are."""
    return Contender(lambda c, world: make(c), lambda key, world: world)


def paired(key: Key[Array, ""], world: SparseFeatures) -> ReLUFunctions:
    """y has the features of x, along directions of its own."""
    rows = directions.random(key, world.n_features, world.d_model)
    return ReLUFunctions(world, jnp.eye(world.n_features), rows)


def two_views(key: Key[Array, ""], world: SparseFeatures) -> Views:
    """x, and the same features along directions of their own."""
    rows = directions.random(key, world.n_features, world.d_model)
    return Views(jnp.stack([world.directions, rows]), world.firing, world.magnitude)


def lasting(key: Key[Array, ""], world: SparseFeatures) -> TopicsAndTokens:
    """Pairs of positions: the features of the first stay for the second, or are drawn anew,
    all together and with the same chance.
    """
    none = firing.Independent(jnp.zeros(0))
    return TopicsAndTokens(
        world.directions, world.firing, none, _STAYS, _POSITIONS, world.magnitude
    )


def readings(
    rows: Float[Array, "feature d_model"], x: Float[Array, "*batch d_model"]
) -> Effects:
    """A layer that reads every feature of the world."""
    return Effects(jax.nn.relu(x @ rows.T - _READ_ABOVE))


def _end_to_end(contest: Contest, world: SparseFeatures) -> sae.EndToEnd:
    reads = jax.tree_util.Partial(readings, world.directions)
    return sae.EndToEnd(contest.n_features, reads, distance=base.squared_error)


def _of_pair(make: Make) -> Contender:
    return Contender(
        lambda c, world: make(c),
        paired,
        read=lambda x: x.source,
        written=lambda x: x.target,
    )


def _of_views(make: Make) -> Contender:
    return Contender(
        lambda c, world: make(c),
        two_views,
        written=lambda x: x.reshape(len(x), -1),
        directions=lambda views: np.concatenate(list(views.directions), axis=-1),
    )


ELSEWHERE: dict[str, Contender] = {
    "transcoder": _of_pair(steered(lambda c: sae.Transcoder(c.n_features))),
    "skip transcoder": _of_pair(lambda c: sae.SkipTranscoder(c.n_features, k=float(c.k))),
    "crosscoder": _of_views(steered(lambda c: sae.Crosscoder(c.n_features))),
    "BatchTopK crosscoder": _of_views(
        lambda c: sae.BatchTopKCrosscoder(c.n_features, k=c.l0)
    ),
    "T-SAE": Contender(
        lambda c, world: sae.TSAE(
            sae.Matryoshka(c.n_features, prefixes(c.n_features), k=c.l0)
        ),
        lasting,
        scored_on=lambda own, world: world,
    ),
    "end-to-end": Contender(
        lambda c, world: steered(lambda c: _end_to_end(c, world))(c),
        lambda key, world: world,
    ),
}
