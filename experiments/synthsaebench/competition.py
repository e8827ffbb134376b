"""What the benchmark commands share: variants by name, fitted and scored side by side.

All variants of a world see the same training stream and are scored on the same test
stream (`synthetic.streams`), twice: with the codes of training, where a batch of 1,024
shares its latents, as published scores are; and as exported, each sample on its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PyTree

from experiments.harness.experiment import Job
from experiments.harness.settings import MAY_BE_EMPTY, OneOf
from synthetic import SparseFeatures, random
from synthetic.base import Batch
from synthetic.hierarchy import rates
from synthetic.streams import stream_key
from synthetic.worlds import phenomena, synthsaebench
from toymodels.sae import FrozenDecoder, ReLU, one_stream, training
from toymodels.sae.around.controller import Controlled
from toymodels.sae.base import Dictionary
from toymodels.sae.batchtopk import BatchTopK
from toymodels.sae.jumprelu import JumpReLU, typical_magnitude
from toymodels.sae.matching_pursuit import MatchingPursuit
from toymodels.sae.matryoshka import Matryoshka
from toymodels.scores import controls, geometry, partial_oracle, wide
from toymodels.scores.streaming import sample
from toymodels.training import ensemble, loop

CONTROL = "frozen decoder"
MODES = ("training", "exported")
TEST_BLOCK = 1_024  # samples that share their latents in training mode, as published


@dataclass(frozen=True)
class Settings:
    """Sizes and L0 are those of the whole benchmark; `part` divides them.

    Attributes:
        worlds: names of WORLDS.
        part: worlds and dictionaries are 1 / part of their whole size.
        variants: names of VARIANTS.
        l0s: wanted latents on in a sample; () for the L0 of the most frequent features,
            as many as there are latents, rounded up.
        n_seeds: dictionaries per variant and L0.
        n_latents: of every dictionary.
        prefixes: of Matryoshka, the last one n_latents.
        samples: of training.
        batch_size: samples in a step.
        learning_rate, decay: of Adam, falling to 0 over the last `decay` of the run.
        clip: largest norm of a gradient.
        aux: weight of the auxiliary loss of dead latents.
        dead_after: samples of silence after which a latent is dead.
        gain: of the controller that steers penalised variants to their L0.
        n_samples: of the test.
    """

    worlds: Annotated[tuple[str, ...], OneOf(lambda: WORLDS)] = ("synthsaebench_v2",)
    part: int = 1
    variants: Annotated[tuple[str, ...], OneOf(lambda: VARIANTS)] = (
        "BatchTopK",
        "Matryoshka",
        "matching pursuit",
        "ReLU+L1",
        "JumpReLU",
        CONTROL,
    )
    l0s: Annotated[tuple[float, ...], MAY_BE_EMPTY] = (20.0, 25.0)
    n_seeds: int = 1
    n_latents: int = 4_096
    prefixes: tuple = (128, 512, 2_048, 4_096)
    samples: int = 200_000_000
    batch_size: int = 1_024
    learning_rate: float = 3e-4
    decay: float = 0.0
    clip: float = 1.0
    aux: float = 1 / 32
    dead_after: int = 1_024_000
    gain: float = 3e-4
    n_samples: int = 1_000_000


WORLDS: dict[str, Callable[[int], SparseFeatures]] = {
    "synthsaebench_v1": lambda part: standard(part, scaled=False),
    "synthsaebench_v2": lambda part: standard(part, scaled=True),
    "independent": lambda part: synthsaebench.held_out_independent(part=part),
    "correlated": lambda part: synthsaebench.held_out_correlated(part=part),
    "deep_trees": lambda part: synthsaebench.held_out_deep_trees(part=part),
    "signed": lambda part: synthsaebench.held_out_signed(part=part),
    "crowded": lambda part: phenomena.crowded(),
}


def standard(part: int, scaled: bool) -> SparseFeatures:
    """SynthSAEBench-16k, whole or a part of it."""
    if part > 1:
        return synthsaebench.synthsaebench_part(part, scaled=scaled)
    return (
        synthsaebench.synthsaebench_16k_v2()
        if scaled
        else synthsaebench.synthsaebench_16k_v1()
    )


class Entry(NamedTuple):
    """What a variant is made with.

    Attributes:
        l0: wanted latents on in a sample.
        n_latents, prefixes: sizes.
        magnitude: typical, of a feature that is present.
        settings: the rest.
    """

    l0: float
    n_latents: int
    prefixes: tuple[int, ...]
    magnitude: float
    settings: Settings


def _batch_topk(e: Entry) -> BatchTopK:
    aux, dead_after = e.settings.aux, e.settings.dead_after
    return BatchTopK(e.n_latents, k=e.l0, aux=aux, dead_after=dead_after)


def _matryoshka(e: Entry) -> Matryoshka:
    aux, dead_after = e.settings.aux, e.settings.dead_after
    return Matryoshka(e.n_latents, e.prefixes, k=e.l0, aux=aux, dead_after=dead_after)


def _jumprelu(e: Entry) -> JumpReLU:
    aux, dead_after = e.settings.aux, e.settings.dead_after
    return JumpReLU(e.n_latents, scale=e.magnitude, aux=aux, dead_after=dead_after)


def _relu(e: Entry) -> ReLU:
    return ReLU(e.n_latents, sparsity=e.magnitude, revive=None)


def _steered(make: Callable[[Entry], Dictionary]) -> Callable[[Entry], Dictionary]:
    return lambda e: Controlled(make(e), target_l0=e.l0, gain=e.settings.gain)


VARIANTS: dict[str, Callable[[Entry], Any]] = {
    "BatchTopK": _batch_topk,
    "Matryoshka": _matryoshka,
    "matching pursuit": lambda e: MatchingPursuit(e.n_latents, k=max(1, round(e.l0))),
    "ReLU+L1": _steered(_relu),
    "JumpReLU": _steered(_jumprelu),
    CONTROL: lambda e: FrozenDecoder(_batch_topk(e)),
}


class Found(NamedTuple):
    """What a world's dictionaries scored.

    Attributes:
        l0s: wanted, as trained.
        scores: "variant/mode/score" to [l0, seed].
        floor: of random directions at the first L0.
        ceilings: of perfect codes with true directions and with hedged ones.
        true_l0: of the world, in closed form.
    """

    l0s: tuple[float, ...]
    scores: dict[str, np.ndarray]
    floor: dict[str, float]
    ceilings: dict[str, dict[str, float]]
    true_l0: float


def compete(name: str, settings: Settings, seed: int, job: Job) -> Found:
    """Fits and scores every variant on one world."""
    with job.stage(f"{name}: world and controls"):
        world = WORLDS[name](settings.part)
        rate = rates.firing_rate(world.firing)
        l0s = wanted_l0s(rate, settings)
        example = sample(world, stream_key(seed, "calibrate"), 4 * TEST_BLOCK)
        floor, ceilings = controls_of(world, example, l0s[0], settings, seed)
    stacks = variants(l0s, example, float(rate.sum()), settings)
    with job.stage(f"{name}: dictionaries"):
        params = fit_all(stacks, world, name, settings, seed, job)
    scores = {}
    with job.stage(f"{name}: scores"):
        for variant, members in stacks.items():
            found = score_members(members, params[variant], world, example, settings, seed)
            for path, values in found.items():
                scores[f"{variant}/{path}"] = values.reshape(len(l0s), settings.n_seeds)
    return Found(l0s, scores, floor, ceilings, float(rate.sum()))


def wanted_l0s(rate: np.ndarray, settings: Settings) -> tuple[float, ...]:
    """Each L0 over `part`; else the L0 of the most frequent features, rounded up."""
    if settings.l0s:
        return tuple(l0 / settings.part for l0 in settings.l0s)
    n_latents = settings.n_latents // settings.part
    return (float(np.ceil(np.sort(rate)[::-1][:n_latents].sum())),)


def variants(
    l0s: tuple[float, ...], example: Batch, true_l0: float, settings: Settings
) -> dict[str, PyTree]:
    """Each variant as one stacked pytree of [l0 * seed] dictionaries."""
    magnitude = float(typical_magnitude(example.x, true_l0))
    prefixes = tuple(width // settings.part for width in settings.prefixes)
    entries = [
        Entry(l0, settings.n_latents // settings.part, prefixes, magnitude, settings)
        for l0 in l0s
        for _ in range(settings.n_seeds)
    ]
    return {
        name: ensemble.stack([VARIANTS[name](entry) for entry in entries])
        for name in settings.variants
    }


def fit_all(
    stacks: dict[str, PyTree], world: SparseFeatures, name: str, settings, seed: int, job
) -> dict[str, Any]:
    """The weights of all members of all variants, trained on one stream."""
    n_members = len(jax.tree.leaves(next(iter(stacks.values())))[0])
    steps = settings.samples // settings.batch_size
    optimizer = optax.chain(
        optax.clip_by_global_norm(settings.clip),
        training.adam(settings.learning_rate, steps, decay=settings.decay),
    )
    keys = jax.random.split(random.key(seed), settings.n_seeds)
    keys = keys[jnp.arange(n_members) % settings.n_seeds]

    def start(key, dictionary):
        return training.start(key, dictionary, world.d_model, optimizer)

    def advance(states, dictionaries, n, world):
        return one_stream.advance(
            stream_key(seed, "train"),
            dictionaries,
            states,
            n,
            world=world,
            optimizer=optimizer,
            batch_size=settings.batch_size,
        )

    step = jax.jit(ensemble.over_devices(advance, n_members, shared=2))
    states, _ = loop.run(
        lambda states, n: step(states, stacks, n, world),
        {k: jax.vmap(start)(jax.random.clone(keys), stack) for k, stack in stacks.items()},
        steps,
        chunk=max(1, steps // 20),
        progress=job.progress(name, steps, tuple(f"{k}/loss" for k in list(stacks)[:2])),
        checkpoints=job.checkpoints(name),
    )
    return {variant: state.params for variant, state in states.items()}


def score_members(
    members: PyTree,
    params: Any,
    world: SparseFeatures,
    example: Batch,
    settings: Settings,
    seed: int,
) -> dict[str, np.ndarray]:
    """Scores by "mode/name" as arrays [member], on the same samples for every variant."""
    decoders = [wide.of_decoder(W, world.directions) for W in np.asarray(params.W_dec)]
    partners = ensemble.stack([decoder.partners for decoder in decoders])
    inner = members.inner if isinstance(members, FrozenDecoder) else members
    found = {}
    for mode in MODES if hasattr(inner, "encode_batch") else MODES[:1]:

        def codes(member, batch, is_exported=mode == "exported"):
            dictionary, own = member
            encode = dictionary.encode if is_exported else trained_codes(dictionary)
            z = encode(own, batch.x)
            return z, dictionary.decode(own, z)

        sums = wide.member_sums(
            codes,
            (members, params),
            partners,
            world,
            stream_key(seed, "test"),
            settings.n_samples,
            example.x.mean(0),
            TEST_BLOCK,
        )
        rows = [wide.scores(*pair) for pair in zip(decoders, sums, strict=True)]
        found |= {f"{mode}/{k}": np.array([row[k] for row in rows]) for k in rows[0]}
    same = {path.replace("training", "exported"): found[path] for path in found}
    return same | found


def trained_codes(dictionary: Any) -> Callable[[Any, Array], Array]:
    """The codes as in training, where they differ from those of `encode`."""
    inner = dictionary.inner if isinstance(dictionary, FrozenDecoder) else dictionary
    return getattr(inner, "encode_batch", dictionary.encode)


def controls_of(
    world: SparseFeatures, example: Batch, l0: float, settings: Settings, seed: int
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The floor, and the ceilings by name, on the test samples."""
    key_random, key_chance = jax.random.split(random.named(random.key(seed), "controls"))
    n_latents = settings.n_latents // settings.part
    chosen = partial_oracle.most_frequent(world, n_latents)
    at_random = controls.random_at_l0(key_random, example.x, n_latents, l0)

    def found(control):
        decoder = wide.of_decoder(control.W_dec, world.directions)
        sums = wide.member_sums(
            lambda member, batch: member.codes(batch),
            ensemble.stack([control]),
            ensemble.stack([decoder.partners]),
            world,
            stream_key(seed, "test"),
            settings.n_samples,
            example.x.mean(0),
            TEST_BLOCK,
        )
        return wide.scores(decoder, sums[0])

    floor = found(at_random)
    floor["mcc_dec"] = geometry.chance_mcc_dec(
        key_chance, world.directions, n_latents, draws=2
    )
    rows = partial_oracle.hedged_directions(world, chosen)
    return floor, {
        "true directions": found(partial_oracle.partial_oracle(world, chosen, example)),
        "hedged directions": found(
            partial_oracle.partial_oracle(world, chosen, example, rows)
        ),
    }
