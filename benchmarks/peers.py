"""The PyTorch side of the speed benchmark: what a user would pick instead of us.

A training peer is called as `peer(variant, d_model, n_latents, k, bank)` and gives
back `run(n)`, which makes `n` optimizer steps. `variant` is "relu" (ReLU with an L1
penalty weighted by the decoder norms) or "topk"; `k` is used by "topk" alone. `bank` is
float32, [n_batches, batch, d_model], and step t trains on `bank[t % n_batches]`. The
weights and the step count live on between calls of `run`, so warm it up before timing.

A sampling peer is called as `peer(d_model, n_features, batch)` and gives back `run(n)`,
which draws `n` batches of activations from a world of independent sparse features.

Everything runs on the CPU in float32. A library keeps its own defaults wherever this
file does not say otherwise. PyTorch and the libraries are imported when a peer is
built, so this file can be imported without them.
"""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from dictionary_learning.trainers.trainer import SAETrainer as DictionaryTrainer
    from sae_lens import TrainingSAE

Run = Callable[[int], None]

VARIANTS = ("relu", "topk")
L1_COEFFICIENT = 0.1
LEARNING_RATE = 3e-4
MEAN_L0 = 16

# Both libraries ask for the length of the run. It only places a final decay of the
# learning rate, which neither has by default, so any length beyond the run will do.
TOTAL_STEPS = 10**9


