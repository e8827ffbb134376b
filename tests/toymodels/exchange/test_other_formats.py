"""sparsify, openai, Gemma Scope and bartbussmann: files built by their documented names.

None of these is installed; what each computes is written out here in NumPy, from its
repository's forward pass.
"""

import json
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels import files
from toymodels.exchange import (
    bartbussmann,
    gemma_scope,
    openai,
    sparsify,
    torch_file,
    weights,
)

D, M, K = 7, 10, 3
RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(M, D))
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
COLUMNS = 0.9 * ROWS.T + 0.05 * RNG.normal(size=(D, M))
B_ENC, B_DEC = -0.1 * RNG.uniform(size=M), 0.3 * RNG.normal(size=D)
THRESHOLD = RNG.uniform(0.2, 0.6, M)
X = RNG.normal(size=(40, D))


def single(array):
    return np.asarray(array, np.float32, order="C")


def relu(a):
    return np.maximum(a, 0)


def top(a, k=K):
    """Everything but the k largest entries of each row set to 0, by sorting."""
    index = np.argsort(-a, axis=1)[:, :k]
    kept = np.zeros_like(a)
    np.put_along_axis(kept, index, np.take_along_axis(a, index, 1), 1)
    return kept


def agrees(pair, z, bias=B_DEC, x=X):
    """Our codes and reconstructions are those of the independent form."""
    dictionary, params = pair
    found = dictionary.encode(params, jnp.asarray(single(x)))
    # Float32 products of ten terms.
    np.testing.assert_allclose(found, z, atol=1e-5)
    x_hat = dictionary.decode(params, found)
    np.testing.assert_allclose(x_hat, z @ ROWS + bias, atol=1e-5)
    assert np.count_nonzero(z) > 20


def sparsify_folder(path, rows=ROWS, columns=COLUMNS, **settings):
    (path / "cfg.json").write_text(json.dumps({"d_in": D, "k": K} | settings))
    arrays = {
        "encoder.weight": columns.T,
        "encoder.bias": B_ENC,
        "W_dec": rows,
        "b_dec": B_DEC,
    }
    arrays = {name: single(array) for name, array in arrays.items()}
    files.write_safetensors(path / "sae.safetensors", arrays)
    return path


def test_sparsify(tmp_path):
    folder = sparsify_folder(tmp_path, activation="topk", transcode=False)
    agrees(sparsify.read(folder), top(relu((X - B_DEC) @ COLUMNS + B_ENC)))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"transcode": True}, "has transcode, expected a plain autoencoder"),
        ({"skip_connection": True}, "has skip_connection, expected a plain"),
        ({"signed": True}, "has signed, expected a plain autoencoder"),
        ({"activation": "groupmax"}, "is 'groupmax', expected 'topk'"),
        ({"activation": ["topk"]}, r"is \['topk'\], expected 'topk'"),
        ({"k": 2.9}, r"k in .* is 2\.9, expected a whole number"),
        ({"k": float("inf")}, r"k in .* is inf, expected one number"),
    ],
)
def test_sparsify_of_another_kind_is_refused(tmp_path, settings, match):
    with pytest.raises(ValueError, match=match):
        sparsify.read(sparsify_folder(tmp_path, **settings))


def test_sparsify_files_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"W_dec in .* has shape \(7, 10\), expected"):
        sparsify.read(sparsify_folder(tmp_path, rows=ROWS.T))
    path = sparsify_folder(tmp_path) / "sae.safetensors"
    arrays = files.read_safetensors(path)
    files.write_safetensors(path, arrays | {"W_skip": np.eye(D, dtype=np.float32)})
    with pytest.raises(ValueError, match=r"holds W_skip, expected encoder\.weight"):
        sparsify.read(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="expected a whole safetensors file"):
        sparsify.read(tmp_path)


def test_sparsify_transposed_and_square_is_seen(tmp_path):
    """What SAELens 6.54.12 makes of a square one."""
    size = 12
    rows = np.linalg.qr(RNG.normal(size=(size, size)))[0] * RNG.uniform(0.5, 2, (size, 1))
    columns, biases = rows.T, np.zeros(size, np.float32)
    (tmp_path / "cfg.json").write_text(json.dumps({"k": K}))
    arrays = {"encoder.weight": single(columns.T), "W_dec": single(rows.T)}
    arrays |= {"encoder.bias": biases, "b_dec": biases}
    files.write_safetensors(tmp_path / "sae.safetensors", arrays)
    with pytest.raises(ValueError, match="one of the two was written in the other"):
        sparsify.read(tmp_path)
    arrays["W_dec"] = single(rows)
    files.write_safetensors(tmp_path / "sae.safetensors", arrays)
    sparsify.read(tmp_path)


