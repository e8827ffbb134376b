"""Players by their loss: checks that notice failure, and a run of a few steps."""

import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import feature_places as places
from figures.maze import maze_feature_places as figure
from toymodels.transformer.positions import Rotary

SCORES = tuple(figure.TITLES)


def metrics(**changed):
    """Weights 0 and 0.1; every score rises from 0.3 to 0.8, but at ; it stays at 0.3."""
    means = {name: [[0.3, 0.8]] for name in SCORES}
    means |= {name: [[0.3, 0.3]] for name in SCORES if "semicolon" in name}
    return {"positions": ["learned"], "weights": [0.0, 0.1], "means": means | changed}


@pytest.mark.parametrize(
    ("score", "values", "failing"),
    [
        ("exact paths", [0.8, 0.7], "exact paths"),
        ("all connections, <PATH_START>", [0.8, 0.7], "<PATH_START>"),
        ("connection listed, second cell, latent", [0.5, 0.4], "latents at b"),
        ("connection listed, semicolon, latent", [0.1, 0.9], "over that at ;"),
    ],
)
def test_a_check_notices(score, values, failing):
    assert all(check.passed for check in places.make_checks(metrics()))
    checks = places.make_checks(metrics(**{score: [values]}))
    assert [failing in check.name for check in checks if not check.passed] == [True]


def test_kinds_differ_in_loss_and_positions_and_share_their_keys():
    settings = places.Settings(weights=(0.0, 1.0), n_seeds=2, steps=7)
    found = {at: (preset, key) for at, preset, _, key in places.kinds(settings, 0)}
    assert len(found) == 8
    for (i, j, k), (preset, key) in found.items():
        assert preset.game.prompt_weight == (0.0, 1.0)[j]
        assert isinstance(preset.position, Rotary) == (i == 1)
        assert preset.n_steps == 7
        assert key == found[0, 0, k][1]
    assert found[0, 0, 0][1] != found[0, 0, 1][1]


@pytest.mark.slow
def test_gives_a_whole_record_and_its_figure(tmp_path):
    settings = places.Settings(
        positions=("rotary",),
        weights=(0.1,),
        n_seeds=1,
        steps=2,
        n_mazes=8,
        n_rows=64,
        n_test=64,
        n_listed=40,
        dictionary_steps=2,
    )
    result = places.run(settings, 101, Job(tmp_path, "test"))
    assert set(result.arrays) == set(SCORES)
    for values in result.arrays.values():
        assert values.shape == (1, 1, 1)
        assert (values >= 0).all()
        assert (values <= 1).all()
    assert result.checks == []
    drawn = figure.draw({"metrics": result.metrics}, result.arrays)
    titles = [panel.get_title() for panel in drawn.axes]
    assert titles[:-1] == list(figure.TITLES.values())
    shown = np.asarray(drawn.axes[0].lines[1].get_ydata())
    np.testing.assert_allclose(shown, result.arrays["exact paths"].ravel())
