"""Transformers that walk mazes: what they read, hold and do when they are edited."""
