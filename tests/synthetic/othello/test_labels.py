"""Every family against plain Python on random games, and the implications they state."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import othello, random
from synthetic.othello import labels
from synthetic.othello.families import FAMILIES

STEPS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
RULES = {
    "classic": othello.Classic(6),
    "no_mid_flip": othello.NoMidFlip(4),
    "del_flank": othello.DelFlank(6),
}
N_GAMES = 6


@functools.cache
def labelled(variant, n_games=N_GAMES, families=tuple(FAMILIES)):
    """Games, and {family: [game, time, feature]}."""
    rules = RULES[variant]

    @jax.jit
    def label(key):
        games = othello.random_games(key, rules, n_games)
        position = othello.positions(games)
        return games, {name: labels.values(rules, position, [name]) for name in families}

    games, values = label(random.key(103))
    return jax.tree.map(np.asarray, games), jax.tree.map(np.asarray, values)


class Plain:
    """The families of one position by their definitions, on sets of squares."""

    def __init__(self, game, history):
        self.game, self.size = game, game.size
        self.mine, self.theirs = game.of(game.to_move), game.of(-game.to_move)
        self.empty = set(game.squares) - self.mine - self.theirs
        self.legal = set(game.moves())
        self.history = history

    def plane(self, squares):
        return [float(square in squares) for square in self.game.squares]

    def around(self, square):
        return {(square[0] + a, square[1] + b) for a, b in STEPS}

    def via(self, step, length=None):
        """Legal moves with a flanked line in a direction."""
        lines = {s: self.game.flanked(s, self.game.to_move, step) for s in self.legal}
        return {s for s, line in lines.items() if line and length in (None, len(line))}

    def at_risk(self, colour):
        """Discs that some move of `colour` takes."""
        moves = self.game.moves(colour)
        return set().union(*(self.game.taken(move, colour) for move in moves))

    def frontier(self, discs):
        return {disc for disc in discs if self.around(disc) & self.empty}

    def corners(self):
        return set(itertools.product((0, self.size - 1), repeat=2))

    def danger(self, discs):
        near = [self.around(corner) for corner in self.corners() & self.empty]
        return discs & set().union(*near)

    def edge(self, discs):
        """Walks along the edges from each own corner."""
        found = set()
        for corner in self.corners() & discs:
            for a, b in [(0, 1), (0, -1), (1, 0), (-1, 0)]:
                square = corner
                while square in discs:
                    found.add(square)
                    square = (square[0] + a, square[1] + b)
        return found

    def stable(self, discs):
        """Adds discs until none is safe along all four axes that is not in."""
        found, before = set(), None
        while found != before:
            before = set(found)
            found |= {d for d in discs if all(self.safe(d, s, found) for s in STEPS[:4])}
        return found

    def safe(self, disc, step, found):
        (r, c), (a, b) = disc, step
        ends = [(r + a, c + b), (r - a, c - b)]
        if any(end in found or end not in self.game.squares for end in ends):
            return True
        line = {(r + k * a, c + k * b) for k in range(-self.size, self.size + 1)}
        return self.game.variant != "del_flank" and not line & self.empty

    def values(self):
        """{family: values} of what needs no other game."""
        g, mine, theirs, plane = self.game, self.mine, self.theirs, self.plane
        row = self.size // 2
        quadrants = [
            sum(r // row == a and c // row == b for r, c in self.empty)
            for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]
        ]
        lengths = range(1, self.size - 1)
        sides = {"mine": (mine, -g.to_move), "theirs": (theirs, g.to_move)}
        found = {
            "mine": plane(mine),
            "theirs": plane(theirs),
            "empty": plane(self.empty),
            "legal": plane(self.legal),
            "via": np.ravel([plane(self.via(s)) for s in STEPS]),
            "via_of_length": np.ravel(
                [plane(self.via(s, k)) for s in STEPS for k in lengths]
            ),
            "mobility": [len(self.legal)],
            "mobility_theirs": [len(g.moves(-g.to_move))],
            "disc_difference": [len(mine) - len(theirs)],
            "n_frontier_mine": [len(self.frontier(mine))],
            "n_frontier_theirs": [len(self.frontier(theirs))],
            "n_empty": [len(self.empty)],
            "odd_empty": [len(self.empty) % 2],
            "empty_in_quadrant": quadrants,
            "black_moves": [g.to_move == 1],
        }
        near = set().union(*(self.around(corner) for corner in self.corners()))
        ring = sorted(near & set(g.squares))
        for side, (discs, other) in sides.items():
            found |= {
                f"at_risk_{side}": plane(self.at_risk(other)),
                f"frontier_{side}": plane(self.frontier(discs)),
                f"stable_{side}": plane(self.stable(discs)),
                f"edge_{side}": plane(self.edge(discs)),
                f"corner_{side}": [float(s in discs) for s in sorted(self.corners())],
                f"danger_{side}": [float(s in self.danger(discs)) for s in ring],
            }
        return found | self.history


def histories(variant, squares, referee):
    """Plain positions of one game, one after each of its moves, with what came before."""
    rules = RULES[variant]
    game, times_taken, first = referee(rules.size, variant), {}, {}
    for square in game.squares:
        first[square] = game.board.get(square, 0)
    played = [divmod(int(s), rules.size) for s in squares if s < rules.size**2]
    for t, square in enumerate(played):
        mover = game.to_move
        taken = game.play(square)
        times_taken[square], first[square] = 0, mover
        for disc in taken:
            times_taken[disc] = times_taken.get(disc, 0) + 1
        at_least = [{s for s, n in times_taken.items() if n >= k} for k in (1, 2)]
        odd = {s for s, n in times_taken.items() if n % 2}
        plain = Plain(game, {})
        following = played[t + 1] if t + 1 < len(played) else None
        plain.history = {
            "played": plain.plane({square}),
            "flipped": plain.plane(taken),
            "flipped_before": plain.plane(at_least[0]),
            "flipped_twice": plain.plane(at_least[1]),
            "flipped_oddly": plain.plane(odd),
            "originally_mine": plain.plane(
                {s for s in game.board if first[s] == game.to_move}
            ),
            "passed": [game.to_move == mover and bool(plain.legal)],
            "ply": [t + 1],
            "next_move": plain.plane({following}),
        }
        yield plain


@pytest.mark.parametrize("variant", RULES)
def test_every_family_is_what_its_name_says(variant, referee):
    games, found = labelled(variant)
    tested = set()
    for g in range(N_GAMES):
        for t, plain in enumerate(histories(variant, games.square[:, g], referee)):
            for name, expected in plain.values().items():
                np.testing.assert_array_equal(found[name][g, t], expected, name)
                tested.add(name)
    assert set(FAMILIES) - tested == {"other_game_mine", "other_game_theirs"}


@pytest.mark.parametrize("variant", RULES)
def test_other_games_are_boards_of_the_batch_after_as_many_moves(variant):
    _, found = labelled(variant)
    for side in ("mine", "theirs"):
        expected = np.roll(found[side], 1, axis=0)
        np.testing.assert_array_equal(found[f"other_game_{side}"], expected)


@pytest.mark.parametrize("variant", RULES)
def test_implications_hold_everywhere(variant):
    size, families = RULES[variant].size, list(FAMILIES)
    _, found = labelled(variant)
    values = np.concatenate([found[name] for name in families], axis=-1)
    parents = labels.parents(size, families)
    child = np.flatnonzero(parents >= 0)
    assert not ((values[..., child] > 0) & (values[..., parents[child]] == 0)).any()
    # They are not empty: these happen in every handful of games.
    for name in ("legal", "via", "via_of_length", "at_risk_theirs", "frontier_mine"):
        assert FAMILIES[name].parent in families
        assert found[name].any()


def test_stable_discs_stay():
    """A disc that is called stable is there, of its colour, to the end of its game."""
    for variant in RULES:
        families = ("mine", "theirs", "stable_mine", "stable_theirs")
        games, found = labelled(variant, 60, families)
        black = np.moveaxis(games.black, 0, 1)[..., None]
        for colour in (True, False):
            mine, theirs = found["stable_mine"], found["stable_theirs"]
            stable = np.where(black == colour, mine, theirs) > 0
            discs = np.where(black == colour, found["mine"], found["theirs"]) > 0
            ever = np.logical_or.accumulate(stable, axis=1)
            assert stable.any()
            assert not (ever & ~discs).any()


def test_names_and_parents_of_chosen_families():
    families = ["empty", "legal", "via", "corner_mine", "ply"]
    names = labels.names(4, families)
    assert len(names) == labels.count(4, families) == 16 + 16 + 128 + 4 + 1
    assert labels.square_name(8, 19) == "d3"
    parents = labels.parents(4, families)
    implied = {names[i]: names[p] for i, p in enumerate(parents) if p >= 0}
    assert implied["legal b1"] == "empty b1"
    assert implied["via sw d2"] == "legal d2"
    # The parent of a corner is an edge, which was not chosen.
    assert not any(name.startswith(("corner", "ply", "empty")) for name in implied)
    chain = labels.parents(4, ["via_of_length", "mine", "via", "corner_mine", "edge_mine"])
    names = labels.names(4, ["via_of_length", "mine", "via", "corner_mine", "edge_mine"])
    assert names[chain[names.index("via_of_length s 2 c3")]] == "via s c3"
    assert names[chain[names.index("corner_mine d1")]] == "edge_mine d1"
    assert labels.kinds(4, ["ply", "black_moves", "corner_mine"]) == [
        "graded",
        "control",
        *["binary"] * 4,
    ]


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="no family 'yours', expected one of mine, th"):
        labels.names(8, ["yours"])


def test_draws_of_times_cover_the_positions_that_have_a_next_move():
    play = jax.jit(lambda key: othello.random_games(key, othello.Classic(4), 200))
    games = play(random.key(104))
    count = np.asarray((games.legal != 0).any(axis=1).sum(axis=0))
    level = jax.random.uniform(random.key(105), (200, 11))
    times = np.asarray(othello.draw_times(games, level))
    full = count == 11
    assert (times[full] == np.arange(11)).all()
    assert (np.diff(times, axis=1) >= 0).all()
    assert (times < count[:, None]).all()
    once = np.asarray(othello.draw_times(games, level[:, :1]))[full, 0]
    # Uniform over eleven times: each is expected n / 11 times.
    n = len(once)
    expected, deviation = n / 11, np.sqrt(n * 10 / 121)
    assert np.abs(np.bincount(once, minlength=11) - expected).max() < 5 * deviation
    position = jax.jit(othello.positions)(games, jnp.asarray(times))
    np.testing.assert_array_equal(position.ply, times + 1)
    own = np.asarray(games.own)
    picked = own[times[7, 3], :, 7]
    np.testing.assert_array_equal(position.own[:, 7, 3], picked)
