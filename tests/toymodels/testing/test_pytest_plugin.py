"""The plugin in a run of its own, and that it costs those nothing who do not use it."""

import subprocess
import sys

from synthetic.worlds import standard
from toymodels import testing
from toymodels.testing import pytest_plugin

pytest_plugins = ("pytester",)

PLUGIN = ("-p", "toymodels.testing.pytest_plugin", "-p", "no:cacheprovider")


def test_fixtures_worlds_and_messages(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it is named below
    pytester.makepyfile(
        """
        import numpy as np

        def truth(world):
            rows = np.asarray(world.directions)
            return lambda x: np.where(x @ rows.T > 0.5, x @ rows.T, 0), lambda z: z @ rows

        def test_truth(truth_hierarchy, assert_recovers):
            scores = assert_recovers(*truth(truth_hierarchy), world="hierarchy")
            assert scores["mcc_dec"] > 0.999

        def test_half(truth_hierarchy, assert_recovers):
            encode, decode = truth(truth_hierarchy)
            assert_recovers(lambda x: encode(x) * (np.arange(20) < 10), decode)

        def test_sizes(truth_easy, truth_superposed, truth_correlated, truth_world):
            assert truth_easy.n_features == 16
            assert truth_superposed.n_features == 64
            assert truth_correlated.n_features == 20
            assert truth_world.n_features in (16, 20, 64)
        """
    )
    assert testing.assert_recovers  # imported here, or the run would import jax once more
    result = pytester.runpytest_inprocess(*PLUGIN)
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: the dictionary does not recover the world 'hierarchy': *",
            "*missed: feature 10 (latent 10: cosine 1.00, F1 0.00); feature 11 *",
        ]
    )
    # Of this library nothing but the message: the test's own lines are what is shown.
    text = result.stdout.str()
    assert "recovery.py" not in text
    assert "def assert_recovers" not in text
    assert "assert_recovers(lambda x: encode(x) * (np.arange(20) < 10), decode)" in text


def test_worlds_are_those_of_the_library():
    assert list(standard.WORLDS) == list(pytest_plugin.WORLDS)


def test_loading_it_imports_neither_jax_nor_the_library():
    code = (
        "import sys, toymodels.testing.pytest_plugin\n"
        "heavy = {'jax', 'numpy', 'synthetic.base', 'toymodels.testing.conformance'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
