"""SAELens' own files give SAELens' own numbers; ours are written as it documents them.

`fixtures/make_exchange.py` made the files and wrote down what the library says of them.
"""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels import files
from toymodels.exchange import sae_lens
from toymodels.scores import summary
from toymodels.scores.statistics import measure, merge_all

FIXTURE = Path(__file__).parents[2] / "fixtures" / "exchange" / "sae_lens"
CASES = {
    "standard": "ReLU",
    "standard_without_pre_bias": "ReLU",
    "topk": "TopK",
    "topk_rescaled": "TopK",
    "jumprelu": "JumpReLU",
    "jumprelu_without_pre_bias": "JumpReLU",
    "gated": "Gated",
    "gated_without_pre_bias": "Gated",
    "batchtopk": "BatchTopK",
    "batchtopk_exported": "JumpReLU",
    "matryoshka": "Matryoshka",
    "matryoshka_exported": "JumpReLU",
}
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
    with np.load(FIXTURE / "expected.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", CASES)
def test_codes_and_reconstructions_are_theirs(stored, case):
    dictionary, params = sae_lens.read(FIXTURE / case)
    assert type(dictionary).__name__ == CASES[case]
    # A checkpoint that selects over batches has the codes of its export.
    name = case if f"{case}/z" in stored else f"{case}_exported"
    z = dictionary.encode(params, jnp.asarray(stored["x"]))
    # Float32 products of at most ten terms; no sample is near a threshold.
    np.testing.assert_allclose(z, stored[f"{name}/z"], atol=1e-5)
    assert np.count_nonzero(stored[f"{name}/z"]) > 48
    x_hat = dictionary.decode(params, z)
    np.testing.assert_allclose(x_hat, stored[f"{name}/x_hat"], atol=1e-5)


def test_scores_are_theirs(stored):
    compiled = jax.jit(measure)
    for case in CASES:
        if f"{case}/found" not in stored:
            continue
        dictionary, params = sae_lens.read(FIXTURE / case)
        x = jnp.asarray(stored["x"])
        z = dictionary.encode(params, x)
        x_hat = dictionary.decode(params, z)
        found = merge_all([compiled(Batch(x, stored["features"]), z, x_hat)])
        ours = summary.scores(found, params.W_dec, stored["directions"], absolute=True)
        theirs = dict(zip(stored["scores"], stored[f"{case}/found"], strict=True))
        for name, their in SAME.items():
            # Both sides are float32, over 48 samples.
            assert ours[name] == pytest.approx(theirs[their], abs=1e-5), (case, name)


@pytest.mark.parametrize(
    "name", ["ReLU", "TopK", "JumpReLU", "Gated", "BatchTopK", "Matryoshka"]
)
def test_written_and_read_back(tmp_path, every_kind, x, name):
    dictionary, params = every_kind[name]
    sae_lens.write(tmp_path, dictionary, params, {"model_name": "a toy"})
    again, numbers = sae_lens.read(tmp_path)
    expected = dictionary.encode(params, jnp.asarray(x))
    z = again.encode(numbers, jnp.asarray(x))
    np.testing.assert_array_equal(z, expected)
    decoded = dictionary.decode(params, expected)
    np.testing.assert_array_equal(again.decode(numbers, z), decoded)


@pytest.mark.parametrize(
    ("name", "architecture", "shapes"),
    [
        ("ReLU", "standard", {"b_enc": (10,)}),
        ("TopK", "topk", {"b_enc": (10,)}),
        ("JumpReLU", "jumprelu", {"b_enc": (10,), "threshold": (10,)}),
        ("BatchTopK", "jumprelu", {"b_enc": (10,), "threshold": (10,)}),
        ("Matryoshka", "jumprelu", {"b_enc": (10,), "threshold": (10,)}),
        ("Gated", "gated", {"b_gate": (10,), "b_mag": (10,), "r_mag": (10,)}),
    ],
)
def test_written_as_the_library_documents(tmp_path, every_kind, name, architecture, shapes):
    sae_lens.write(tmp_path, *every_kind[name], {"hook_name": "here"})
    arrays = files.read_safetensors(tmp_path / "sae_weights.safetensors")
    shapes = shapes | {"W_enc": (7, 10), "W_dec": (10, 7), "b_dec": (7,)}
    assert {key: array.shape for key, array in arrays.items()} == shapes
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    settings = json.loads((tmp_path / "cfg.json").read_text())
    assert settings["architecture"] == architecture
    assert (settings["d_in"], settings["d_sae"]) == (7, 10)
    assert settings["apply_b_dec_to_input"] is True
    assert settings["normalize_activations"] == "none"
    assert settings.get("k") == (3 if name == "TopK" else None)
    assert settings["metadata"] == {"sae_lens_version": "6.0.0", "hook_name": "here"}
    if name in ("BatchTopK", "Matryoshka"):
        np.testing.assert_array_equal(arrays["threshold"], np.float32(0.4))


