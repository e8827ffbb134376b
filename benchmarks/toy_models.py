"""Steps per second of ensembles of superposition models, beside PyTorch's batched loop.

    pip install -e . torch
    python benchmarks/toy_models.py [--rounds 7] [--out FILE.json]

The peer is the loop of the authors' notebook: all models batched along one axis, einsum,
AdamW, two uniform draws per entry. Ours is `superposition.train`'s program: the same model,
optimizer and batch, with draws of its own for every model ("ours") or the same draws for
all ("ours, shared draws"). A unit is one update of one model.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path

import jax

jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import peers  # noqa: E402
from benchmarks.race import Run, race, report  # noqa: E402
from synthetic import SparseFeatures, firing, random  # noqa: E402
from toymodels import superposition  # noqa: E402

SHAPES = [(5, 2, 100, 1024), (400, 30, 20, 1024), (2, 1, 25_000, 256)]


def our_step(n: int, m: int, models: int, batch: int, share_draws: bool) -> Run:
    """Steps of the program that `superposition.train` drives."""

    def problem(density):
        law = firing.Independent(jnp.full(n, density))
        return superposition.Bottleneck(n, m), SparseFeatures.of_features(law)

    states, advance = superposition.program(
        random.key(0),
        problem,
        np.linspace(1, 0.05, models, dtype=np.float32),
        n_seeds=1,
        batch_size=batch,
        optimizer=optax.adamw(1e-3, weight_decay=0.01),
        share_draws=share_draws,
    )

    def run(steps: int) -> None:
        nonlocal states
        states, _ = jax.block_until_ready(advance(states, steps))

    return run


def notebook_step(n: int, m: int, models: int, batch: int) -> Run:
    """Steps of the notebook's loop, all threads allowed."""
    import torch

    W = torch.nn.Parameter(torch.randn(models, n, m) * 0.3)
    b = torch.nn.Parameter(torch.zeros(models, n))
    density = torch.linspace(1, 0.05, models)[:, None]
    importance = torch.ones(n)
    optimizer = torch.optim.AdamW([W, b], lr=1e-3)

    def step() -> None:
        with torch.no_grad():
            value = torch.rand((batch, models, n))
            absent = torch.rand((batch, models, n)) > density
            features = torch.where(absent, torch.zeros(()), value)
        optimizer.zero_grad(set_to_none=True)
        hidden = torch.einsum("bif,ifh->bih", features, W)
        out = torch.relu(torch.einsum("bih,ifh->bif", hidden, W) + b)
        loss = (importance * (features.abs() - out) ** 2).mean((0, 2)).sum()
        loss.backward()
        optimizer.step()

    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def main() -> None:
    """Runs the races."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    installed = peers.available()
    if "torch" in installed:
        peers.set_threads(os.cpu_count() or 1)
    results = {}
    for n, m, models, batch in SHAPES:
        workers = {
            "ours": our_step(n, m, models, batch, share_draws=False),
            "ours, shared draws": our_step(n, m, models, batch, share_draws=True),
        }
        if "torch" in installed:
            workers["PyTorch notebook"] = notebook_step(n, m, models, batch)
        title = f"{models:,} models of {n} features in {m} dimensions, batches of {batch:,}"
        rates = race(workers, options.rounds, models)
        results[title] = report(title, rates, "model steps")
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
