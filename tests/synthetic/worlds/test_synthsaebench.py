"""The published benchmark: its statistics, at a small size and, marked slow, in full."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic import directions, firing, random
from synthetic.hierarchy import compensation
from synthetic.hierarchy.forest import Forest
from synthetic.worlds import synthsaebench


@functools.cache
def small():
    return synthsaebench.synthsaebench(600, 24, roots=4, steps=0)


@pytest.mark.slow
def test_the_recipe_at_a_small_size():
    world = small()
    assert (world.n_features, world.d_model) == (600, 24)
    assert np.linalg.norm(world.bias) == pytest.approx(0.5, abs=1e-6)
    parents = np.asarray(world.parents)
    assert (parents >= 0).sum() == 4 * (4 + 16 + 64)
    pairs = jax.jit(lambda w, k: w.sample_pairs(k, 2**13)[1])(world, random.key(100))
    value, index = np.asarray(pairs.value), np.asarray(pairs.index)
    assert not np.isnan(value).any()
    active = value > 0
    law = world.firing.law
    shared = law.shared(random.key(101), 2000)
    per_sample = compensation.marginals(
        np.clip(law.given(shared), 0, 1), world.firing.forest
    )
    expected = per_sample.sum(-1)
    error = np.hypot(expected.std() / np.sqrt(2000), active.sum(1).std() / np.sqrt(2**13))
    assert abs(active.sum(1).mean() - expected.mean()) < 5 * error
    child = active & (parents[index] >= 0)
    rows = np.zeros((2**13, 600))
    np.add.at(rows, (np.arange(2**13)[:, None], index), value)
    up = rows[np.arange(2**13)[:, None], parents[index]]
    assert (up[child] > 0).all()


@pytest.mark.slow
def test_v1_and_v2_differ_in_the_values_of_children_alone():
    scaled = small()
    plain = synthsaebench.synthsaebench(600, 24, roots=4, steps=0, scaled=False)
    draw = jax.jit(lambda w, k: w.sample_pairs(k, 256)[1])
    a, b = draw(scaled, random.key(102)), draw(plain, random.key(102))
    np.testing.assert_array_equal(a.index, b.index)
    np.testing.assert_array_equal(np.asarray(a.value) > 0, np.asarray(b.value) > 0)
    child = np.asarray(scaled.parents)[np.asarray(a.index)] >= 0
    same = np.asarray(a.value) == np.asarray(b.value)
    assert same[~child].all()
    assert not same[child & (np.asarray(a.value) > 0)].any()


@pytest.mark.slow
@pytest.mark.parametrize(("part", "share"), [(8, 0.96), (16, 0.92)])
def test_parts_have_the_mean_l0_that_they_say(part, share, monkeypatch):
    """By the sampler, without directions: 34.5 is published, the share the docstring's."""
    none = jnp.zeros((16_384 // part, 768 // part))
    monkeypatch.setattr(synthsaebench, "orthogonalised", lambda *rest, rate: none)
    law = synthsaebench.synthsaebench_part(part).firing
    draw = jax.jit(lambda law, key: law.draw_active(key, 2**13).used.sum(1))
    count = np.asarray(draw(law, random.key(120)))
    error = count.std() / np.sqrt(len(count))
    assert abs(count.mean() - share * 34.5 / part) < 4 * error + 0.005 * 34.5 / part


@pytest.mark.parametrize("part", [0, 3, 32, 64, 128])
def test_parts_that_cannot_keep_the_mean_l0_are_refused(part):
    with pytest.raises(ValueError, match=f"part is {part}, expected one of 1, 2, 4, 8, 16"):
        synthsaebench.synthsaebench_part(part)


def test_published_compensation_has_the_published_masses():
    """At full size, without the copula, whose effect on the masses is small."""
    forest = Forest.regular(16_384, 128, 4, 3)
    wanted = firing.zipf(16_384, 0.5, 0.4, 5e-4)
    assert float(wanted.sum()) == pytest.approx(59.14, abs=0.01)
    b = compensation.as_published(wanted, forest)
    inside = (np.asarray(forest.parents) >= 0) | (np.asarray(forest.group) >= 0)
    assert b[inside].max() == pytest.approx(0.915, abs=0.001)
    nominal = [
        float(np.asarray(wanted)[inside & (forest.level() == i)].sum()) for i in range(4)
    ]
    assert nominal == pytest.approx([8.20, 9.90, 15.96, 20.57], abs=0.01)
    with pytest.raises(ValueError, match="exclude each other"):
        compensation.exact(wanted, forest)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["independent", "correlated", "deep_trees", "signed"])
def test_held_out_worlds_are_as_large_and_as_sparse_as_the_benchmark(name):
    world = getattr(synthsaebench, f"held_out_{name}")()
    assert (world.n_features, world.d_model) == (16_384, 768)
    value = np.concatenate(
        [
            jax.jit(lambda w, k: w.sample_pairs(k, 2048)[1].value)(world, random.key(i))
            for i in range(4)
        ]
    )
    assert not np.isnan(value).any()
    count = (value != 0).sum(1)
    assert abs(count.mean() - 34.5) < 5 * count.std() / np.sqrt(len(count))


@pytest.mark.slow
def test_synthsaebench_16k_has_its_published_statistics():
    """Values of an independent re-implementation of SAELens 6 in NumPy."""
    world = synthsaebench.synthsaebench_16k_v2()
    blocks = jax.jit(lambda w, k: world_sums(w, k))
    total, n = None, 0
    for step in range(40):
        part = jax.device_get(blocks(world, jax.random.fold_in(random.key(103), step)))
        total = part if total is None else jax.tree.map(np.add, total, part)
        n += 2048
    assert total["lost"] == 0
    rate = total["count"] / n
    level = world.firing.forest.level()
    single = np.isin(np.arange(16_384), world.firing.forest.singles)
    masses = [rate[~single & (level == i)].sum() for i in range(4)] + [rate[single].sum()]
    assert masses == pytest.approx([8.18, 7.32, 7.32, 7.12, 4.52], abs=0.06)
    assert rate.sum() == pytest.approx(34.46, abs=0.1)
    assert rate[:4096].sum() == pytest.approx(25.2, abs=0.1)
    assert total["norm"] / n == pytest.approx(28.2, abs=0.2)
    percentiles = np.percentile(rate, [10, 50, 75, 90, 99])
    assert percentiles == pytest.approx([4.8e-4, 8.6e-4, 1.3e-3, 3.0e-3, 0.027], rel=0.05)
    overlap = 0.0
    for start in range(0, 16_384, 1024):
        rows = world.directions[start : start + 1024]
        cosine = jnp.abs(rows @ world.directions.T)
        cosine = cosine.at[jnp.arange(1024), start + jnp.arange(1024)].set(0)
        overlap += float(cosine.max(1).sum())
    assert overlap / 16_384 == pytest.approx(0.1451, abs=0.001)
    random_rows = directions.random(random.key(104), 16_384, 768)
    assert float(jnp.abs(world.directions @ random_rows[0]).max()) < 0.25


def world_sums(world, key):
    x, pairs = world.sample_pairs(key, 2048)
    active = (pairs.value > 0).astype(jnp.float32)
    count = jnp.zeros(world.n_features).at[pairs.index.ravel()].add(active.ravel())
    lost = jnp.isnan(pairs.value).any(1).sum()
    return {"count": count, "norm": jnp.linalg.norm(x, axis=1).sum(), "lost": lost}
