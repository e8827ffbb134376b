"""When features fire: laws from independence to correlated sets and to families."""

from synthetic.firing.laws import (
    ConditionalFiring,
    CountedFiring,
    Draw,
    ExactlyK,
    Firing,
    Independent,
    Probability,
    constant,
    from_uniform,
    linear,
    log_uniform,
    samples_of_features,
    uniform,
    zipf,
)

__all__ = [
    "ConditionalFiring",
    "CountedFiring",
    "Draw",
    "ExactlyK",
    "Firing",
    "Independent",
    "Probability",
    "constant",
    "from_uniform",
    "linear",
    "log_uniform",
    "samples_of_features",
    "uniform",
    "zipf",
]
