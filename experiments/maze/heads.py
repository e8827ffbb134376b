"""Does a head look where the path can go, and does the next step depend on it?

Ivanitskiy et al. (2023, arXiv 2312.02566) found such an "adjacency head" by eye. Here every
head has a number: its attention, from a cell of the path, on a cell that can be reached in
one step, less that on a neighbouring cell behind a wall. Attention on a cell is summed over
the tokens that name it. A head that looks at all tokens alike is the null; it is not quite
0, since a cell with more connections is named more often.

Then each head is silenced at the tokens of the path: it writes its mean. What it costs is
the share of next steps that stay open, and of those that stay best.

The bar of 0.1 is half of what an earlier model of 4 x 4 cells had (0.19); it was set before
any head of these models was measured.

Run:     python -m experiments maze_heads
Takes:   about half a minute on two cores
Expect:  seed 0: a score of 0.167 for the first head of layer 3, uniform attention 0.013;
         without it 22 % of open steps are lost, without others at most 4 %
"""

from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np

from experiments.harness.experiment import Experiment, Job, Result
from experiments.harness.records import Check
from experiments.harness.settings import MAZE_PLAYER
from figures.maze import maze_heads as figure
from synthetic import random
from toymodels import pretrained
from toymodels.maze import heads, presets


@dataclass(frozen=True)
class Settings:
    """Attributes:
    player: a model of `toymodels.pretrained`.
    n_mazes: held-out mazes that attention and steps are measured on.
    """

    player: Annotated[str, MAZE_PLAYER] = "maze_small"
    n_mazes: int = 1_024


def run(settings: Settings, seed: int, job: Job) -> Result:
    key_control, key_look, key_silence = jax.random.split(random.key(seed), 3)
    preset, trained, _ = pretrained.load(settings.player)
    game = presets.held_out(preset.game)
    models = {"trained": trained, "control": preset.init(key_control)}
    with job.stage("attention"):
        looks = {
            name: heads.neighbours(
                jax.random.clone(key_look), model, game, settings.n_mazes
            )
            for name, model in models.items()
        }
    with job.stage("silenced heads"):
        whole, silenced = heads.ablated(key_silence, trained, game, settings.n_mazes)
    arrays = {
        **{f"{name}/score": of.score for name, of in looks.items()},
        **{f"{name}/open": of.open for name, of in looks.items()},
        **{f"{name}/walled": of.walled for name, of in looks.items()},
        "lost/legal": whole.legal - silenced.legal,
        "lost/best": whole.best - silenced.best,
    }
    score = arrays["trained/score"]
    layer, head = np.unravel_index(score.argmax(), score.shape)
    lost = arrays["lost/legal"]
    others = np.delete(lost.ravel(), score.argmax())
    metrics: dict[str, Any] = {
        "player": settings.player,
        "null": looks["trained"].null,
        "strongest": {"layer": int(layer) + 1, "head": int(head) + 1},
        "score": float(score.max()),
        "control_score": float(arrays["control/score"].max()),
        "legal": float(whole.legal),
        "best": float(whole.best),
        "lost_strongest": float(lost[layer, head]),
        "lost_others": float(others.mean()),
    }
    return Result(metrics, arrays, make_checks(metrics), table(metrics, arrays))


def make_checks(metrics: dict[str, Any]) -> list[Check]:
    """A head that looks where the path can go, and steps that need it."""
    beyond = metrics["score"] - metrics["null"]
    half = "half of an earlier model's; set before measuring"
    needed = metrics["lost_strongest"] - metrics["lost_others"]
    before = metrics["control_score"] - metrics["null"]
    return [
        Check.at_least(
            "strongest adjacency score above uniform attention", beyond, 0.1, half
        ),
        Check.within(
            "the same before training", before, -0.02, 0.02, "attention starts uniform"
        ),
        Check.at_least(
            "open next steps lost without that head, above the mean of others",
            needed,
            0.0,
            "stated: its absence matters more",
        ),
    ]


def table(metrics: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    """One line per head."""
    lines = [
        f"next step open {metrics['legal']:.3f}, best {metrics['best']:.3f}; "
        f"score of uniform attention {metrics['null']:.3f}",
        f"{'head':<10}{'open':>8}{'walled':>8}{'score':>8}{'untrained':>11}"
        f"{'open steps lost':>17}{'best steps lost':>17}",
    ]
    for layer, head in np.ndindex(arrays["trained/score"].shape):
        at = (layer, head)
        lines.append(
            f"L{layer + 1}H{head + 1:<7}{arrays['trained/open'][at]:>8.3f}"
            f"{arrays['trained/walled'][at]:>8.3f}{arrays['trained/score'][at]:>8.3f}"
            f"{arrays['control/score'][at]:>11.3f}{arrays['lost/legal'][at]:>17.3f}"
            f"{arrays['lost/best'][at]:>17.3f}"
        )
    return lines


EXPERIMENT = Experiment(
    name="maze_heads",
    question="Does a head look where the path can go, and does the next step depend on it?",
    source="Ivanitskiy et al. 2023, arXiv 2312.02566",
    minutes=0.5,
    settings=Settings(),
    quick=Settings(n_mazes=256),
    run=run,
    figures=(figure,),
    expect="One head or a few look more at open neighbours than at walled ones, none of "
    "the model before training; silencing the strongest costs more open steps than others "
    "do.",
)
