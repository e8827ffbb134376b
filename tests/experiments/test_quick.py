"""Every experiment at its quick size and the default seed passes its own checks."""

import pytest

from experiments.harness import runner
from experiments.harness.catalogue import catalogue

# Checks that the default size does not meet either; each experiment's docstring says so.
NOT_MET = {
    "absolute_value": ["best loss over the baseline at density 0.01"],
    "double_descent": ["smallest D of 5 rows", "largest D of 5 rows"],
    "engineering_monosemanticity": [
        "loss of the negative start over the plain one's, at the main rate"
    ],
    "maze_dictionaries": ["the same, before training"],
    "maze_interventions": [
        f"{kind}, {control}: share of the oracle's effect"
        for kind in ("swap", "remove")
        for control in ("another pair", "random direction")
    ],
    "maze_path_start": [
        "open: best corrected F1, held out (low end of the interval)",
        "wall: best corrected F1, held out (low end of the interval)",
        "wall: clear of the model before training (ends of 95 % intervals)",
    ],
    "othello_interventions": [
        "share of KL removed by the best direction",
        "share of KL removed by another square's direction",
    ],
    "othello_world_model": ["squares read: gained by training"],
    "superposition_scaling": ["decay 0.56, alpha 1: slope"],
}
# `superposition` runs others at their quick sizes.
ONE_BY_ONE = sorted(catalogue().keys() - {"superposition"})


@pytest.mark.quick
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_the_quick_size_meets_its_bands(name, tmp_path):
    experiment = catalogue()[name]
    _, record, _ = runner.perform(experiment, experiment.quick, 0, tmp_path)
    failed = {check.name for check in record.checks if not check.passed}
    assert failed <= set(NOT_MET.get(name, ()))
