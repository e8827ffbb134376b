"""What each experiment's checks are given by a run in which all is well.

Most are the inputs of the experiment's own tests; `checked(name)` gives the function that
makes the checks, and its arguments.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import jax.numpy as jnp
import numpy as np

from experiments.harness.records import Check
from experiments.later_toy_models import (
    capacity,
    compressed_computation,
    decomposition_targets,
    double_descent,
    engineering_monosemanticity,
    incidental_polysemanticity,
    kgon_energy_levels,
    superposition_scaling,
)
from experiments.maze import dictionaries as maze_dictionaries
from experiments.maze import (
    embeddings,
    feature_places,
    heads,
    interventions,
    path_start,
    shift,
    transfer,
    world_model,
)
from experiments.othello import dictionaries as othello_dictionaries
from experiments.othello import interventions as othello_interventions
from experiments.othello import planted_directions
from experiments.othello import world_model as othello_world_model
from experiments.phenomena import (
    absorption,
    composed_features,
    hedging,
    matryoshka_balance,
    matryoshka_tree,
    mmcs_grid,
    seed_consistency,
    shrinkage,
    toy_saes,
    wrong_l0,
    wrong_l0_fifty,
)
from experiments.recovery import dictionaries, recovery_seeds, sae_recovery
from experiments.superposition import (
    absolute_value,
    asymmetric_motif,
    correlated_features,
    dimensions_per_feature,
    hidden_penalty,
    learning_dynamics,
    local_bases,
    nonlinear_compression,
    pca_or_superposition,
    perturbed_feature,
    phase_diagram,
    phase_diagram_three_features,
    privileged_basis,
    superposition_by_sparsity,
    toy_intro,
)
from experiments.synthsaebench import generalisation, overfitting, synthsaebench
from tests.experiments.later_toy_models import (
    test_capacity,
    test_compressed_computation,
    test_decomposition_targets,
    test_double_descent,
    test_engineering_monosemanticity,
    test_superposition_scaling,
)
from tests.experiments.maze import test_feature_places as test_maze_feature_places
from tests.experiments.maze import test_interventions as test_maze_interventions
from tests.experiments.maze import test_path_start as test_maze_path_start
from tests.experiments.maze import test_players as test_maze_players
from tests.experiments.maze import test_transfer as test_maze_transfer
from tests.experiments.maze import test_world_model as test_maze_world_model
from tests.experiments.othello import test_dictionaries as test_othello_dictionaries
from tests.experiments.othello import test_planted_directions
from tests.experiments.othello import test_world_model as test_othello_world_model
from tests.experiments.phenomena import (
    test_matryoshka_balance,
    test_matryoshka_tree,
    test_mmcs_grid,
    test_seed_consistency,
    test_shrinkage,
    test_wrong_l0,
)
from tests.experiments.recovery import test_dictionaries
from tests.experiments.superposition import (
    test_absolute_value,
    test_correlated_features,
    test_dimensions_per_feature,
    test_hidden_penalty,
    test_learning_dynamics,
    test_perturbed_feature,
    test_privileged_basis,
)
from tests.experiments.synthsaebench import (
    test_generalisation,
    test_overfitting,
    test_synthsaebench,
)


class Case(NamedTuple):
    """Attributes:
    make: gives the checks.
    args: settings first where it takes them, and what a run measured.
    given: places of those that are numbers and yet settings.
    """

    make: Callable[..., list[Check]]
    args: tuple[Any, ...]
    given: tuple[int, ...] = ()


def heard(module, call: Callable[[], Any], name: str = "make_checks") -> Case:
    """What `call`, of an experiment's own tests, gives the function of this name."""
    make = getattr(module, name)
    listener = mock.Mock(side_effect=make)
    with mock.patch.object(module, name, listener):
        call()
    return Case(make, (*listener.call_args.args, *listener.call_args.kwargs.values()))


