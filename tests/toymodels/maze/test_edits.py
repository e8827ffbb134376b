"""Edits of one connection: the cases by a plain search, and what an edit does."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import random
from synthetic.maze.tokens import FIRST_CELL
from toymodels.maze import edits, presets

N = 3


@pytest.fixture(scope="module")
def game():
    return presets.tiny().game


@pytest.fixture(scope="module")
def drawn(game):
    key_swaps, key_shortcuts = jax.random.split(random.key(0))
    draw = jax.jit(lambda draw, key: draw(key, game, 200), static_argnums=0)
    swaps = draw(edits.swaps, key_swaps)
    shortcuts = draw(edits.shortcuts, key_shortcuts)
    return {
        "swap": edits.first(swaps, 40),
        "add": edits.first(shortcuts, 20),
        "remove": edits.first(edits.undone(shortcuts), 20),
    }


def connections_of(tokens, layout):
    """Pairs of cells that the list of a prompt names."""
    slots = np.asarray(tokens[layout.slots]).reshape(-1, 4)
    return {frozenset((row[0] - FIRST_CELL, row[2] - FIRST_CELL)) for row in slots}


def first_steps(tokens, layout):
    """All cells next to the origin, and those of them on a shortest way to the target."""
    open_ = connections_of(tokens, layout)
    row = np.asarray(tokens)
    origin = int(row[layout.origin]) - FIRST_CELL
    assert int(row[-1]) - FIRST_CELL == origin
    target = int(row[layout.target]) - FIRST_CELL
    away = {target: 0}
    queue = deque([target])
    while queue:
        cell = queue.popleft()
        for other in range(N * N):
            if frozenset((cell, other)) in open_ and other not in away:
                away[other] = away[cell] + 1
                queue.append(other)
    near = {c for c in range(N * N) if frozenset((origin, c)) in open_}
    best = {c for c in near if away.get(c, np.inf) < away.get(origin, -1)}
    return near, best


@pytest.mark.parametrize("kind", ["swap", "add", "remove"])
def test_prompts_differ_in_one_slot_and_answers_are_those_of_a_plain_search(
    kind, drawn, game
):
    cases, layout = drawn[kind], game.layout
    for i in range(len(cases.slot)):
        pair = [jax.tree.map(lambda leaf: leaf[i], of) for of in cases[:2]]  # noqa: B023
        differ = np.flatnonzero(np.asarray(pair[0].tokens != pair[1].tokens))
        start = int(cases.start[i])
        assert set(differ) <= {start, start + 2}
        lists = [connections_of(of.tokens, layout) for of in pair]
        assert len(lists[0] - lists[1]) == len(lists[1] - lists[0]) == 1
        best = []
        for of in pair:
            near, nearest = first_steps(of.tokens, layout)
            legal = np.flatnonzero(np.asarray(of.legal)) - FIRST_CELL
            assert set(legal) == near
            exact = np.asarray(of.exact)
            assert set(np.flatnonzero(exact) - FIRST_CELL) == nearest
            assert exact.sum() == pytest.approx(1, abs=1e-6)
            best.append(nearest)
        assert best[0]
        assert best[1]
        assert not best[0] & best[1]


def test_removing_is_adding_backwards(drawn):
    add, remove = drawn["add"], drawn["remove"]
    np.testing.assert_array_equal(add.read.tokens, remove.wanted.tokens)
    np.testing.assert_array_equal(add.wanted.connection, remove.read.connection)


@pytest.fixture(scope="module")
def model():
    return presets.tiny().init(random.key(1))


@pytest.mark.slow
def test_no_shift_changes_nothing_and_a_shift_acts_at_its_place_alone(drawn, model):
    cases = drawn["swap"]
    tokens = cases.read.tokens
    after = jax.jit(edits.logits_after)
    zero = jnp.zeros((len(tokens), model.d_model))
    plain = model(tokens)
    still = after(model, tokens, cases.start + 2, 1, zero)
    np.testing.assert_allclose(still, plain.logits[:, -1], atol=1e-5)
    shift = jax.random.normal(random.key(2), zero.shape)
    last = model.n_sites - 1
    # After the last layer nothing reads another token.
    np.testing.assert_allclose(
        after(model, tokens, cases.start + 2, last, shift), still, atol=1e-5
    )
    assert np.abs(after(model, tokens, cases.start + 2, 1, shift) - still).max() > 1e-3
    # The embedding of the other cell is what reading the other cell is.
    other = jnp.take_along_axis(cases.wanted.tokens, cases.start[:, None] + 2, 1)
    own = jnp.take_along_axis(tokens, cases.start[:, None] + 2, 1)
    swapped = tokens.at[jnp.arange(len(tokens)), cases.start + 2].set(other[:, 0])
    W_E = model.W_E[...]
    found = after(model, tokens, cases.start + 2, 0, W_E[other[:, 0]] - W_E[own[:, 0]])
    np.testing.assert_allclose(found, model(swapped).logits[:, -1], atol=1e-5)


def test_outcome_by_hand():
    """Exact: half each on words 1 and 2; word 3 is legal as well."""
    exact = jnp.array([[0, 0.5, 0.5, 0]] * 3)
    legal = jnp.array([[False, True, True, True]] * 3)
    prompt = edits.Prompt(jnp.zeros((3, 1), int), jnp.zeros(3, int), exact, legal)
    logits = jnp.log(
        jnp.array([[0.1, 0.4, 0.4, 0.1], [0.7, 0.1, 0.1, 0.1], [0, 0.1, 0, 1]])
    )
    kl, is_legal, best = edits.outcome(jnp.maximum(logits, -50), prompt)
    assert float(kl[0]) == pytest.approx(np.log(0.5 / 0.4), rel=1e-5)
    assert float(kl[1]) == pytest.approx(np.log(5), rel=1e-5)
    np.testing.assert_array_equal(is_legal, [1, 0, 1])
    np.testing.assert_array_equal(best, [1, 0, 0])


def test_too_few_possible_cases_are_refused(drawn):
    few = drawn["swap"]._replace(possible=jnp.arange(40) < 3)
    with pytest.raises(ValueError, match="possible cases is 3, expected"):
        edits.first(few, 4)
