"""Workers in turn: a busy moment of the machine hits all of them."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Run = Callable[[int], None]

SECONDS_PER_TURN = 0.7
SECONDS_BETWEEN = 0.3  # threads of one library spin for a while after their work


def steps_per_turn(run: Run) -> int:
    """How many steps take about SECONDS_PER_TURN; warms the worker up as well."""
    run(2)
    run(2)  # a program may be compiled again for the placement of its own results
    steps, spent = 2, 0.0
    while spent < SECONDS_PER_TURN / 4:
        started = time.perf_counter()
        run(steps)
        spent = time.perf_counter() - started
        steps *= 2
    return max(1, round(steps / 2 * SECONDS_PER_TURN / spent))


def race(
    workers: Mapping[str, Run], rounds: int, units_per_step: int
) -> dict[str, list[float]]:
    """Units (samples, members' steps) per second of every worker in every round."""
    steps = {name: steps_per_turn(run) for name, run in workers.items()}
    rates: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, run in workers.items():
            time.sleep(SECONDS_BETWEEN)
            started = time.perf_counter()
            run(steps[name])
            spent = time.perf_counter() - started
            rates[name].append(steps[name] * units_per_step / spent)
    return rates


def report(title: str, rates: Mapping[str, list[float]], unit: str) -> dict[str, Any]:
    """Prints one race and returns it with the ratios of ours to each peer."""
    ours = np.array(rates["ours"])
    print(f"\n{title}")
    rows = {}
    for name, values in rates.items():
        ratio = ours / np.array(values)
        rows[name] = {f"{unit}_per_second": float(np.median(values))}
        line = f"  {name:<22}{np.median(values):>12,.0f} {unit}/s"
        if name != "ours":
            low, middle, high = ratio.min(), np.median(ratio), ratio.max()
            rows[name]["ours_over_it"] = [float(low), float(middle), float(high)]
            line += f"   ours {middle:.2f}x ({low:.2f} to {high:.2f})"
        print(line, flush=True)
    return rows
