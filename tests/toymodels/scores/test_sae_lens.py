"""The same numbers as `sae_lens.synthetic` where both define the same thing.

`make_sae_lens_scores.py` beside the fixture describes the two dictionaries in it and wrote
down what the library says of them.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.scores import geometry, summary
from toymodels.scores.statistics import measure, merge_all

FIXTURE = Path(__file__).parents[2] / "fixtures" / "sae_lens_scores.npz"

# Ours: theirs. Two names differ in kind and are tested apart: `dead` is a share here and a
# count there, accuracy is not scored here.
SAME = {
    "mcc_dec": "mcc",
    "uniqueness": "uniqueness",
    "latent_precision": "precision",
    "latent_recall": "recall",
    "latent_f1": "f1_score",
    "explained_variance": "explained_variance",
    "shrinkage": "shrinkage",
    "l0": "sae_l0",
    "true_l0": "true_l0",
}


@pytest.fixture(scope="module")
def stored():
    with np.load(FIXTURE) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", params=["narrow", "wide"])
def both(request, stored):
    """Our scores and theirs; the encoder is written out here, in float64."""
    case = request.param
    features, directions = stored["features"], stored["directions"]
    W_enc, b_enc, W_dec, b_dec, bias = (
        stored[f"{case}/{name}"].astype(float)
        for name in ("W_enc", "b_enc", "W_dec", "b_dec", "bias")
    )
    x = features @ directions.astype(float) + bias
    z = np.maximum((x - b_dec) @ W_enc + b_enc, 0)
    x_hat = z @ W_dec + b_dec
    x, z, x_hat = (array.astype(np.float32) for array in (x, z, x_hat))
    compiled = jax.jit(measure)
    parts = (slice(0, 300), slice(300, None))
    found = merge_all(compiled(Batch(x[p], features[p]), z[p], x_hat[p]) for p in parts)
    theirs = {
        name.removeprefix(f"{case}/found/"): float(value)
        for name, value in stored.items()
        if name.startswith(f"{case}/found/")
    }
    ours = summary.scores(found, W_dec, directions, absolute=True)
    return ours, theirs, len(W_dec)


@pytest.mark.parametrize("name", SAME)
def test_score_equals_theirs(both, name):
    # Both sides work in float32 (unit roundoff 6e-8) on well-scaled numbers and end in
    # means of at most 600 terms; samples near a threshold are not in the fixture.
    ours, theirs, _ = both
    assert ours[name] == pytest.approx(theirs[SAME[name]], abs=1e-6)


def test_dead_is_their_count_over_the_latents(both):
    ours, theirs, n_latents = both
    assert ours["dead"] * n_latents == theirs["dead_latents"]


def test_the_signed_default_is_lower_where_a_latent_is_flipped(stored):
    """One of 16 latents in "narrow": the fixture can tell `absolute=True` apart."""
    cosine = geometry.cosines(stored["narrow/W_dec"], stored["directions"])
    assert geometry.mcc_dec(cosine) < stored["narrow/found/mcc"] - 0.02


def test_fixture_counts_every_kind_of_case(stored):
    assert (stored["features"].sum(axis=1) == 0).any()  # norm below 1e-6 in "wide"
    assert stored["wide/found/dead_latents"] == 2
    assert stored["wide/found/uniqueness"] < 1
    assert FIXTURE.stat().st_size < 200_000
