"""Transformers that play Othello: world model, dictionaries, interventions."""
