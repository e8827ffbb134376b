"""Checks of the benchmark commands: the published numbers pass, broken ones do not."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import generalisation, overfitting, synthsaebench
from experiments.competition import CONTROL, MODES, Found, Settings

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
        (f"{CONTROL}/training/mcc_dec", 2.0, f"{CONTROL}, distance of mcc_dec"),
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


def test_ranks_and_their_agreement():
    assert generalisation.ranks([0.1, 0.9, 0.5]).tolist() == [3, 1, 2]
    ranked = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [4, 3, 2, 1], [2, 1, 3, 4]])
    worlds = [generalisation.STANDARD, "same", "opposite", "one swap"]
    found = generalisation.agreement(ranked, worlds)
    # One of six pairs is in another order: (5 - 1) / 6.
    assert found == pytest.approx({"same": 1, "opposite": -1, "one swap": 4 / 6})
    assert generalisation.agreement(ranked[1:], worlds[1:]) == {}


def test_generalisation_checks_hold_for_the_table_and_notice_other_data():
    settings = replace(FULL, worlds=(WORLD,))

    def broken(found):
        checks = generalisation.make_checks(settings, {WORLD: found})
        return [check.name for check in checks if not check.passed]

    assert broken(published()) == []
    (name,) = broken(changed("JumpReLU/exported/true_l0", 1.001))
    assert "difference of true L0 between variants" in name
    assert "above the floor" in broken(changed("ReLU+L1/exported/latent_f1", 0.01))[0]
    assert "above the best" in broken(changed("Matryoshka/exported/mcc_dec", 1.4))[0]


def overfitted():
    """As published in the first world; matching pursuit ahead in the other."""
    first = published(replace(FULL, l0s=(25.0,)))
    second = published(replace(FULL, l0s=(25.0,)))
    for mode in MODES:
        second.scores[f"matching pursuit/{mode}/mcc_dec"][:] = 0.97
    return {overfitting.TIGHT: first, overfitting.CROWDED: second}


def test_overfitting_as_published_passes_and_its_absence_does_not():
    settings = overfitting.Settings()

    def broken(found):
        checks = overfitting.make_checks(settings, found)
        return [check.name for check in checks if not check.passed]

    assert broken(overfitted()) == []
    found = overfitted()
    found[overfitting.TIGHT].ceilings["hedged directions"]["explained_variance"] = 0.9
    assert broken(found) == ["too few latents: explained variance above hedged right codes"]
    found = overfitted()
    found[overfitting.CROWDED].scores["matching pursuit/training/mcc_dec"][:] = 0.7
    assert len(broken(found)) == 2
