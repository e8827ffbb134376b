"""Toy models, dictionaries, the loop that fits them and the scores that judge them."""
