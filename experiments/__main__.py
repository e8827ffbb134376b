"""Runs experiments from the command line; see `python -m experiments --help`."""

import os
import sys

import jax

# One host device per core, so that members of an ensemble run on all of them. It must be
# set before JAX makes its first array.
jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)

from experiments.harness.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
