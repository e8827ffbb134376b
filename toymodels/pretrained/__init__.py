"""Trained transformers that come with the library, so that probes need no training.

    trained = pretrained.load("othello_tiny")
    trained.preset.game, trained.model, trained.card["metrics"]

Beside the weights (safetensors) lies a card (JSON): the command, seed, device and seconds
that made them, what was measured on the stored weights, and their SHA-256 sum.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike

from synthetic.maze import MazeGame
from synthetic.validation import require_range
from toymodels import files, transformer
from toymodels.maze import presets
from toymodels.maze.residual import MazeResidual
from toymodels.othello import presets as othello_models
from toymodels.othello.residual import OthelloResidual
from toymodels.transformer import Transformer
from toymodels.transformer.preset import Preset

FOLDER = Path(__file__).parent
PRESETS: dict[str, Callable[[], Preset[Any]]] = {
    "maze_tiny": presets.tiny,
    "maze_small": presets.small,
    "maze_medium": presets.medium,
    "maze_full": presets.full,
    "othello_tiny": othello_models.tiny,
    "othello_small": othello_models.small,
    "othello_full": othello_models.full,
}


class Pretrained(NamedTuple):
    """A trained player: its game, its model, and the card that says where it comes from.

    Attributes:
        preset: the game and the sizes.
        model: the transformer with its weights, in float32.
        card: where the weights come from and what they reach.
    """

    preset: Preset[Any]
    model: Transformer
    card: dict[str, Any]

    @property
    def game(self) -> Any:
        """The game that the model plays, which draws sequences with their labels."""
        return self.preset.game

    def stream(
        self,
        layer: int,
        after: Literal["attention", "mlp"] = "mlp",
        families: tuple[str, ...] = ("mine", "theirs", "legal"),
        slots: int | None = None,
        token: int | None = None,
    ) -> OthelloResidual | MazeResidual:
        """The residual stream after a component of a layer, as a world for dictionaries.

        Its samples have x, the stream [d_model], and features, what is true at that token.

        Args:
            layer: of the model, counted from 0.
            after: which component of the layer wrote last.
            families: of Othello's features, such as "mine" (one feature per square);
                `synthetic.othello.families` lists them all. Mazes have one family, the
                connections of the maze.
            slots: positions drawn from each game of Othello, all of them by default.
            token: the place in a maze's sequence, <PATH_START> by default.

        Raises:
            ValueError: there is no such layer, family, slot or token.
        """
        require_range("layer", layer, 0, self.model.n_layers - 1, "layers count from 0")
        site = transformer.site(layer, after)
        untrained = self.preset.init(jax.random.key(0))
        if isinstance(self.game, MazeGame):
            place = self.game.layout.path_start if token is None else token
            return MazeResidual(self.game, self.model, place, site, untrained)
        n_slots = self.game.n_tokens if slots is None else slots
        return OthelloResidual(self.game, self.model, families, site, n_slots, untrained)


def preset(name: str) -> Preset[Any]:
    """The game and the sizes behind a name, trained or not.

    Raises:
        ValueError: there is no such name.
    """
    if name not in PRESETS:
        raise ValueError(
            f"there is no player {name!r}, but {', '.join(PRESETS)}; choose one of these"
        )
    return PRESETS[name]()


def load(name: str, folder: Path = FOLDER) -> Pretrained:
    """A trained model by its name, one of `PRESETS` whose weights are in the folder.

    Raises:
        ValueError: there is no such model, its file is damaged or not the one its card was
            written for, or holds weights of other names or shapes than its preset.
    """
    known = sorted(path.stem for path in folder.glob("*.json") if path.stem in PRESETS)
    if name not in known:
        there = ", ".join(known) or "no other"
        fix = "choose one of these"
        if name in PRESETS:
            fix = "train it with a world_model experiment and give the folder of its record"
        raise ValueError(
            f"there is no trained model {name!r} in {folder}, but {there}; {fix}"
        )
    sizes = preset(name)
    card = files.read_json(folder / f"{name}.json")
    path = folder / f"{name}.safetensors"
    files.require_file(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != card.get("sha256"):
        raise ValueError(
            f"{path} has the SHA-256 sum {found[:12]}..., expected that of its card, "
            f"{str(card.get('sha256'))[:12]}...; copy both files again"
        )
    empty = jax.eval_shape(sizes.init, jax.random.key(0))
    return Pretrained(sizes, with_weights(empty, files.read_safetensors(path), path), card)


def save(
    name: str,
    model: Transformer,
    card: Mapping[str, Any],
    folder: Path = FOLDER,
    dtype: DTypeLike = np.float32,
) -> None:
    """Writes weights and card, each whole or not at all.

    Args:
        name: under which `load` finds them.
        model: its weights are rounded to `dtype`; measure what is on the card after that
            (`rounded`).
        card: without the sum, which is added.
        folder: where both files go.
        dtype: of the file.
    """
    arrays = {key: np.asarray(value, dtype) for key, value in weights(model).items()}
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "weights"
        files.write_safetensors(path, arrays)
        path.chmod(0o644)  # the package is read by others than its writer
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        card_path = Path(temporary) / "card"
        files.write_json(card_path, {**card, "sha256": sha256})
        os.replace(path, folder / f"{name}.safetensors")
        os.replace(card_path, folder / f"{name}.json")


def rounded(model: Transformer, dtype: DTypeLike) -> Transformer:
    """The model as `load` gives it back after `save` with this dtype."""
    return jax.tree.map(lambda w: w.astype(dtype).astype(jnp.float32), model)


def weights(model: Transformer) -> dict[str, jax.Array]:
    """Every array of a model by its path, such as block_0/mlp/W_in."""
    leaves = jax.tree.leaves_with_path(model)
    return {_name(path): leaf for path, leaf in leaves}


def with_weights(
    empty: Transformer, arrays: Mapping[str, np.ndarray], path: Path
) -> Transformer:
    """A model of the same shapes as `empty` with the arrays of a file.

    Raises:
        ValueError: a name is missing or unknown, or a shape differs.
    """
    expected = {name: leaf.shape for name, leaf in weights(empty).items()}
    files.require_names(path, arrays, tuple(expected))
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{name} in {path} has the shape {arrays[name].shape}, expected {shape}; "
                "it belongs to a model of another size"
            )
    return jax.tree.map_with_path(
        lambda where, _: jnp.asarray(arrays[_name(where)], jnp.float32), empty
    )


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")
