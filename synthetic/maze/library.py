"""maze-dataset (Ivanitskiy et al., JOSS, doi 10.21105/joss.08633): its mazes and its files.

The one module that imports it, and only when called. It is optional:

    pip install "maze-dataset>=1.4.2" "muutils<0.9"

Version 1.4.2 asks for any muutils and fails on import with 0.9. What is known about it and
avoided here: mazes made in parallel processes repeat each other; every configuration seeds
Python's and NumPy's global generators (they are restored); the metadata of Kruskal and
recursive division cannot be saved (no metadata is kept, everything follows from the
connections); hashes change when a file is read back (`holdout.rows` do not); the filter
`remove_duplicates` drops different mazes too. Its depth-first mazes are biased, see
`generate`.
"""

import contextlib
import importlib
import importlib.metadata
import random
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Int

from synthetic.maze import lattice
from synthetic.maze.lattice import Maze
from synthetic.validation import require_range

INSTALL = "pip install 'maze-dataset>=1.4.2' 'muutils<0.9'"
NO_DUPLICATES = "remove_duplicates_fast"


def load() -> ModuleType:
    """The package `maze_dataset`.

    Raises:
        ImportError: it is not installed, or another package breaks it.
    """
    with _undisturbed():
        try:
            package = importlib.import_module("maze_dataset")
            importlib.import_module("maze_dataset.tokenization")
        except ModuleNotFoundError as error:
            if error.name != "maze_dataset":
                raise _broken(error) from error
            raise ImportError(
                f"maze-dataset is not installed, expected version 1.4.2 or newer; {INSTALL}"
            ) from error
        except ImportError as error:
            raise _broken(error) from error
    return package


def _broken(error: ImportError) -> ImportError:
    versions = []
    for name in ("maze-dataset", "muutils"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return ImportError(
        f"maze-dataset cannot be imported ({error}) with {' and '.join(versions)}, "
        f"expected muutils below 0.9; {INSTALL}"
    )


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Puts the global generators back and keeps the package's warnings to itself."""
    ours, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)  # noqa: NPY002


def generators() -> tuple[str, ...]:
    """The names of the package's generators, "gen_dfs" and others."""
    return tuple(load().generation.generators.GENERATORS_MAP)


def filters() -> tuple[str, ...]:
    """The names of the package's filters that `filtered` takes."""
    names = vars(load().dataset.filters.MazeDatasetFilters)
    left_out = {"strip_generation_meta", "collect_generation_meta", "remove_duplicates"}
    return tuple(n for n in names if not n.startswith("_") and n not in left_out)


def dataset(
    generator: str,
    size: int,
    n_mazes: int,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    ends: Mapping[str, Any] | None = None,
) -> Any:
    """A `MazeDataset` of the package; the arguments are those of `generate`."""
    package = load()
    _require_name("generator", generator, generators())
    lattice.require_size(size)
    require_range("n_mazes", n_mazes, low=1, fix="it counts mazes")
    make = package.generation.generators.GENERATORS_MAP[generator]
    with _undisturbed():
        config = package.MazeDatasetConfig(
            name="synthetic",
            grid_n=size,
            n_mazes=n_mazes,
            seed=seed,
            maze_ctor=make,
            maze_ctor_kwargs=dict(settings or {}),
            endpoint_kwargs={
                "endpoints_not_equal": True,
                "except_on_no_valid_endpoint": False,
                **(ends or {}),
            },
        )
        return package.MazeDataset.generate(config)


def generate(
    generator: str,
    size: int,
    n_mazes: int,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    ends: Mapping[str, Any] | None = None,
) -> Maze:
    """Mazes of the package, with its ends and its shortest paths, as NumPy arrays.

    The same arguments give the same mazes. There are fewer than asked for where a maze has
    no two ends, as percolation may.

    Args:
        generator: one of `generators`.
        size: of the lattice.
        n_mazes: how many to try.
        seed: for the package's generators of random numbers.
        settings: of the generator: `p`, `accessible_cells`, `max_tree_depth`, `do_forks`,
            `start_coord`.
        ends: `allowed_start`, `allowed_end`, `deadend_start`, `deadend_end`,
            `endpoints_not_equal`.

    Raises:
        ImportError: see `load`.
        ValueError: no such generator, or a size or number of mazes that cannot be.
    """
    return _of_dataset(dataset(generator, size, n_mazes, seed, settings, ends))


def filtered(maze: Maze, name: str, **settings: Any) -> Maze:
    """The mazes that a filter of the package lets through.

    Args:
        maze: one-dimensional batch.
        name: one of `filters`.
        settings: of the filter, such as `min_length=4` for "path_length".

    Raises:
        ImportError: see `load`.
        ValueError: no such filter.
    """
    load()
    if name == "remove_duplicates":
        raise ValueError(
            f"name is {name!r}, which drops different mazes too; use {NO_DUPLICATES!r} or "
            "holdout.first_of_each"
        )
    _require_name("filter", name, filters())
    with _undisturbed():
        return _of_dataset(getattr(_to_dataset(maze).filter_by, name)(**settings))


