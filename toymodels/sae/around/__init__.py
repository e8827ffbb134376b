"""Variants around a variant: each takes an inner dictionary and changes one thing of it."""
