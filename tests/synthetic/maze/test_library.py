"""Our mazes beside those of maze-dataset, and its files.

What needs the package is skipped where it is not installed, and fails where it is broken.
"""

import importlib.util
import random as python_random
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synthetic import random
from synthetic.maze import holdout, labels, lattice, library, raster, solve, tokens
from synthetic.maze.game import MazeGame
from synthetic.maze.generate import Percolated, Wilson
from synthetic.maze.lattice import Maze
from synthetic.maze.tokens import PADDING, Layout

PACKAGE = Path(library.__file__).parents[2]
ALL = [
    ("gen_dfs", {}),
    ("gen_dfs", {"accessible_cells": 9, "max_tree_depth": 6}),
    ("gen_dfs", {"do_forks": False}),
    ("gen_prim", {}),
    ("gen_wilson", {}),
    ("gen_kruskal", {}),
    ("gen_percolation", {"p": 0.6}),
    ("gen_dfs_percolation", {"p": 0.3}),
    ("gen_recursive_division", {}),
]


@pytest.fixture(scope="module")
def package():
    if importlib.util.find_spec("maze_dataset") is None:
        pytest.skip("maze-dataset is not installed")
    return library.load()


@pytest.fixture(scope="module")
def drawn(package):
    """100 mazes and more are saved in another form than fewer."""
    return [library.generate(name, 4, 120, 3, settings) for name, settings in ALL]


@pytest.fixture(scope="module")
def game():
    game = MazeGame.of(Percolated(Wilson(4), 0.3))
    return game, jax.jit(lambda key: game.sample(key, 40))(random.key(1))


def as_arrays(maze):
    return jax.tree.map(jnp.asarray, maze)


def theirs_of(package, maze):
    """The mazes as objects of the package."""
    return [
        package.SolvedMaze(connections, np.stack(np.divmod(path[path >= 0], 4), axis=-1))
        for connections, path in zip(*map(np.asarray, (maze[0], maze[3])), strict=True)
    ]


def tokenizer(package, size):
    """The vocabulary of the models of 2023."""
    mode = package.tokenization.TokenizationMode.AOTP_UT_rasterized
    return package.tokenization.MazeTokenizer(tokenization_mode=mode, max_grid_size=size)


def test_nothing_imports_the_package_before_it_is_asked_for():
    code = (
        "import sys, synthetic, synthetic.maze.library, toymodels.sae, toymodels.scores\n"
        "assert not {'maze_dataset', 'muutils'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE)


def test_one_module_imports_the_package():
    files = [*(PACKAGE / "synthetic").rglob("*.py"), *(PACKAGE / "toymodels").rglob("*.py")]
    found = {path.name for path in files if "maze_dataset" in path.read_text()}
    assert found == {"library.py"}


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "maze_dataset", None)
    with pytest.raises(ImportError, match=r"maze-dataset is not installed.*muutils<0.9"):
        library.load()


def test_a_package_broken_by_another_is_told_apart(monkeypatch, tmp_path):
    (tmp_path / "maze_dataset.py").write_text("from math import _FORMAT_KEY")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "maze_dataset"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"cannot be imported.*_FORMAT_KEY.*muutils<0.9"):
        library.load()
    monkeypatch.delitem(sys.modules, "maze_dataset", raising=False)


def test_every_generator_of_the_package_is_covered(package):
    assert {name for name, _ in ALL} == set(library.generators())


def test_mazes_of_every_generator_are_solved_by_shortest_paths(drawn):
    for (name, settings), maze in zip(ALL, drawn, strict=True):
        assert len(maze.path) == 120 or name == "gen_percolation"
        grade = solve.grade(as_arrays(maze), jnp.asarray(maze.path))
        assert grade.shortest.all(), (name, settings)
        assert (maze.origin != maze.target).all()


def test_settings_and_ends_reach_the_package(package, drawn):
    n_edges = lattice.to_list(jnp.asarray(drawn[1].connections)).sum(1)
    assert n_edges.max() <= 8
    ends = {"allowed_start": [(0, 0)], "deadend_end": True}
    maze = library.generate("gen_wilson", 4, 30, ends=ends)
    truth = labels.of_maze(as_arrays(maze))
    assert not maze.origin.any()
    assert (truth.dead_end & truth.target).any(1).all()


