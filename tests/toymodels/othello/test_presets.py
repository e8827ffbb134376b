"""The sizes that the presets state."""

import jax
import pytest

from synthetic import random
from toymodels.othello import presets


@pytest.mark.parametrize(
    ("preset", "millions"),
    [(presets.tiny, 0.1), (presets.small, 0.8), (presets.full, 25.3)],
)
def test_presets_have_the_stated_number_of_weights(preset, millions):
    shapes = jax.eval_shape(preset().init, random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == pytest.approx(
        millions * 1e6, rel=0.03
    )