def of_absorption() -> Case:
    """The hierarchy absorbed, values half way, the rest true."""
    half = 0.5**0.5
    rows = {"whole": [[1, 0], [half, half]], "true": [[1, 0], [0, 1]]}
    rows["part"] = [[1, 0], [0.6, 0.8]]
    order = ("whole", "true", "true", "part", "true")
    encoder = {"whole": -1.0, "true": 0.0, "part": -0.75}
    gap = {"whole": 1.0, "true": 0.0, "part": 0.0}
    ratio = {"whole": 1.0, "true": 0.0, "part": 0.75}
    arrays = {
        "decoder": np.array([[rows[name]] for name in order], float),
        "gap": np.array([[gap[name]] for name in order]),
        "decoder_ratio": np.array([[ratio[name]] for name in order]),
        "angle": np.array([[0.3, 0.1]]),
        "angle_exact": np.array([[0.31, 0.11]]),
    }
    names = [case.name for case in absorption.cases(absorption.Settings())]
    metrics = {
        "cases": [*names, absorption.TIED],
        "encoder_ratio": [encoder[name] for name in order],
        "decoder_ratio": [ratio[name] for name in order],
    }
    return Case(absorption.make_checks, (metrics, arrays))


def of_composed_features() -> Case:
    x = np.array([0.0, 0.2, 0.5, 0.75, 1.0])
    laws = composed_features.LAWS
    share = np.stack([composed_features.predicted(law, x) for law in laws])[:, None]
    seeds = np.arange(20) < np.round(20 * share[..., None])
    arrays = {"one_hot": x, "composed": 1.0 * seeds, "true": 1.0 * ~seeds}
    return Case(composed_features.make_checks, (arrays,))


def of_hedging() -> Case:
    """Seeds end in the first or in the last exact state."""
    states = [
        [[(1 - child**2) ** 0.5, child] for child in row.states] for row in hedging.TABLE
    ]
    curve = np.array([[[0.98, 0.2], [0.85, 0.5]]] * 2)
    metrics = {
        "cases": [row.name for row in hedging.TABLE],
        "states": states,
        "two_latents": {"independent": 1.0, "positive correlation": 0.9999},
    }
    cosine = np.array([[found[0], found[-1]] for found in states])
    arrays = {"cosine": cosine, "curve": curve, "curve_exact": curve + 0.001}
    return Case(hedging.make_checks, (metrics, arrays))


def of_hidden_penalty() -> Case:
    own = test_hidden_penalty
    form = hidden_penalty.alone([0.5], np.ones(1), own.DENSITY)["norm_alone"][0, 0]
    right = [[form, 0.0], [0.0, 0.0], [0.0, 0.0]]
    return heard(hidden_penalty, lambda: own.failed(own.PLAIN, right))


def of_nonlinear_compression() -> Case:
    settings = nonlinear_compression.Settings()
    loss = np.tile(1 / (12 * np.square(settings.steps, dtype=float)), (6, 1))
    shown = np.full(200, 0.9 * nonlinear_compression.LINEAR_LOSS)
    return Case(nonlinear_compression.make_checks, (settings, loss, shown))


def of_phase_diagram() -> Case:
    metrics = {
        "loss_at_equal_importance": {str(p): v for p, v in phase_diagram.LOSSES.items()},
        "boundary": {str(r): p for r, p in phase_diagram.BOUNDARY.items()},
        "agreement_of_best": 0.99,
        "agreement_of_average": 0.97,
    }
    return Case(phase_diagram.make_checks, (metrics,))


def of_recovery_seeds() -> Case:
    values = {
        f"{r.world}, {r.name}": np.array([0.995, 1.0]) for r in recovery_seeds.RECIPES
    }
    values["hard, bare TopK"] = np.array([0.9, 0.92])
    values["hard, frozen decoder"] = np.array([0.36, 0.38])
    return Case(recovery_seeds.make_checks, (recovery_seeds.Settings(), values))


def of_sae_recovery() -> Case:
    settings = sae_recovery.Settings()
    metrics = {
        "sum_of_dimensionality": 0.99 * settings.n_hidden,
        "floor": {"mcc_dec": 0.44},
        "ceiling": {"true_l0": settings.mean_l0, "explained_variance": 1.0},
    }
    scores = {
        name: {"mcc_dec": np.full((4, 3), value), "mcc_act": np.full((4, 3), value)}
        for name, value in (("TopK", 0.98), ("ReLU+L1", 0.98), ("frozen decoder", 0.44))
    }
    return Case(sae_recovery.checks, (settings, metrics, scores))


