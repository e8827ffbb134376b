"""dictionary_learning's own files give its own numbers; ours are written as it loads them.

`fixtures/make_exchange.py` made the files and wrote down what the library says of them.
"""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic.base import Batch
from toymodels.exchange import dictionary_learning, sae_lens, torch_file, weights
from toymodels.sae import Params, ReLU
from toymodels.scores import summary
from toymodels.scores.statistics import measure, merge_all

FIXTURE = Path(__file__).parents[2] / "fixtures" / "exchange" / "dictionary_learning"
CASES = {
    "AutoEncoder": "ReLU",
    "AutoEncoderNew": "ReLU",
    "AutoEncoderTopK": "TopK",
    "BatchTopKSAE": "BatchTopK",
    "GatedAutoEncoder": "Gated",
    "JumpReluAutoEncoder": "JumpReLU",
    "MatryoshkaBatchTopKSAE": "Matryoshka",
}


@pytest.fixture(scope="module")
def stored():
    with np.load(FIXTURE / "expected.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", CASES)
def test_codes_and_reconstructions_are_theirs(stored, case):
    dictionary, params = dictionary_learning.read(FIXTURE / case)
    assert type(dictionary).__name__ == CASES[case]
    z = dictionary.encode(params, jnp.asarray(stored["x"]))
    # Float32 products of at most ten terms; no sample is near a threshold.
    np.testing.assert_allclose(z, stored[f"{case}/z"], atol=1e-5)
    assert np.count_nonzero(stored[f"{case}/z"]) > 48
    x_hat = dictionary.decode(params, z)
    np.testing.assert_allclose(x_hat, stored[f"{case}/x_hat"], atol=1e-5)


def test_scores_are_theirs(stored):
    """Its L0, its ratio of norms (our shrinkage) and its share of latents alive."""
    compiled = jax.jit(measure)
    assert list(stored["scores"]) == ["l0", "l2_ratio", "frac_alive"]
    for case in CASES:
        dictionary, params = dictionary_learning.read(FIXTURE / case)
        x = jnp.asarray(stored["x"])
        z = dictionary.encode(params, x)
        x_hat = dictionary.decode(params, z)
        found = merge_all([compiled(Batch(x, stored["features"]), z, x_hat)])
        ours = summary.scores(found, params.W_dec, stored["directions"])
        named = [ours["l0"], ours["shrinkage"], 1 - ours["dead"]]
        # Both sides are float32, over 48 samples.
        np.testing.assert_allclose(named, stored[f"{case}/found"], rtol=1e-5, err_msg=case)


def test_widths_of_a_matryoshka():
    dictionary, _ = dictionary_learning.read(FIXTURE / "MatryoshkaBatchTopKSAE")
    assert dictionary.prefixes == (3, 10)


