"""Fitness of architectures that are trained from scratch by the program of shared weights.

A stand-alone network is what the network of all computes when every step takes the same architecture, see
`common.networks.supernet.extract`. So one program trains every architecture of the space, and nothing is compiled for
each, which would take most of the time of a short training. The network is the architecture as it is on shared
weights, where cells of NAO project their output and those of one-shot LaNAS output the last 4 nodes.
"""

import dataclasses
import functools
import os
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from common import compilation, types
from common.executors import measuring
from common.networks.kernels import compile_options
from common.supernets import config, sampling, scoring, training
from common.training import loop, memory
from common.training import state as states


class Trainer(NamedTuple):
    """A training of any architecture of a space.

    Attributes:
      run: the training of shared weights, whose program it is.
      init: key -> the state before the first step.
    """

    run: training.Run
    init: Callable[[chex.PRNGKey], states.State]


@compilation.in_32_bits
def evaluator(about: Mapping[str, Any], *, num_epochs: int, data_dir: str | None = None) -> types.Evaluator:
    """Returns the evaluator. Its results depend on the architecture and the key alone.

    The fitness is the accuracy on all images held out, that of `test` on all test images; norms use the statistics of
    the batch. The cost is the time taken, that of the first training includes compiling.

    Args:
      about: the record of shared weights, see `training.describe`: space, images and settings.
      num_epochs: passes over the training images.

    Raises:
      ValueError: there is no such dataset, or a setting is not allowed.
    """
    about = {**about, "training": about["training"] | {"num_epochs": num_epochs}}
    made = trainer(about, data_dir)
    recipe = {"about": about, "num_epochs": num_epochs, "data_dir": data_dir}
    return types.Evaluator(
        name=f"alone/{about['dataset']}/num_epochs={num_epochs}",
        space=made.run.space,
        protocol="validation",
        evaluate=functools.partial(train, made, "validation"),
        test=functools.partial(train, made, "test"),
        recipe=types.Recipe(f"{__name__}.evaluator", recipe),
        data=made.run.checksum,
    )


@compilation.in_32_bits
def trainer(about: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Trainer:
    """Returns the program that trains any architecture, for as long as the record of shared weights says.

    Raises:
      ValueError: there is no such dataset, or a setting is not allowed.
    """
    run = training.build(about, data_dir)
    first = jax.jit(lambda key: run.steps.init(key, run.images.shape), compiler_options=compile_options.quick("once"))
    return Trainer(run, first)


@compilation.in_32_bits
def train(trainer: Trainer, part: str, key: chex.PRNGKey, archs: chex.Array) -> types.Evaluation:
    """Trains each of int32[B, L] from scratch and returns their accuracies on "validation" or "test" images."""
    found = []
    for arch in np.asarray(archs, np.int32):
        start = time.perf_counter()
        one = _one(*trainer, part, jax.random.fold_in(key, zlib.crc32(arch.tobytes())), arch)
        found.append(dataclasses.replace(one, cost=np.array([time.perf_counter() - start], np.float32)))
    return types.Evaluation(
        fitness=np.concatenate([one.fitness for one in found]),
        cost=np.concatenate([one.cost for one in found]),
        ok=np.concatenate([one.ok for one in found]),
        reasons=sum((one.reasons for one in found), ()),
    )


def _one(run, init, part, key, arch):
    """Returns the `Evaluation` of one architecture."""
    if not bool(run.space.is_valid(arch[None])[0]):
        return _infeasible("not a valid architecture")
    keys = states.keys(key)
    state = init(keys.init)
    try:
        draw = sampling.from_pool(arch[None])
        for chunk in loop.train(run.steps, state, keys, run.data("train"), run.config, draw=draw):
            state, _ = chunk
    except (loop.DivergedError, memory.OutOfMemoryError) as error:
        return _infeasible(measuring.reason_of(error))
    scoring_config = config.Scoring(method="all")
    return scoring.of(run, states.averaged(state)["params"], scoring_config, protocol=part).evaluate(key, arch[None])


def _infeasible(reason):
    zero = np.zeros(1, np.float32)
    return types.Evaluation(fitness=zero, cost=zero, ok=np.zeros(1, bool), reasons=(reason,))
