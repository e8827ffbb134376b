"""Dictionaries of other libraries as two callables on arrays, without importing those.

    encode, decode = adapters.adapt(sae)

What an object is follows from what it offers, so that nothing of torch is needed here.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from synthetic.stored.foreign import as_numpy
from toymodels.scores.callables import Compiled, WithForward


class Callables(NamedTuple):
    """Attributes:
    encode: [batch, d_model] -> [batch, latent].
    decode: [batch, latent] -> [batch, d_model]; a `WithForward` where the dictionary has a
        forward pass of its own.
    """

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def adapt(dictionary: Any, decode: Callable[[Any], Any] | None = None) -> Callables:
    """The two callables of a dictionary, whoever made it.

    Understood are, in this order: a callable `encode` with its `decode`; a pair of two
    callables; a pair (dictionary, params) of this library, or what `fit` returns; an object
    with `encode` and `decode`. Objects and callables with `parameters()` are taken for
    torch modules: they get tensors of the dtype and on the device of their largest
    parameter of real numbers, or buffer where there is no parameter, in evaluation mode,
    and are put back as they were.

    Of an object, `encode` may return
    - the codes, dense or as a sparse tensor (SAELens, dictionary_learning);
    - (values, indices, ...), the largest entries of each row (sparsify), in which case
      `decode` takes both;
    - (codes before selection, codes) (overcomplete);
    - (codes, {}) (openai's, where the input is not normalised).

    A decoder's orientation never matters: `scores.callables.decoder_rows` finds its rows
    from what `decode` gives. Signs neither: a latent whose codes are never positive is
    turned where it is scored, on samples (`scores.prepared`).

    An object's `forward`, or `predict` of this library's skip transcoder, goes along with
    `decode`. Scoring compares it with decode(encode(x)): where a transcoder adds a skip
    connection, explained variance and shrinkage are those of `forward`, as its users see
    them, while directions are those of the decoder, and a flag of the report says so. Two
    callables are taken as they are. The error term that SAELens can add
    (`use_error_term`) is no part of a dictionary: with it `forward` is left out.

    Raises:
        TypeError: it is none of these.
        ValueError: when called, `encode` returns something else.
    """
    if callable(decode) and callable(dictionary):
        owner = _owner(dictionary)
        read = None if _like(owner) is None else partial(_codes, sae=owner)
        return Callables(
            _on_arrays(dictionary, owner, read), _on_arrays(decode, _owner(decode))
        )
    if isinstance(dictionary, tuple) and len(dictionary) == 2 and decode is None:
        first, second = dictionary
        if callable(first) and callable(second):
            return adapt(first, second)
        if _has_both(first):
            return _of_ours(first, second)
    variant, params = (getattr(dictionary, name, None) for name in ("dictionary", "params"))
    if variant is not None and params is not None:
        return _of_ours(variant, params)
    if _has_both(dictionary) and decode is None:
        _require_whole(dictionary)
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


def _require_whole(sae: Any) -> None:
    if inspect.isclass(sae):
        raise TypeError(
            f"the dictionary is the class {sae.__name__}, expected an instance of it; give "
            "one that is trained, with its weights"
        )
    if _required_arguments(sae.encode) > 1:
        raise TypeError(
            f"the dictionary is a {type(sae).__name__} whose encode takes weights and "
            "samples, expected it together with its weights; give (dictionary, params)"
        )


_encode = jax.jit(lambda dictionary, params, x: dictionary.encode(params, x))
_decode = jax.jit(lambda dictionary, params, z: dictionary.decode(params, z))


def _of_ours(dictionary: Any, params: Any) -> Callables:
    """A variant with its weights; variants of one shape share one program."""
    if all(hasattr(leaf, "dtype") or np.isscalar(leaf) for leaf in _leaves(dictionary)):
        encode: Any = Compiled(_encode, (dictionary, params))
        decode: Any = Compiled(_decode, (dictionary, params))
    else:
        encode = partial(dictionary.encode, params)
        decode = partial(dictionary.decode, params)
    if not hasattr(dictionary, "predict"):
        return Callables(encode, decode)

    def forward(x):
        return [np.asarray(dictionary.predict(params, x))]

    return Callables(encode, WithForward(decode, forward))


def _leaves(dictionary: Any) -> list[Any]:
    """What a jitted function would get of it; a plain object is a leaf itself."""
    return jax.tree.leaves(dictionary)


def _of_object(sae: Any) -> Callables:
    encode = _on_arrays(sae.encode, sae, lambda found: _codes(found, sae))
    decode = _decode_of(sae)
    forward = getattr(sae, "forward", None)
    if not callable(forward) or getattr(sae, "use_error_term", False):
        return Callables(encode, decode)
    return Callables(encode, WithForward(decode, _on_arrays(forward, sae, _arrays)))


def _decode_of(sae: Any) -> Callable[[Any], Any]:
    if _required_arguments(sae.decode) < 2:
        return _on_arrays(sae.decode, sae)
    like = _like(sae)

    def decode(z):
        """All latents of each row, given as (values, indices)."""
        z = np.array(z)
        index = np.broadcast_to(np.arange(z.shape[1]), z.shape).copy()
        with _evaluating(sae):
            if like is None:
                return _one_array(sae.decode(z, index))
            whole = like.new_zeros(1).long()
            return _one_array(sae.decode(like.new_tensor(z), whole.new_tensor(index)))

    return decode


def _on_arrays(
    function: Callable[[Any], Any],
    owner: Any,
    read: Callable[[Any], Any] | None = None,
) -> Callable[[Any], Any]:
    """`function` between arrays; where its owner is a torch module, through tensors."""
    like = _like(owner)
    if like is None and read is None:
        return function
    read = _one_array if read is None else read

    def called(array):
        with _evaluating(owner):
            given = array if like is None else like.new_tensor(np.array(array))
            return read(function(given))

    return called


def _owner(function: Any) -> Any:
    return getattr(function, "__self__", function)


def _like(owner: Any) -> Any:
    """A tensor of a module that makes others of the dtype and on the device it works with:
    its largest parameter of real numbers, else its largest such buffer; None for what is
    no module.
    """
    if not hasattr(owner, "parameters") or inspect.isclass(owner):
        return None
    for name in ("parameters", "buffers"):
        tensors = getattr(owner, name, lambda: ())()
        real = [
            one for one in tensors if hasattr(one, "new_tensor") and one.is_floating_point()
        ]
        if real:
            return max(real, key=lambda tensor: math.prod(tensor.shape))
    return None


def _one_array(output: Any) -> np.ndarray:
    if isinstance(output, tuple | list | dict) or output is None:
        raise ValueError(
            f"decode returned a {type(output).__name__}, expected one tensor [batch, "
            "d_model]; pass a callable that returns the reconstruction alone"
        )
    return as_numpy(output)


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
    if isinstance(output, dict) or output is None:
        raise ValueError(
            f"encode returned a {type(output).__name__}, expected codes [batch, "
            "n_latents]; pass callables that return the codes alone"
        )
    if not isinstance(output, tuple | list):
        return as_numpy(output)
    if len(output) >= 2 and isinstance(output[1], dict):
        if output[1]:
            raise ValueError(
                f"encode returned {', '.join(map(str, output[1]))} of each sample beside "
                "the codes, expected codes that decode needs alone; give it samples that "
                "are normalised already, with normalisation off"
            )
        return as_numpy(output[0])
    arrays = [as_numpy(one) for one in output[:2]]
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


def _arrays(output: Any) -> list[np.ndarray]:
    """Those in what `forward` returned; of one that names its `sae_out`, that alone."""
    if isinstance(output, Mapping):
        output = [output["sae_out"]] if "sae_out" in output else list(output.values())
    elif hasattr(output, "sae_out"):
        output = [output.sae_out]
    elif not isinstance(output, tuple | list):
        output = [output]
    return [as_numpy(one) for one in output if hasattr(one, "shape")]


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
