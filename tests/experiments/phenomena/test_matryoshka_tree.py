"""Members, and checks that tell absorption from its absence."""

import numpy as np

from experiments.phenomena import matryoshka_tree
from experiments.phenomena.matryoshka_tree import SHOWN, Scores, Settings


def test_members_differ_in_the_weight_of_their_levels_alone():
    settings = Settings(weights=(0.0, 2.0), n_seeds=3)
    stacked = matryoshka_tree.dictionaries(settings)
    weights = np.array(stacked.inner.weights)
    assert weights.shape == (10, 6)
    np.testing.assert_allclose(weights[:9].sum(0), [0, 0, 0, 2, 2, 2], rtol=1e-6)
    np.testing.assert_array_equal(weights[9], 1)
    assert stacked.inner.prefixes == settings.prefixes
    assert len(set(np.asarray(stacked.target_l0).tolist())) == 1


def scores(plain, nested) -> Scores:
    """mcc_dec, mass and cosine without levels and with them, at weights 0 and 2."""
    both = np.array([plain, nested])
    values = {name: np.zeros((2, 3)) for name in SHOWN}
    values["mcc_dec"], values["absorption_mass"] = (
        np.repeat(both[:, i : i + 1], 3, axis=1) for i in (0, 1)
    )
    return Scores(values, np.zeros((2, 3, 20, 20)), np.repeat(both[:, 2:], 3, axis=1))


def failed(found):
    checks = matryoshka_tree.make_checks(Settings(weights=(0.0, 2.0)), found)
    return [check.name for check in checks if not check.passed]


PLAIN, NESTED = (0.89, 0.87, 0.66), (0.97, 0.05, 0.06)


def test_the_published_picture_passes_and_others_fail():
    assert failed(scores(PLAIN, NESTED)) == []
    assert failed(scores(NESTED, NESTED)) == [
        "plain: absorption mass",
        "plain: child's row with parent",
        "mcc_dec that levels gain",
    ]
    assert failed(scores(PLAIN, PLAIN)) == [
        "levels: absorption mass",
        "levels: child's row with parent",
        "levels: mcc_dec",
        "mcc_dec that levels gain",
    ]