def write(path: Path | str, maze: Maze) -> None:
    """Writes mazes to a file of the package (.zanj).

    Its configuration says "gen_dfs" whatever the law was: the format wants a generator of
    the package and has no other place for mazes from elsewhere.

    Raises:
        ImportError: see `load`.
        ValueError: arrays that are no mazes, or a path that does not solve its maze.
    """
    with _undisturbed():
        _to_dataset(maze).save(Path(path))


def read(path: Path | str) -> Maze:
    """Reads the mazes of a file of the package (.zanj), as NumPy arrays.

    Raises:
        ImportError: see `load`.
        FileNotFoundError: there is no such file.
        ValueError: it holds no mazes, or broken ones.
    """
    package, path = load(), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file, expected one that `write` wrote")
    with _undisturbed():
        try:
            dataset = package.MazeDataset.read(path)
            if not isinstance(dataset, package.MazeDataset):
                raise TypeError(f"it holds a {type(dataset).__name__}")
            return _of_dataset(dataset)
        except Exception as error:  # Whatever the package trips over.
            reason = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"{path} cannot be read as mazes ({type(error).__name__}: {reason}), "
                "expected a .zanj file of maze-dataset; write it again"
            ) from error


def _require_name(what: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"{what} is {name!r}, expected one of {', '.join(names)}")


def _of_dataset(dataset: Any) -> Maze:
    """The arrays of a set of mazes of one size, checked."""
    sizes = {maze.connection_list.shape for maze in dataset.mazes}
    if len(sizes) != 1:
        raise ValueError(f"mazes have shapes {sorted(sizes)}, expected one shape for all")
    size = sizes.pop()[-1]
    connections = np.stack([maze.connection_list for maze in dataset.mazes])
    path = np.full((len(connections), size**2), -1, np.int32)
    for row, maze in zip(path, dataset.mazes, strict=True):
        cells = np.asarray(maze.solution, np.int32) @ (size, 1)
        if not 1 <= len(cells) <= len(row):
            raise ValueError(
                f"a path has {len(cells)} cells, expected 1 to {len(row)}: those of a "
                "shortest path"
            )
        row[: len(cells)] = cells
    last = np.take_along_axis(path, (path >= 0).sum(1, keepdims=True) - 1, axis=1)[:, 0]
    arrays: Any = (connections, path[:, 0], last, path)
    maze = Maze(*arrays)
    require_solved(maze)
    return maze


def require_solved(maze: Maze) -> None:
    """Raises ValueError unless every path leads from origin to target by open moves."""
    lattice.require_connections(maze.connections)
    connections, path = np.asarray(maze.connections), np.asarray(maze.path)
    if connections.ndim != 4 or path.ndim != 2 or len(path) != len(connections):
        raise ValueError(
            f"connections has shape {connections.shape} and path {path.shape}, expected "
            "[maze, 2, n, n] and [maze, slot]; flatten the batch"
        )
    bad = np.flatnonzero(~_is_solved(connections, maze))
    if len(bad):
        raise ValueError(
            f"the path of maze {bad[0]} does not lead from its origin to its target by "
            "open moves, expected one that does; solve it with solve.solve"
        )


def _is_solved(connections: Bool[np.ndarray, "maze 2 n n"], maze: Maze) -> np.ndarray:
    """In NumPy, as `solve.grade` would be compiled for every number of mazes."""
    size, path = connections.shape[-1], np.asarray(maze.path)
    planes = connections.reshape(len(connections), 2, -1)
    cell = np.clip(path, 0, size**2 - 1)
    upper, apart = np.minimum(cell[:, :-1], cell[:, 1:]), np.abs(np.diff(path, axis=1))
    down, right = np.take_along_axis(planes, upper[:, None], axis=2).swapaxes(0, 1)
    is_open = (apart == size) & down | (apart == 1) & right
    n_cells = (path >= 0).sum(1)
    in_a_row = (path >= 0) == (np.arange(path.shape[1]) < n_cells[:, None])
    last = np.take_along_axis(path, np.maximum(n_cells - 1, 0)[:, None], axis=1)[:, 0]
    ends = (path[:, 0] == np.asarray(maze.origin)) & (last == np.asarray(maze.target))
    walks = (is_open | (path[:, 1:] < 0)).all(1) & in_a_row.all(1)
    return walks & ends & (n_cells > 0) & (path < size**2).all(1)


def _to_dataset(maze: Maze) -> Any:
    """A set of the package, without metadata; hashes as after reading it from a file."""
    package = load()
    require_solved(maze)
    maze = jax.tree.map(np.asarray, maze)
    config = package.MazeDatasetConfig(
        name="synthetic", grid_n=maze.size, n_mazes=len(maze.path)
    )
    mazes = [
        package.SolvedMaze(connections, _coordinates(path, maze.size))
        for connections, path in zip(maze.connections, maze.path, strict=True)
    ]
    # An empty record: with none, the package asks every maze for its metadata.
    return package.MazeDataset(config, mazes, generation_metadata_collected={})


def _coordinates(path: Int[np.ndarray, " slot"], size: int) -> Int[np.ndarray, "cell 2"]:
    return np.stack(np.divmod(path[path >= 0], size), axis=-1).astype(np.int8)
