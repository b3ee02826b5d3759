"""Our side of `benchmarks.training`: a training step and the forward pass of a published network, compiled."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from common.genotypes import published
from common.networks import child
from common.training import augmentation, models, presets
from common.training import config as configs
from common.training import state as states
from common.training import step as step_lib

NETWORKS = {
    "naonet_a_36": ("naonet_a", presets.PRESETS["naonet_a_36"].network),
    "lanet_36": ("lanet", dataclasses.replace(presets.PRESETS["lanet"].network, num_cells=20, width=36)),
}
SIZE = 32
_MEAN, _STD = (0.5,) * 3, (0.25,) * 3


class Side(NamedTuple):
    """One side of the comparison.

    Attributes:
      run: "forward" and "training" -> a function that runs it once and waits.
      compile_seconds: of each.
      peak_bytes: () -> peak memory of the device, or None if unknown.
    """

    run: dict[str, Callable[[], None]]
    compile_seconds: dict[str, float]
    peak_bytes: dict[str, Callable[[], float | None]]


def network(name: str, *, num_cells: int | None = None, width: int | None = None) -> tuple[Any, child.Config]:
    """Returns (genotype, settings) of a network of `NETWORKS`, optionally at another size."""
    genotype, config = NETWORKS[name]
    given = {"num_cells": num_cells, "width": width}
    return published.get(genotype), dataclasses.replace(config, **{k: v for k, v in given.items() if v is not None})


def our_side(
    genotype: Any, config: child.Config, *, batch_size: int, parts: Sequence[str] = ("forward", "training")
) -> Side:
    """Returns our side, of which `parts` are compiled."""
    made = models.network(genotype, config)
    training = configs.Config(num_epochs=2, batch_size=batch_size)
    inputs = models.inputs(augmentation.PRESETS["none"], mean=_MEAN, std=_STD)
    steps = step_lib.steps(made, training, inputs, num_classes=config.num_classes, num_images=batch_size)
    images, labels = map(jax.device_put, batch(batch_size))
    keys = states.keys(jax.random.key(0))
    state = steps.init(keys.init, (SIZE, SIZE, 3))
    # The step in the middle of training: branches are dropped.
    state = dataclasses.replace(state, step=jax.numpy.int32(1))
    variables = jax.device_put(jax.tree.map(np.asarray, states.variables(state)))

    def forward(variables, images):
        return made.apply(variables, inputs.normalize(images), train=False).main

    compiled, seconds = {}, {}
    programs = {
        "forward": (jax.jit(forward), (variables, images)),
        "training": (jax.jit(steps.train, donate_argnums=1), (keys.step, state, images, labels)),
    }
    for name in parts:
        function, arguments = programs[name]
        start = time.perf_counter()
        compiled[name] = function.lower(*arguments).compile()
        seconds[name] = time.perf_counter() - start
    current = state

    def train():
        nonlocal current
        current, metrics = compiled["training"](keys.step, current, images, labels)
        jax.block_until_ready(metrics)

    run = {"forward": lambda: jax.block_until_ready(compiled["forward"](variables, images)), "training": train}
    return Side(run, seconds, {name: lambda made=made: _planned(made) for name, made in compiled.items()})


def batch(batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random images uint8[B, H, W, 3] and labels int32[B]."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, SIZE, SIZE, 3), dtype=np.uint8)
    return images, rng.integers(0, 10, batch_size, dtype=np.int32)


def _planned(compiled):
    """Returns the memory of a compiled program: arguments, results and temporaries."""
    plan = compiled.memory_analysis()
    if plan is None:
        return None
    return plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes - plan.alias_size_in_bytes
