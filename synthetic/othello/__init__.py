"""Othello on boards of 4, 6 and 8 rows: rules, random games, and what is true in them."""

from synthetic.othello.games import Games, entropy_floor, random_games, replay
from synthetic.othello.positions import Position, draw_times, positions
from synthetic.othello.rules import (
    Classic,
    DelFlank,
    NoMidFlip,
    Rules,
    iago,
    n_moves,
    next_token,
    tokens,
)

__all__ = [
    "Classic",
    "DelFlank",
    "Games",
    "NoMidFlip",
    "Position",
    "Rules",
    "draw_times",
    "entropy_floor",
    "iago",
    "n_moves",
    "next_token",
    "positions",
    "random_games",
    "replay",
    "tokens",
]
