"""Do the embeddings of cells know where the cells lie?

A prompt names cells by words without any order. What is ever connected, and by way of the
path what is near, is all that a model can learn of the lattice. Compared are the distances
of embeddings with those on the lattice, both sums of absolute differences, by Pearson's
correlation over all pairs of cells; in Ivanitskiy et al. (2023, arXiv 2312.02566), on 7 x 7
words, the larger model reaches 0.368. Floors: the same after the cells were exchanged at
random, and a model before training.

Few cells make few pairs (36 of 3 x 3, 120 of 4 x 4), so that the floor is wide.

Run:     python -m experiments maze_embeddings
Takes:   some seconds
Expect:  seed 0: a correlation of 0.676, 99 % of shuffles below 0.233
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAZE_PLAYER
from figures.maze import maze_embeddings as figure
from synthetic import random
from toymodels import pretrained
from toymodels.maze import embeddings


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: a model of `toymodels.pretrained`.
    n_shuffles: exchanges of cells.
    """

    player: Annotated[str, MAZE_PLAYER] = "maze_small"
    n_shuffles: int = 1_000


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_control, key_shuffle = jax.random.split(random.key(seed))
    preset, trained, _ = pretrained.load(settings.player)
    size = preset.game.layout.size
    true = embeddings.lattice_distances(size)
    models = {"trained": trained, "control": preset.init(key_control)}
    found = {
        name: embeddings.embedding_distances(model, size) for name, model in models.items()
    }
    agreement = {name: embeddings.agreement(of, true) for name, of in found.items()}
    with job.stage("shuffles"):
        shuffled = embeddings.shuffled(
            key_shuffle, found["trained"], true, settings.n_shuffles
        )
    metrics: dict[str, Any] = {
        "player": settings.player,
        "agreement": agreement,
        "shuffled_99": float(np.quantile(shuffled, 0.99)),
    }
    pairs = np.triu_indices(size**2, 1)
    arrays = {
        "lattice": true[pairs],
        "shuffled": shuffled,
        "plane": embeddings.principal_plane(trained),
        **{f"{name}/distance": of[pairs] for name, of in found.items()},
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics))


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """Beyond chance, and as published."""
    agreement = metrics["agreement"]
    beyond = agreement["trained"] - metrics["shuffled_99"]
    return [
        Check.at_least(
            "correlation with distances on the lattice",
            agreement["trained"],
            0.368,
            "the larger model of Ivanitskiy et al. 2023, 7 x 7 words",
        ),
        Check.at_least(
            "correlation above the 99th of 100 shuffles",
            beyond,
            0.0,
            "permutation test",
        ),
    ]


def table(metrics: dict[str, Any]) -> list[str]:
    """The correlations."""
    agreement = metrics["agreement"]
    return [
        f"correlation of distances, {metrics['player']}: {agreement['trained']:.3f}",
        f"before training: {agreement['control']:.3f}",
        f"99 % of shuffles below: {metrics['shuffled_99']:.3f}",
    ]


EXPERIMENT = Experiment(
    name="maze_embeddings",
    question="Do the embeddings of cells know where the cells lie?",
    source="Ivanitskiy et al. 2023, arXiv 2312.02566",
    minutes=0.1,
    settings=Settings(),
    quick=Settings(n_shuffles=200),
    run=run,
    figures=(figure,),
    expect="Embeddings of neighbouring cells are nearer to each other than those of "
    "distant ones, beyond nearly all shuffles.",
)
