"""Every experiment of this package, by name."""

import importlib
import pkgutil

import experiments
from experiments.harness.experiment import Experiment


def catalogue() -> dict[str, Experiment]:
    """Each module that defines EXPERIMENT."""
    names = [module.name for module in pkgutil.iter_modules(experiments.__path__)]
    modules = [
        importlib.import_module(f"experiments.{name}")
        for name in names
        if name != "__main__"
    ]
    found = [module.EXPERIMENT for module in modules if hasattr(module, "EXPERIMENT")]
    return {experiment.name: experiment for experiment in found}
