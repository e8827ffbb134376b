"""Othello on boards of 4, 6 and 8 rows: rules, random games, and what is true in them.

game = OthelloGame(Classic(size=8))
sequences = game.sample(random.key(0), 64)
position = positions(sequences.games)
labels.values(game.rules, position, ["mine", "theirs", "legal"])
"""

from synthetic.othello.game import OthelloGame, Sequences, entropy_floor
from synthetic.othello.games import Games, random_games, replay
from synthetic.othello.positions import Position, draw_times, positions
from synthetic.othello.rules import Classic, DelFlank, NoMidFlip, Rules, iago, n_moves

__all__ = [
    "Classic",
    "DelFlank",
    "Games",
    "NoMidFlip",
    "OthelloGame",
    "Position",
    "Rules",
    "Sequences",
    "draw_times",
    "entropy_floor",
    "iago",
    "n_moves",
    "positions",
    "random_games",
    "replay",
]
