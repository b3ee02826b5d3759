"""Fitness of convolutional networks by training each alone, for less long than in the end (NAO, distributed LaNAS).

Every architecture is a program of its own, so that short trainings are mostly spent compiling: networks are small,
training and evaluation are one program each, and the persistent compilation cache keeps them from one start to the
next. Programs are dropped after their architecture, whatever their number.
"""

import dataclasses
import functools
import os
import pathlib
import time
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from common import spaces, types
from common.datasets import images
from common.evaluators import training_config
from common.genotypes import conversion
from common.networks import child, mobile
from common.training import augmentation as augmentations
from common.training import config as configs
from common.training import loop, models, presets
from common.training import state as states
from common.training import step as step_lib

PROTOCOLS = ("validation", "test")
NETWORKS: dict[str, child.Config | mobile.Config] = {  # of the spaces that have one
    "nao_small": child.PRESETS["nao_pytorch"],
    "nao_middle": child.PRESETS["nao_pytorch"],
    "nao_large": child.PRESETS["nao_pytorch_large"],
    "lanas_cell": child.PRESETS["lanas"],
    "lanas_oneshot": child.PRESETS["lanas_oneshot_retrain"],
    "seminas_mobile": mobile.PRESETS["seminas"],
    "ofa_mobile": mobile.PRESETS["once_for_all"],
}
_EVALUATED_AT_ONCE = 256
# Of short trainings, which compile for longer than they run.
_QUICK = {"xla_backend_optimization_level": 1}


class _Problem(NamedTuple):
    """What all architectures have in common."""

    space: str
    preset: presets.Preset
    inputs: step_lib.Inputs
    parts: dict[str, images.Split]  # "train", "validation" and "test"
    num_classes: int
    compiler_options: dict[str, Any] | None


def evaluator(
    space: str,
    *,
    dataset: str = "digits",
    data_dir: str | os.PathLike | None = None,
    protocol: str = "validation",
    **settings: Any,
) -> types.Evaluator:
    """Returns the evaluator. What it gives depends on the architecture and the key alone, to the bit.

    The fitness is the accuracy on training images that were held out; for the test fitness it trains again, with
    the key it is given. The cost is the time taken, compiling included. Of a training that diverges or runs out of
    memory, and of an invalid row, `ok` is False and the log says why.

    Args:
      space: a key of `NETWORKS`.
      dataset: see `images.load`.
      data_dir: likewise.
      protocol: what `evaluate` gives: "validation", or "test" for the accuracy on the test images.
      **settings: fields of `training_config.Config`.

    Raises:
      ValueError: the space has no network, a setting makes no sense, or the dataset cannot be loaded.
    """
    if space not in NETWORKS:
        raise ValueError(f"space {space!r} has no network to train; choose one of {', '.join(NETWORKS)}")
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}")
    config = training_config.Config(**settings)
    problem = _problem(space, images.load(dataset, data_dir), config)
    _check(problem)
    changed = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    told = ",".join(f"{name}={value}" for name, value in changed.items())
    folder = None if data_dir is None else str(pathlib.Path(data_dir).absolute())
    recipe = {"space": space, "dataset": dataset, "data_dir": folder, "protocol": protocol, **changed}
    return types.Evaluator(
        name=f"training/{pathlib.Path(dataset).stem}/{told}",
        space=spaces.get(space),
        protocol=protocol,
        evaluate=functools.partial(_measure, problem, protocol),
        test=functools.partial(_measure, problem, "test"),
        optimum=None,
        num_archs=None,
        is_traceable=False,
        recipe=types.Recipe(f"{__name__}.evaluator", recipe),
    )


