"""The arrows of the design: synthetic <- toymodels <- experiments -> figures."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"synthetic", "toymodels", "experiments", "figures", "benchmarks", "tests"}
MAY_IMPORT = {
    "synthetic": {"synthetic"},
    "toymodels": {"toymodels", "synthetic"},
    "experiments": {"experiments", "toymodels", "synthetic", "figures"},
    "figures": {"figures"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_flow_one_way(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        wrong = set(imports(path)) & OURS - MAY_IMPORT[package]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_no_module_is_named_for_nothing():
    vague = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
    found = {path.name for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")}
    assert not found & vague


def test_importing_the_library_leaves_heavy_packages_alone():
    code = (
        "import sys, synthetic, toymodels.sae, toymodels.scores, toymodels.superposition\n"
        "heavy = {'maze_dataset', 'torch', 'matplotlib', 'orbax'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
