"""Tests for dictionaries of one's own: conformance, recovery, fixtures for pytest."""

from toymodels.testing.conformance import (
    check,
    check_after,
    check_deterministic,
    check_loss,
    check_no_retrace,
    check_recovers,
    check_rows_are_independent,
    check_shapes,
    check_vmap,
    easy_world,
    normal_rows,
)

__all__ = [
    "check",
    "check_after",
    "check_deterministic",
    "check_loss",
    "check_no_retrace",
    "check_recovers",
    "check_rows_are_independent",
    "check_shapes",
    "check_vmap",
    "easy_world",
    "normal_rows",
]