def test_the_same_seed_gives_the_same_mazes(package, drawn):
    """And 120 different seeds of processes would not: nothing runs in parallel."""
    again = library.generate("gen_wilson", 4, 120, 3)
    other = library.generate("gen_wilson", 4, 120, 4)
    for a, b in zip(again, drawn[4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (again.connections != other.connections).any()
    assert len(holdout.first_of_each(again.connections)) > 115


def test_global_generators_are_left_alone(package, tmp_path):
    python_random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    expected = python_random.random(), np.random.rand()  # noqa: NPY002
    python_random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    library.load()
    maze = library.generate("gen_dfs", 3, 10, seed=9)
    library.write(tmp_path / "mazes.zanj", maze)
    library.filtered(library.read(tmp_path / "mazes.zanj"), "path_length", min_length=2)
    assert (python_random.random(), np.random.rand()) == expected  # noqa: NPY002


@pytest.mark.parametrize("n", [20, 100])
def test_files_there_and_back(drawn, tmp_path, n):
    for maze in drawn:
        part = jax.tree.map(lambda leaf: leaf[:n], maze)
        library.write(tmp_path / "mazes.zanj", part)
        again = library.read(tmp_path / "mazes.zanj")
        for a, b in zip(part, again, strict=True):
            np.testing.assert_array_equal(a, b)


def test_our_mazes_in_their_files(package, game, tmp_path):
    maze = game[1].maze
    library.write(tmp_path / "ours.zanj", maze)
    dataset = package.MazeDataset.read(tmp_path / "ours.zanj")
    assert [m.connection_list.tolist() for m in dataset] == maze.connections.tolist()
    for a, b in zip(maze, library.read(tmp_path / "ours.zanj"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_filters(package, drawn):
    maze = drawn[4]
    n_cells = (maze.path >= 0).sum(1)
    long = library.filtered(maze, "path_length", min_length=6)
    np.testing.assert_array_equal(long.path, maze.path[n_cells >= 6])
    assert len(library.filtered(maze, "truncate_count", max_count=7).path) == 7
    twice = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[:50]]), maze)
    different = library.filtered(twice, "remove_duplicates_fast")
    assert len(different.path) <= 120
    apart = library.filtered(maze, "start_end_distance", min_distance=3)
    steps = np.abs(np.subtract(*np.divmod(np.stack([apart.origin, apart.target]), 4)))
    assert 0 < len(apart.path) < 120
    assert steps.shape[1] == len(apart.path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("wrong", "expected one of"), ("remove_duplicates", "drops different mazes")],
)
def test_unknown_and_harmful_filters_are_refused(package, drawn, name, message):
    with pytest.raises(ValueError, match=message):
        library.filtered(drawn[0], name)


def test_unknown_generators_are_refused(package):
    with pytest.raises(ValueError, match="generator is 'dfs', expected one of gen_dfs"):
        library.generate("dfs", 4, 3)
    with pytest.raises(ValueError, match="n_mazes is 0"):
        library.generate("gen_dfs", 4, 0)


def test_broken_and_foreign_files_are_refused(package, drawn, tmp_path):
    good = tmp_path / "good.zanj"
    library.write(good, drawn[0])
    content = good.read_bytes()
    (tmp_path / "random.zanj").write_bytes(bytes(range(256)))
    (tmp_path / "cut.zanj").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.zanj").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "foreign.zanj", "w") as archive:
        archive.writestr("__zanj__.json", '{"a": 1}')
    with zipfile.ZipFile(tmp_path / "other.zanj", "w") as archive:
        archive.writestr("notes.txt", "no mazes")
    for name in ("random", "cut", "empty", "foreign", "other"):
        with pytest.raises(ValueError, match=f"{name}.zanj cannot be read as mazes"):
            library.read(tmp_path / f"{name}.zanj")
    with pytest.raises(FileNotFoundError, match="is no file"):
        library.read(tmp_path / "missing.zanj")


def test_files_with_broken_mazes_are_refused(package, drawn, tmp_path):
    """A wall in the path, which the package does not look for."""
    broken = theirs_of(package, drawn[0])
    broken[3].connection_list[:] = False
    config = package.MazeDatasetConfig(name="x", grid_n=4, n_mazes=len(broken))
    dataset = package.MazeDataset(config, broken, generation_metadata_collected={})
    dataset.save(tmp_path / "walls.zanj")
    with pytest.raises(ValueError, match=r"walls.zanj.*the path of maze 3 does not lead"):
        library.read(tmp_path / "walls.zanj")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m._replace(path=np.roll(m.path, 1, axis=1)), "the path of maze 0"),
        (lambda m: m._replace(target=m.origin), "the path of maze 0"),
        (lambda m: m._replace(connections=~m.connections), "leave the lattice"),
        (lambda m: m._replace(path=m.path[0]), "flatten the batch"),
        (lambda m: m._replace(path=np.where(m.path < 0, -1, 99)), "the path of maze 0"),
    ],
)
def test_broken_mazes_are_not_solved(change, message):
    """Cells 0 1 / 2 3, open 0-1 and 1-3, from 0 to 3; needs no package."""
    connections = lattice.from_list(jnp.array([[False, True, True, False]]), 2)
    path = np.array([[0, 1, 3, -1]])
    maze = Maze(np.asarray(connections), path[:, 0], path[:, 2], path)
    library.require_solved(maze)
    with pytest.raises(ValueError, match=message):
        library.require_solved(change(maze))


