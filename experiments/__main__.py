"""Runs experiments from the command line; see `python -m experiments --help`."""

import os
import signal
import sys

import jax

# One host device per core, so that members of an ensemble run on all of them. It must be
# set before JAX makes its first array.
jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)

try:
    from experiments.harness.command import main
except KeyboardInterrupt:  # imports take seconds
    print("interrupted before any work", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
