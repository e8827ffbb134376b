"""JAX's 64-bit mode, which another part of a program may have on, changes no dtype of ours.

Dictionaries, worlds and models are float32, counters int32 and random bits uint32 unless
the user gives arrays of another dtype. Most of it is traced and not compiled: a carry whose
dtype changes is an error of tracing.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import SparseFeatures, directions, firing, magnitude, random
from synthetic.firing.active import Events
from synthetic.firing.correlation import Copula, LowRank, random_factors
from synthetic.firing.family import Family
from synthetic.firing.sets import AnticorrelatedSets, CorrelatedSets, Joined
from synthetic.geometry import planes
from synthetic.hierarchy import Gated as GatedFiring
from synthetic.hierarchy import Inherited
from synthetic.hierarchy.forest import Forest
from synthetic.hierarchy.topdown import TopDown
from synthetic.maze import MazeGame, Percolated, Wilson
from synthetic.maze.holdout import split
from synthetic.maze.shift import Within
from synthetic.othello import Classic, OthelloGame, draw_times, positions
from synthetic.parts.paired import Paired, ReLUFunctions
from synthetic.parts.views import Views, shared_and_own
from synthetic.temporal import SinglePositions, TopicsAndTokens
from synthetic.worlds.shift import Apart, Together
from toymodels import sae, superposition
from toymodels.sae import frequency, jumprelu, revival, training
from toymodels.sae.around import scaling
from toymodels.sae.elsewhere import end_to_end
from toymodels.training import ensemble, loop

ROOT = Path(__file__).parents[1]
D_MODEL, BATCH = 8, 16


def dtypes(tree):
    """Of all arrays but keys; Python's numbers have none."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")]
    keys = [jnp.issubdtype(array.dtype, jax.dtypes.prng_key) for array in arrays]
    return {str(array.dtype) for array, key in zip(arrays, keys, strict=True) if not key}


def downstream(weights, x):
    return end_to_end.Effects(x @ weights, (x,))


VARIANTS = {
    "ReLU": lambda: sae.ReLU(12, revive=revival.RandomRestart()),
    "ReLU, resampled": lambda: sae.ReLU(12),
    "TopK": lambda: sae.TopK(12, k=3),
    "AbsTopK": lambda: sae.AbsTopK(12, k=3),
    "BatchTopK": lambda: sae.BatchTopK(12, k=3, k_start=6, anneal_steps=9, tilt=0.5),
    "Matryoshka": lambda: sae.Matryoshka(
        12, (4, 12), (1.0, 0.5), k=3, sort=frequency.FrequencySort()
    ),
    "MatryoshkaReLU": lambda: sae.MatryoshkaReLU(12, (4, 12)),
    "SampledMatryoshka": lambda: sae.SampledMatryoshka(12, 3),
    "Gated": lambda: sae.Gated(12, warmup_steps=9),
    "JumpReLU": lambda: sae.JumpReLU(12, penalty=jumprelu.Tanh(), warmup_steps=9),
    "JumpReLU, quadratic": lambda: sae.JumpReLU(12, penalty=jumprelu.Quadratic(3.0)),
    "ReLUApril": lambda: sae.ReLUApril(12, revive=revival.Resample()),
    "Tied": lambda: sae.Tied(12),
    "MatchingPursuit": lambda: sae.MatchingPursuit(12, k=3),
    "OMP": lambda: sae.OMP(12, k=3),
    "IstaStep": lambda: sae.IstaStep(sae.BatchTopK(12, k=3)),
    "FrozenDecoder": lambda: sae.FrozenDecoder(sae.TopK(12, k=3)),
    "FrozenEncoder": lambda: sae.FrozenEncoder(sae.BatchTopK(12, k=3)),
    "SoftFrozenDecoder": lambda: sae.SoftFrozenDecoder(sae.ReLU(12)),
    "Controlled": lambda: sae.Controlled(sae.ReLU(12), 3.0),
    "PAnnealing": lambda: sae.PAnnealing(sae.Gated(12)),
    "OrtSAE": lambda: sae.OrtSAE(sae.TopK(12, k=3)),
    "Aligned": lambda: sae.Aligned(sae.TopK(12, k=3)),
    "Normalised": lambda: sae.Normalised(sae.BatchTopK(12, k=3), scaling.Uniformly(2.0)),
    "Archetypal": lambda: sae.Archetypal(12, jnp.ones((14, D_MODEL), jnp.float32), k=3),
    "EndToEnd": lambda: sae.EndToEnd(
        12,
        jax.tree_util.Partial(downstream, jnp.ones((D_MODEL, 3), jnp.float32)),
        later=0.1,
    ),
    "Crosscoder": lambda: sae.Crosscoder(12),
    "BatchTopKCrosscoder": lambda: sae.BatchTopKCrosscoder(12, k=3),
    "Transcoder": lambda: sae.Transcoder(12, d_target=4),
    "SkipTranscoder": lambda: sae.SkipTranscoder(12, k=3, d_target=4),
    "TSAE": lambda: sae.TSAE(sae.Matryoshka(12, (4, 12), k=3)),
    "Pruned": lambda: sae.Pruned(sae.TopK(12, k=3), 0.1),
}


