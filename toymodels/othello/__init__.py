"""Transformers that play Othello: what they hold of the board, and edits of it."""
