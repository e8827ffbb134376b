"""Features that fire only where their parents do, and frequencies that allow for it."""

from synthetic.hierarchy.gated import (
    Gated,
    Inherited,
)

__all__ = [
    "Gated",
    "Inherited",
]
