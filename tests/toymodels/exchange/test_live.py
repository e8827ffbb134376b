"""Both sides at once, where torch, SAELens and dictionary_learning are installed.

The other tests need none of them: they use what these libraries wrote down once.
"""

import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from toymodels.exchange import dictionary_learning, sae_lens, torch_file
from toymodels.scores.adapters import adapt

FIXTURE = Path(__file__).parents[2] / "fixtures" / "exchange"
KINDS = ["ReLU", "TopK", "JumpReLU", "Gated", "BatchTopK", "Matryoshka"]

pytestmark = pytest.mark.filterwarnings("ignore")


def installed(name):
    """The package, whatever it warns of while it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def agree(module, dictionary, params, x):
    """The module's codes and reconstructions are ours, through the adapter."""
    encode, decode = adapt(module)
    z = dictionary.encode(params, jnp.asarray(x))
    # Float32 products of at most ten terms.
    np.testing.assert_allclose(encode(x), z, atol=1e-5)
    np.testing.assert_allclose(
        decode(np.asarray(z)), dictionary.decode(params, z), atol=1e-5
    )
    assert np.count_nonzero(z) > 20


@pytest.mark.parametrize("name", KINDS)
def test_sae_lens_reads_what_is_written(tmp_path, every_kind, x, name):
    library = installed("sae_lens")
    sae_lens.write(tmp_path, *every_kind[name], {"model_name": "toy"})
    sae = library.SAE.load_from_disk(tmp_path)
    assert sae.cfg.metadata.model_name == "toy"
    agree(sae, *every_kind[name], x)


@pytest.mark.parametrize("name", KINDS)
def test_dictionary_learning_reads_what_is_written(tmp_path, every_kind, x, name):
    library = installed("dictionary_learning.utils")
    dictionary_learning.write(tmp_path, *every_kind[name])
    module, _ = library.load_dictionary(str(tmp_path), "cpu")
    agree(module, *every_kind[name], x)


def test_what_they_train_is_read(tmp_path, x):
    """A few steps of their own optimiser, so that nothing is as it was initialised."""
    library, torch = installed("sae_lens"), installed("torch")
    size = {"d_in": 7, "d_sae": 10}
    for name, more in (
        ("Standard", {}),
        ("TopK", {"k": 3}),
        ("BatchTopK", {"k": 2.5}),
        ("JumpReLU", {"jumprelu_init_threshold": 0.1}),
        ("Gated", {}),
        ("MatryoshkaBatchTopK", {"k": 2.5, "matryoshka_widths": [4, 10]}),
    ):
        config = getattr(library, f"{name}TrainingSAEConfig")(**size, **more)
        sae = getattr(library, f"{name}TrainingSAE")(config)
        optimiser = torch.optim.Adam(sae.parameters(), 3e-2)
        step_input = installed("sae_lens.saes.sae").TrainStepInput
        for step in range(100):
            given = step_input(
                sae_in=torch.from_numpy(x),
                coefficients={"l1": 0.01, "l0": 0.01},
                dead_neuron_mask=None,
                n_training_steps=step,
                is_logging_step=False,
            )
            optimiser.zero_grad()
            sae.training_forward_pass(given).loss.backward()
            optimiser.step()
        sae.save_inference_model(tmp_path / name)
        exported = library.SAE.load_from_disk(tmp_path / name)
        agree(exported, *sae_lens.read(tmp_path / name, x=x), x)


def test_the_adapter_and_the_reader_agree_on_their_files():
    library, loads = installed("sae_lens"), installed("dictionary_learning.utils")
    for case in ("standard", "topk_rescaled", "jumprelu_without_pre_bias", "gated"):
        folder = FIXTURE / "sae_lens" / case
        x = np.load(FIXTURE / "sae_lens" / "expected.npz")["x"]
        agree(library.SAE.load_from_disk(folder), *sae_lens.read(folder), x)
    for case in ("AutoEncoder", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        folder = FIXTURE / "dictionary_learning" / case
        x = np.load(FIXTURE / "dictionary_learning" / "expected.npz")["x"]
        module, _ = loads.load_dictionary(str(folder), "cpu")
        agree(module, *dictionary_learning.read(folder), x)


def test_sparse_tensors_and_half_precision_through_the_adapter(x):
    library, torch = installed("sae_lens"), installed("torch")
    settings = {"d_in": 7, "d_sae": 10, "k": 3}
    config = library.TopKTrainingSAEConfig(**settings, use_sparse_activations=True)
    sae = library.TopKTrainingSAE(config)
    with torch.no_grad():
        dense = sae.encode(torch.from_numpy(x)).to_dense().numpy()
    np.testing.assert_array_equal(adapt(sae).encode(x), dense)
    assert sae.training
    half = library.StandardSAE(
        library.StandardSAEConfig(d_in=7, d_sae=10, dtype="bfloat16")
    )
    codes = adapt(half).encode(x)
    assert codes.dtype == np.float32
    assert (codes > 0).any()


def test_torch_reads_what_is_written_and_the_other_way_round(tmp_path):
    torch = installed("torch")
    tensors = {
        "W": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "k": np.array(5, np.int32),
        "sizes": np.array([2**40, -1], np.int64),
    }
    torch_file.write(tmp_path / "ours.pt", tensors)
    loaded = torch.load(tmp_path / "ours.pt", weights_only=True)
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
    whole = torch.arange(12.0).reshape(3, 4)
    saved = {
        "turned": whole.T,
        "part": whole[1:, ::2],
        "half": whole.bfloat16(),
        "parameter": torch.nn.Parameter(whole),
        "nested": {"k": 3, "postact_fn": "ReLU", "list": [1.5, None, True]},
    }
    torch.save(saved, tmp_path / "theirs.pt")
    found = torch_file.read(tmp_path / "theirs.pt")
    for name in ("turned", "part", "half", "parameter"):
        expected = saved[name].detach().float().numpy()
        np.testing.assert_array_equal(found[name].astype(np.float32), expected)
    assert found["nested"] == saved["nested"]
    torch.save(torch.nn.Linear(2, 3), tmp_path / "module.pt")
    with pytest.raises(ValueError, match=r"calls for torch\.nn\.modules\.linear\.Linear"):
        torch_file.read(tmp_path / "module.pt")
