import numpy as np

from figures.maze import (
    maze_dictionaries,
    maze_embeddings,
    maze_heads,
    maze_path_start,
    maze_shift,
    maze_transfer,
)

R = np.random.default_rng(0)
EMBEDDINGS = {
    "lattice": np.repeat([1.0, 2, 3, 4], 9),
    "shuffled": R.random(20),
    "plane": R.random((9, 2)),
    "trained/distance": R.random(36),
    "control/distance": R.random(36),
}
HEADS = {
    f"{name}/{of}": R.random((2, 3))
    for name in ("trained", "control")
    for of in ("score", "open", "walled")
} | {"lost/legal": R.random((2, 3)), "lost/best": R.random((2, 3))}
MEMBERS = [("second cell", 1, 1.0), ("semicolon", 1, 1.0)]
DICTIONARIES = {
    f"{name}/{of}": values
    for name in maze_dictionaries.LOOKS
    for of, values in (
        ("f1", np.array([[0.5, 0.4, 0.6], [0.9, 0.8, 0.95]])),
        ("by_connection", R.random(12)),
    )
} | {"words/f1": np.array([0.47, 0.46, 0.48])}
TRANSFER = {f"{name}/f1": R.random((3, 3, 3)) for name in ("a", "b")}
PATH_START = {
    f"{name}/{kind}/{part}": values
    for name in maze_path_start.LOOKS
    for kind in maze_path_start.TITLES
    for part, values in (
        ("rows", np.array([[0.2, 0.1, 0.3], [0.5, 0.4, 0.6]])),
        ("probes", np.array([[0.8, 0.7, 0.9]])),
    )
}
SHIFT = {"exact": R.random((2, 3)), "solved": R.random((2, 3))}


def test_labels_titles_and_the_same_bytes_twice(check_figure):
    agreement = {"agreement": {"trained": 0.5, "control": 0.1}}
    check_figure(maze_embeddings, {"metrics": agreement}, EMBEDDINGS)
    check_figure(maze_heads, {"metrics": {"null": 0.02}}, HEADS)
    check_figure(
        maze_dictionaries, {"metrics": {"members": MEMBERS, "size": 3}}, DICTIONARIES
    )
    metrics = {"scores": {"a": {}, "b": {}}, "tests": ["a", "b", "c"]}
    check_figure(maze_shift, {"metrics": metrics}, SHIFT)
    metrics = {"scores": {"a": {}, "b": {}}, "laws": ["u", "v", "w"]}
    check_figure(maze_transfer, {"metrics": metrics}, TRANSFER)
    members = [("<PATH_START>", 1, 4.0), ("<PATH_START>", 1, 12.0)]
    check_figure(maze_path_start, {"metrics": {"members": members}}, PATH_START)


def test_connections_lie_between_their_cells():
    """The first is that of (0,0) and (1,0), the last that of (2,1) and (2,2)."""
    figure = maze_dictionaries.draw(
        {"metrics": {"members": MEMBERS, "size": 3}}, DICTIONARIES
    )
    squares = figure.axes[1].collections[1]
    np.testing.assert_allclose(squares.get_offsets()[[0, -1]], [[0, 0.5], [1.5, 2]])
    np.testing.assert_array_equal(
        squares.get_array(), DICTIONARIES["trained/by_connection"]
    )


def test_every_head_has_its_own_bars():
    figure = maze_heads.draw({"metrics": {"null": 0.02}}, HEADS)
    labels = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert labels == ["L1H1", "L1H2", "L1H3", "L2H1", "L2H2", "L2H3"]
    heights = [bar.get_height() for bar in figure.axes[1].patches[:6]]
    np.testing.assert_array_equal(heights, HEADS["trained/score"].ravel())


def test_the_table_shows_its_numbers():
    metrics = {"scores": {"a": {}, "b": {}}, "tests": ["a", "b", "c"]}
    texts = [
        t.get_text() for t in maze_shift.draw({"metrics": metrics}, SHIFT).axes[0].texts
    ]
    assert texts == [f"{value:.0%}" for value in SHIFT["exact"].ravel()]
