"""The world, the sizes, and checks that tell a right plane from a wrong one."""

import numpy as np
import pytest

from experiments.phenomena import mmcs_grid
from experiments.phenomena.mmcs_grid import Settings
from synthetic import random

SIZES = np.array([16, 32, 64, 128, 256])
PENALTIES = np.array([0.01, 0.1, 0.3, 3.0])


def right_plane():
    """Found in the middle once there are latents enough, dead beyond the true size."""
    mmcs = np.array([[0.5, 0.6, 0.6, 0.4]] * 2 + [[0.6, 0.95, 0.97, 0.45]] * 3)
    return {
        "mmcs": mmcs,
        "larger": mmcs[:4],
        "dead": np.array([[0, 0, 0, 9]] * 3 + [[0, 60, 64, 99], [0, 190, 192, 200]]),
        "missed": np.zeros((5, 4)),
    }


def failed(cells):
    checks = mmcs_grid.make_checks(
        Settings(), PENALTIES, SIZES, cells, floor=np.full(5, 0.42)
    )
    return [check.name for check in checks if not check.passed]


def test_the_right_plane_passes():
    assert failed(right_plane()) == []


def test_a_dictionary_that_finds_nothing_fails():
    cells = right_plane() | {"mmcs": np.full((5, 4), 0.42)}
    assert "MMCS at the true size, best penalty" in failed(cells)
    assert "MMCS at the lowest penalty, below the best" in failed(cells)


def test_without_a_larger_size_its_checks_fail():
    cells = {name: values[:3] for name, values in right_plane().items()}
    checks = mmcs_grid.make_checks(
        Settings(), PENALTIES, SIZES[:3], cells, floor=np.full(3, 0.42)
    )
    assert [check.name for check in checks if not check.passed] == [
        "MMCS with more latents than features, best penalty: the least",
        "share of latents dead, least of the larger sizes over the true size",
        "penalty where sizes agree most, over the best",
    ]


def test_dead_latents_everywhere_are_no_jump():
    cells = right_plane()
    cells["dead"] = np.repeat(SIZES[:, None] // 2, 4, axis=1)
    assert failed(cells) == [
        "share of latents dead, least of the larger sizes over the true size"
    ]


def test_the_band():
    assert mmcs_grid.band(PENALTIES, right_plane()["mmcs"][2]) == [0.1, 0.3]
    assert mmcs_grid.band(PENALTIES, np.zeros(4)) == []


def test_sizes_double():
    assert mmcs_grid.dictionary_sizes(Settings()) == [16, 32, 64, 128, 256]


def test_the_world_has_the_stated_density_and_decay():
    world = mmcs_grid.make_world(random.key(0), Settings(n_features=512, mean_l0=5.0))
    probability = np.asarray(world.firing.probability)
    assert probability.sum() == pytest.approx(5, rel=1e-5)
    np.testing.assert_allclose(probability[1:] / probability[:-1], 0.99, rtol=1e-4)
    # 5 over the sum of the series, (1 - 0.99^512) / 0.01.
    assert probability[0] == pytest.approx(0.0503, rel=2e-3)


def test_the_start_is_that_of_linear_layers():
    params = mmcs_grid.apart(random.key(1), 300, 25)
    assert float(abs(params.W_enc).max()) == pytest.approx(0.2, rel=0.01)
    assert float(abs(params.b_enc).max()) == pytest.approx(0.2, rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(params.W_dec, axis=1), 1, rtol=1e-6)
    assert abs(np.sum(np.asarray(params.W_enc).T * params.W_dec, axis=1).mean()) < 0.03
