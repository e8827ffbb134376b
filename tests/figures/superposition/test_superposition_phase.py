"""Phase maps, crossing curves and energy levels, drawn from made-up numbers."""

import numpy as np

from figures.later_toy_models import kgon_energy_levels
from figures.superposition import perturbed_feature, phase_map

R = np.random.default_rng(0)


def test_phase_map(check_figure):
    arrays = {"importance": np.geomspace(0.1, 10, 5), "density": np.geomspace(1, 0.01, 4)}
    for name in ("trained", "best", "templates", "exact"):
        arrays |= {
            f"norm/{name}": R.random((4, 5)),
            f"superposition/{name}": R.random((4, 5)),
            f"boundary/{name}": np.append(R.uniform(0.1, 0.5, 4), np.nan),
            f"upright/{name}": np.array(0.3),
        }
    check_figure(phase_map, {}, arrays)


def test_regions_are_named_where_the_exact_optimum_puts_them():
    """Above a density of 0.3 a rare feature is dropped and a common one alone."""
    r, p = np.geomspace(0.1, 10, 21), np.geomspace(1, 0.01, 21)
    dense, left = p[:, None] > 0.3, r < 1
    arrays = {
        "importance": r,
        "density": p,
        "norm/exact": np.where(dense & left, 0.0, 1.0),
        "superposition/exact": np.where(dense, 0.0, 1.0),
        "boundary/exact": np.full(21, 0.3),
        "upright/exact": np.array(0.3),
    }
    named = {text.get_text(): text.xy for text in phase_map.draw({}, arrays).axes[0].texts}
    assert named.keys() == {"dropped", "alone", "shared"}
    assert named["dropped"][0] < 1 < named["alone"][0]
    assert min(named["dropped"][1], named["alone"][1]) > 0.3 > named["shared"][1]


def test_colours_of_the_three_phases():
    white, alone, shared = phase_map.colour(np.array([0, 1, 1]), np.array([1, 0, 1]))
    np.testing.assert_allclose(white, 1)
    assert alone[2] > alone[0]
    assert shared[0] > shared[2]


def test_perturbed_feature(check_figure):
    record = {"metrics": {"crossing": 0.27, "uniform_crossing": 0.22}}
    arrays = {
        "ratio": np.geomspace(0.2, 3, 6),
        "pentagon": R.random(6) / 1e3,
        "digons": R.random(6) / 1e3,
        "density": np.array([0.1, 0.2]),
        "uniform/pentagon": 1 + R.random(2),
        "uniform/digons": 1 + R.random(2),
        "trained_ratio": np.array([0.2, 0.4]),
        "loss": R.random((2, 3)) / 1e3,
        "winner": R.normal(size=(2, 5, 2)),
    }
    check_figure(perturbed_feature, record, arrays)


def test_kgon_energy_levels(check_figure):
    record = {"metrics": {"levels": {"4-gon": 0.1111, "5-gon": 0.0687}}}
    arrays = {
        f"{key}/{name}": values
        for name in ("SGD", "Adam")
        for key, values in (
            ("step", np.arange(10, 60, 10)),
            ("loss", 0.1 + R.random((5, 3))),
        )
    }
    check_figure(kgon_energy_levels, record, arrays)
