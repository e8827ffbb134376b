"""The phases of the phase diagrams, their boundaries and their checks."""

import numpy as np
import pytest
from scipy.optimize import minimize

from experiments.superposition import phase_diagram, phase_diagram_three_features, phases
from experiments.superposition.phases import ALONE, DROPPED, SHARED, Map

ROWS = {
    DROPPED: [[1.0], [0.0]],
    ALONE: [[0.0], [-1.0]],
    SHARED: [[0.9], [-1.0]],
}


@pytest.mark.parametrize(("expected", "rows"), ROWS.items())
def test_phase_of_planted_rows(expected, rows):
    assert phases.phase(phases.measure(np.array(rows))) == expected


def test_superposition_is_the_squared_overlap_with_the_others():
    """A triangle: two others at 120 degrees, cosine -1/2 each."""
    angle = 2 * np.pi * np.arange(3) / 3
    rows = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    found = phases.measure(rows)
    assert found.norm == pytest.approx(2)
    assert found.superposition == pytest.approx(2 * (2 * 0.5) ** 2)


def test_the_worst_model_is_left_out_of_the_average():
    W = np.array([[[1.0], [0.0]], [[1.0], [-1.0]], [[5.0], [9.0]]])
    found = phases.average_without_worst(W, np.array([1.0, 2.0, 3.0]))
    assert found == pytest.approx((0.5, 1.0))


def test_interior_leaves_out_cells_near_a_boundary():
    p = np.geomspace(1, 0.01, 50)
    cells = np.zeros((50, 50), int)
    cells[25:] = SHARED
    # 15 % is less than two steps of 9.8 %.
    assert not phases.interior(cells, p)[23:27].any()
    assert phases.interior(cells, p)[:23].all()
    assert phases.interior(cells, p)[27:].all()


def test_edge_lies_between_the_two_cells():
    p = np.array([1.0, 0.5, 0.25])
    cells = np.array([[DROPPED, ALONE], [DROPPED, ALONE], [SHARED, ALONE]])
    np.testing.assert_allclose(phases.edge(cells, p), [(0.5 * 0.25) ** 0.5, np.nan])


def test_templates_change_at_their_boundary_and_nowhere_else():
    for one in (phase_diagram, phase_diagram_three_features):
        r = np.array([0.1, 0.5, 0.99])
        for side, expected in ((0.999, SHARED), (1.001, DROPPED)):
            cells = one.template_map(r, side * one.template_boundary(r))
            np.testing.assert_array_equal(phases.phase(cells), expected)
    two = phase_diagram.template_boundary(np.array([1.0, 10.0]))
    np.testing.assert_allclose(two, [4 / 7, 0.16])


def test_template_losses_of_three_features_agree_with_those_of_two():
    r, p = np.array(0.4), np.array([0.1, 0.5])
    two = phase_diagram.template_losses(r, p)
    three = phase_diagram_three_features.template_losses(r, p)
    np.testing.assert_allclose(three[[0, 1, 2]], two)
    np.testing.assert_allclose(three[3], p**2 / 3)


def values(n):
    """Midpoints of (0, 1), and 0 for absence, as (value, share) given the density."""
    inside = (np.arange(n) + 0.5) / n
    return lambda p: (np.append(0, inside), np.append(1 - p, np.full(n, p / n)))


def summed_loss(W, b, p, importance, n=60):
    """Of relu(W W^T f + b), summed over two features, on a grid of their values."""
    value, share = values(n)(p)
    f = np.stack(np.meshgrid(value, value, indexing="ij"), axis=-1)
    W = np.reshape(W, (2, 1))
    error = np.square(f - np.maximum(f @ W @ W.T + b, 0))
    return np.einsum("i,j,ijk,k->", share, share, error, importance)


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_template_losses_against_a_grid(p):
    """A dropped feature is answered with its mean p / 2."""
    losses = phase_diagram.template_losses(np.array(0.4), np.array(p))
    importance = np.array([1, 0.4])
    for W, b, expected in zip(
        ([1, 0], [0, 1], [1, -1]), ([0, p / 2], [p / 2, 0], [0, 0]), losses, strict=True
    ):
        found = summed_loss(np.array(W, float), np.array(b), p, importance)
        assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("r", "p"), phase_diagram.BOUNDARY.items())
def test_where_the_pair_stops_paying(r, p):
    """The best pair against one feature alone, min(1, r) (p/3 - p^2/4), on both sides."""
    for density, pays in ((0.99 * p, True), (1.01 * p, False)):
        start = [1, -0.7, 0, 0.05] if r < 1 else [0.7, -1, 0.05, 0]
        pair = minimize(
            lambda x, p: summed_loss(x[:2], x[2:], p, np.array([1, r])),
            start,
            args=(density,),
            method="L-BFGS-B",
        )
        alone = min(1, r) * (density / 3 - density**2 / 4)
        assert (pair.fun < alone) == pays
        assert np.abs(pair.x[:2]).min() > 0.5


def test_checks_fail_for_wrong_results():
    right = {
        "loss_at_equal_importance": {str(p): v for p, v in phase_diagram.LOSSES.items()},
        "boundary": {str(r): p for r, p in phase_diagram.BOUNDARY.items()},
        "agreement_of_best": 0.99,
        "agreement_of_average": 0.97,
    }
    assert all(check.passed for check in phase_diagram.make_checks(right))
    wrong = right | {
        "agreement_of_best": 0.9,
        "boundary": right["boundary"] | {"0.3": 0.36},
    }
    failed = [c.name for c in phase_diagram.make_checks(wrong) if not c.passed]
    assert len(failed) == 2

    (check,) = phase_diagram_three_features.make_checks({"agreement_of_best": 0.9})
    assert not check.passed


def test_agreement_counts_cells_away_from_boundaries():
    p = np.geomspace(1, 0.01, 50)
    exact = np.zeros((50, 50), int)
    found = exact.copy()
    found[0] = SHARED
    assert phases.agreement(found, exact, p) == pytest.approx(0.98)
    assert isinstance(phases.measure(np.ones((2, 1))), Map)
