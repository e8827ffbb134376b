"""Edits of a maze player: checks that notice failure, and a run of a few steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.experiment import Job
from experiments.maze import interventions as edits
from figures.maze import maze_interventions as figure
from synthetic import random
from toymodels import pretrained
from toymodels.maze import presets
from toymodels.maze.listing import Listed

NAMES = ("no edit", "oracle", *figure.LOOKS)


def found(**changed):
    """Every edit half as good as the oracle, controls at 0."""
    row = {"share": 0.5, "kl": 1.0, "legal": 1.0, "best": 0.6, "place": 0, "site": 1}
    rows = {name: dict(row) for name in NAMES}
    rows["oracle"]["best"] = 0.9
    for name in edits.CONTROLS:
        rows[name]["share"] = 0.0
    kinds = {kind: {name: dict(of) for name, of in rows.items()} for kind in edits.KINDS}
    for path, value in changed.items():
        kind, name, score = path.split("/")
        kinds[kind][name][score] = value
    return {"found": kinds}


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"swap/oracle/best": 0.8}, "swap, oracle"),
        ({"add/latents/best": 0.3}, "add, latents"),
        ({"remove/random direction/share": 0.9}, "remove, random direction"),
        ({"add/another pair/share": 0.06}, "add, another pair"),
    ],
)
def test_a_check_notices(changed, failing):
    assert all(check.passed for check in edits.make_checks(found()))
    checks = edits.make_checks(found(**changed))
    assert [failing in check.name for check in checks if not check.passed] == [True]


def test_directions_point_from_one_connection_to_another():
    """Rows with connection e are v_e, around a mean that depends on the slot."""
    rng = np.random.default_rng(0)
    truth = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    mazes = np.stack([rng.permutation(6)[:4] for _ in range(500)])
    x = truth[mazes] + 5 * rng.normal(size=(1, 4, 6))
    listed = Listed(
        jnp.asarray(x)[None, None], jnp.asarray(mazes[..., None] == np.arange(6))
    )
    found = edits.directions_of(random.key(0), listed)
    for name in ("mean difference", "probe"):
        difference = np.asarray(found[name][0, 0, 2] - found[name][0, 0, 5])
        right = truth[2] - truth[5]
        cosine = difference @ right / np.linalg.norm(difference) / np.linalg.norm(right)
        assert cosine > 0.98, name
    other = np.asarray(found["another pair"][0, 0, 2])
    np.testing.assert_allclose(other, found["mean difference"][0, 0, 5], atol=1e-6)


@pytest.mark.slow
def test_gives_a_whole_record_and_its_figure(monkeypatch, tmp_path):
    preset = presets.tiny()
    untrained = pretrained.Pretrained(preset, preset.init(random.key(190)), {})
    monkeypatch.setattr(pretrained, "load", lambda name: untrained)
    settings = edits.Settings(
        layer=1, n_latents=32, steps=2, n_mazes=40, n_choose=4, n_test=6, strengths=(1.0,)
    )
    result = edits.run(settings, 101, Job(tmp_path, "test"))
    for kind in edits.KINDS:
        rows = result.metrics["found"][kind]
        assert set(rows) == set(NAMES)
        assert rows["oracle"]["share"] == 1
        tried = result.arrays[f"{kind}/mean difference"]
        assert tried.shape == (2, 5)
        assert np.isfinite(tried).all()
        assert np.isfinite(result.arrays[f"{kind}/latents"]).sum() == 1
    drawn = figure.draw({"metrics": result.metrics}, result.arrays)
    assert len(drawn.axes) == 6
    assert jax.tree.all(jax.tree.map(np.isfinite, result.metrics["found"]))
