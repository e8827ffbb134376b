"""Fixtures for test suites of other libraries: standard worlds and one assertion.

pytest loads this file in every run of an environment where the package is installed. So it
imports nothing but pytest; a fixture imports what it needs when it is used.
"""

import pytest

WORLDS = ("easy", "superposed", "hierarchy", "correlated")


def _world(name: str):
    from synthetic.worlds import standard

    return standard.world(name)


@pytest.fixture(scope="session")
def truth_easy():
    """16 orthogonal features (`synthetic.worlds.standard.easy`)."""
    return _world("easy")


@pytest.fixture(scope="session")
def truth_superposed():
    """64 features in 32 dimensions (`synthetic.worlds.standard.superposed`)."""
    return _world("superposed")


@pytest.fixture(scope="session")
def truth_hierarchy():
    """4 parents with 3 children each (`synthetic.worlds.standard.hierarchy`)."""
    return _world("hierarchy")


@pytest.fixture(scope="session")
def truth_correlated():
    """5 groups of features that come together (`synthetic.worlds.standard.correlated`)."""
    return _world("correlated")


@pytest.fixture(scope="session", params=WORLDS)
def truth_world(request):
    """Each standard world in turn."""
    return _world(request.param)


@pytest.fixture(scope="session")
def assert_recovers():
    """`toymodels.testing.assert_recovers`."""
    from toymodels.testing.conformance import assert_recovers

    return assert_recovers
