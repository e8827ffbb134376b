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


# Rooms of each package by floor: a room may import those of the floors before its own.
FLOORS = {
    "toymodels": (
        "files training sparse_coding",
        "sae scores superposition transformer",
        "classical exchange maze othello testing",
        "pretrained",
        "toymodels",
    ),
    "synthetic": (
        "base random validation",
        "chess directions magnitude noise othello shapes streams testing",
        "firing geometry stored",
        "hierarchy maze sparse temporal",
        "parts worlds",
        "synthetic",
    ),
    "experiments": (
        "harness",
        "later_toy_models othello phenomena recovery superposition synthsaebench",
        "maze",
        "__main__ experiments",
    ),
}
MOST_ROOMS = {"toymodels": 13, "synthetic": 20, "experiments": 9}


def room(package, path):
    """The file or folder directly in the package; the package itself for its face."""
    first = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
    return package if first == "__init__" else first


def rooms_imported(package, path):
    """The rooms that a file imports, and whether by name or as a part of the face."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] == package and len(parts) > 1:
            yield parts[1]
        elif parts == [package]:
            for alias in node.names:
                target = ROOT / package / alias.name
                is_room = target.is_dir() or target.with_suffix(".py").is_file()
                yield alias.name if is_room else package


@pytest.mark.parametrize("package", FLOORS)
def test_imports_between_rooms_run_down(package):
    floor = {name: i for i, names in enumerate(FLOORS[package]) for name in names.split()}
    for path in (ROOT / package).rglob("*.py"):
        own = room(package, path)
        assert own in floor, f"{own} is a new room of {package}: give it a floor"
        for other in rooms_imported(package, path):
            where = f"{path.relative_to(ROOT)} imports {package}.{other}"
            assert other in (own, package) or floor[other] < floor[own], where


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_are_few(package):
    rooms = {room(package, path) for path in (ROOT / package).rglob("*.py")}
    assert len(rooms - {package, "__main__"}) <= MOST_ROOMS[package]


def test_the_faces_say_what_there_is():
    code = (
        "import synthetic, toymodels\n"
        "for face in (synthetic, toymodels):\n"
        "    assert all(getattr(face, name) is not None for name in dir(face))\n"
        "assert {'fit', 'fit_many', 'score', 'score_many', 'load'} <= set(dir(toymodels))\n"
        "assert {'world', 'batches', 'random', 'maze'} <= set(dir(synthetic))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_package_of_the_same_name_is_told(tmp_path):
    (tmp_path / "synthetic").mkdir()
    (tmp_path / "synthetic" / "__init__.py").write_text("")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import toymodels"
    )
    command = [sys.executable, "-P", "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path).stderr
    assert "ImportError: toymodels found a package 'synthetic' at" in told
    assert "rename that file or folder, or run from another folder" in told


def test_no_module_is_named_for_nothing():
    vague = {"utils.py", "util.py", "helpers.py", "helper.py", "common.py", "misc.py"}
    found = {path.name for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py")}
    assert not found & vague


def test_importing_the_library_leaves_heavy_packages_alone():
    code = (
        "import sys, synthetic, toymodels.sae, toymodels.scores, toymodels.superposition\n"
        "heavy = {'maze_dataset', 'torch', 'matplotlib', 'orbax', 'chex', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