def test_rows_of_an_autoencoder_have_unit_length():
    _, params = dictionary_learning.read(FIXTURE / "AutoEncoder")
    lengths = np.linalg.norm(params.W_dec, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    raw = torch_file.read(FIXTURE / "AutoEncoder" / "ae.pt")["decoder.weight"]
    assert np.abs(np.linalg.norm(raw, axis=0) - 1).max() > 0.2


@pytest.mark.parametrize(
    "name", ["ReLU", "TopK", "JumpReLU", "Gated", "BatchTopK", "Matryoshka"]
)
def test_written_and_read_back(tmp_path, every_kind, x, name):
    dictionary, params = every_kind[name]
    dictionary_learning.write(tmp_path, dictionary, params)
    again, numbers = dictionary_learning.read(tmp_path)
    assert type(again) is type(dictionary)
    expected = dictionary.encode(params, jnp.asarray(x))
    z = again.encode(numbers, jnp.asarray(x))
    # A JumpReLU's bias is unfolded and folded again, a ReLU's rows are scaled by 1.
    np.testing.assert_allclose(z, expected, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(z) != 0, np.asarray(expected) != 0)
    decoded = dictionary.decode(params, expected)
    np.testing.assert_allclose(again.decode(numbers, z), decoded, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ReLU", "AutoEncoder"),
        ("TopK", "AutoEncoderTopK"),
        ("JumpReLU", "JumpReluAutoEncoder"),
        ("Gated", "GatedAutoEncoder"),
        ("BatchTopK", "BatchTopKSAE"),
        ("Matryoshka", "MatryoshkaBatchTopKSAE"),
    ],
)
def test_written_like_a_file_of_the_library(tmp_path, every_kind, name, kind):
    """The same names, dtypes and numbers of axes as in the library's own file."""
    dictionary_learning.write(tmp_path, *every_kind[name], {"trainer": {"layer": 3}})
    ours = torch_file.read(tmp_path / "ae.pt")
    theirs = torch_file.read(FIXTURE / kind / "ae.pt")
    assert ours.keys() == theirs.keys()
    for key, array in ours.items():
        assert (array.dtype, array.ndim) == (theirs[key].dtype, theirs[key].ndim), key
    assert ours.get("encoder.weight", np.empty((10, 7))).shape == (10, 7)
    trainer = json.loads((tmp_path / "config.json").read_text())["trainer"]
    k = {} if "k" not in theirs else {"k": int(ours["k"])}
    size = {"activation_dim": 7, "dict_size": 10}
    assert trainer == {"dict_class": kind, "layer": 3, **size, **k}


def test_a_fractional_k_is_not_written(tmp_path, every_kind):
    dictionary, params = every_kind["BatchTopK"]
    with pytest.raises(ValueError, match=r"k is 1\.5, expected a whole number"):
        dictionary_learning.write(tmp_path, dictionary.replace(k=1.5), params)


def test_a_fractional_k_of_topk_is_not_exported(tmp_path, every_kind):
    """One made inside jit may hold it: 1.8 trains as 2, and would be written as 1."""
    dictionary, params = every_kind["TopK"]
    fractional = dictionary.replace(k=2)
    object.__setattr__(fractional, "k", 1.8)
    for module in (dictionary_learning, sae_lens):
        with pytest.raises(ValueError, match=r"k is 1\.8, expected a whole number"):
            module.write(tmp_path, fractional, params)
    stack = dictionary.replace(k=jnp.array([1, 2]))
    with pytest.raises(ValueError, match=r"k has shape \(2,\), expected one number"):
        weights.of_ours(stack, params)


def test_codes_of_rows_that_are_not_of_length_1_grow_by_their_length(tmp_path, x):
    """As the docstring of `write` says; the library divides the rows as it loads them."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(10, 7)) * rng.uniform(0.5, 2, (10, 1))
    numbers = (rows.T, rng.normal(size=10), rows, rng.normal(size=7))
    params = Params(*(jnp.asarray(array, jnp.float32) for array in numbers))
    dictionary_learning.write(tmp_path, ReLU(10), params)
    again, theirs = dictionary_learning.read(tmp_path)
    z, grown = ReLU(10).encode(params, x), again.encode(theirs, x)
    length = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(grown, np.asarray(z) * length, rtol=1e-4, atol=1e-5)
    x_hat = again.decode(theirs, grown)
    np.testing.assert_allclose(x_hat, ReLU(10).decode(params, z), rtol=1e-4, atol=1e-4)


@pytest.fixture
def folder(tmp_path):
    """A copy of the library's BatchTopKSAE, to be spoilt."""
    return Path(shutil.copytree(FIXTURE / "BatchTopKSAE", tmp_path / "ae"))


def rewritten(folder, change):
    path = folder / "ae.pt"
    torch_file.write(path, change(torch_file.read(path)))


