"""Every experiment of this package, by name."""

import functools
import importlib
import pkgutil

import experiments
from experiments.harness.experiment import Experiment


@functools.cache
def catalogue() -> dict[str, Experiment]:
    """Each module in a room of `experiments` that defines EXPERIMENT, sorted by name."""
    names = [
        module.name
        for module in pkgutil.walk_packages(experiments.__path__, "experiments.")
        if not module.ispkg and not module.name.startswith("experiments.harness")
    ]
    modules = [importlib.import_module(name) for name in names if "__main__" not in name]
    found = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}