@pytest.fixture
def folder(tmp_path):
    """A copy of SAELens' "standard", to be spoilt."""
    return Path(shutil.copytree(FIXTURE / "standard", tmp_path / "standard"))


def respelt(folder, **settings):
    path = folder / "cfg.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def rewritten(folder, change):
    path = folder / "sae_weights.safetensors"
    arrays = files.read_safetensors(path)
    files.write_safetensors(path, change(arrays))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"architecture": "transcoder"}, "is 'transcoder', expected one of standard"),
        ({"architecture": "temporal"}, "is 'temporal', expected one of standard"),
        (
            {"normalize_activations": "expected_average_only_in"},
            "'expected_average_only_in', expected 'none'",
        ),
        ({"normalize_activations": "layer_norm"}, "layer-normalises its inputs"),
        ({"architecture": "topk"}, r"has no k, expected"),
        ({"architecture": "jumprelu"}, "holds no threshold, expected W_enc"),
        ({"architecture": "gated"}, "holds no b_gate or b_mag or r_mag, expected"),
        ({"architecture": ["standard"]}, r"is \['standard'\], expected one of standard"),
        ({"architecture": "topk", "k": 2.9}, r"k in .* is 2\.9, expected a whole number"),
        ({"architecture": "topk", "k": float("inf")}, "is inf, expected one number"),
        ({"architecture": "topk", "k": [[1], [1, 2]]}, "expected one number"),
        ({"apply_b_dec_to_input": "false"}, "is 'false', expected true or false"),
    ],
)
def test_settings_that_say_something_else_are_refused(folder, settings, match):
    respelt(folder, **settings)
    with pytest.raises(ValueError, match=match):
        sae_lens.read(folder)


def test_numbers_beyond_all_floats_are_refused(folder):
    """JSON has no largest number; 1e400 is read as infinity."""
    respelt(folder, architecture="topk")
    path = folder / "cfg.json"
    path.write_text(path.read_text().replace("{", '{"k": 1e400, ', 1))
    with pytest.raises(ValueError, match=r"k in .* is inf, expected one number"):
        sae_lens.read(folder)


def test_an_unknown_array_is_refused(folder):
    rewritten(folder, lambda a: a | {"W_skip": np.eye(8, dtype=np.float32)})
    with pytest.raises(ValueError, match="holds W_skip, expected W_enc"):
        sae_lens.read(folder)


def test_a_missing_array_is_refused(folder):
    rewritten(folder, lambda a: {name: a[name] for name in ("W_enc", "b_enc", "W_dec")})
    with pytest.raises(ValueError, match="holds no b_dec, expected W_enc"):
        sae_lens.read(folder)


def test_a_wrong_shape_is_refused(folder):
    rewritten(folder, lambda a: a | {"W_dec": a["W_dec"].T.copy()})
    with pytest.raises(ValueError, match=r"W_dec in .* has shape \(8, 10\), expected"):
        sae_lens.read(folder)


def test_cut_and_missing_files_are_refused(folder):
    path = folder / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        sae_lens.read(folder)
    path.unlink()
    with pytest.raises(ValueError, match=r"sae_weights\.safetensors is not there"):
        sae_lens.read(folder)
    with pytest.raises(ValueError, match=r"cfg.json is not there"):
        sae_lens.read(folder / "nowhere")


@pytest.mark.parametrize("name", ["ReLU", "JumpReLU", "Gated", "TopK"])
def test_a_transposed_square_decoder_is_seen(tmp_path, square, name):
    dictionary, params = square[name]
    sae_lens.write(tmp_path, dictionary, params)
    sae_lens.read(tmp_path)
    sae_lens.write(tmp_path, dictionary, params._replace(W_dec=params.W_dec.T))
    with pytest.raises(ValueError, match="one of the two was written in the other"):
        sae_lens.read(tmp_path)


def test_normalised_inputs_where_they_are_said(folder, stored):
    respelt(folder, normalize_activations="layer_norm")
    dictionary, params = sae_lens.read(folder, normalised=True)
    plain, same = sae_lens.read(FIXTURE / "standard")
    x = jnp.asarray(stored["x"])
    expected = plain.encode(same, x)
    np.testing.assert_array_equal(dictionary.encode(params, x), expected)
    with pytest.raises(ValueError, match="takes samples as they are"):
        sae_lens.read(FIXTURE / "standard", normalised=True)


def test_samples_are_held_against_the_file(stored):
    sae_lens.read(FIXTURE / "topk", x=stored["x"])
    with pytest.raises(ValueError, match="of the variance of the samples unexplained"):
        sae_lens.read(FIXTURE / "topk", x=stored["x"] * 0.01 + 3)
