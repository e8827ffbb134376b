import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from experiments.later_toy_models import compressed_computation as experiment
from synthetic import random
from toymodels import superposition

SETTINGS = experiment.Settings()


def test_mixings_are_symmetric_with_the_stated_deviation():
    M = np.asarray(experiment.make_mixings(random.key(1), SETTINGS))
    assert_allclose(M, M.swapaxes(-1, -2), atol=1e-6)
    assert_allclose(np.diagonal(M, axis1=-2, axis2=-1), 0, atol=1e-5)
    spread = [experiment.off_diagonal(matrix).std() for matrix in M]
    # 4,950 independent entries: a relative error of 1 %.
    assert_allclose(spread[:-1], SETTINGS.noises, rtol=0.04)
    assert_allclose(spread[-1], SETTINGS.d_embedding**-0.5, rtol=0.04)


def test_served_is_the_answer_to_a_feature_alone():
    naive = superposition.CompressedReLU(4, 2).naive()
    stacked = jax.tree.map(lambda x: jnp.stack([x])[None], naive)
    assert experiment.served(stacked)[0, 0].tolist() == [1, 1, 0, 0]


def metrics(loss, clean, naive=1 / 12):
    return {
        "labels": [str(i) for i in range(len(loss))],
        "loss_per_density": [[value] for value in loss],
        "on_clean_labels": [[value] for value in clean],
        "naive_loss_per_density": naive,
    }


def failed(values):
    return [c.name for c in experiment.make_checks(SETTINGS, values) if not c.passed]


def test_published_numbers_pass_and_others_fail():
    good = metrics([0.0835, 0.08, 0.07, 0.06, 0.07, 0.2, 0.06], [0.095] * 7)
    assert failed(good) == []
    assert len(experiment.table(good)) == 9
    beaten = metrics([0.07, 0.08, 0.07, 0.08, 0.07, 0.2, 0.06], [0.08] * 7, naive=0.1)
    assert len(failed(beaten)) == 5
