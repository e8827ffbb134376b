"""Who takes part in `othello_dictionaries`, and how its latents are scored.

Variants with a number of active latents are given it; those with a penalty are steered to
it. Beside them stand what needs no dictionary: linear probes, the player's own neurons, a
latent that is always on; and wrong labels. Everything is scored alike, by coverage and
board reconstruction, as published and corrected.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from toymodels import sae, transformer
from toymodels.othello import board_scores
from toymodels.othello.residual import OthelloResidual
from toymodels.sae.around import scaling
from toymodels.scores import board_reconstruction, detection
from toymodels.scores.detection import Sample
from toymodels.training import ensemble
from toymodels.transformer import probes

FAMILIES = (*board_scores.BOARD, "legal")


class Entry(NamedTuple):
    """What a variant is made with.

    Attributes:
        n_latents: size.
        l0: wanted latents on in a position.
        magnitude: typical, of a latent that is on.
        steps: of training.
    """

    n_latents: int
    l0: float
    magnitude: float
    steps: int


def _prefixes(n: int) -> tuple[int, ...]:
    return (n // 4, n // 2, n)


def _p_annealed(e: Entry) -> sae.PAnnealing:
    inner = sae.ReLU(e.n_latents, sparsity=0.5 * e.magnitude, revive=None)
    return sae.PAnnealing(inner, start=e.steps // 4, end=e.steps // 2)


# Penalties start near the right size and are steered to the wanted L0.
STEERED: dict[str, Callable[[Entry], Any]] = {
    "ReLU": lambda e: sae.ReLU(e.n_latents, sparsity=0.5 * e.magnitude, revive=None),
    "p-annealing": _p_annealed,
    "gated": lambda e: sae.Gated(e.n_latents, sparsity=1.5 * e.magnitude),
    "JumpReLU": lambda e: sae.JumpReLU(e.n_latents, scale=e.magnitude),
}
GIVEN: dict[str, Callable[[Entry], Any]] = {
    "TopK": lambda e: sae.TopK(e.n_latents, k=e.l0),
    "BatchTopK": lambda e: sae.BatchTopK(e.n_latents, k=e.l0),
    "Matryoshka": lambda e: sae.Matryoshka(e.n_latents, _prefixes(e.n_latents), k=e.l0),
}
VARIANTS = (*STEERED, *GIVEN)


class Positions(NamedTuple):
    """The stream at the site, the neurons that wrote into it, the labels; [row, ...]."""

    x: Array
    neurons: Array
    properties: Array


def _permuted(of: Positions) -> Positions:
    """Labels of any other position."""
    order = np.random.default_rng(0).permutation(len(of.x))
    return of._replace(properties=of.properties[order])


def _of_another_game(of: Positions) -> Positions:
    """Labels after about as many moves of another game."""
    return of._replace(properties=jnp.roll(of.properties, len(of.x) // 2, axis=0))


WRONG_LABELS = {"permuted labels": _permuted, "labels of another game": _of_another_game}


class Study(NamedTuple):
    """Dictionaries of one model, and the positions to choose and score latents on.

    Attributes:
        train, test: positions.
        stacks: by variant, its dictionaries stacked along the L0s.
        params: likewise, their weights.
    """

    train: Positions
    test: Positions
    stacks: dict[str, Any]
    params: dict[str, Any]


@partial(jax.jit, static_argnames="n_games")
def positions(key: Key, world: OthelloResidual, n_games: int) -> Positions:
    """All positions of some games; the neurons are of the MLP before the site."""
    x, properties = world.streams(key, n_games)
    layer = max(world.site - 1, 0) // 2
    before = x[transformer.site(layer, "attention")]
    return Positions(x[world.site], world.model.neurons(before, layer), properties > 0)


def members(names: tuple[str, ...], x: Array, settings: Any) -> dict[str, PyTree]:
    """Each variant as a stack of [l0 * seed] dictionaries, all on x with mean 0 and mean
    square 1.
    """
    centre = x.mean(axis=0)
    scaled = scaling.Uniformly(scaling.unit_mean_square(x - centre).scale, centre)

    def made(name: str, l0: float):
        magnitude = l0**-0.5  # of l0 orthogonal parts
        entry = Entry(settings.n_latents, l0, magnitude, settings.steps)
        if name in GIVEN:
            return sae.Normalised(GIVEN[name](entry), scaled)
        steered = sae.Normalised(STEERED[name](entry), scaled)
        return sae.Controlled(steered, target_l0=l0)

    l0s = [l0 for l0 in settings.l0s for _ in range(settings.n_seeds)]
    return {name: ensemble.stack([made(name, l0) for l0 in l0s]) for name in names}


def of_members(key: Key, study: Study, variant: str) -> list[dict[str, Any]]:
    """The scores of each dictionary of a variant."""
    train, test = study.train, study.test
    pair = study.stacks[variant], study.params[variant]
    found = []
    for i in range(len(jax.tree.leaves(pair)[0])):
        one, weights = jax.tree.map(lambda leaf: leaf[i], pair)  # noqa: B023
        codes = [one.encode(weights, of.x) for of in (train, test)]
        residual = test.x - one.decode(weights, codes[1])
        total = jnp.sum(jnp.square(test.x - test.x.mean(axis=0)))
        explained = {"explained": float(1 - jnp.sum(jnp.square(residual)) / total)}
        found.append(scores(key, codes, (train.properties, test.properties)) | explained)
    return found


def references(
    key_probes: Key, key: Key, world: OthelloResidual, study: Study
) -> dict[str, list[dict[str, Any]]]:
    """What needs no dictionary: a ceiling, the neurons, and a latent that is always on."""
    both = (study.train, study.test)
    fitted = probes.fit(key_probes, world)
    W, b = fitted.W[world.site], fitted.b[world.site]
    codes = {
        "probes": [of.x @ W + b for of in both],
        "neurons": [of.neurons for of in both],
        "always on": [jnp.ones((len(of.x), 1)) for of in both],
    }
    properties = [of.properties for of in both]
    return {name: [scores(key, z, properties)] for name, z in codes.items()}


def scores(key: Key, codes, properties) -> dict[str, Any]:
    """L0, and each score as [value, low, high] with its published form.

    `codes` and `properties` are of the training sample and of the held-out one.
    """
    key_squares, key_legal, key_board = jax.random.split(jax.random.clone(key), 3)
    n = properties[0].shape[1] // len(FAMILIES)
    row: dict[str, Any] = {
        "l0": float((codes[1] > 0).sum(axis=1).mean()),
        "alive": float((codes[0] > 0).any(axis=0).mean()),
    }
    for name, of, key_draws in (
        ("squares", slice(0, 2 * n), key_squares),
        ("legal", slice(3 * n, 4 * n), key_legal),
    ):
        train, test = (Sample(z, y[:, of]) for z, y in zip(codes, properties, strict=True))
        counts = detection.count(train)
        found = detection.corrected(key_draws, detection.select(counts), test)
        row[f"{name}/published"] = detection.as_published(counts)
        row |= {f"{name}/{k}": tuple(interval) for k, interval in found.items()}
        if name == "squares":
            on_board = np.arange(2 * n) % n
            chosen = board_reconstruction.claims(counts, train, on_board)
            claims = board_reconstruction.claims(counts, test, on_board)
            found = board_reconstruction.corrected(key_board, chosen, claims)
            row["board/published"] = board_reconstruction.as_published(claims)
            row |= {f"board/{k}": tuple(interval) for k, interval in found.items()}
    return row
