"""Who takes part in `dictionaries`: every variant that reads one sample at a time.

Sparse autoencoders with a number of active latents are given it; those with a penalty are
steered to it. Classical methods with a number of atoms are given it too, the online one a
penalty that falls as the target rises; PCA, ICA and k-means have no such number. Those
that need other data are in `contenders_elsewhere`; non-negative factors cannot be fitted
to vectors of both signs.

A latent of AbsTopK and its row may change sign together. Before it is scored, each is
turned so that its mean code is positive.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from experiments.harness.experiment import Job
from toymodels import classical, sae
from toymodels.sae import abstopk, training
from toymodels.sae.revival import Resample
from toymodels.training import ensemble, loop


class Contest(NamedTuple):
    """What a variant is made for.

    Attributes:
        n_features: of the world; also the number of latents, where a method allows it.
        l0: the wanted one.
        true_l0: of the world.
        steps: of training.
        x: samples of the world, [sample, d_model].
    """

    n_features: int
    l0: float
    true_l0: float
    steps: int
    x: Float[Array, "sample d_model"]

    @property
    def k(self) -> int:
        return max(1, round(self.l0))


class Group(NamedTuple):
    """Dictionaries and their weights, stacked along a leading axis."""

    dictionaries: PyTree
    params: PyTree


Make = Callable[[Contest], Any]


def steered(make: Callable[[Contest], Any]) -> Make:
    """A penalised variant whose L0 is steered."""
    return lambda c: sae.Controlled(make(c), target_l0=c.l0)


def _relu(c: Contest) -> sae.ReLU:
    """With resampling that ends early enough for the last to come back to settle."""
    return sae.ReLU(c.n_features, revive=Resample(until=2 * c.steps // 3))


def _annealed(inner: Any, steps: int) -> Any:
    return sae.PAnnealing(inner, start=steps // 4, end=steps // 2)


def prefixes(n: int) -> tuple[int, ...]:
    """A quarter of the latents, half of them, and all."""
    return (n // 4, n // 2, n)


def _archetypal(c: Contest) -> Any:
    """Rows near the hull of as many centres of k-means as there are latents, the same
    centres for all seeds.
    """
    centres = classical.KMeans(c.n_features)
    points = jax.jit(type(centres).fit)(centres, jax.random.key(0), c.x).W_dec
    return sae.Archetypal(c.n_features, points, k=float(c.k))


PENALISED: dict[str, Make] = {
    "ReLU+L1": steered(_relu),
    "ReLU+L1, April 2024": steered(lambda c: sae.ReLUApril(c.n_features)),
    "tied": steered(lambda c: sae.Tied(c.n_features)),
    "gated": steered(lambda c: sae.Gated(c.n_features)),
    "p-annealing": steered(lambda c: _annealed(_relu(c), c.steps)),
    "gated p-annealing": steered(lambda c: _annealed(sae.Gated(c.n_features), c.steps)),
    "JumpReLU": steered(lambda c: sae.JumpReLU(c.n_features)),
}
SELECTING: dict[str, Make] = {
    "TopK": lambda c: sae.TopK(c.n_features, k=float(c.k)),
    "TopK, pruned": lambda c: sae.Pruned(sae.TopK(c.n_features, k=float(c.k)), 0.3),
    "AbsTopK": lambda c: sae.AbsTopK(c.n_features, k=float(c.k)),
    "BatchTopK": lambda c: sae.BatchTopK(c.n_features, k=c.l0),
    "BatchTopK, k annealed": lambda c: sae.BatchTopK(
        c.n_features, k=c.l0, k_start=4 * c.l0, anneal_steps=c.steps // 2
    ),
    "BatchTopK, tilted": lambda c: sae.BatchTopK(c.n_features, k=c.l0, tilt=1.0),
    "frozen decoder": lambda c: sae.FrozenDecoder(sae.BatchTopK(c.n_features, k=c.l0)),
}
FURTHER: dict[str, Make] = {
    "ISTA step": lambda c: sae.IstaStep(sae.BatchTopK(c.n_features, k=c.l0)),
    "OrtSAE": lambda c: sae.OrtSAE(sae.BatchTopK(c.n_features, k=c.l0)),
    "aligned": lambda c: sae.Aligned(sae.BatchTopK(c.n_features, k=c.l0)),
    "archetypal": _archetypal,
    "Matryoshka": lambda c: sae.Matryoshka(c.n_features, prefixes(c.n_features), k=c.l0),
    "Matryoshka, ReLU+L1": steered(
        lambda c: sae.MatryoshkaReLU(c.n_features, prefixes(c.n_features))
    ),
    "Matryoshka, sampled": steered(lambda c: sae.SampledMatryoshka(c.n_features)),
}
PURSUITS: dict[str, Make] = {
    "matching pursuit": lambda c: sae.MatchingPursuit(c.n_features, k=c.k),
    "OMP": lambda c: sae.OMP(c.n_features, k=c.k),
}
VARIANTS = PENALISED | SELECTING | FURTHER | PURSUITS
CONTROL = "frozen decoder"
SIGNED = ("AbsTopK",)
CLASSICAL: dict[str, Make] = {
    "PCA": lambda c: classical.PCA(min(c.n_features, c.x.shape[1])),
    "ICA": lambda c: classical.ICA(min(c.n_features, c.x.shape[1])),
    "k-means": lambda c: classical.KMeans(c.n_features),
    "MOD": lambda c: classical.MOD(c.n_features, k=c.k),
    "K-SVD": lambda c: classical.KSVD(c.n_features, k=c.k),
    "online dictionary learning": lambda c: classical.OnlineDictionary(
        c.n_features, penalty=0.2 * c.true_l0 / c.l0
    ),
}

FAMILIES = {
    "a penalty, steered": tuple(PENALISED),
    "a number of latents": tuple(SELECTING),
    "added structure": tuple(FURTHER),
    "pursuits, classical": (*PURSUITS, *CLASSICAL),
}


def train(
    key: Key[Array, ""],
    contests: list[Contest],
    make: Make,
    title: str,
    world: Any,
    settings: Any,
    job: Job,
) -> tuple[list[Group], float]:
    """Every target and seed of a variant in one program, as one group [target * seed],
    and the seconds that one of them takes once compiled.
    """
    key_init, key_data = jax.random.split(key)
    optimizer = training.adam(settings.learning_rate, settings.steps)
    stacked = ensemble.stack([make(c) for c in contests for _ in range(settings.n_seeds)])
    n_members = len(contests) * settings.n_seeds

    def start(key, dictionary):
        return training.start(key, dictionary, world.d_model, optimizer)

    def advance(state, dictionary, n):
        return training.advance(
            key_data,
            dictionary,
            state,
            n,
            world=world,
            optimizer=optimizer,
            batch_size=settings.batch_size,
        )

    seeds = jax.random.split(key_init, settings.n_seeds)
    place = jnp.arange(n_members) % settings.n_seeds
    together = ensemble.over_members(advance, n_members, shared=1)
    checkpoints = job.checkpoints(title)
    checkpoints.seconds = 0  # a variant takes seconds, all of them many minutes
    began = time.monotonic()
    state, history = loop.run(
        jax.jit(lambda state, n: together(state, stacked, n)),
        jax.vmap(start)(seeds[place], stacked),
        settings.steps,
        chunk=max(1, settings.steps // 6),
        progress=job.progress(title, settings.steps),
        checkpoints=checkpoints,
        measure=lambda state: {"clock": jnp.asarray(time.monotonic() - began)},
    )
    # The median passes over a chunk during which the command was interrupted.
    rates = np.diff(history.metrics["clock"]) / np.diff(history.step)
    seconds = float(np.median(rates)) * settings.steps / n_members
    return [Group(stacked, state.params)], seconds


def turned(group: Group, x: Float[Array, "sample d_model"]) -> Group:
    """Signed latents turned so that their mean codes are positive."""
    means = jax.vmap(lambda d, params: d.encode(params, x).mean(0))(*group)
    return group._replace(params=jax.vmap(abstopk.turned)(group.params, means < 0))


def decompose(
    key: Key[Array, ""], contests: list[Contest], make: Make, n_seeds: int
) -> tuple[list[Group], float]:
    """A classical method, fitted to the samples of each contest by each seed: a group per
    target, and the seconds of one fit once compiled.
    """
    groups, clock = [], []
    for contest in contests:
        method = make(contest)
        compiled = jax.jit(type(method).fit)
        found = []
        for seed in jax.random.split(jax.random.clone(key), n_seeds):
            began = time.monotonic()
            found.append(jax.block_until_ready(compiled(method, seed, contest.x)))
            clock.append(time.monotonic() - began)
        groups.append(Group(ensemble.stack([method] * n_seeds), ensemble.stack(found)))
    return groups, min(clock)
