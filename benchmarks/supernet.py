"""Training step on shared weights compared with a stand-alone network, compile times, and scoring.

The stand-alone network (`supernet.extract`) has its architecture in its program, which is compiled for it alone; the
shared network has it as data. Both take a whole training step: augmentation, gradient, clipping, SGD over all of their
parameters. Scoring is a forward pass over a batch for each architecture, all in one program. See
`benchmarks.supernet_training` for the comparison with PyTorch.

    python -m benchmarks.supernet
    python -m benchmarks.supernet --space=lanas_oneshot --preset=lanas_oneshot --width=16 --batch_size=32
"""

import dataclasses
import os
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from common import spaces
from common.networks import supernet
from common.training import augmentation, models
from common.training import config as configs
from common.training import state as states
from common.training import step as step_lib

MEAN, STD = (0.5,) * 3, (0.25,) * 3
_CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def _define_flags():
    flags.DEFINE_enum("space", "nao_small", list(supernet.SPACES), "the space")
    flags.DEFINE_enum("preset", "nao_ws_tf", list(supernet.PRESETS), "settings of the network")
    flags.DEFINE_integer("num_cells", None, "cells in all; by default as in the preset", lower_bound=3)
    flags.DEFINE_integer("width", None, "channels of the first cell; likewise", lower_bound=1)
    flags.DEFINE_integer("image_size", 32, "pixels", lower_bound=4)
    flags.DEFINE_integer("batch_size", 64, "images a step", lower_bound=2)
    flags.DEFINE_integer("num_archs", 20, "random architectures", lower_bound=1)
    flags.DEFINE_integer("num_scored", 8, "architectures scored in a call", lower_bound=1)
    flags.DEFINE_integer("repeats", 3, "steps of each side and architecture, in turns", lower_bound=1)
    flags.DEFINE_enum("clock", "wall", list(_CLOCKS), "'processor' sums over threads, and suits a busy machine")


def main(argv: Sequence[str]) -> None:
    """Measures and prints the results."""
    del argv
    args = flags.FLAGS
    config = network_config(args.preset, num_cells=args.num_cells, width=args.width)
    network = supernet.Network(args.space, config)
    archs = np.asarray(spaces.get(args.space).sample(jax.random.key(0), args.num_archs), np.int32)
    shape = (args.image_size, args.image_size, 3)
    images, labels = map(jax.device_put, batch(args.batch_size, shape))
    steps = make_steps(network, args.batch_size, archs[0])
    keys = states.keys(jax.random.key(0))
    state = steps.init(keys.init, shape)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    print(
        f"{args.space}: {config.num_cells} cells, width {config.width}, {num_params:,} shared parameters, batch "
        f"{args.batch_size}, images {shape}; {jax.devices()[0].device_kind}, {os.cpu_count()} CPUs, load "
        f"{os.getloadavg()[0]:.1f}; jax {jax.__version__}; {args.clock} time"
    )
    clock = _CLOCKS[args.clock]
    seconds, shared = compiled(steps.train, keys.step, state, images, labels, archs[0])
    print(f"shared step: compiled in {seconds:.1f} s, {memory(shared)}", flush=True)
    variables = {"params": state.params}
    ratios, of_children = [], []
    state = jax.tree.map(jnp.copy, state)
    for at, arch in enumerate(archs):
        child, alone = supernet.extract(variables, args.space, config, arch)
        child_steps = make_steps(child, args.batch_size)
        child_state = child_steps.init(keys.init, shape)
        child_state = dataclasses.replace(child_state, params=jax.tree.map(jnp.copy, alone["params"]))
        seconds, static = compiled(child_steps.train, keys.step, child_state, images, labels)
        times = np.empty((2, args.repeats + 1))
        for repeat in range(args.repeats + 1):
            start = clock()
            state, metrics = jax.block_until_ready(shared(keys.step, state, images, labels, arch))
            middle = clock()
            child_state, _ = jax.block_until_ready(static(keys.step, child_state, images, labels))
            times[:, repeat] = middle - start, clock() - middle
        of_shared, of_child = np.median(times[:, 1:], axis=1)
        ratios.append(of_shared / of_child)
        of_children.append(of_child)
        print(
            f"{at:3d}  shared {of_shared:.3f} s  alone {of_child:.3f} s  ratio {ratios[-1]:.2f}  (alone compiled in "
            f"{seconds:.1f} s, {memory(static)}; loss {float(metrics.loss):.2f})",
            flush=True,
        )
    ratios, total = np.array(ratios), np.sum(of_children)
    print(
        f"ratio of means {np.sum(ratios * of_children) / total:.2f}, mean of ratios {ratios.mean():.2f} (sd "
        f"{ratios.std(ddof=1) if len(ratios) > 1 else 0:.2f}, {ratios.min():.2f} to {ratios.max():.2f})"
    )
    _score(args, network, state.params, images, labels, archs, clock)
    print(f"load {os.getloadavg()[0]:.1f}")


def network_config(preset: str, *, num_cells: int | None = None, width: int | None = None) -> supernet.Config:
    """Returns the settings of a preset, optionally at another size, without auxiliary head."""
    given = {"num_cells": num_cells, "width": width}
    changed = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(supernet.PRESETS[preset], auxiliary=False, **changed)


def make_steps(
    network, batch_size: int, arch: np.ndarray | None = None, *, augment: str = "standard"
) -> step_lib.Steps:
    """Returns the training steps of a network, with the augmentation preset `augment`."""
    inputs = models.inputs(augmentation.PRESETS[augment], mean=MEAN, std=STD)
    training = configs.Config(num_epochs=2, batch_size=batch_size)
    return step_lib.steps(network, training, inputs, num_classes=10, num_images=batch_size, arch=arch)


def batch(batch_size: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images uint8[B, H, W, C] and labels int32[B]."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (batch_size, *shape), dtype=np.uint8), rng.integers(0, 10, batch_size, dtype=np.int32)


def compiled(function, *arguments):
    """Returns (seconds of tracing and compiling, the program, which donates its state)."""
    start = time.perf_counter()
    program = jax.jit(function, donate_argnums=1).lower(*arguments).compile()
    return time.perf_counter() - start, program


def memory(program) -> str:
    """Returns the temporary memory of a program."""
    return f"{program.memory_analysis().temp_size_in_bytes / 2**20:,.0f} MiB"


def scorer(network: supernet.Network):
    """Returns (params, archs int32[N, L], images uint8[B, H, W, C], labels int32[B]) -> float32[N], accuracies."""

    def score(params, archs, images, labels):
        pixels = images.astype(jnp.float32) / 255.0

        def one(arch):
            return jnp.mean(jnp.argmax(network.apply({"params": params}, pixels, arch, train=False).main, 1) == labels)

        return jax.lax.map(one, archs)

    return score


def _score(args, network, params, images, labels, archs, clock):
    """Prints the number of architectures scored per second."""
    some = np.resize(archs, (args.num_scored, archs.shape[1]))
    start = time.perf_counter()
    program = jax.jit(scorer(network)).lower(params, some, images, labels).compile()
    seconds = time.perf_counter() - start
    times = []
    for _ in range(args.repeats + 1):
        start = clock()
        jax.block_until_ready(program(params, some, images, labels))
        times.append(clock() - start)
    rate = args.num_scored / np.median(times[1:])
    print(f"scoring: compiled in {seconds:.1f} s, {rate:.1f} architectures a second on {args.batch_size} images")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