def openai_file(path, **more):
    """A state_dict: tensors, and the activation as text beside them."""
    arrays = {
        "pre_bias": B_DEC,
        "latent_bias": B_ENC,
        "encoder.weight": COLUMNS.T,
        "decoder.weight": ROWS.T,
        "latents_mean_square": np.zeros(M),
    }
    arrays = {name: single(array) for name, array in arrays.items()}
    torch_file.write(path, arrays)
    return spliced(path, more)


def spliced(path, values):
    """The file with entries that are no tensors at the end of its one dictionary."""

    def opcodes(value):
        return pickle.dumps(value, 2)[2:-1]  # without PROTO and STOP

    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    name = f"{path.stem}/data.pkl"
    end = pickle.SETITEMS + pickle.STOP
    assert records[name].endswith(end)
    items = b"".join(opcodes(key) + opcodes(value) for key, value in values.items())
    records[name] = records[name].removesuffix(end) + items + end
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


def test_openai_relu(tmp_path):
    path = openai_file(tmp_path / "a.pt", activation="ReLU", activation_state_dict={})
    agrees(openai.read(path), relu((X - B_DEC) @ COLUMNS + B_ENC))


def test_openai_topk_takes_normalised_samples(tmp_path):
    own = {"k": K, "postact_fn": "ReLU"}
    path = openai_file(tmp_path / "a.pt", activation="TopK", activation_state_dict=own)
    with pytest.raises(ValueError, match="layer-normalises its inputs"):
        openai.read(path)
    std = X.std(1, ddof=1, keepdims=True)
    normed = (X - X.mean(1, keepdims=True)) / (std + 1e-5)
    pair = openai.read(path, normalised=True)
    agrees(pair, relu(top((normed - B_DEC) @ COLUMNS + B_ENC)), x=normed)
    ours, mean, scale = weights.layer_norm(jnp.asarray(single(X)))
    z = pair[0].encode(pair[1], ours)
    x_hat = pair[0].decode(pair[1], z) * scale + mean
    expected = relu(top((normed - B_DEC) @ COLUMNS + B_ENC)) @ ROWS + B_DEC
    expected = expected * std + X.mean(1, keepdims=True)
    np.testing.assert_allclose(x_hat, expected, atol=1e-4)


def test_openai_of_another_kind_is_refused(tmp_path):
    for activation, own in (("Identity", {}), ("TopK", {"k": 3, "postact_fn": "Identity"})):
        path = openai_file(
            tmp_path / "a.pt", activation=activation, activation_state_dict=own
        )
        with pytest.raises(ValueError, match=f"is {activation} with"):
            openai.read(path, normalised=True)
    path = openai_file(tmp_path / "a.pt", activation="TopK", activation_state_dict={})
    with pytest.raises(ValueError, match="has no k, expected"):
        openai.read(path, normalised=True)
    path = openai_file(tmp_path / "a.pt", W_skip=1.0)
    with pytest.raises(ValueError, match="holds W_skip, expected pre_bias"):
        openai.read(path)


def gemma_file(path, **changed):
    arrays = {
        "w_enc": COLUMNS,
        "b_enc": B_ENC,
        "w_dec": ROWS,
        "b_dec": B_DEC,
        "threshold": THRESHOLD,
    }
    arrays = {name: single(array) for name, array in (arrays | changed).items()}
    np.savez(path, **arrays)
    return path


def test_gemma_scope(tmp_path):
    path = gemma_file(tmp_path / "params.npz")
    before = X @ COLUMNS + B_ENC
    pair = gemma_scope.read(path)
    agrees(pair, relu(before) * (before > THRESHOLD))
    with np.load(path) as arrays:
        older = {name.replace("w_", "W_"): arrays[name] for name in arrays}
    np.savez(path, **older)
    again = gemma_scope.read(path)
    np.testing.assert_array_equal(again[1].W_dec, pair[1].W_dec)


def test_gemma_scope_files_that_do_not_fit_are_refused(tmp_path):
    path = gemma_file(tmp_path / "params.npz", threshold=THRESHOLD[:-1])
    with pytest.raises(ValueError, match=r"threshold in .* has shape \(9,\), expected"):
        gemma_scope.read(path)
    gemma_file(path, w_dec=ROWS * np.where(np.eye(M, D) > 0, np.nan, 1))
    with pytest.raises(ValueError, match=r"W_dec in .* holds nan at index"):
        gemma_scope.read(path)
    np.savez(path, w_enc=single(COLUMNS))
    with pytest.raises(ValueError, match="holds no b_enc or w_dec or b_dec or threshold"):
        gemma_scope.read(path)
    gemma_file(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match="expected a whole npz file"):
        gemma_scope.read(path)


