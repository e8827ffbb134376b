"""Transformers that solve mazes: world model, dictionaries, interventions."""
