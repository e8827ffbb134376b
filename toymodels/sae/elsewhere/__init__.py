"""Dictionaries of other data than one stream: pairs, views, sequences, whole models."""