def test_no_variant_is_left_out():
    classes = {name for name in sae.__all__ if isinstance(getattr(sae, name), type)}
    named = {name.split(",")[0] for name in VARIANTS}
    assert classes - {"Dictionary", "Params", "Fitted", "Study"} == named


def data(name, key, dtype):
    """A batch of the kind that the variant learns from."""
    if "Transcoder" in name:
        x = jax.random.normal(key, (BATCH, D_MODEL + 4), dtype)
        return Paired(x[:, :D_MODEL], x[:, D_MODEL:])
    several = name == "TSAE" or "Crosscoder" in name
    return jax.random.normal(
        key, (BATCH, 2, D_MODEL) if several else (BATCH, D_MODEL), dtype
    )


def with_settings_of(dictionary, dtype):
    """The numbers of a variant as arrays, such as `ensemble.stack` or a sweep makes."""
    leaves, structure = jax.tree.flatten(dictionary)
    numbers = [jnp.asarray(x, dtype) if isinstance(x, float) else x for x in leaves]
    return jax.tree.unflatten(structure, numbers)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(
    "of_data", ["float32", pytest.param("float64", marks=pytest.mark.slow)]
)
def test_training_keeps_the_dtypes_of_the_weights(name, of_data):
    """Also with data and settings of 64 bits, as an array of Python's numbers has."""

    def train():
        dictionary = with_settings_of(VARIANTS[name](), of_data)
        optimizer = training.adam(3e-3, 100)
        state = training.start(random.key(0), dictionary, D_MODEL, optimizer)
        advanced = loop.advance(
            random.key(1),
            state,
            3,
            loss=dictionary.loss,
            sample=lambda key: data(name, key, of_data),
            optimizer=optimizer,
            after=dictionary.after,
        )
        return state, *advanced

    with jax.enable_x64(True):
        before, after, chunk = jax.eval_shape(train)
    assert dtypes(before) <= {"float32", "int32", "bool"}
    same = jax.tree.map(lambda a, b: a.dtype == b.dtype, before, after)
    assert all(jax.tree.leaves(same))
    assert dtypes(chunk) == {"float32", "int32"}


def independent(n=8):
    return firing.Independent(firing.constant(n, 0.2))


def forest():
    return Forest.of([-1, 0, 0, 1, -1, -1, 4, 4], exclusive=True)


