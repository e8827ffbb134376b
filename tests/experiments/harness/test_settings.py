"""Settings from the command line: no malformed one reaches an experiment."""

import dataclasses

import pytest

from experiments.harness import command
from experiments.harness.catalogue import catalogue
from experiments.harness.settings import SettingError, override, require_valid

CATALOGUE = catalogue()
FIELDS = [
    (name, field.name)
    for name, experiment in CATALOGUE.items()
    for field in dataclasses.fields(experiment.settings)
]
WRONG_TYPES = ["None", "{}", "(", "1 +", "'", "((1, 2),)", "[[1]]", "(None,)", "{[]: 1}"]
WRONG_TYPES += ["-" * 50_000 + "1", "9" * 5_000, "1if", "\0"]
OUT_OF_RANGE = {
    int: ["0", "-1", str(2**31), str(10**30), "2.5", "True", "'a'"],
    float: ["1e999", "-1e999", "1e300", "'a'", "True", "1j"],
    str: ["", "no such name", "3"],
    bool: ["0", "2", "'a'"],
}
# What may be zero or empty says so where it is defined, and these alone do.
ZERO = {"site", "othello_world_model/steps", "maze_world_model/steps"}
ZERO |= {"maze_feature_places/steps"}
EMPTY = {"synthsaebench/l0s", "generalisation/l0s"}
EMPTY |= {"dictionaries/variants", "othello_dictionaries/variants"}


def malformed(experiment, field):
    """Texts that are no value of this field in any experiment."""
    default = getattr(CATALOGUE[experiment].settings, field)
    if not isinstance(default, tuple):
        texts = [*OUT_OF_RANGE[type(default)], "()", "(1, 2)"]
        texts += WRONG_TYPES if not isinstance(default, str) else []
    else:
        kind = type((*default, *element_of(experiment, field))[0])
        texts = [f"({text or repr('')},)" for text in OUT_OF_RANGE[kind]]
        texts += [*WRONG_TYPES, *([] if f"{experiment}/{field}" in EMPTY else ["()"])]
    may_be_zero = {field, f"{experiment}/{field}"} & ZERO
    return [text for text in texts if not (may_be_zero and text == "0")]


def element_of(experiment, field):
    """An element of a tuple that is empty by default."""
    return {"l0s": (1.0,), "variants": ("a",)}.get(field, ())


@pytest.mark.parametrize(("experiment", "field"), FIELDS)
def test_a_malformed_setting_is_refused_before_any_work(
    tmp_path, monkeypatch, capsys, experiment, field
):
    def run(settings, seed, job):
        raise AssertionError(f"ran with {getattr(settings, field)!r}")

    stopped = dataclasses.replace(CATALOGUE[experiment], run=run)
    monkeypatch.setattr(command, "catalogue", lambda: {experiment: stopped})
    monkeypatch.chdir(tmp_path)
    for text in malformed(experiment, field):
        status = command.main([experiment, "--set", f"{field}={text}"])
        error = capsys.readouterr().err
        assert status == command.USAGE_ERROR, text
        assert error.startswith(f"error: setting {field} ")
        assert error.count("\n") == 1
        assert len(error) < 600
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("experiment", CATALOGUE.values(), ids=CATALOGUE)
def test_both_sizes_of_every_experiment_are_valid(experiment):
    require_valid(experiment.settings)
    require_valid(experiment.quick)


@dataclasses.dataclass(frozen=True)
class Settings:
    densities: tuple = (0.1, 1)
    n_seeds: int = 2
    rate: float = 1e-3
    penalty: float = 0.1


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("n_seeds=0", "n_seeds is 0, expected a number of at least 1; such as 2"),
        ("densities=(0.5, 1.5)", r"densities holds 1.5, expected a number above 0 to 1"),
        ("densities=0", r"densities holds 0.0, expected a number above 0 to 1"),
        ("densities=()", "densities is empty, expected at least one value"),
        ("rate=0", "rate is 0.0, expected a number above 0; such as 0.001"),
        ("penalty=-1", "penalty is -1.0, expected a number of at least 0; such as 0.1"),
        ("densities=('a',)", r"densities cannot be .*expected tuple of float like \(0.1"),
    ],
)
def test_ranges_go_by_the_names_of_fields(assignment, sentence):
    with pytest.raises(SettingError, match=sentence):
        require_valid(override(Settings(), [assignment]))


def test_whole_numbers_are_taken_for_floats_and_one_value_for_a_tuple():
    found = override(Settings(), ["densities=1", "rate=2", "penalty=0"])
    assert found == Settings((1.0,), 2, 2.0, 0.0)
    assert type(found.densities[0]) is type(found.rate) is float
    require_valid(found)