def of_superposition_by_sparsity(size) -> Case:
    """Models that hold the most important features, at density 1 and when sparse."""
    module = superposition_by_sparsity
    n, m = size.n_features, size.n_hidden

    def planted(held, bias, loss):
        W = np.zeros((len(held), 2, n, m))
        for density, count in enumerate(held):
            for i in range(count):
                W[density, :, i, i % m] = 1.0 if i < m else -1.0
        b = jnp.full((len(held), 2, n), bias)
        return module.Models(jnp.asarray(W), b, np.full((len(held), 2), loss))

    linear = planted([m], module.LINEAR_DENSITY / 2, 1.0)
    relu = planted([m, 2 * m], 0.0, module.dense_loss(size))
    settings = module.Settings(densities=(1.0, 0.1))
    found = {"held": [[m, m], [2 * m, 2 * m]]}
    return Case(module.exact_checks, (size, settings, linear, relu, found), given=(0,))


def of_published_sparsity() -> Case:
    module = superposition_by_sparsity
    medians = {
        "dimensions_per_feature": [[v] * 2 for v in module.DIMENSIONS_PER_FEATURE.values()]
    }
    return Case(module.published_checks, (module.Settings(), medians))


def of_toy_intro() -> Case:
    """Two features alone, then a pentagon, at the least losses there are."""
    settings = toy_intro.Settings()
    importance = settings.importance ** np.arange(5)
    metrics = {
        "best_loss": [toy_intro.dense_loss(importance, 2), OPTIMUM[5]],
        "pentagon_share": [0.0, 0.8],
        "sum_of_dimensionality": [1.999, 2.0],
    }
    D = np.array([[[1.0, 1, 0, 0, 0]], [[0.4] * 5]])
    args = (settings, importance, metrics, D, np.zeros(2, int))
    return Case(toy_intro.make_checks, args, given=(1,))


def of_maze_path_start() -> Case:
    return heard(path_start, lambda: test_maze_path_start.checked(0.3, 0.1))


def of_maze_shift() -> Case:
    exact = {"a": {"a": 0.9, "b": 0.5, "c": 0.4}, "b": {"a": 0.5, "b": 0.8, "c": 0.3}}
    scores = {
        home: {place: {"exact": share} for place, share in row.items()}
        for home, row in exact.items()
    }
    return Case(shift.make_checks, ({"scores": scores},))


def of_dictionaries() -> Case:
    """One flat world and one with a hierarchy, the control in both."""
    own = test_dictionaries
    names = ["TopK", "BatchTopK", "Matryoshka", dictionaries.CONTROL]
    scores = {
        (world, name): [value] * 3
        for world in ("easy", "hierarchy")
        for name, value in zip(names, (0.98, 0.98, 0.985, 0.4), strict=True)
    }
    metrics = own.metrics_of(["easy", "hierarchy"], names)
    return Case(dictionaries.make_checks, (metrics, own.arrays_of(scores)))


def of_overfitting() -> Case:
    own = test_overfitting
    tight = own.contest((0.77, 0.76, 0.82), (0.69, 0.71, 0.66))
    crowded = own.contest((0.8, 0.8, 0.9), (0.8, 0.75, 0.97))
    found = {overfitting.TIGHT: tight, overfitting.CROWDED: crowded}
    return Case(overfitting.make_checks, (overfitting.Settings(), found))


def of_toy_saes() -> Case:
    metrics = {
        "conditions": [c.name for c in toy_saes.conditions(toy_saes.Settings())],
        "full": [0.11, 0.94, 0.0, 0.0, 1.0],
        "feature_max_cosine": [0.902, 0.995, 0.909, 0.94, 0.99],
        "l0": [0.121, 0.113, 0.189, 0.226, 0.12],
    }
    return Case(toy_saes.make_checks, (toy_saes.Settings(), metrics))


def of_one_value(module, **metrics) -> Case:
    return Case(module.make_checks, (metrics,))