def available() -> dict[str, str]:
    """Name and version of each PyTorch package here that is installed."""
    versions = {}
    for name in ("torch", "sae-lens", "dictionary-learning"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def set_threads(n: int) -> None:
    """Lets PyTorch use `n` threads within an operation, for the whole process."""
    import torch

    torch.set_num_threads(n)


def torch_step(variant: str, d_model: int, n_latents: int, k: int, bank: np.ndarray) -> Run:
    """The plain loop: parameters, a loss, `backward` and Adam.

    A step is: zero the gradients, the forward pass, the squared error summed over
    `d_model` and averaged over the batch, for "relu" the L1 penalty, `backward`, and
    fused Adam. "topk" keeps the `k` largest pre-activations of a row and clips them at
    zero. There is no gradient clipping, no auxiliary loss, no count of dead latents, no
    decoder normalisation, no schedule and no `torch.compile`.
    """
    import torch

    _check_variant(variant)
    directions = torch.nn.functional.normalize(torch.randn(n_latents, d_model), dim=-1)
    W_enc = torch.nn.Parameter(directions.T.contiguous())
    b_enc = torch.nn.Parameter(torch.zeros(n_latents))
    W_dec = torch.nn.Parameter(directions.clone())
    b_dec = torch.nn.Parameter(torch.zeros(d_model))
    optimizer = torch.optim.Adam([W_enc, b_enc, W_dec, b_dec], lr=LEARNING_RATE, fused=True)
    batches = _cycle(bank)

    def encode(x: torch.Tensor) -> torch.Tensor:
        pre = (x - b_dec) @ W_enc + b_enc
        if variant == "relu":
            return pre.relu()
        values, indices = pre.topk(k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter(-1, indices, values.relu())

    def loss(x: torch.Tensor) -> torch.Tensor:
        z = encode(x)
        error = (z @ W_dec + b_dec - x).square().sum(-1).mean()
        if variant == "topk":
            return error
        return error + L1_COEFFICIENT * (z @ W_dec.norm(dim=-1)).mean()

    def run(n: int) -> None:
        for x in itertools.islice(batches, n):
            optimizer.zero_grad()
            loss(x).backward()
            optimizer.step()

    return run


def sae_lens_step(
    variant: str, d_model: int, n_latents: int, k: int, bank: np.ndarray
) -> Run:
    """SAELens: `StandardTrainingSAE` or `TopKTrainingSAE` under its `SAETrainer`.

    A step is `SAETrainer.step` and the advance of its step count: the forward pass with
    the library's hook points and activation scaling (off by default); the squared error
    plus, for "relu", the L1 penalty or, for "topk", the auxiliary loss of the latents
    that have not fired for 1000 steps (skipped while there are none); the firing counts
    and the steps since each latent fired; gradients clipped to norm 1; Adam; and its
    learning-rate and coefficient schedules, both constant. The decoder norms are free;
    "topk" selects on values scaled by them. Left out of the library's `fit` are its
    progress bar, checkpoints, logging, and the summary of sparsity every 2000 steps.
    """
    from sae_lens import SAETrainer
    from sae_lens.config import LoggingConfig, SAETrainerConfig

    _check_variant(variant)
    batch = bank.shape[1]
    config = SAETrainerConfig(
        total_training_samples=TOTAL_STEPS * batch,
        train_batch_size_samples=batch,
        lr=LEARNING_RATE,
        lr_end=LEARNING_RATE,
        logger=LoggingConfig(log_to_wandb=False),
    )
    sae = _sae_lens_sae(variant, d_model, n_latents, k)
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=_cycle(bank))

    def run(n: int) -> None:
        for _ in range(n):
            trainer.step(next(trainer.data_provider))
            trainer.n_training_steps += 1

    return run


def dictionary_learning_step(
    variant: str, d_model: int, n_latents: int, k: int, bank: np.ndarray
) -> Run:
    """dictionary_learning: `StandardTrainerAprilUpdate` or `TopKTrainer`.

    A step is the trainer's `update`. For "relu": the squared error plus the L1 penalty,
    gradients clipped to norm 1, and Adam; the decoder norms are free. For "topk": the
    squared error plus the auxiliary loss of the latents that have not fired for ten
    million samples (skipped while there are none); the samples since each latent fired;
    after step 1000, the running mean of the activation threshold; the part of the
    decoder gradient along each direction removed; gradients clipped to norm 1; Adam;
    and the directions set back to unit norm. Its first step also moves the decoder bias
    to the geometric median of the batch. Both variants warm the learning rate up over
    1000 steps, and "relu" the penalty over 2000.
    """
    _check_variant(variant)
    trainer = _dictionary_learning_trainer(variant, d_model, n_latents, k)
    numbered = enumerate(_cycle(bank))

    def run(n: int) -> None:
        for step, x in itertools.islice(numbered, n):
            trainer.update(step, x)

    return run


def torch_sampling(d_model: int, n_features: int, batch: int) -> Run:
    """The plain version of a world: a random mask, random magnitudes, directions.

    A batch is two dense uniform draws of [batch, n_features], one compared with the
    firing probability and one taken as the magnitudes, and one matrix product.
    """
    import torch

    p = _firing_probability(n_features)
    directions = torch.nn.functional.normalize(torch.randn(n_features, d_model), dim=-1)

    def sample() -> torch.Tensor:
        fires = torch.rand(batch, n_features) < p
        return (fires * torch.rand(batch, n_features)) @ directions

    def run(n: int) -> None:
        for _ in range(n):
            sample()

    return run


def sae_lens_sampling(d_model: int, n_features: int, batch: int) -> Run:
    """SAELens: its `ActivationGenerator` and `FeatureDictionary` under its iterator.

    A batch is a Bernoulli draw of [batch, n_features]; normal magnitudes, clipped at
    zero, drawn for the firing features alone and written into a dense array; one matrix
    product; and the addition of a bias, which is zero here. The mean and the standard
    deviation before the clip are those of the uniform magnitudes of `torch_sampling`.
    The directions are random unit vectors: orthogonalising them, the library's default,
    is work done once and changes no batch's cost.
    """
    from sae_lens.synthetic import (
        ActivationGenerator,
        FeatureDictionary,
        SyntheticActivationIterator,
    )

    generator = ActivationGenerator(
        n_features,
        firing_probabilities=_firing_probability(n_features),
        mean_firing_magnitudes=0.5,
        std_firing_magnitudes=12**-0.5,
    )
    directions = FeatureDictionary(n_features, d_model, initializer=None)
    batches = SyntheticActivationIterator(directions, generator, batch)

    def run(n: int) -> None:
        for _ in range(n):
            next(batches)

    return run


PEERS: dict[str, Callable[[str, int, int, int, np.ndarray], Run]] = {
    "plain torch": torch_step,
    "sae-lens": sae_lens_step,
    "dictionary-learning": dictionary_learning_step,
}

SAMPLING_PEERS: dict[str, Callable[[int, int, int], Run]] = {
    "plain torch": torch_sampling,
    "sae-lens": sae_lens_sampling,
}


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, expected one of {VARIANTS}")


def _firing_probability(n_features: int) -> float:
    """The probability at which `MEAN_L0` features fire on average."""
    if n_features < MEAN_L0:
        raise ValueError(f"n_features is {n_features}, expected at least {MEAN_L0}")
    return MEAN_L0 / n_features


def _cycle(bank: np.ndarray) -> Iterator[torch.Tensor]:
    """The batches of the bank as tensors, converted once, over and over."""
    import torch

    return itertools.cycle(torch.tensor(bank).unbind())


def _sae_lens_sae(variant: str, d_model: int, n_latents: int, k: int) -> TrainingSAE:
    import sae_lens

    if variant == "relu":
        config = sae_lens.StandardTrainingSAEConfig(
            d_in=d_model, d_sae=n_latents, l1_coefficient=L1_COEFFICIENT
        )
        return sae_lens.StandardTrainingSAE(config)
    config = sae_lens.TopKTrainingSAEConfig(d_in=d_model, d_sae=n_latents, k=k)
    return sae_lens.TopKTrainingSAE(config)


def _dictionary_learning_trainer(
    variant: str, d_model: int, n_latents: int, k: int
) -> DictionaryTrainer:
    from dictionary_learning.trainers.standard import StandardTrainerAprilUpdate
    from dictionary_learning.trainers.top_k import TopKTrainer

    common = {
        "steps": TOTAL_STEPS,
        "activation_dim": d_model,
        "dict_size": n_latents,
        "layer": 0,
        "lm_name": "none",
        "device": "cpu",
    }
    if variant == "relu":
        return StandardTrainerAprilUpdate(l1_penalty=L1_COEFFICIENT, **common)
    return TopKTrainer(k=k, **common)
