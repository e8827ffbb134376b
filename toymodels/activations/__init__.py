"""Activations as data for dictionaries: a store of rows that is refilled."""
