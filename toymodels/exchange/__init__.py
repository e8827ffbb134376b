"""Weights of other libraries' dictionaries, read and written without those libraries.

    dictionary, params = exchange.sae_lens.read("folder")
    exchange.dictionary_learning.write("other folder", dictionary, params)

One module per library, each with `read`, and `write` where the library has many users:
`sae_lens`, `dictionary_learning`, `sparsify`, `openai`, `gemma_scope`, `bartbussmann`. A
reader gives a dictionary of `toymodels.sae` and its parameters, after the tests of
`exchange.self_test`.
"""

from toymodels.exchange import (
    bartbussmann,
    dictionary_learning,
    gemma_scope,
    openai,
    sae_lens,
    sparsify,
)

__all__ = [
    "bartbussmann",
    "dictionary_learning",
    "gemma_scope",
    "openai",
    "sae_lens",
    "sparsify",
]