LAWS = {
    "Independent": lambda: firing.Independent(firing.zipf(8, 0.5, 0.4, 0.1)),
    "log-uniform": lambda: firing.Independent(
        firing.log_uniform(random.key(1), 8, 0.01, 0.3)
    ),
    "ExactlyK": lambda: firing.ExactlyK(8, 3),
    "Events": lambda: Events(firing.constant(8, 0.2), 20),
    "CorrelatedSets": lambda: CorrelatedSets(firing.constant(4, 0.2), 2),
    "Joined": lambda: Joined(
        (AnticorrelatedSets.per_feature(firing.constant(2, 0.2), 2), independent(4))
    ),
    "Copula": lambda: Copula.of_correlation(firing.constant(8, 0.2), 0.5 * np.eye(8) + 0.5),
    "LowRank": lambda: LowRank(
        firing.constant(8, 0.2), random_factors(random.key(1), 8, 3, 0.3)
    ),
    "Family": lambda: Family(0.3, firing.constant(7, 0.5), firing.constant(7, 0.1)),
    "Gated": lambda: GatedFiring(independent(), forest()),
    "TopDown": lambda: TopDown.of(independent(), forest()),
    "Apart": lambda: Apart(independent(), jnp.array([[0, 1], [4, 5]], jnp.int32)),
    "Together": lambda: Together(independent(), jnp.array([[0, 1], [4, 5]], jnp.int32)),
}
MAGNITUDES = {
    "Constant": lambda: magnitude.Constant(),
    "Uniform": lambda: magnitude.Uniform(magnitude.linear(8, 0.0, 0.5)),
    "RectifiedNormal": lambda: magnitude.RectifiedNormal(),
    "FoldedNormal": lambda: magnitude.FoldedNormal(),
    "LogNormal": lambda: magnitude.LogNormal(),
    "Pareto": lambda: magnitude.Pareto(),
    "Signed": lambda: magnitude.Signed(magnitude.LogNormal()),
    "Inherited": lambda: Inherited(
        magnitude.LogNormal(), forest(), magnitude.linear(8, 1.0, 2.0)
    ),
}


def sparse(law, size=None, **more):
    rows = directions.random(random.key(2), 8, D_MODEL)
    return SparseFeatures(
        rows, law, size or magnitude.Uniform(), bias=0.5, noise=0.1, **more
    )


def topics():
    rows = directions.random(random.key(2), 8, D_MODEL)
    return TopicsAndTokens(rows, independent(4), independent(4), noise=0.1)


WORLDS = (
    {name: lambda law=law: sparse(law()) for name, law in LAWS.items()}
    | {
        name: lambda size=size: sparse(independent(), size())
        for name, size in MAGNITUDES.items()
    }
    | {
        "Circle": lambda: SparseFeatures(
            planes(random.key(3), 4, D_MODEL), LAWS["CorrelatedSets"](), magnitude.Circle()
        ),
        "features": lambda: SparseFeatures.of_features(independent()),
        "TopicsAndTokens": topics,
        "SinglePositions": lambda: SinglePositions(topics()),
        "Views": lambda: Views(
            shared_and_own(random.key(4), 2, 1, D_MODEL), independent(4)
        ),
        "ReLUFunctions": lambda: ReLUFunctions(
            sparse(independent()),
            jnp.eye(8, dtype=jnp.float32),
            directions.antipodal_pairs(4),
        ),
        "MazeGame": lambda: MazeGame.of(Percolated(Wilson(3), 0.4), prompt_weight=0.25),
        "a part of the mazes, placed": lambda: MazeGame.of(
            Within(split(Wilson(3), 0.3)[1], 4, None, None)
        ),
        "OthelloGame": lambda: OthelloGame(Classic(4)),
    }
)


@pytest.mark.parametrize("name", WORLDS)
def test_worlds_sample_in_32_bits(name):
    with jax.enable_x64(True):
        world = WORLDS[name]()
        batch = jax.eval_shape(lambda key: world.sample(key, BATCH), random.key(5))
    assert not {"int64", "uint64", "float64"} & dtypes((world, batch))


