"""Dictionaries of other libraries as two callables on arrays, without importing those.

    score(*adapters.adapt(sae), world, key)

What an object is follows from what it offers, so that nothing of torch is needed here.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np


class Callables(NamedTuple):
    """Attributes:
    encode: [batch, d_model] -> [batch, latent].
    decode: [batch, latent] -> [batch, d_model].
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def adapt(dictionary: Any, decode: Callable[[Any], Any] | None = None) -> Callables:
    """The two callables of a dictionary, whoever made it.

    Understood are, in this order: a callable `encode` with its `decode`; a pair of two
    callables; a pair (dictionary, params) of this library; an object with `encode` and
    `decode`. Objects and callables with `parameters()` are taken for torch modules: they
    get tensors of the dtype and on the device of their first parameter, in evaluation
    mode, and are put back as they were.

    Of an object, `encode` may return
    - the codes, dense or as a sparse tensor (SAELens, dictionary_learning);
    - (values, indices, ...), the largest entries of each row (sparsify), in which case
      `decode` takes both;
    - (codes before selection, codes) (overcomplete);
    - (codes, {}) (openai's, where the input is not normalised).

    A decoder's orientation never matters: `scores.callables.decoder_rows` finds its rows
    from what `decode` gives.

    Raises:
        TypeError: it is none of these.
        ValueError: when called, `encode` returns something else.
    """
    if decode is not None and callable(dictionary):
        return Callables(_on_arrays(dictionary), _on_arrays(decode))
    if isinstance(dictionary, tuple) and len(dictionary) == 2 and decode is None:
        first, second = dictionary
        if callable(first) and callable(second):
            return adapt(first, second)
        if _has_both(first):
            return Callables(
                lambda x: first.encode(second, x), lambda z: first.decode(second, z)
            )
    if _has_both(dictionary) and decode is None:
        return _of_object(dictionary)
    raise TypeError(
        f"the dictionary is a {type(dictionary).__name__}, expected a pair (dictionary, "
        "params), an object with encode and decode, or two callables; wrap it as encode= "
        "and decode= on arrays"
    )


def _has_both(thing: Any) -> bool:
    return callable(getattr(thing, "encode", None)) and callable(
        getattr(thing, "decode", None)
    )


def _of_object(sae: Any) -> Callables:
    encode = _on_arrays(sae.encode, lambda output: _codes(output, sae))
    if _required_arguments(sae.decode) < 2:
        return Callables(encode, _on_arrays(sae.decode))
    like = _first_tensor(sae)

    def decode(z):
        """All latents of each row, given as (values, indices)."""
        z = np.array(z)
        index = np.broadcast_to(np.arange(z.shape[1]), z.shape).copy()
        with _evaluating(sae):
            if like is None:
                return _as_numpy(sae.decode(z, index))
            whole = like.new_zeros(1).long()
            return _as_numpy(sae.decode(like.new_tensor(z), whole.new_tensor(index)))

    return Callables(encode, decode)


def _on_arrays(
    function: Callable[[Any], Any], read: Callable[[Any], np.ndarray] | None = None
) -> Callable[[Any], Any]:
    """`function` between arrays; of a torch module, through tensors."""
    owner = getattr(function, "__self__", function)
    like = _first_tensor(owner)
    if like is None and read is None:
        return function
    read = _as_numpy if read is None else read

    def called(array):
        with _evaluating(owner):
            given = array if like is None else like.new_tensor(np.array(array))
            return read(function(given))

    return called


def _first_tensor(owner: Any) -> Any:
    """A parameter that can make tensors like itself; None where there is none."""
    if not hasattr(owner, "parameters") or inspect.isclass(owner):
        return None
    for parameter in owner.parameters():
        return parameter if hasattr(parameter, "new_tensor") else None
    return None


@contextmanager
def _evaluating(owner: Any) -> Iterator[None]:
    """Evaluation mode, for selections and normalisations that differ in training.

    Flags are set one by one: a part that was in evaluation mode stays there.
    """
    parts = list(owner.modules()) if hasattr(owner, "modules") else [owner]
    training = [part for part in parts if getattr(part, "training", False) is True]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _required_arguments(function: Callable) -> int:
    empty = inspect.Parameter.empty
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    arguments = inspect.signature(function).parameters.values()
    return sum(one.default is empty and one.kind in named for one in arguments)


def _codes(output: Any, sae: Any) -> np.ndarray:
    """The dense codes in whatever `encode` returned."""
    if not isinstance(output, tuple | list):
        return _as_numpy(output)
    if len(output) >= 2 and isinstance(output[1], dict):
        if output[1]:
            raise ValueError(
                f"encode returned {', '.join(map(str, output[1]))} of each sample beside "
                "the codes, expected codes that decode needs alone; give it samples that "
                "are normalised already, with normalisation off"
            )
        return _as_numpy(output[0])
    arrays = [_as_numpy(one) for one in output[:2]]
    if len(arrays) == 2 and np.issubdtype(arrays[1].dtype, np.integer):
        return _densified(arrays[0], arrays[1], _n_latents(sae))
    if len(arrays) == 2 and arrays[0].shape == arrays[1].shape:
        before, codes = arrays
        if np.allclose(codes, np.where(codes != 0, before, 0), atol=1e-5):
            return codes
    shapes = " and ".join(str(array.shape) for array in arrays)
    raise ValueError(
        f"encode returned a {type(output).__name__} whose arrays have shapes {shapes}, "
        "expected codes, (values, indices) or (codes before selection, codes); pass "
        "callables that return the codes alone"
    )


def _densified(values: np.ndarray, index: np.ndarray, n_latents: int) -> np.ndarray:
    """[batch, latent] from the entries of each row that are not 0."""
    codes = np.zeros((len(values), n_latents), values.dtype)
    np.put_along_axis(codes, index, values, axis=1)
    return codes


def _n_latents(sae: Any) -> int:
    """How many latents an object has that names only those of each row."""
    for name in ("num_latents", "n_latents", "dict_size"):
        if isinstance(getattr(sae, name, None), int):
            return getattr(sae, name)
    rows = getattr(sae, "W_dec", None)
    if rows is None:
        raise ValueError(
            "encode returned (values, indices) of an object without num_latents or W_dec, "
            "expected one of them; the number of latents is not in the indices"
        )
    return rows.shape[0]


def _as_numpy(value: Any) -> np.ndarray:
    """Any array or tensor; bfloat16, which NumPy has not, as float32."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    if getattr(value, "is_sparse", False):
        value = value.to_dense()
    return (value.float() if value.is_floating_point() else value).numpy()
