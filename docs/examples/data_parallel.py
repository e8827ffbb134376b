"""One dictionary, its batches shared out over devices or over processes.

Eight devices of one process, simulated on a CPU (leave the variable out on accelerators):

    JAX_NUM_CPU_DEVICES=8 python docs/examples/data_parallel.py

Two processes, here on one machine; on several, give the first one's address:

    python docs/examples/data_parallel.py --process 0 --of 2 --at 127.0.0.1:9911 &
    python docs/examples/data_parallel.py --process 1 --of 2 --at 127.0.0.1:9911

Each prints the number of devices, the last loss and mcc_dec; they agree to rounding,
however the batch was split.
"""

import argparse

import jax


def main() -> None:
    """Joins the other processes, trains, prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--at", default="127.0.0.1:9911")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    if options.of > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(options.at, options.of, options.process)
    print(*train(options.steps))


def train(steps: int) -> tuple[str, ...]:
    """The number of devices, the last loss and mcc_dec of a BatchTopK dictionary."""
    from synthetic import random
    from synthetic.worlds import standard
    from toymodels.sae import BatchTopK, training
    from toymodels.scores import geometry
    from toymodels.training import loop, parallel

    world = standard.hierarchy()
    dictionary = BatchTopK(world.n_features, k=1.5)
    optimizer = training.adam(3e-3, steps)
    devices = parallel.mesh()
    sample = parallel.over_data(lambda key: world.sample(key, 512).x, devices)
    key_init, key_data = jax.random.split(random.key(0))

    @jax.jit
    def advance(state, n):
        return loop.advance(
            key_data,
            state,
            n,
            loss=dictionary.loss,
            sample=sample,
            optimizer=optimizer,
            after=dictionary.after,
        )

    start = training.start(key_init, dictionary, world.d_model, optimizer)
    start = parallel.replicated(start, devices)
    state, history = loop.run(advance, start, steps, chunk=steps // 2)
    mcc = geometry.mcc_dec(geometry.cosines(state.params.W_dec, world.directions))
    loss = history.metrics["loss"][-1]
    return f"{devices.size} devices", f"loss {loss:.6f}", f"mcc_dec {mcc:.6f}"


if __name__ == "__main__":
    main()
