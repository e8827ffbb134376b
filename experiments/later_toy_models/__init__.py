"""Later papers on toy models of superposition, made again and checked."""