def bart_folder(path, settings, **more):
    defaults = {"input_unit_norm": False, "top_k": K, "seed": 49, "dtype": "torch.float32"}
    (path / "config.json").write_text(json.dumps(defaults | settings))
    arrays = {"W_enc": COLUMNS, "b_enc": B_ENC, "W_dec": ROWS, "b_dec": B_DEC} | more
    torch_file.write(path / "sae.pt", {name: single(a) for name, a in arrays.items()})
    return path


CENTRED = (X - B_DEC) @ COLUMNS


@pytest.mark.parametrize(
    ("settings", "more", "z"),
    [
        ({"sae_type": "vanilla"}, {}, relu(CENTRED + B_ENC)),
        ({"sae_type": "topk"}, {}, top(relu(CENTRED))),
        ({"sae_type": "topk", "use_encoder_bias": True}, {}, top(relu(CENTRED + B_ENC))),
        (
            {"sae_type": "batch-topk"},
            {"threshold": np.array(0.4)},
            np.where(CENTRED > 0.4, CENTRED, 0),
        ),
        (
            {"sae_type": "global-matryoshka-topk", "group_sizes": "[3, 7]"},
            {"threshold": np.array(0.4)},
            np.where(CENTRED > 0.4, CENTRED, 0),
        ),
        (
            {"sae_type": "jumprelu"},
            {"jumprelu.log_threshold": np.log(THRESHOLD)},
            np.where(X @ COLUMNS + B_ENC > THRESHOLD, X @ COLUMNS + B_ENC, 0),
        ),
    ],
    ids=["vanilla", "topk", "topk with bias", "batch-topk", "matryoshka", "jumprelu"],
)
def test_bartbussmann(tmp_path, settings, more, z):
    agrees(bartbussmann.read(bart_folder(tmp_path, settings, **more)), z)


def test_bartbussmann_widths_and_missing_thresholds(tmp_path):
    settings = {"sae_type": "global-matryoshka-topk", "group_sizes": [3, 7]}
    folder = bart_folder(tmp_path, settings, threshold=np.array(0.4))
    assert bartbussmann.read(folder)[0].prefixes == (3, 10)
    folder = bart_folder(tmp_path, {"sae_type": "batchtopk"})
    with pytest.raises(ValueError, match="the file has no threshold"):
        bartbussmann.read(folder)
    codes = RNG.uniform(1, 2, (60, M)) * (RNG.uniform(size=(60, M)) < 0.1)
    own = codes @ ROWS + B_DEC
    dictionary, params = bartbussmann.read(folder, x=single(own))
    assert np.count_nonzero(dictionary.encode(params, jnp.asarray(single(own)))) == 3 * 60


def test_bartbussmann_bfloat16_threshold(tmp_path, monkeypatch):
    """13 / 32 has few enough bits to be the same number in bfloat16."""
    monkeypatch.setitem(torch_file._WRITTEN, np.dtype(jnp.bfloat16), "BFloat16Storage")
    folder = bart_folder(tmp_path, {"sae_type": "batchtopk"})
    arrays = torch_file.read(folder / "sae.pt")
    threshold = {"threshold": np.array(13 / 32, jnp.bfloat16)}
    torch_file.write(folder / "sae.pt", arrays | threshold)
    _, params = bartbussmann.read(folder)
    assert float(params.threshold) == 13 / 32


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sae_type": "maxpool"}, "is 'maxpool', expected one of vanilla, topk"),
        ({"sae_type": ["topk"]}, r"is \['topk'\], expected one of vanilla"),
        ({"sae_type": "topk", "top_k": 2.9}, r"is 2\.9, expected a whole number"),
        ({"sae_type": "topk", "input_unit_norm": "no"}, "is 'no', expected true or false"),
        (
            {"sae_type": "global-matryoshka-topk", "group_sizes": "[3, seven]"},
            r"group_sizes in .* is ' seven', expected one number",
        ),
        (
            {"sae_type": "global-matryoshka-topk", "group_sizes": 10},
            r"group_sizes in .* is 10, expected a list of whole numbers",
        ),
        ({"sae_type": "topk", "tied_weights": True}, "with tied_weights = True"),
        ({"sae_type": "topk", "activation": "gelu"}, "is 'gelu', expected 'relu'"),
        ({"sae_type": "topk", "input_unit_norm": True}, "layer-normalises its inputs"),
        ({}, "has no sae_type, expected"),
        ({"sae_type": "jumprelu"}, r"holds no jumprelu\.log_threshold, expected"),
    ],
)
def test_bartbussmann_of_another_kind_is_refused(tmp_path, settings, match):
    with pytest.raises(ValueError, match=match):
        bartbussmann.read(bart_folder(tmp_path, settings))
