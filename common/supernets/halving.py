"""Successive halving: many trainings from scratch, of which the best continue (arXiv:1502.07943).

Every architecture is trained by the program of shared weights, see `stand_alone`, so nothing is compiled for each. A
training that continues is the same training: its result is that of a training without a stop.
"""

import collections
import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import numpy as np

from common import compilation
from common.networks.kernels import compile_options
from common.spaces import factory
from common.supernets import config as configs
from common.supernets import sampling, scoring, training
from common.training import loop
from common.training import state as states


class Rung(NamedTuple):
    """Architectures after as many epochs.

    Attributes:
      epochs: passes over the training images.
      archs: int32[K, L], the best first.
      fitness: float32[K], accuracy on the images held out; 0 where the training diverged.
      states: of the K trainings, on the host; None where the training diverged.
    """

    epochs: int
    archs: np.ndarray
    fitness: np.ndarray
    states: tuple[states.State | None, ...]


@compilation.in_32_bits
def successive_halving(
    key: chex.PRNGKey,
    run: training.Run,
    archs: np.ndarray,
    *,
    epochs: Sequence[int] = (1, 3, 9),
    factor: float = 3.0,
    config: configs.Scoring | None = None,
) -> tuple[Rung, ...]:
    """Trains architectures for a few epochs, then the best of them for more, and so on.

    The learning rate follows the schedule of `run` from its first to its last epoch, also of those that stop early.

    Args:
      key: determines all random numbers, with the architecture.
      run: settings, images and the program of the trainings.
      archs: int32[K, L], different canonical rows.
      epochs: at which the trainings are compared, ascending; the last is that of the whole training.
      factor: 1 of so many continues, rounded up.
      config: scoring; by default on all images held out, with statistics of the batch.

    Returns:
      One `Rung` for each of `epochs`.

    Raises:
      ValueError: a row is not a canonical architecture, a row is repeated, or the epochs or the factor are not allowed.
    """
    archs, epochs = np.asarray(archs, np.int32), tuple(epochs)
    factory.check_rows(archs, run.space)
    if len(np.unique(archs, axis=0)) < len(archs):
        raise ValueError(f"the {len(archs)} architectures of successive halving must differ; some are repeated")
    if list(epochs) != sorted({*epochs}) or not epochs or epochs[0] < 1 or epochs[-1] != run.config.num_epochs:
        raise ValueError(
            f"epochs must ascend from at least 1 to num_epochs = {run.config.num_epochs} of the training; got {epochs}"
        )
    if not factor > 1:
        raise ValueError(f"factor must be above 1; got {factor}")
    config = configs.Scoring(method="all") if config is None else config
    init = jax.jit(lambda key: run.steps.init(key, run.images.shape), compiler_options=compile_options.quick("once"))
    data = run.data("train")
    entered = [None] * len(archs)
    rungs = []
    for at, stop in enumerate(epochs):
        found = []
        for arch, state in zip(archs, entered, strict=True):
            keys = states.keys(jax.random.fold_in(key, zlib.crc32(arch.tobytes())))
            state = init(keys.init) if state is None else jax.device_put(state)
            found.append(_trained(run, keys, state, data, arch, stop, config))
        order = sorted(range(len(found)), key=lambda place: (found[place][1] is None, -found[place][0]))
        fitness = np.array([found[place][0] for place in order], np.float32)
        rungs.append(Rung(stop, archs[order], fitness, tuple(found[place][1] for place in order)))
        count = min(math.ceil(len(archs) / factor), sum(state is not None for state in rungs[-1].states))
        if at + 1 < len(epochs) and not count:
            raise ValueError(f"all trainings diverged within {stop} epochs; try a smaller learning_rate")
        archs, entered = rungs[-1].archs[:count], rungs[-1].states[:count]
    return tuple(rungs)


def _trained(run, keys, state, data, arch, stop, config):
    """Returns (fitness, the state on the host) after `stop` epochs; (0, None) if the training diverges."""
    try:
        steps = {"stop": stop * run.steps_per_epoch, "draw": sampling.from_pool(arch[None])}
        chunks = loop.train(run.steps, state, keys, data, run.config, **steps)
        ((state, _),) = collections.deque(chunks, maxlen=1)
    except loop.DivergedError:
        return 0.0, None
    evaluator = scoring.of(run, states.averaged(state)["params"], config)
    found = evaluator.evaluate(keys.step, arch[None])
    return (float(found.fitness[0]), jax.device_get(state)) if found.ok[0] else (0.0, None)
