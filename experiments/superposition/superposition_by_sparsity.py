"""How many features does a model hold as they get sparser, and which ones share?

The main figure of "Toy Models of Superposition" (Elhage et al. 2022, "Basic results"): 20
features of importance 0.7^i in 5 dimensions, a linear model and ReLU models at seven
densities, and 80 features of importance 0.9^i in 20 dimensions. The paper does not publish
its trainer; this is the one of the authors' notebook (AdamW, rate 1e-3, weight decay 0.01,
10,000 steps of 1,024 fresh samples), started at Xavier's scale. Below a density of 0.01 a
feature is seen a few thousand times in all, so the counts there grow with more steps.
Neighbours in importance differ by a tenth among the 80, so that a dense model may not be
done telling the last ones apart: on seed 31 a norm was 0.07 from 0 or 1, where the check
allows 0.05.

Run:     python -m experiments superposition_by_sparsity
Takes:   about a minute and a half on two cores
Expect:  the linear model and density 1 keep the five most important features and drop the
         rest; then 7 to 8 features at density 0.3, 9 to 10 at 0.1, 12 to 15 at 0.001, and
         none of them alone below 0.1
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from figures.superposition import superposition_by_sparsity
from synthetic import SparseFeatures, firing, random
from toymodels import superposition

HELD = 0.5
ALONE = 0.05
LINEAR_DENSITY = 0.3


@dataclass(frozen=True)
class Settings:
    """Attributes:
    densities: of the ReLU models, from dense to sparse.
    n_seeds: 20-5 models of each; the best one is drawn.
    n_seeds_large: 80-20 models of each.
    steps, batch_size, learning_rate, weight_decay: of AdamW.
    n_samples: on which the final losses rest, the same for all models.
    """

    densities: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    n_seeds: int = 6
    n_seeds_large: int = 1
    steps: int = 10_000
    batch_size: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    n_samples: int = 1 << 18


class Size(NamedTuple):
    """Attributes:
    name: of its arrays.
    n_features, n_hidden: of the model.
    importance: feature i's error weighs importance^i.
    """

    name: str
    n_features: int
    n_hidden: int
    importance: float

    @property
    def importances(self) -> np.ndarray:
        return self.importance ** np.arange(self.n_features)


SMALL, LARGE = Size("20-5", 20, 5, 0.7), Size("80-20", 80, 20, 0.9)


class Models(NamedTuple):
    """Attributes:
    W, b: [density, seed, ...].
    loss: [density, seed], on common samples.
    """

    W: Array
    b: Array
    loss: np.ndarray


def run(settings: Settings, seed: int, job: Job) -> Result:
    keys = iter(jax.random.split(random.key(seed), 4))
    metrics: dict[str, Any] = {"densities": list(settings.densities)}
    arrays, checks, lines = {}, [], []
    for size, n_seeds in ((SMALL, settings.n_seeds), (LARGE, settings.n_seeds_large)):
        linear = fit_models(next(keys), size, "linear", n_seeds, settings, job)
        relu = fit_models(next(keys), size, "relu", n_seeds, settings, job)
        found = measure(relu)
        metrics[size.name] = found
        arrays |= panels(size, linear, relu)
        checks += exact_checks(size, settings, linear, relu, found)
        lines += table(size, settings, found)
    checks += published_checks(settings, metrics[SMALL.name])
    return Result(metrics, arrays, checks, lines)


def fit_models(
    key: Key[Array, ""], size: Size, output: str, n_seeds: int, settings: Settings, job: Job
) -> Models:
    """Every density with every seed; a linear model at one density, as they are alike."""
    key_train, key_loss = jax.random.split(key)
    densities = (LINEAR_DENSITY,) if output == "linear" else settings.densities
    model = superposition.Bottleneck(
        size.n_features,
        size.n_hidden,
        output=output,
        importance=jnp.asarray(size.importances),
    )

    def problem(density):
        """Each feature is 0, or with probability `density` uniform on [0, 1]."""
        probability = jnp.full(size.n_features, density)
        return model, SparseFeatures.of_features(firing.Independent(probability))

    label = f"{size.name} {output}"
    with job.stage(label):
        params, _ = superposition.train(
            key_train,
            problem,
            np.array(densities),
            n_seeds=n_seeds,
            steps=settings.steps,
            batch_size=settings.batch_size,
            optimizer=optax.adamw(
                settings.learning_rate, weight_decay=settings.weight_decay
            ),
            progress=job.progress(label, settings.steps),
            checkpoints=job.checkpoints(label.replace(" ", "_")),
        )
        params = jax.device_get(params)
        loss = superposition.losses(
            key_loss, problem, np.array(densities), params, settings.n_samples
        )
    return Models(jnp.asarray(params.W), jnp.asarray(params.b), loss)


def measure(models: Models) -> dict[str, Any]:
    """What the table shows, [density, seed]: features held, held alone, D*, bias, loss."""
    held = np.asarray(superposition.feature_norms(models.W)) > HELD
    shared = np.asarray(superposition.feature_superposition(models.W))
    return {
        "held": held.sum(-1).tolist(),
        "alone": (held & (shared < ALONE)).sum(-1).tolist(),
        "dimensions_per_feature": np.asarray(
            superposition.dimensions_per_feature(models.W)
        ).tolist(),
        "bias_of_held": (np.asarray(models.b * held).sum(-1) / held.sum(-1)).tolist(),
        "loss": models.loss.tolist(),
    }


def panels(size: Size, linear: Models, relu: Models) -> dict[str, np.ndarray]:
    """The best seed of each panel: the linear model, then every density."""
    best = [
        models.W[i, models.loss[i].argmin()]
        for models in (linear, relu)
        for i in range(len(models.W))
    ]
    W = jnp.stack(best)
    shared = superposition.feature_superposition(W)
    return {
        f"{size.name}/W": np.asarray(W),
        f"{size.name}/superposition": np.asarray(shared),
    }


def off_pca(models: Models, size: Size) -> float:
    """How far a norm is from 1 for the first n_hidden features, from 0 for the rest.

    Of the models at the first density.
    """
    norms = np.asarray(superposition.feature_norms(models.W[0]))
    return float(np.abs(norms - (np.arange(size.n_features) < size.n_hidden)).max())


def dense_loss(size: Size) -> float:
    """At density 1: (1/n) (1/12) sum of the importances of the dropped features.

    Each is answered with its mean, which leaves the variance 1/12 of a uniform value.
    """
    return float(size.importances[size.n_hidden :].sum() / 12 / size.n_features)


def exact_checks(
    size: Size, settings: Settings, linear: Models, relu: Models, found: dict[str, Any]
) -> list[Check]:
    """The linear model and density 1, which are PCA; a count that rises."""
    name, pca = size.name, "closed form: PCA holds the most important features alone"
    paper = "Elhage et al. 2022, basic results: the sparser, the more features held"
    apart = "largest distance of a norm from 1 or 0"
    rest = float(linear.b[..., size.n_hidden :].mean()) / (LINEAR_DENSITY / 2)
    rise = float(np.diff(np.median(found["held"], axis=1)).min())
    answer = "closed form: a dropped feature is answered with its mean, density / 2"
    checks = [
        Check(f"{name}, linear: {apart}", off_pca(linear, size), None, 0.05, pca),
        Check(f"{name}, linear: mean bias of the rest / mean", rest, 0.97, 1.03, answer),
        Check(f"{name}: smallest rise of the features held", rise, 0.0, None, paper),
    ]
    if settings.densities[0] == 1:
        loss, exact = float(np.median(relu.loss[0])), dense_loss(size)
        dropped = "closed form: importance of the dropped features / (12 n)"
        checks += [
            Check(f"{name}, density 1: {apart}", off_pca(relu, size), None, 0.05, pca),
            Check(
                f"{name}, density 1: median loss", loss, 0.99 * exact, 1.01 * exact, dropped
            ),
        ]
    return checks


DIMENSIONS_PER_FEATURE = dict(
    zip(Settings.densities, (1.0, 0.675, 0.545, 0.46, 0.43, 0.34, 0.32), strict=True)
)


def published_checks(settings: Settings, found: dict[str, Any]) -> list[Check]:
    """The 20-5 models against another implementation, of as many steps and seeds."""
    if (settings.steps, settings.n_seeds) != (Settings.steps, Settings.n_seeds):
        return []
    medians = np.median(found["dimensions_per_feature"], axis=1)
    return [
        Check(
            f"20-5: median dimensions per feature at density {density:g}",
            float(median),
            DIMENSIONS_PER_FEATURE[density] - 0.06,
            DIMENSIONS_PER_FEATURE[density] + 0.06,
            "an independent run, middle of 6 seeds",
        )
        for density, median in zip(settings.densities, medians, strict=True)
        if density in DIMENSIONS_PER_FEATURE
    ]


def table(size: Size, settings: Settings, found: dict[str, Any]) -> list[str]:
    """One line per density: medians over the seeds."""
    lines = [f"{size.name:>8}{'held':>8}{'alone':>8}{'D*':>8}{'bias':>8}{'best loss':>12}"]
    for i, density in enumerate(settings.densities):
        held, alone, dimensions, bias = (
            np.median(found[name][i])
            for name in ("held", "alone", "dimensions_per_feature", "bias_of_held")
        )
        lines.append(
            f"{density:>8.3g}{held:>8.3g}{alone:>8.3g}{dimensions:>8.3f}{bias:>8.2f}"
            f"{min(found['loss'][i]):>12.3g}"
        )
    return lines


EXPERIMENT = Experiment(
    name="superposition_by_sparsity",
    question="How many features does a model hold as they get sparser, and which share?",
    source="Elhage et al. 2022, basic results",
    minutes=1.5,
    settings=Settings(),
    quick=Settings(densities=(1.0, 0.1, 0.01), n_samples=1 << 16),
    run=run,
    figures=(superposition_by_sparsity,),
    expect="The linear model and density 1 show a bright diagonal for the most important "
    "features and nothing else; as features get sparser the diagonal grows longer and "
    "coloured marks off it show which features share. The published figure shows the same: "
    "first the less important features share, in antipodal pairs, at last all of them.",
)
