"""SynthSAEBench and what its ranking is worth on other worlds."""
