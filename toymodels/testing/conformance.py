"""What a dictionary must satisfy, for variants of ours and of yours.

    from toymodels.testing import check
    check(MyVariant(n_latents=12), jax.random.key(0))

and for trained dictionaries, whoever made them:

    assert_recovers(sae, world="hierarchy")

Each failure is an AssertionError that says what came, what was expected and the likely fix.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from synthetic import SparseFeatures, directions, firing
from synthetic.base import KnownDirections
from synthetic.parts.paired import Paired
from synthetic.validation import require_key
from toymodels.sae import training
from toymodels.sae.base import Dictionary
from toymodels.sae.protocol import (
    RETURNS,
    attempt,
    described,
    require,
    require_methods,
    result_of,
    shape_of,
)
from toymodels.scores import geometry
from toymodels.testing.recovery import assert_recovers
from toymodels.training.loop import Outcome, State

__all__ = ["assert_recovers", "check", "check_recovers", "easy_world"]

D_MODEL, BATCH = 5, 7


def normal_rows(key: Key[Array, ""]) -> Array:
    """Seven samples in five dimensions, what most dictionaries take."""
    return jax.random.normal(key, (BATCH, D_MODEL), jnp.float32)


def check(
    dictionary: Dictionary,
    key: Key[Array, ""],
    example: Callable[[Key[Array, ""]], Any] = normal_rows,
) -> None:
    """Runs every check that needs no training.

    Args:
        dictionary: its `n_latents` must not be 5 or 7.
        key: decides weights and data.
        example: `key -> x`, seven samples as the loss takes them, of width 5. Of `Paired`
            ones `encode` is given the source, and `decode` must give what is like the
            target.
    """
    require_key("key", key)
    require_methods(dictionary)
    n_latents = dictionary.n_latents
    require(
        n_latents not in (D_MODEL, BATCH),
        f"n_latents is {n_latents}, expected neither {D_MODEL} nor {BATCH}; otherwise a "
        "transposed axis goes unseen",
    )
    key_init, key_x, key_after = jax.random.split(key, 3)
    x = example(key_x)
    params = _init(dictionary, key_init)
    check_shapes(dictionary, params, x)
    check_deterministic(dictionary, key_init, params)
    check_rows_are_independent(dictionary, params, x)
    check_loss(dictionary, params, x)
    check_after(dictionary, params, x, key_after)
    check_vmap(dictionary, params, x)
    check_no_retrace(dictionary, params, x)


def check_shapes(dictionary: Dictionary, params: Any, x: Any) -> None:
    """Encode maps [batch, d_model] to [batch, latent] and decode maps back; all finite."""
    z = result_of("encode", dictionary.encode, params, _source(x))
    expected = (BATCH, dictionary.n_latents)
    require(
        shape_of(z) == expected,
        f"encode gave {described(z)}, expected {expected}; return one row per sample",
    )
    x_hat, wanted = result_of("decode", dictionary.decode, params, z), _target(x).shape
    require(
        shape_of(x_hat) == wanted,
        f"decode gave {described(x_hat)}, expected {wanted}; W_dec is [latent, d_model]",
    )
    finite = bool(jnp.isfinite(z).all() & jnp.isfinite(x_hat).all())
    require(finite, "encode or decode gave NaN or infinite values, expected finite ones")


def check_deterministic(dictionary: Dictionary, key: Key[Array, ""], params: Any) -> None:
    """The same key gives the same weights, another key others."""
    again = _init(dictionary, jax.random.clone(key))
    other = _init(dictionary, jax.random.fold_in(key, 1))
    require(
        _equal(params, again), "init gave other weights for the same key; use only the key"
    )
    require(
        not _equal(params, other), "init gave the same weights for two keys; use the key"
    )


def check_rows_are_independent(dictionary: Dictionary, params: Any, x: Any) -> None:
    """The code of a sample does not depend on the rest of the batch, nor on chance."""
    x, encode = _source(x), jax.jit(dictionary.encode)
    together = np.asarray(encode(params, x))
    again = jax.jit(lambda params, x: dictionary.encode(params, x))(
        params, x
    )  # traced anew
    require(
        np.allclose(together, again, atol=1e-5),
        "encode is not deterministic: it gave other codes for the same batch again, "
        "expected equal ones; what is drawn at random belongs in `after`",
    )
    alone = np.concatenate([encode(params, row[None]) for row in x])
    require(
        np.allclose(together, alone, atol=1e-5),
        "encode gave other codes for a row alone than in its batch, expected equal ones; "
        "a selection over the batch belongs in the loss",
    )


def check_loss(dictionary: Dictionary, params: Any, x: Any) -> None:
    """The loss is a finite scalar with finite gradients, and keeps its memory's shapes."""
    memory = result_of("memory", dictionary.memory, params, traced=False)
    given = (params, x, memory, jnp.int32(0))
    found = result_of("loss", dictionary.loss, *given)
    is_pair = isinstance(found, tuple) and len(found) == 2
    require(
        is_pair and isinstance(found[1], Outcome),
        f"loss gave {described(found)}, expected {RETURNS['loss']}; import Outcome from "
        "toymodels.training.loop",
    )
    require(
        shape_of(found[0]) == (),
        f"loss gave {described(found[0])}, expected one finite number; average over the "
        "batch",
    )
    metrics = found[1].metrics
    scalar = isinstance(metrics, dict) and all(
        shape_of(one) == () for one in metrics.values()
    )
    require(
        scalar,
        f"loss gave metrics {described(metrics)}, expected a dictionary from names to "
        "single numbers; average them over the batch",
    )
    with_gradients = jax.jit(jax.value_and_grad(dictionary.loss, has_aux=True))
    fix = "the gradient is taken of params, whose leaves must be float arrays"
    (value, outcome), grads = attempt("the gradient of loss", with_gradients, given, fix)
    require(bool(jnp.isfinite(value)), f"loss gave {value}, expected a finite number")
    finite = all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(grads))
    require(finite, "the loss has NaN or infinite gradients; guard roots and divisions")
    require(
        _shapes(outcome.memory) == _shapes(memory),
        f"loss gave memory of shapes {_shapes(outcome.memory)}, expected "
        f"{_shapes(memory)}; hand on what `memory` starts",
    )