def test_an_unset_threshold_is_set_on_samples(folder, stored):
    rewritten(folder, lambda a: a | {"threshold": np.array(-1, np.float32)})
    with pytest.raises(ValueError, match="the file has no threshold"):
        dictionary_learning.read(folder)
    dictionary, params = dictionary_learning.read(folder, x=stored["x"])
    z = dictionary.encode(params, jnp.asarray(stored["x"]))
    assert np.count_nonzero(z) == 2 * len(stored["x"])


def test_a_bfloat16_threshold_is_read(folder, monkeypatch):
    """13 / 32 has few enough bits to be the same number in bfloat16."""
    as_bfloat16 = np.dtype(jnp.bfloat16)
    monkeypatch.setitem(torch_file._WRITTEN, as_bfloat16, "BFloat16Storage")
    rewritten(folder, lambda a: a | {"threshold": np.array(13 / 32, as_bfloat16)})
    _, params = dictionary_learning.read(folder)
    assert float(params.threshold) == 13 / 32
    assert params.threshold.dtype == jnp.float32


def test_widths_and_k_that_are_no_whole_numbers_are_refused(tmp_path):
    folder = shutil.copytree(FIXTURE / "MatryoshkaBatchTopKSAE", tmp_path / "ae")
    rewritten(folder, lambda a: a | {"group_sizes": np.array([2.9, 7.1], np.float32)})
    with pytest.raises(ValueError, match=r"group_sizes in .*2\.9.*, expected a whole"):
        dictionary_learning.read(folder)
    folder = shutil.copytree(FIXTURE / "AutoEncoderTopK", tmp_path / "topk")
    rewritten(folder, lambda a: a | {"k": np.array(2.9, np.float32)})
    with pytest.raises(ValueError, match=r"k in .* is .*2\.9.*, expected a whole number"):
        dictionary_learning.read(folder)


def test_settings_that_say_something_else_are_refused(folder):
    for settings, match in (
        (
            {"trainer": {"dict_class": "CrossCoder"}},
            "is 'CrossCoder', expected one of Auto",
        ),
        ({"trainer": {"dict_class": "AutoEncoder"}}, "holds no bias, expected encoder"),
        ({"trainer": {}}, r"has no trainer\.dict_class"),
        ({"trainer": {"dict_class": [1]}}, r"is \[1\], expected one of AutoEncoder"),
    ):
        (folder / "config.json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match=match):
            dictionary_learning.read(folder)


def test_arrays_that_do_not_fit_are_refused(folder):
    rewritten(folder, lambda a: a | {"encoder.bias": a["encoder.bias"][:-1]})
    with pytest.raises(ValueError, match=r"b_enc in .* has shape \(9,\), expected \(10,\)"):
        dictionary_learning.read(folder)
    rewritten(folder, lambda a: {k: v for k, v in a.items() if k != "b_dec"})
    with pytest.raises(ValueError, match=r"holds no b_dec, expected encoder\.weight"):
        dictionary_learning.read(folder)


def test_cut_files_are_refused(folder):
    path = folder / "ae.pt"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"ae\.pt cannot be read"):
        dictionary_learning.read(folder)


def test_a_pickle_with_a_program_is_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)

    class Runs:
        def __reduce__(self):
            return os.system, ("touch hacked",)

    with zipfile.ZipFile(folder / "ae.pt", "w") as archive:
        archive.writestr("ae/data.pkl", pickle.dumps({"encoder.weight": Runs()}, 2))
    with pytest.raises(ValueError, match=r"calls for posix\.system, expected tensors"):
        dictionary_learning.read(folder)
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize("name", ["ReLU", "TopK", "JumpReLU", "Gated", "Matryoshka"])
def test_a_transposed_square_decoder_is_seen(tmp_path, square, name):
    dictionary, params = square[name]
    dictionary_learning.write(tmp_path, dictionary, params)
    dictionary_learning.read(tmp_path)
    dictionary_learning.write(tmp_path, dictionary, params._replace(W_dec=params.W_dec.T))
    with pytest.raises(ValueError, match="one of the two was written in the other"):
        dictionary_learning.read(tmp_path)
