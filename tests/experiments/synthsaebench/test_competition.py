"""Variants by name, wanted L0s, codes of training, and a tiny contest."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.synthsaebench import competition
from experiments.synthsaebench.competition import CONTROL, Entry, Settings
from synthetic import random
from toymodels.sae import ReLU
from toymodels.sae.batchtopk import BatchTopK

RATE = np.array([0.5, 0.1, 0.9, 0.3] * 4)
TINY = replace(
    Settings(),
    part=64,
    variants=("BatchTopK", "matching pursuit", CONTROL),
    l0s=(64.0, 128.0),
    samples=20 * 32,
    batch_size=32,
    learning_rate=3e-3,
    n_samples=2_048,
)


def test_l0s_are_divided_by_the_part_or_those_of_the_frequent_features():
    settings = Settings(part=4, l0s=(20.0, 25.0))
    assert competition.wanted_l0s(RATE, settings) == (5.0, 6.25)
    # 4 x 0.9 and 1 x 0.5 of five latents: 4.1, rounded up.
    settings = Settings(part=1, l0s=(), n_latents=5)
    assert competition.wanted_l0s(RATE, settings) == (5.0,)


@pytest.mark.parametrize("name", competition.VARIANTS)
def test_every_variant_has_its_size_and_decodes(name):
    entry = Entry(3.2, 12, (3, 12), 4.0, Settings())
    made = competition.VARIANTS[name](entry)
    assert made.n_latents == 12
    params = made.init(random.key(0), 5)
    assert made.decode(params, made.encode(params, np.ones((2, 5)))).shape == (2, 5)
    assert (params.W_dec.shape, made.n_latents) == ((12, 5), 12)


def test_codes_of_training_are_those_of_the_batch_where_there_are_any():
    topk = BatchTopK(12, k=2)
    assert competition.trained_codes(topk) == topk.encode_batch
    control = competition.FrozenDecoder(topk)
    assert competition.trained_codes(control) == topk.encode_batch
    relu = ReLU(12)
    assert competition.trained_codes(relu) == relu.encode


def test_worlds_by_name_are_parts_of_their_whole():
    for name in ("independent", "signed", "crowded"):
        world = competition.WORLDS[name](64)
        expected = (64, 24) if name == "crowded" else (256, 12)
        assert (world.n_features, world.d_model) == expected


@pytest.mark.slow
def test_a_tiny_contest(tmp_path):
    """The shapes, the controls' numbers, and the same data for all."""
    found = competition.compete("independent", TINY, 100, Job(tmp_path, "tiny"))
    assert found.l0s == (1.0, 2.0)
    variants = {path.split("/")[0] for path in found.scores}
    assert variants == set(TINY.variants)
    for values in found.scores.values():
        assert values.shape == (2, 1)
    for name in ("BatchTopK", CONTROL):
        l0 = found.scores[f"{name}/training/l0"][:, 0]
        np.testing.assert_allclose(l0, [1, 2], rtol=1e-3)
    seen = {float(found.scores[f"{n}/training/true_l0"][0, 0]) for n in TINY.variants}
    assert len(seen) == 1
    assert found.true_l0 == pytest.approx(34.5 / 64, rel=1e-5)
    true = found.ceilings["true directions"]
    assert true["mcc_dec"] == pytest.approx(1, abs=1e-6)
    assert true["latent_f1"] == 1
    frozen = found.scores[f"{CONTROL}/training/mcc_dec"]
    assert np.abs(frozen - found.floor["mcc_dec"]).max() < 0.05
    pursuit = "matching pursuit"
    np.testing.assert_array_equal(
        found.scores[f"{pursuit}/exported/l0"], found.scores[f"{pursuit}/training/l0"]
    )
    again = competition.variants((1.0,), jax.tree.map(np.asarray, _example()), 0.5, TINY)
    assert list(again) == list(TINY.variants)


def _example():
    return competition.WORLDS["independent"](64).sample(random.key(0), 64)
