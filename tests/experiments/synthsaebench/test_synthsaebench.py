"""Checks of the benchmark commands: the published numbers pass, broken ones do not."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.synthsaebench import synthsaebench
from experiments.synthsaebench.competition import CONTROL, MODES, Found, Settings

FULL = Settings()
WORLD = "synthsaebench_v2"
SCORES = ("latent_f1", "mcc_dec", "uniqueness", "explained_variance")


def row(f1, mcc, unique, explained, l0=25.0):
    return {
        "latent_f1": f1,
        "mcc_dec": mcc,
        "uniqueness": unique,
        "explained_variance": explained,
        "l0": l0,
        "dead": 0.0,
        "rare_f1": 0.0,
        "true_l0": 34.5,
    }


def published(settings=FULL) -> Found:
    """The published table, with the frozen decoder at the floor."""
    scores = {}
    for name in settings.variants:
        rows = [
            row(*synthsaebench.PUBLISHED[l0].get(name, (0.03, 0.15, 0.8, 0.3)), l0=l0)
            for l0 in settings.l0s
        ]
        for mode in MODES:
            for score in rows[0]:
                values = np.array([[one[score]] for one in rows])
                scores[f"{name}/{mode}/{score}"] = values
    ceilings = {
        "true directions": row(1.0, 1.0, 1.0, 0.762),
        "hedged directions": row(1.0, 0.963, 1.0, 0.794),
    }
    return Found(settings.l0s, scores, row(0.02, 0.148, 0.8, 0.0), ceilings, 34.5)


def failed(found, settings=FULL):
    checks = synthsaebench.make_checks(WORLD, found, settings)
    return [check.name for check in checks if not check.passed]


def changed(path, factor):
    found = published()
    found.scores[path] = found.scores[path] * factor
    return found


def test_the_published_table_passes_and_is_compared_whole():
    assert failed(published()) == []
    names = [c.name for c in synthsaebench.make_checks(WORLD, published(), FULL)]
    compared = [name for name in names if " at L0 " in name]
    assert len(compared) == 2 * 5 * 4


def test_other_budgets_are_not_compared_with_it():
    for settings in (replace(FULL, samples=10**6), replace(FULL, part=16)):
        names = [c.name for c in synthsaebench.make_checks(WORLD, published(), settings)]
        assert not [name for name in names if " at L0 " in name]


@pytest.mark.parametrize(
    ("path", "factor", "sentence"),
    [
        ("BatchTopK/training/latent_f1", 0.95, "BatchTopK at L0 25, latent_f1"),
        ("ReLU+L1/training/mcc_dec", 0.25, "least mcc_dec above the floor"),
        ("JumpReLU/training/latent_f1", 0.1, "least F1 above the floor"),
        ("JumpReLU/training/l0", 1.1, "ReLU+L1 and JumpReLU, L0 off"),
        ("Matryoshka/training/l0", 1.1, "BatchTopK and Matryoshka, L0 off"),
        (f"{CONTROL}/training/latent_f1", 30.0, f"least F1 above the {CONTROL}'s"),
        ("matching pursuit/training/explained_variance", 0.9, "hedged right codes"),
        ("matching pursuit/training/uniqueness", 1.3, "uniqueness below every other"),
    ],
)
def test_what_is_broken_is_named(path, factor, sentence):
    assert any(sentence in name for name in failed(changed(path, factor)))


def test_wrong_ceilings_are_named():
    found = published()
    found.ceilings["hedged directions"]["mcc_dec"] = 0.99
    (name,) = failed(found)
    assert name.endswith("mcc_dec of perfect codes, hedged directions")


def test_the_table_sets_the_published_beside():
    lines = synthsaebench.table(WORLD, published(), FULL)
    assert len(lines) == 2 + 3 + 2 * (2 * len(FULL.variants) + 5)
    (line,) = [x for x in lines if x.startswith("Matryoshka, L0 25, published")]
    assert line.split()[-4:] == ["0.879", "0.793", "0.999", "0.779"]