def check_after(dictionary: Dictionary, params: Any, x: Any, key: Key[Array, ""]) -> None:
    """`after` keeps the shapes of the state and the step."""
    adam = optax.adam(1e-3)
    state = jax.jit(lambda key: training.start(key, dictionary, D_MODEL, adam))(key)
    moved = result_of("after", dictionary.after, jax.random.fold_in(key, 1), state, x)
    require(
        isinstance(moved, State),
        f"after gave {described(moved)}, expected {RETURNS['after']}; change it by "
        "state.replace(params=...)",
    )
    require(
        _shapes(moved) == _shapes(state),
        "after gave a state of other shapes or dtypes, expected the same; the loop cannot "
        "carry it on",
    )


def check_vmap(dictionary: Dictionary, params: Any, x: Any) -> None:
    """Two stacked copies under vmap give what one gives."""
    x = _source(x)
    require(
        not any(leaf is dictionary for leaf in jax.tree.leaves(dictionary)),
        f"{type(dictionary).__name__} is no pytree, expected one; decorate its class with "
        "flax.struct.dataclass",
    )
    fix = "leaves must be numbers or arrays and must not steer Python code"
    pair = attempt("stacking two copies", _stacked_twice, ((dictionary, params),), fix)
    encode = jax.jit(jax.vmap(lambda d, p: d.encode(p, x)))
    together = attempt("encode under vmap", encode, pair, fix)
    alone = jax.jit(dictionary.encode)(params, x)
    require(
        np.allclose(together, jnp.stack([alone, alone]), atol=1e-5),
        "encode under vmap differs from encode alone; leaves must not steer Python code",
    )


def check_no_retrace(dictionary: Dictionary, params: Any, x: Any) -> None:
    """Changing the value of a leaf compiles nothing anew."""
    traces = 0

    @jax.jit
    def loss(dictionary, params):
        nonlocal traces
        traces += 1
        memory = dictionary.memory(params)
        return dictionary.loss(params, x, memory, jnp.int32(0))[0]

    as_arrays = jax.tree.map(jnp.asarray, dictionary)
    require(
        isinstance(as_arrays.n_latents, int),
        "n_latents is a leaf, expected a static field, for it decides shapes; write "
        "n_latents: int = flax.struct.field(pytree_node=False)",
    )
    fix = "leaves must not steer Python code: choose by jnp.where, or make them static"
    attempt("loss with traced leaves", loss, (as_arrays, params), fix)
    other = jax.tree.map(_another_value, as_arrays)
    attempt("loss with other leaves", loss, (other, params), fix)
    require(
        traces == 1,
        f"the loss was traced {traces} times for two values of its leaves, expected once; "
        "a number that people sweep is static",
    )


def easy_world(key: Key[Array, ""], n_features: int = 8) -> SparseFeatures:
    """Orthogonal features, as many as dimensions, one present on average."""
    rows = directions.orthogonal(key, n_features, n_features)
    rate = firing.constant(n_features, 1 / n_features)
    return SparseFeatures(rows, firing.Independent(rate))


def check_recovers(
    dictionary: Dictionary,
    world: KnownDirections,
    key: Key[Array, ""],
    mcc_dec: float = 0.99,
    n_steps: int = 2_000,
) -> None:
    """Trained on `world`, the dictionary reaches a stated `mcc_dec`."""
    require_methods(dictionary)
    params = training.fit(key, dictionary, world, n_steps, batch_size=256).params
    reached = geometry.mcc_dec(geometry.cosines(params.W_dec, world.directions))
    require(
        reached >= mcc_dec,
        f"mcc_dec is {reached:.3f} after {n_steps} steps, expected at least {mcc_dec}; "
        "look at dead latents, the learning rate and the penalty",
    )


def _init(dictionary: Dictionary, key: Key[Array, ""]) -> Any:
    """The weights, traced anew at each call: a draw that is not of the key then differs."""
    params = result_of("init", lambda key: dictionary.init(key, D_MODEL), key)
    require(
        len(jax.tree.leaves(params)) > 0,
        f"init gave {described(params)} without arrays, expected "
        f"{RETURNS['init']}; return them",
    )
    return params


def _stacked_twice(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * 2), tree)


def _source(x: Any) -> Any:
    return x.source if isinstance(x, Paired) else x


def _target(x: Any) -> Any:
    return x.target if isinstance(x, Paired) else x


def _another_value(leaf: Array) -> Array:
    """Half of a real number, which stays in most ranges; one more than an integer."""
    return leaf / 2 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf + 1


def _equal(a: Any, b: Any) -> bool:
    return all(
        np.array_equal(x, y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def _shapes(tree: Any) -> list[tuple]:
    leaves = jax.tree.leaves(tree)
    return [(jnp.shape(leaf), jnp.asarray(leaf).dtype) for leaf in leaves]