# What `expected_loss.optimum` gives at the settings above, by number of features.
OPTIMUM = {2: 0.00166, 5: 0.00145}

GOOD_TRANSFER, BAD_TRANSFER = np.full((4, 4), 0.9), np.full((4, 4), 0.4)

CASES: dict[str, Callable[[], list[Case]]] = {
    "absolute_value": lambda: [
        Case(
            absolute_value.large_checks,
            (test_absolute_value.SETTINGS, test_absolute_value.good_metrics()),
        ),
        Case(
            absolute_value.small_checks,
            ({"small_share_exact": 0.7, "small_product": [0.999, 1.001]},),
        ),
    ],
    "absorption": lambda: [of_absorption()],
    "asymmetric_motif": lambda: [
        Case(
            asymmetric_motif.make_checks,
            (
                {
                    "share_with_motif": [0.3],
                    "best_over_baseline": [0.98],
                    "control_share_with_motif": 0.0,
                },
                asymmetric_motif.Settings(),
            ),
        )
    ],
    "capacity": lambda: [heard(capacity, test_capacity.failed)._replace(given=(3,))],
    "composed_features": lambda: [of_composed_features()],
    "compressed_computation": lambda: [
        heard(
            compressed_computation,
            lambda: test_compressed_computation.failed(
                test_compressed_computation.metrics(
                    [0.0835, 0.08, 0.07, 0.06, 0.07, 0.2, 0.06], [0.095] * 7
                )
            ),
        )
    ],
    "correlated_features": lambda: [
        Case(correlated_features.make_checks, test_correlated_features.a_good_result())
    ],
    "decomposition_targets": lambda: [
        Case(
            decomposition_targets.make_checks,
            (test_decomposition_targets.metrics(), 0.001),
            given=(1,),
        )
    ],
    "dictionaries": lambda: [of_dictionaries()],
    "dimensions_per_feature": lambda: [
        heard(
            dimensions_per_feature,
            lambda: test_dimensions_per_feature.failed(
                test_dimensions_per_feature.arrays()
            ),
            name,
        )
        for name in ("curve_checks", "geometry_checks", "attack_checks")
    ],
    "double_descent": lambda: [heard(double_descent, test_double_descent.numbers)],
    "engineering_monosemanticity": lambda: [
        Case(
            engineering_monosemanticity.make_checks,
            (test_engineering_monosemanticity.arrays(), 1),
            given=(1,),
        )
    ],
    "generalisation": lambda: [
        Case(
            generalisation.make_checks,
            (
                test_generalisation.SMALL,
                {w: test_generalisation.contest(w) for w in test_generalisation.SCORES},
            ),
        )
    ],
    "hedging": lambda: [of_hedging()],
    "hidden_penalty": lambda: [of_hidden_penalty()],
    "incidental_polysemanticity": lambda: [
        of_one_value(
            incidental_polysemanticity,
            slope_in_chance=1.0,
            mean_count=[8.0, 4.0],
            by_chance=[8.0, 4.0],
            share_held=[1.0, 1.0],
        )
    ],
    "kgon_energy_levels": lambda: [
        of_one_value(
            kgon_energy_levels,
            ends={"SGD": {"5-gon+": 24, "none": 0}},
            rests_on_a_level={"SGD": 0.95},
        )
    ],
    "learning_dynamics": lambda: [
        Case(learning_dynamics.make_checks, (test_learning_dynamics.GOOD,))
    ],
    "local_bases": lambda: [
        of_one_value(local_bases, best_overlap=[0.05], best_norms=[[0.97, 1.03]])
    ],
    "matryoshka_balance": lambda: [
        Case(matryoshka_balance.make_checks, test_matryoshka_balance.published())
    ],
    "matryoshka_tree": lambda: [
        Case(
            matryoshka_tree.make_checks,
            (
                matryoshka_tree.Settings(weights=(0.0, 2.0)),
                test_matryoshka_tree.scores(
                    test_matryoshka_tree.PLAIN, test_matryoshka_tree.NESTED
                ),
            ),
        )
    ],
    "maze_dictionaries": lambda: [
        Case(maze_dictionaries.make_checks, (test_maze_players.found(),))
    ],
    "maze_embeddings": lambda: [
        of_one_value(embeddings, agreement={"trained": 0.4}, shuffled_99=0.3)
    ],
    "maze_feature_places": lambda: [
        Case(feature_places.make_checks, (test_maze_feature_places.metrics(),))
    ],
    "maze_heads": lambda: [Case(heads.make_checks, (test_maze_players.heads(),))],
    "maze_interventions": lambda: [
        Case(interventions.make_checks, (test_maze_interventions.found(),))
    ],
    "maze_path_start": lambda: [of_maze_path_start()],
    "maze_shift": lambda: [of_maze_shift()],
    "maze_transfer": lambda: [
        heard(
            transfer,
            lambda: test_maze_transfer.checked(GOOD_TRANSFER, BAD_TRANSFER),
        )
    ],
    "maze_world_model": lambda: [
        Case(world_model.make_checks, (test_maze_world_model.measured(),))
    ],
    "mmcs_grid": lambda: [
        heard(mmcs_grid, lambda: test_mmcs_grid.failed(test_mmcs_grid.right_plane()))
    ],
    "nonlinear_compression": lambda: [of_nonlinear_compression()],
    "othello_dictionaries": lambda: [
        Case(othello_dictionaries.make_checks, (test_othello_dictionaries.arrays(),))
    ],
    "othello_interventions": lambda: [
        of_one_value(
            othello_interventions,
            removed_at_best_site={
                "mean difference": 0.4,
                "probe": 0.6,
                "random direction": 0.0,
                "another square": 0.0,
            },
        )
    ],
    "othello_world_model": lambda: [
        heard(
            othello_world_model,
            lambda: test_othello_world_model.failed(test_othello_world_model.measured()),
        )._replace(given=(1,))
    ],
    "overfitting": lambda: [of_overfitting()],
    "pca_or_superposition": lambda: [
        of_one_value(
            pca_or_superposition,
            density=list(pca_or_superposition.PUBLISHED),
            best_collapsed=list(pca_or_superposition.PUBLISHED.values()),
        )
    ],
    "perturbed_feature": lambda: [
        Case(perturbed_feature.make_checks, (test_perturbed_feature.metrics(),))
    ],
    "phase_diagram": lambda: [of_phase_diagram()],
    "phase_diagram_three_features": lambda: [
        of_one_value(phase_diagram_three_features, agreement_of_best=0.99)
    ],
    "planted_directions": lambda: [
        heard(planted_directions, test_planted_directions.checked)
    ],
    "privileged_basis": lambda: [
        heard(
            privileged_basis,
            lambda: test_privileged_basis.failed(test_privileged_basis.published_metrics()),
        )._replace(given=(1,))
    ],
    "recovery_seeds": lambda: [of_recovery_seeds()],
    "sae_recovery": lambda: [of_sae_recovery()],
    "seed_consistency": lambda: [
        heard(
            seed_consistency,
            lambda: test_seed_consistency.failed(test_seed_consistency.PUBLISHED),
        )
    ],
    "shrinkage": lambda: [Case(shrinkage.make_checks, test_shrinkage.right())],
    "superposition_by_sparsity": lambda: [
        of_superposition_by_sparsity(superposition_by_sparsity.SMALL),
        of_published_sparsity(),
    ],
    "superposition_scaling": lambda: [
        Case(
            superposition_scaling.make_checks,
            superposition_scaling.measured(
                *test_superposition_scaling.lawful(), test_superposition_scaling.SETTINGS
            )[:1],
        )
    ],
    "synthsaebench": lambda: [
        heard(
            synthsaebench,
            lambda: test_synthsaebench.failed(test_synthsaebench.published()),
        )
    ],
    "toy_intro": lambda: [of_toy_intro()],
    "toy_saes": lambda: [of_toy_saes()],
    "wrong_l0": lambda: [
        heard(wrong_l0, lambda: test_wrong_l0.failed(test_wrong_l0.published()))
    ],
    "wrong_l0_fifty": lambda: [
        heard(
            wrong_l0_fifty,
            lambda: test_wrong_l0.failed_fifty(test_wrong_l0.fifty()),
        )
    ],
}
