"""Samples per second of a dictionary step and of world sampling, beside PyTorch peers.

    pip install -e . torch sae-lens dictionary-learning
    python benchmarks/throughput.py [--rounds 7] [--shapes 32x128 64x512] [--out FILE.json]

Every worker does the same work on the same float32 batches of 1,024 samples, all cores
allowed. Workers take turns within a round, so a busy moment of the machine hits all of
them; ratios are taken within rounds and reported as median, lowest and highest. Peers that
are not installed are left out.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers
from benchmarks.race import Run, race, report
from synthetic import SparseFeatures, directions, firing, random
from toymodels.sae import ReLU, TopK, training
from toymodels.training import loop

BATCH = 1024
BANK = 8
SHAPES = {
    "32x128": (32, 128, 8),
    "64x512": (64, 512, 16),
    "256x2048": (256, 2048, 32),
    "768x4096": (768, 4096, 32),
}
# As in dictionary-learning: no auxiliary loss in a short race, as in the peers.
DEAD_AFTER = 10_000_000
MODULES = {
    "plain torch": "torch",
    "sae-lens": "sae-lens",
    "dictionary-learning": "dictionary-learning",
}


def our_step(variant: str, d_model: int, n_latents: int, k: int, bank: np.ndarray) -> Run:
    """Steps of our loop: loss, gradient, Adam, unit rows, dead counters, metrics."""
    topk = TopK(n_latents, k=k, dead_after=DEAD_AFTER)
    dictionary = ReLU(n_latents) if variant == "relu" else topk
    optimizer = training.adam(3e-4, 10**9)
    batches = jax.numpy.asarray(bank)

    def pick(key):
        return batches[jax.random.randint(key, (), 0, len(batches))]

    advance = jax.jit(
        lambda state, n: loop.advance(
            random.key(0),
            state,
            n,
            loss=dictionary.loss,
            sample=pick,
            optimizer=optimizer,
            after=dictionary.after,
        ),
        donate_argnums=0,
    )
    state = training.start(random.key(1), dictionary, d_model, optimizer)

    def run(n: int) -> None:
        nonlocal state
        state, _ = jax.block_until_ready(advance(state, n))

    return run


def our_sampling(d_model: int, n_features: int, batch: int) -> Run:
    """Batches of a sparse world with independent features, 16 present on average."""
    rate = firing.constant(n_features, peers.MEAN_L0 / n_features)
    world = SparseFeatures(
        directions.random(random.key(0), n_features, d_model), firing.Independent(rate)
    )

    def total(n):
        def add(i, sum_so_far):
            x = world.sample(jax.random.fold_in(random.key(1), i), batch).x
            return sum_so_far + x.sum(0)

        return jax.lax.fori_loop(0, n, add, jax.numpy.zeros(d_model))

    compiled = jax.jit(total)
    return lambda n: jax.block_until_ready(compiled(n))


def main() -> None:
    """Runs the races that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    installed = peers.available()
    if installed:
        peers.set_threads(os.cpu_count() or 1)
    results = {}
    generator = np.random.default_rng(0)
    for shape in options.shapes:
        d_model, n_latents, k = SHAPES[shape]
        bank = generator.normal(size=(BANK, BATCH, d_model)).astype(np.float32)
        for variant in peers.VARIANTS:
            workers = {"ours": our_step(variant, d_model, n_latents, k, bank)}
            for name, peer in peers.PEERS.items():
                if MODULES[name] in installed:
                    workers[name] = peer(variant, d_model, n_latents, k, bank)
            title = f"step of {variant}, d_model {d_model}, {n_latents} latents"
            results[title] = report(title, race(workers, options.rounds, BATCH), "samples")
        workers = {"ours": our_sampling(d_model, n_latents, BATCH)}
        for name, peer in peers.SAMPLING_PEERS.items():
            if MODULES[name] in installed:
                workers[name] = peer(d_model, n_latents, BATCH)
        title = f"sampling of {n_latents} features in {d_model} dimensions"
        results[title] = report(title, race(workers, options.rounds, BATCH), "samples")
    if options.out:
        content = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0]}",
            "versions": {"jax": jax.__version__} | installed,
            "rounds": options.rounds,
            "results": results,
        }
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
