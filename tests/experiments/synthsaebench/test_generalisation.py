"""Ranks, their agreement, and checks that hold in every world or name the one."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.synthsaebench import competition, generalisation
from experiments.synthsaebench.competition import CONTROL, MODES, Found
from experiments.synthsaebench.generalisation import RANKED, SETTINGS, SHOWN, STANDARD

VARIANTS = ("BatchTopK", "Matryoshka", "matching pursuit", CONTROL)
SMALL = replace(SETTINGS, worlds=(STANDARD, "signed", "independent"), variants=VARIANTS)
# latent_f1, mcc_dec and explained variance of the first three variants, by world.
SCORES = {
    STANDARD: ((0.7, 0.8, 0.4), (0.75, 0.79, 0.69), (0.79, 0.78, 0.83)),
    "signed": ((0.5, 0.6, 0.3), (0.69, 0.75, 0.79), (0.79, 0.83, 0.78)),
    "independent": ((0.5, 0.4, 0.6), (0.75, 0.79, 0.69), (0.79, 0.83, 0.78)),
}


def row(value, **others):
    return dict.fromkeys((*SHOWN, "true_l0"), value) | {"true_l0": 2.0} | others


def contest(world) -> Found:
    """Two seeds about SCORES at 1 L0; the exported codes are the ones that count."""
    scores = {}
    for i, name in enumerate(VARIANTS):
        middle = row(0.1)
        if name != CONTROL:
            middle |= {score: SCORES[world][j][i] for j, score in enumerate(RANKED)}
        for mode in MODES:
            for score, value in middle.items():
                spread = 0 if score == "true_l0" else 0.05
                values = [[value - spread, value + spread]]
                worse = 0.5 if mode == "training" and score in RANKED else 1
                scores[f"{name}/{mode}/{score}"] = worse * np.array(values)
    true, hedged = row(1.0, explained_variance=0.76), row(1.0, explained_variance=0.78)
    ceilings = {"true directions": true, "hedged directions": hedged}
    return Found((2.0,), scores, row(0.02), ceilings, 2.0)


@pytest.fixture
def result(monkeypatch, tmp_path):
    monkeypatch.setattr(
        competition, "compete", lambda world, settings, seed, job: contest(world)
    )
    return generalisation.run(SMALL, 0, Job(tmp_path, ""))


def test_scores_are_means_over_seeds_of_exported_codes_without_the_control(result):
    assert result.metrics["variants"] == list(VARIANTS[:3])
    for j, score in enumerate(RANKED):
        expected = [SCORES[world][j] for world in SMALL.worlds]
        np.testing.assert_allclose(result.arrays[f"score/{score}"], expected)


def test_ranks_by_hand(result):
    expected = {
        "latent_f1": [[2, 1, 3], [2, 1, 3], [2, 3, 1]],
        "mcc_dec": [[2, 1, 3], [3, 2, 1], [2, 1, 3]],
        "explained_variance": [[2, 3, 1], [2, 1, 3], [2, 1, 3]],
    }
    for score, ranks in expected.items():
        np.testing.assert_array_equal(result.arrays[f"rank/{score}"], ranks)


def test_agreement_counts_pairs_in_the_same_order(result):
    """Of three pairs: F1 3 and 0 alike; mcc_dec 1 and 3; explained variance 0 and 0."""
    agreement = result.metrics["agreement"]
    expected = {
        "latent_f1": {"signed": 1, "independent": -1},
        "mcc_dec": {"signed": -1 / 3, "independent": 1},
        "explained_variance": {"signed": -1, "independent": -1},
    }
    for score, values in expected.items():
        assert agreement[score] == pytest.approx(values)
    (line,) = [x for x in result.table if x.startswith("  mcc_dec")]
    assert "signed -0.33, independent +1.00" in line


def test_ties_share_their_ranks():
    assert generalisation.ranks([0.5, 0.9, 0.5]).tolist() == [2.5, 1, 2.5]


def test_without_the_standard_world_there_is_nothing_to_agree_with():
    assert generalisation.agreement(np.ones((2, 3)), ["signed", "independent"]) == {}


def test_the_picture_passes_and_each_fault_is_named_with_its_world(result):
    assert all(check.passed for check in result.checks)
    assert len(result.checks) == 3 * 4

    def failed(**faults):
        found = {world: contest(world) for world in SMALL.worlds}
        found["signed"] = found["signed"]._replace(**faults)
        checks = generalisation.make_checks(SMALL, found)
        return [check.name for check in checks if not check.passed]

    assert failed(floor=row(0.35)) == ["signed: least latent_f1 above the floor"]
    assert failed(true_l0=2.2) == [
        "signed: true L0 of the test over that in closed form",
    ]
    true, hedged = contest("signed").ceilings.values()
    swapped = {"true directions": hedged, "hedged directions": true}
    assert failed(ceilings=swapped) == [
        "signed: explained variance that hedging adds to perfect codes"
    ]
