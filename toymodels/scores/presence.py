"""Scores on worlds whose features are known but have no direction of their own.

The state of a board, the connections of a maze: at every token it is known what is true,
and not along which direction a model should write it. So a dictionary is asked how well
its latents tell what is present. Latents are chosen on one sample and scored on another,
and every score stands between floors (a latent that is always on, random latents that are
on as often) and ceilings (probes of all of x).

- `f1`: mean F1 over features of the best latent at one threshold for all
  (`scores.detection`). `f1_corrected` subtracts what a latent that is always on reaches:
  (f1 - floor) / (1 - floor). `f1_published` is the form of Karvonen et al. 2024 (arXiv
  2408.00113), which chooses and scores on the same sample.
- `auroc`: mean area under the curve of the latent that is most correlated with a feature,
  turned where that correlation is negative.
- `state_f1`: F1 of the claims that latents of high precision make of the whole state
  (`scores.board_reconstruction`); `state_f1_corrected` subtracts an always-on latent's.
- `probe_f1`, `probe_auroc`: a logistic probe of each feature on that one latent, k = 1
  (`scores.probing`).
- `explained_variance`, `l0`, `alive`: of the reconstruction and the codes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from synthetic.base import GroundTruth
from synthetic.random import named
from synthetic.validation import require_range
from toymodels.scores import board_reconstruction, detection, probing
from toymodels.scores.adapters import adapt
from toymodels.scores.callables import callable_on_arrays, require_codes
from toymodels.scores.detection import Sample
from toymodels.scores.intervals import Interval
from toymodels.scores.report import Report
from toymodels.scores.streaming import opened, sample


class Rows(NamedTuple):
    """What is chosen on and what is scored on.

    Attributes:
        train, test: x [row, d_model] of each.
        true: which features are present in each, [row, feature].
    """

    train: Float[Array, "row d_model"]
    test: Float[Array, "row d_model"]
    true: tuple[Bool[Array, "row feature"], Bool[Array, "row feature"]]


def rows(key: Key[Array, ""], world: GroundTruth, n_rows: int) -> Rows:
    """`n_rows` fresh samples to choose latents on, and as many to score them on."""
    train, test = (sample(world, k, n_rows) for k in jax.random.split(key))
    return Rows(train.x, test.x, (train.features > 0, test.features > 0))


def of_codes(
    key: Key[Array, ""],
    codes: tuple[Float[Array, "row latent"], Float[Array, "row latent"]],
    true: tuple[Bool[Array, "row feature"], Bool[Array, "row feature"]],
) -> dict[str, Interval | float]:
    """The presence scores of latents (or of any other numbers that stand for features).

    Args:
        key: of the bootstrap over blocks of held-out rows.
        codes: of the rows to choose on, and of those to score on.
        true: which features are present, likewise.

    Returns:
        Name to an interval, or to a number where there is none.

    Raises:
        ValueError: no feature is present in the rows to choose on.
    """
    key_detection, key_state = jax.random.split(key)
    train, test = (Sample(jnp.asarray(z), y) for z, y in zip(codes, true, strict=True))
    counts = detection.count(train)
    found = detection.corrected(key_detection, detection.select(counts), test)
    chosen, claimed = (board_reconstruction.claims(counts, one) for one in (train, test))
    state = board_reconstruction.corrected(key_state, chosen, claimed)
    best = probing.best_latents(train.z, train.properties, 1)[:, 0]
    turned = jnp.sign(_covariance(train.z[:, best], train.properties))
    varies = np.asarray(test.properties.any(0) & ~test.properties.all(0))
    ranked = probing.readings(turned * test.z[:, best], test.properties).auroc[varies]
    return {
        "f1": found["coverage"],
        "f1_always_on": found["floor"],
        "f1_corrected": found["corrected"],
        "f1_published": detection.as_published(counts),
        "auroc": float(ranked.mean()),
        "state_f1": state["f1"],
        "state_f1_corrected": state["corrected"],
        "l0": float((test.z != 0).sum(1).mean()),
        "alive": float((test.z != 0).any(0).mean()),
    }


def _covariance(z: Float[Array, "row feature"], true: Bool[Array, "row feature"]) -> Array:
    """Of each column of z with the feature of the same column."""
    return jnp.mean((z - z.mean(0)) * (true - true.mean(0)), axis=0)


def of_probes(
    inputs: tuple[Float[Array, "row input"], Float[Array, "row input"]],
    true: tuple[Bool[Array, "row feature"], Bool[Array, "row feature"]],
    k: int | None = None,
) -> dict[str, float]:
    """Held-out F1 and AUROC of logistic probes of the features that vary.

    Args:
        inputs: x or codes, of the rows to fit on and of those to score on.
        true: which features are present, likewise.
        k: how many inputs each probe may read, those furthest apart with and without the
            feature; all of them by default.
    """
    varies = np.asarray(true[0].any(0) & ~true[0].all(0) & true[1].any(0) & ~true[1].all(0))
    fit, held_out = (jnp.asarray(one) for one in inputs)
    labels = true[0][:, varies]
    read = _fit_logistic if k is None else partial(probing.fit_sparse, k=k)
    probes = read(fit, labels)
    found = probing.readings(probes.logits(held_out), true[1][:, varies])
    return {"f1": float(found.f1.mean()), "auroc": float(found.auroc.mean())}


_fit_logistic = jax.jit(probing.fit_logistic)


def matched_random(
    key: Key[Array, ""],
    x: tuple[Float[Array, "row d_model"], Float[Array, "row d_model"]],
    rates: Float[np.ndarray, " latent"],
) -> tuple[Array, Array]:
    """Codes of random latents, each on as often as a latent of the dictionary.

    Latent i is the projection of x - E x on a random direction, above the threshold that
    it exceeds in a share `rates[i]` of the first rows: what a dictionary of this size and
    these rates finds by chance in x.
    """
    train, test = x
    centre = train.mean(0)
    directions = jax.random.normal(key, (len(rates), train.shape[-1]))
    level = jnp.clip(1 - jnp.asarray(rates), 0, 1)
    projected = (train - centre) @ directions.T
    threshold = jax.vmap(jnp.quantile, in_axes=(1, 0))(projected, level)

    def codes(rows):
        z = (rows - centre) @ directions.T - threshold
        return jnp.where(z > 0, z, 0)

    return codes(train), codes(test)


def explained_variance(
    x: Float[Array, "row d_model"], x_hat: Float[Array, "row d_model"]
) -> float:
    """1 - sum |x - x_hat|^2 / sum |x - mean x|^2."""
    given, found = np.asarray(x, float), np.asarray(x_hat, float)
    total = np.square(given - given.mean(0)).sum()
    return float(1 - np.square(given - found).sum() / total)


def report(
    callables: Any,
    world: Any,
    key: Key[Array, ""],
    n_samples: int,
    others: Mapping[str, Any] | None = None,
) -> Report:
    """All presence scores of one dictionary, between floors and ceilings.

    Floors are random latents that are on as often, in this world and, where the world
    knows its model before training (`untrained`), in that model's stream; the reported
    floor is the first. The ceiling is a logistic probe of all of x, of which the model
    before training has one too, so that what training adds can be seen.

    Args:
        callables: encode and decode, from `adapters.adapt`.
        world: gives x and features; `untrained` is the model before training.
        key: of all draws.
        n_samples: to choose latents on, and as many to score them on.
        others: name to further dictionaries of this world.

    Raises:
        ValueError: codes or reconstructions do not fit, or no feature is ever present.
    """
    keys = jax.random.split(named(key, "score"), 5)
    key_rows, key_draws, key_random, key_example, key_untrained = keys
    require_range("n_samples", n_samples, low=detection.N_BLOCKS, fix="scores need samples")
    world, _ = opened(world, key_example, 256, directions=False)
    drawn = rows(key_rows, world, n_samples)
    z, x_hat = _codes(callables, drawn)
    found = of_codes(key_draws, z, drawn.true)
    sparse = of_probes(z, drawn.true, 1)
    values: dict[str, Any] = found | {
        "probe_f1": sparse["f1"],
        "probe_auroc": sparse["auroc"],
        "explained_variance": explained_variance(drawn.test, x_hat),
    }
    rates = np.asarray((z[0] != 0).mean(0), float)

    def by_chance(key, x):
        return of_codes(
            jax.random.clone(key_draws), matched_random(key, x, rates), drawn.true
        )

    both = (drawn.train, drawn.test)
    controls = {
        "always on": {"f1": found["f1_always_on"], "f1_corrected": 0.0, "auroc": 0.5},
        "random latents, as often on": by_chance(key_random, both),
    }
    ceilings = {"probe of x": of_probes(both, drawn.true)}
    if getattr(world, "untrained", None) is not None:
        before = world.replace(model=world.untrained)
        same = rows(jax.random.clone(key_rows), before, n_samples)
        theirs = (same.train, same.test)
        controls["the same, model before training"] = by_chance(key_untrained, theirs)
        ceilings["probe of x, model before training"] = of_probes(theirs, same.true)
    for name, other in (others or {}).items():
        codes, _ = _codes(adapt(other), drawn)
        controls[name] = of_codes(jax.random.clone(key_draws), codes, drawn.true)
    plain = {name: _plain(of) for name, of in controls.items()}
    return Report(
        _plain(values),
        plain["random latents, as often on"],
        ceilings["probe of x"] | {"f1_corrected": 1.0, "explained_variance": 1.0},
        n_samples,
        {
            name: (one.low, one.high)
            for name, one in values.items()
            if isinstance(one, Interval)
        },
        plain,
        ceilings,
    )


def _codes(callables: Any, drawn: Rows):
    """The codes of both samples, and the reconstruction of the second."""
    encode = callable_on_arrays(callables[0], drawn.train[:256])
    z = jnp.asarray(encode(drawn.train)), jnp.asarray(encode(drawn.test))
    for codes in z:
        require_codes(codes, len(drawn.train))
    decode = callable_on_arrays(callables[1], z[0][:256], "decode")
    return z, decode(z[1])


def _plain(scores: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(one.value) if isinstance(one, Interval) else float(one)
        for name, one in scores.items()
    }
