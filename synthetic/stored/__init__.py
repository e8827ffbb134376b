"""Samples that were made elsewhere, as worlds: rows of arrays, other libraries' worlds."""

from synthetic.stored.rows import Stored

__all__ = ["Stored"]
