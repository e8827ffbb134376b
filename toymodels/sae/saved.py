"""Dictionaries on disk: one safetensors file with the weights and a description.

The description is JSON in the file's own metadata: a format number, the class of the
variant with its fields, and the width. Fields that are arrays lie among the tensors.
Reading imports nothing that the file names: classes are looked up among those of
`toymodels.sae` and those that the caller gives.
"""

import dataclasses
import importlib
import json
import os
import pkgutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from toymodels import files

FORMAT = 1
_KEY = "sae-truth"


def write(path: Path, dictionary: Any, params: Any) -> None:
    """Writes a variant and its weights, whole or not at all.

    Raises:
        ValueError: a field of the variant cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    described = _described("dictionary", dictionary, arrays)
    d_model = jax.tree.leaves(getattr(params, "W_dec", params))[0].shape[-1]
    arrays |= {f"params/{name}": np.asarray(leaf) for name, leaf in _named(params)}
    content = {"format": FORMAT, "dictionary": described, "d_model": int(d_model)}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        files.write_safetensors(Path(temporary), arrays, {_KEY: json.dumps(content)})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read(path: Path, variants: tuple[type, ...] = ()) -> tuple[Any, Any]:
    """The variant and its weights.

    Raises:
        ValueError: see `toymodels.sae.fitted.load`.
    """
    arrays = files.read_safetensors(path)
    text = files.read_metadata(path).get(_KEY)
    if text is None:
        raise ValueError(
            f"{path} holds no description of a dictionary, expected a file that "
            "Fitted.save wrote; `toymodels.exchange` reads those of other libraries"
        )
    content = json.loads(text)
    if content.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {content.get('format')}, expected {FORMAT}; it is from "
            "another version of this library: save it again with this one"
        )
    known = _known() | {cls.__name__: cls for cls in variants}
    dictionary = _made(path, content["dictionary"], arrays, known)
    empty = jax.eval_shape(
        lambda key: dictionary.init(key, content["d_model"]), jax.random.key(0)
    )
    return dictionary, _weights(path, empty, arrays)


def _described(name: str, value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as plain JSON; arrays are put among the tensors under their names."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        items = [_described(f"{name}/{i}", item, arrays) for i, item in enumerate(value)]
        names = getattr(value, "_fields", None)
        if names is not None:
            fields = dict(zip(names, items, strict=True))
            return {"class": type(value).__name__, "fields": fields}
        return {"tuple": items}
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        arrays[name] = np.asarray(value)
        return {"array": name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: _described(
                f"{name}/{field.name}", getattr(value, field.name), arrays
            )
            for field in dataclasses.fields(value)
        }
        return {"class": type(value).__name__, "fields": fields}
    raise ValueError(
        f"{name} is a {type(value).__name__}, expected a number, an array or a dataclass "
        "of these; a dictionary that holds functions or models cannot be saved"
    )


def _made(path: Path, described: Any, arrays: Mapping[str, np.ndarray], known) -> Any:
    """What `_described` described."""
    if not isinstance(described, dict):
        return described
    if "tuple" in described:
        return tuple(_made(path, item, arrays, known) for item in described["tuple"])
    if "array" in described:
        files.require_names(path, arrays, (described["array"],), tuple(arrays))
        return jnp.asarray(arrays[described["array"]])
    name = described["class"]
    if name not in known:
        raise ValueError(
            f"{path} holds a {name}, expected a variant of toymodels.sae; if it is a class "
            f"of your own, give it: load(path, variants=({name},))"
        )
    fields = {k: _made(path, v, arrays, known) for k, v in described["fields"].items()}
    try:
        return known[name](**fields)
    except TypeError as error:
        raise ValueError(
            f"{path} holds a {name} with the fields {', '.join(fields)}, which this "
            f"version of it does not have ({error}); save it again with this version"
        ) from error


def _known() -> dict[str, type]:
    """Every class that is defined in `toymodels.sae`, by name."""
    room = importlib.import_module("toymodels.sae")
    names = [found.name for found in pkgutil.walk_packages(room.__path__, "toymodels.sae.")]
    modules = [importlib.import_module(name) for name in names]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


def _named(params: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree.leaves_with_path(params)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in leaves
    ]


def _weights(path: Path, empty: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The weights of a file in the container that the variant's `init` makes.

    Raises:
        ValueError: a name is missing, or a shape differs.
    """
    found = []
    for name, leaf in _named(empty):
        files.require_names(path, arrays, (f"params/{name}",), tuple(arrays))
        array = arrays[f"params/{name}"]
        if array.shape != leaf.shape:
            raise ValueError(
                f"{name} in {path} has the shape {array.shape}, expected {leaf.shape} for "
                "the variant that the file names; it was damaged or put together by hand"
            )
        found.append(jnp.asarray(array))
    return jax.tree.unflatten(jax.tree.structure(empty), found)