@pytest.mark.parametrize("name", [*LAWS, *MAGNITUDES])
def test_settings_of_64_bits_widen_no_sample(name):
    """Probabilities and sizes are numbers of the law; directions say what x is."""

    def widened(setting):
        is_float = jnp.issubdtype(jnp.result_type(setting), jnp.floating)
        return jnp.asarray(setting, jnp.float64) if is_float else setting

    with jax.enable_x64(True):
        plain = WORLDS[name]()
        law, size = jax.tree.map(widened, (plain.firing, plain.magnitude))
        world = replace(
            plain, firing=law, magnitude=size, bias=widened(0.5), noise=widened(0.1)
        )
        batch = jax.eval_shape(lambda key: world.sample(key, BATCH), random.key(5))
    assert dtypes(batch) == {"float32"}


def test_positions_of_games_count_in_32_bits():
    def found(key):
        games = OthelloGame(Classic(4)).sample(key, BATCH).games
        times = draw_times(games, firing.uniform(jax.random.clone(key), (BATCH, 3)))
        return times, positions(games, times), positions(games)

    with jax.enable_x64(True):
        assert not {"int64", "float64"} & dtypes(jax.eval_shape(found, random.key(6)))


@pytest.mark.parametrize(
    "model",
    [
        lambda density: superposition.Bottleneck(5, 2, importance=density),
        lambda density: superposition.HiddenReLU(5, 2, init_scale=density),
        lambda density: superposition.AbsoluteValue(5, 2),
        lambda density: superposition.CompressedReLU(5, 2, mixing=density),
        lambda density: superposition.PenalisedHidden(
            superposition.Bottleneck(5, 2), weight=density
        ),
    ],
    ids=["Bottleneck", "HiddenReLU", "AbsoluteValue", "CompressedReLU", "PenalisedHidden"],
)
def test_toy_models_are_float32_whatever_is_swept(model):
    def problem(density):
        law = firing.Independent(jnp.full(5, density))
        return model(density), SparseFeatures.of_features(law)

    def train(settings):
        states, advance = superposition.program(
            random.key(7),
            problem,
            settings,
            n_seeds=2,
            batch_size=BATCH,
            optimizer=training.adam(1e-3, 10),
        )
        return states, *advance(states, 3)

    with jax.enable_x64(True):
        settings = jnp.array([0.1, 0.5])
        assert settings.dtype == "float64"
        found = jax.eval_shape(train, settings)
    assert dtypes(found) == {"float32", "int32"}


def test_a_stack_of_members_is_of_32_bits():
    with jax.enable_x64(True):
        stacked = ensemble.stack([sae.TopK(12, k=k, aux=k / 32) for k in (1, 2)])
    assert dtypes(stacked) == {"float32", "int32"}


# A user's program; run whole, with the bits on from the start and off.
PROGRAM = """
import hashlib, json
import jax, numpy as np
from synthetic import random
from synthetic.worlds import standard
from toymodels import fit, score
from toymodels.sae import TopK

def digest(tree):
    whole = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
    return hashlib.md5(whole).hexdigest()

world = standard.world("hierarchy")
batch = world.sample(random.key(0), 64)
dictionary = TopK(24, k=2)
fitted = fit(random.key(1), dictionary, world, 20, 64, chunk=10)
params, history = fitted.params, fitted.history
report = score(
    fitted, world, random.key(2), n_samples=512, block=64, draws=20, pursuit_samples=64,
)
print(json.dumps({
    "wide": bool(jax.numpy.zeros(1).dtype == "float64"),
    "dtypes": sorted({str(leaf.dtype) for leaf in jax.tree.leaves((batch, params))}),
    "batch": digest((batch, world.directions, world.firing)),
    "loss": history.metrics["loss"].tolist(),
    "mcc": report.values["mcc_dec"],
    "explained": report.values["explained_variance"],
}))
"""


def run_program(double):
    env = os.environ | {"JAX_ENABLE_X64": str(int(double)), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_program_draws_the_same_samples_and_trains_the_same_dictionary():
    on, off = run_program(True), run_program(False)
    assert (on.pop("wide"), off.pop("wide")) == (True, False)
    for name in ("loss", "mcc", "explained"):
        np.testing.assert_allclose(on.pop(name), off.pop(name), rtol=1e-4)
    assert on == off
