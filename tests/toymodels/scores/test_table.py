"""Many dictionaries on the same samples, and what a table says of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.worlds import standard
from toymodels import Fitted, Study, score, score_many
from toymodels.sae import Params, ReLU

WORLD = standard.easy()
KEY = random.key(0)
FEW = {"n_samples": 1_024, "block": 512}


def found(share):
    """The true dictionary of the first features, the rest of its rows of another."""
    rows = jnp.where(jnp.arange(16)[:, None] < share, WORLD.directions, 0)
    params = Params(rows.T, jnp.full(16, -0.3), rows, jnp.zeros(16))
    return Fitted(ReLU(16, sparsity=0.1), params)


@pytest.fixture(scope="module")
def table():
    study = Study({"all": (found(16), found(16)), "half": (found(8), found(8))})
    return score_many(study, WORLD, KEY, **FEW)


def test_scores_are_those_of_each_report(table):
    assert table["mcc_dec"].shape == (2, 2)
    alone = score(found(8), WORLD, KEY, draws=0, pursuit_samples=0, **FEW)
    assert table["mcc_dec"][1, 0] == alone["mcc_dec"] == pytest.approx(0.5)
    assert table["l0"][1, 1] == alone["l0"]
    assert table["mcc_dec"][0] == pytest.approx([1, 1])
    assert set(table) == set(alone.values)
    assert table.ceiling("mcc_act") == pytest.approx(1)
    assert table.floor("mcc_dec").shape == (2, 2)


def test_it_prints_medians_and_ranges(table):
    text = str(table)
    assert text == repr(table)
    assert "1.000 (1.000-1.000)" in text.splitlines()[1]
    assert text.splitlines()[2].startswith("half")
    assert text.splitlines()[-1] == "median (range) of 2 seeds, on 1,024 samples"
    assert "<td>half</td>" in table._repr_html_()


def test_it_draws_one_score_against_another(table):
    axes = table.plot("l0", "mcc_dec").axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(drawn["half"].get_ydata(), table["mcc_dec"][1])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("l0", "mcc_dec")
    assert {"floor", "ceiling"} <= set(drawn)


def test_plain_data(table):
    data = table.to_dict()
    assert data["names"] == ["all", "half"]
    assert data["mcc_dec"] == table["mcc_dec"].tolist()


@pytest.mark.parametrize("ask", [lambda t: t["mcc"], lambda t: t.plot("mcc_dec", "mcc")])
def test_an_unknown_score_names_those_near_it(table, ask):
    with pytest.raises(KeyError, match=r"there is no score 'mcc'; near it are .*mcc_dec"):
        ask(table)
    with pytest.raises(KeyError, match=r"no score 'mcc'; near it are .*mcc_act"):
        table.reports[0][0]["mcc"]


def test_a_report_draws_itself_between_floor_and_ceiling(table):
    axes = table.reports[1][0].plot().axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    values = dict(zip(names, axes.lines[0].get_xdata(), strict=True))
    assert values["mcc_dec"] == table["mcc_dec"][1, 0]
    assert "l0" not in names


def test_whatever_can_be_scored_can_be_in_a_table():
    rows = np.asarray(WORLD.directions)
    pair = (lambda x: np.maximum(x @ rows.T - 0.3, 0), lambda z: z @ rows)
    table = score_many({"pair": pair, "fitted": found(16)}, WORLD, KEY, **FEW)
    np.testing.assert_allclose(table["mcc_act"][0], table["mcc_act"][1], atol=1e-5)


def test_nothing_and_uneven_seeds_are_refused():
    with pytest.raises(ValueError, match="there is no dictionary, expected at least one"):
        score_many({}, WORLD, KEY)
    uneven = {"one": [found(16)], "two": [found(16), found(8)]}
    with pytest.raises(ValueError, match=r"have \[1, 2\] seeds, expected as many of each"):
        score_many(uneven, WORLD, KEY)