def _measure(problem, part, key, archs):
    fitness, cost, ok = [], [], []
    for arch in np.asarray(archs, np.int32):
        start = time.perf_counter()
        try:
            # By the row, not by its place: alone or among others it gives the same.
            found = _accuracy(problem, part, jax.random.fold_in(key, zlib.crc32(arch.tobytes())), arch)
        except (ValueError, MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            logging.warning("%s is infeasible: %s", arch.tolist(), error)
            found = None
        fitness.append(0.0 if found is None else found)
        ok.append(found is not None)
        cost.append(time.perf_counter() - start)
    return types.Evaluation(
        fitness=np.array(fitness, np.float32), cost=np.array(cost, np.float32), ok=np.array(ok, bool)
    )


def _accuracy(problem, part, key, arch):
    """Returns the accuracy of an architecture, trained from scratch; raises a `DivergedError` or what is invalid."""
    steps = _steps(problem, arch)
    keys, data = states.keys(key), problem.parts["train"]
    state = steps.init(keys.init, data.images.shape[1:])
    length = configs.steps_per_epoch(problem.preset.training, len(data.labels))
    pixels, labels = jnp.asarray(data.images), jnp.asarray(data.labels)

    @functools.partial(jax.jit, donate_argnames="state", compiler_options=problem.compiler_options)
    def train_epoch(state, keys, epoch, pixels, labels):
        rows = loop.order(keys.order, epoch, labels.shape[0])[: length * problem.preset.training.batch_size]

        def step(state, batch):
            return steps.train(keys.step, state, pixels[batch], labels[batch])

        return jax.lax.scan(step, state, rows.reshape(length, -1))

    for epoch in range(problem.preset.training.num_epochs):
        state, metrics = train_epoch(state, keys, jnp.int32(epoch), pixels, labels)
        finite = np.isfinite(metrics.loss) & np.isfinite(metrics.grad_norm)
        if not np.all(finite):
            raise loop.DivergedError(epoch * length + int(np.argmin(finite)))
    return _evaluated(problem, steps, states.averaged(state), problem.parts[part])


def _evaluated(problem, steps, variables, split):
    """Returns the share of the images of a split that are classified rightly."""
    evaluate = jax.jit(steps.evaluate, compiler_options=problem.compiler_options)
    num, right = len(split.labels), 0
    for start in range(0, num, _EVALUATED_AT_ONCE):
        rows = np.arange(start, start + _EVALUATED_AT_ONCE)
        some = np.minimum(rows, num - 1)
        right += int(evaluate(variables, split.images[some], split.labels[some], rows < num).top1)
    return right / num


def _steps(problem, arch):
    network = models.network(conversion.from_arch(problem.space, arch), problem.preset.network)
    return step_lib.steps(
        network,
        problem.preset.training,
        problem.inputs,
        num_classes=problem.num_classes,
        num_images=len(problem.parts["train"].labels),
    )


def _problem(space, dataset, config):
    preset = _preset(space, dataset, config)
    parts = images.parts(dataset, held_out=config.held_out, num_images=config.num_images)
    return _Problem(
        space,
        preset,
        models.inputs(preset.augmentation, mean=dataset.mean, std=dataset.std),
        parts,
        dataset.num_classes,
        _QUICK if config.preset == training_config.SHORT else None,
    )


def _preset(space, dataset, config):
    """Returns the settings of all trainings."""
    if config.preset != training_config.SHORT and config.preset not in presets.PRESETS:
        raise ValueError(
            f"unknown preset {config.preset!r}; choose one of {training_config.SHORT}, {', '.join(presets.PRESETS)}"
        )
    preset = _short(space, dataset) if config.preset == training_config.SHORT else presets.PRESETS[config.preset]
    network = dataclasses.replace(preset.network, num_classes=dataset.num_classes)
    if isinstance(network, mobile.Config):
        if config.num_cells is not None:
            raise ValueError(f"num_cells is of networks of cells; those of {space} are chains of blocks")
        network = network if config.width is None else _narrow(network, config.width)
    else:
        network = dataclasses.replace(network, **_given(config, "num_cells", "width"))
    optimizer = preset.training.optimizer
    schedule = dataclasses.replace(optimizer.schedule, **_given(config, "learning_rate"))
    training = dataclasses.replace(
        preset.training,
        optimizer=dataclasses.replace(optimizer, schedule=schedule),
        last_batch="drop",
        **_given(config, "num_epochs", "batch_size"),
    )
    return presets.Preset(network, training, preset.augmentation)


def _short(space, dataset):
    """Returns settings for images of few pixels, or of CIFAR's size, that take seconds."""
    network = NETWORKS[space]
    if isinstance(network, mobile.Config):
        network = dataclasses.replace(_narrow(network, 8), dropout_keep=1.0)
    else:
        network = dataclasses.replace(
            network, num_cells=3, width=8, auxiliary=False, drop_path_keep=1.0, dropout_keep=1.0
        )
    is_tiny = min(dataset.train.images.shape[1:3]) < 16
    return presets.Preset(
        network,
        configs.Config(
            num_epochs=3, batch_size=64, optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.1))
        ),
        augmentations.PRESETS["digits" if is_tiny else "standard"],
    )


def _narrow(network, width):
    """Returns a chain whose first stage has `width` channels, and the others in proportion."""
    factor = width / network.widths[0]
    sizes = {
        name: round(factor * getattr(network, name))
        for name in ("stem_width", "first_width", "last_width", "feature_width")
    }
    return dataclasses.replace(network, widths=tuple(max(1, round(factor * one)) for one in network.widths), **sizes)


def _given(config, *names):
    return {name: getattr(config, name) for name in names if getattr(config, name) is not None}


def _check(problem):
    """Refuses, before any training, what no architecture of the space could be trained with."""
    arch = np.asarray(spaces.get(problem.space).sample(jax.random.key(0), 1))[0]
    steps, shape = _steps(problem, arch), problem.parts["train"].images.shape[1:]
    jax.eval_shape(lambda key: steps.init(key, shape), jax.random.key(0))
