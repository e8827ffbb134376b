"""Ranks, how they agree, and checks that notice what cannot be true."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import generalisation
from experiments.competition import CONTROL, MODES, Found
from experiments.generalisation import SETTINGS, SHOWN, STANDARD

SMALL = replace(SETTINGS, variants=("TopK", "ReLU+L1", CONTROL))


def found(best=0.8, worst=0.6, control=0.1, floor=0.2, hedged=1.0, other_l0=4.0):
    """Two variants between a floor and perfect codes; the control may lie anywhere."""
    scores = {}
    for name, value in zip(SMALL.variants, (best, worst, control), strict=True):
        for mode in MODES:
            for score in SHOWN:
                scores[f"{name}/{mode}/{score}"] = np.full((1, 2), value)
            scores[f"{name}/{mode}/true_l0"] = np.full((1, 2), 4.0)
    scores["TopK/exported/true_l0"] += other_l0 - 4.0
    true = {**dict.fromkeys(SHOWN, 1.0), "true_l0": 4.0}
    ceilings = {
        "true directions": true,
        "hedged directions": {**true, "explained_variance": hedged},
    }
    return Found((2.0,), scores, dict.fromkeys(SHOWN, floor), ceilings, 4.0)


def failed(**changes):
    checks = generalisation.make_checks(SMALL, {"signed": found(**changes)})
    return [check.name.removeprefix("signed: ") for check in checks if not check.passed]


def test_scores_between_floor_and_ceiling_pass_whatever_the_control_does():
    assert failed() == []
    assert failed(control=0.9) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (
            {"worst": 0.15},
            ["least latent_f1 above the floor", "least mcc_dec above the floor"],
        ),
        (
            {"best": 1.1},
            [
                "perfect codes' latent_f1 above the best",
                "perfect codes' mcc_dec above the best",
            ],
        ),
        ({"other_l0": 4.1}, ["largest difference of true L0 between variants"]),
        ({"hedged": 0.9}, ["explained variance that hedging adds to perfect codes"]),
    ],
)
def test_a_check_notices(changes, names):
    assert failed(**changes) == names


def test_ranks_start_at_one_for_the_highest_and_ties_share():
    np.testing.assert_array_equal(generalisation.ranks([0.2, 0.9, 0.5]), [3, 1, 2])
    np.testing.assert_array_equal(generalisation.ranks([0.5, 0.9, 0.5]), [2.5, 1, 2.5])


def test_agreement_is_one_for_the_same_order_and_minus_one_for_the_opposite():
    ranked = np.array([[1, 2, 3], [3, 1, 2], [3, 2, 1], [1, 2, 3]])
    worlds = ["same", STANDARD, "opposite", "again"]
    tau = generalisation.agreement(ranked, worlds)
    # Pairs in the order of the standard less pairs against it, over three pairs.
    assert tau == pytest.approx({"same": -1 / 3, "opposite": 1 / 3, "again": -1 / 3})
    assert generalisation.agreement(ranked[:1], [STANDARD]) == {}
    assert generalisation.agreement(ranked[:1], ["signed"]) == {}


def test_the_table_shows_every_world_and_variant():
    metrics = {"agreement": {"mcc_dec": {"signed": 0.5}}}
    lines = generalisation.table(SMALL, {"signed": found()}, metrics)
    starts = [line.split("  ")[0] for line in lines if line]
    assert starts[1:] == [
        "random directions",
        "true directions",
        "hedged directions",
        *SMALL.variants,
        "Kendall's tau with the ranking on synthsaebench_v2:",
        "",
    ]
    assert lines[-1].endswith("signed +0.50")
