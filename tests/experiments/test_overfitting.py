"""Checks that tell a dictionary that over-fits from one that is better."""

import numpy as np
import pytest

from experiments import overfitting
from experiments.competition import Found
from experiments.overfitting import CROWDED, PURSUIT, SHOWN, TIGHT, VARIANTS, Settings

# As published at full size (arXiv 2602.14687): rows BatchTopK, Matryoshka, pursuit;
# columns mcc_dec, F1, explained variance.
PUBLISHED = [(0.78, 0.85, 0.78), (0.793, 0.879, 0.77), (0.693, 0.446, 0.835)]
BETTER = [(0.80, 0.7, 0.8), (0.80, 0.7, 0.8), (0.97, 0.9, 0.95)]
COLUMNS = ("mcc_dec", "latent_f1", "explained_variance")


def found(rows):
    scores = {}
    for name, row in zip(VARIANTS, rows, strict=True):
        values = dict.fromkeys(SHOWN, 0.5) | dict(zip(COLUMNS, row, strict=True))
        for score, value in values.items():
            scores[f"{name}/training/{score}"] = np.array([[value, value]])
    ends = dict.fromkeys(SHOWN, 0.794)
    return Found((2.0,), scores, ends, {"hedged directions": ends}, 1.4)


def failed(tight, crowded, settings=None):
    both = {TIGHT: found(tight), CROWDED: found(crowded)}
    checks = overfitting.make_checks(settings or Settings(), both)
    return [check.name for check in checks if not check.passed]


def test_the_published_picture_passes():
    assert failed(PUBLISHED, BETTER) == []


def test_a_pursuit_that_is_better_everywhere_does_not_overfit():
    assert failed(BETTER, BETTER) == [
        "too few latents: F1 above the best other variant's",
        "too few latents: mcc_dec of Matryoshka above matching pursuit's",
    ]


def test_a_pursuit_that_is_worse_everywhere_is_no_help_in_a_crowd():
    assert failed(PUBLISHED, PUBLISHED) == [
        "crowded: mcc_dec above the best other variant's",
        "crowded: mcc_dec",
    ]
    worse = [*PUBLISHED[:2], (0.693, 0.446, 0.7)]
    assert failed(worse, BETTER) == [
        "too few latents: explained variance above hedged right codes"
    ]


def test_a_short_run_is_not_held_to_what_takes_a_long_one():
    quick = Settings(steps=Settings.steps // 4)
    assert failed(BETTER, BETTER, quick) == [
        "too few latents: F1 above the best other variant's"
    ]


def test_the_table_has_a_line_for_every_end_and_variant():
    lines = overfitting.table({TIGHT: found(PUBLISHED)})
    assert len(lines) == 1 + 2 + len(VARIANTS)
    assert lines[-1].split()[-len(SHOWN) :] == ["0.693", "0.446", "0.500", "0.835", "0.500"]
    assert PURSUIT in lines[-1]


def test_values_are_those_of_the_codes_of_training():
    one = found(PUBLISHED)
    np.testing.assert_array_equal(overfitting.of(one, PURSUIT, "mcc_dec"), [0.693, 0.693])
    with pytest.raises(KeyError):
        overfitting.of(one, PURSUIT, "unknown")