@pytest.mark.parametrize("name", ["gen_dfs", "limits", "gen_wilson", "gen_kruskal"])
def test_the_package_draws_from_the_laws_we_think_it_does(package, plain, name):
    """Its depth-first law is the biased one: 42 forms, none else. Its limit of depth is not
    ours: it takes some cells for deeper than they are.
    """
    settings = {"accessible_cells": 6, "max_tree_depth": 6} if name == "limits" else {}
    expected = {
        "gen_dfs": lambda: plain.depth_first_law(3, [0, 1, 3, 4]),
        "limits": lambda: plain.package_depth_first_law(3, [0, 1, 3, 4], 6, 6),
        "gen_wilson": lambda: dict.fromkeys(plain.spanning_trees(3), 1 / 192),
        "gen_kruskal": lambda: plain.kruskal_law(3),
    }[name]()
    n = 3000
    generator = "gen_dfs" if name == "limits" else name
    maze = library.generate(generator, 3, n, 1, settings)
    counts = Counter(map(plain.edges_of, maze.connections))
    assert set(counts) <= set(expected)
    assert sum(counts.values()) == n
    observed = [counts[form] for form in expected]
    p = stats.chisquare(observed, [n * float(q) for q in expected.values()]).pvalue
    assert 1e-6 < p < 1 - 1e-6


def test_our_words_are_the_package_s_vocabulary(package):
    for size in (3, 7):
        theirs = tokenizer(package, size)
        assert theirs.token_arr == Layout(size, 1, 2).words
        assert theirs.padding_token_index == PADDING


def test_sequences_of_the_package_are_ours(package, drawn):
    """Theirs, padded at the end, is a sequence of our layout and reads as the same maze."""
    theirs = tokenizer(package, 4)
    maze, layout = drawn[4], Layout(4, 15, 16)
    words = np.full((120, layout.n_tokens), PADDING)
    for row, one in zip(words, theirs_of(package, maze), strict=True):
        sequence = theirs.encode(one.as_tokens(theirs))
        row[: len(sequence)] = sequence
    tokens.require_tokens(layout, words)
    for a, b in zip(tokens.read(layout, jnp.asarray(words)), maze, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mazes_of_the_package_in_our_game(package, drawn):
    game, maze = MazeGame.of(Wilson(4)), as_arrays(drawn[4])

    def play(key):
        listing = tokens.draw_listing(key, maze.connections, game.layout.n_listed)
        return game.describe(maze, listing)

    played = jax.jit(play)(random.key(2))
    again = tokens.read(game.layout, played.tokens)
    for ours, theirs in zip(again, maze, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (played.weights.max(1) == 1).all()


@pytest.mark.filterwarnings("ignore:.*only supports legacy UT strings")
def test_the_package_reads_our_sequences(package, game):
    theirs = tokenizer(package, 4)
    for words, one in zip(
        np.asarray(game[1].tokens), theirs_of(package, game[1].maze), strict=True
    ):
        text = theirs.decode(words[words != PADDING].tolist())
        again = package.SolvedMaze.from_tokens(text, theirs)
        np.testing.assert_array_equal(again.connection_list, one.connection_list)
        np.testing.assert_array_equal(again.solution, one.solution)


def test_pictures_and_labels_are_the_package_s(package, game):
    maze = game[1].maze
    pictures = raster.colours(maze)
    truth = jax.tree.map(np.asarray, labels.of_maze(maze))
    for i, one in enumerate(theirs_of(package, maze)):
        np.testing.assert_array_equal(pictures[i], one.as_pixels())
        np.testing.assert_array_equal(truth.degree[i], one.coord_degrees().ravel())
        _, forks = one.get_solution_forking_points()
        found = sorted(4 * row + column for row, column in np.asarray(forks).reshape(-1, 2))
        assert np.flatnonzero(truth.fork[i]).tolist() == found


def test_the_package_finds_paths_as_short_as_ours(package, game):
    maze = game[1].maze
    for one, path in zip(theirs_of(package, maze), np.asarray(maze.path), strict=True):
        theirs = one.find_shortest_path(tuple(one.start_pos), tuple(one.end_pos))
        assert len(theirs) == (path >= 0).sum()
