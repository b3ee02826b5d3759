"""Fitness of convolutional networks by short trainings from scratch (NAO, distributed LaNAS).

Every architecture is a program of its own, so most of a short training is compilation: networks are small, training
and evaluation are one program each, and the persistent compilation cache keeps them between starts. Programs are
dropped after their architecture. Or one program trains every architecture (`program="shared"`), see
`common.supernets.stand_alone`.
"""

import dataclasses
import functools
import os
import pathlib
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from common import compilation, spaces, types
from common import config as config_lib
from common.datasets import images, records
from common.evaluators import training_config, training_problem, training_program
from common.executors import measuring
from common.genotypes import conversion
from common.networks import costs, mobile, mobile_elastic, of_space
from common.supernets import presets as supernet_presets
from common.supernets import stand_alone
from common.supernets import training as supernet
from common.training import config as configs
from common.training import latency as latencies
from common.training import loop, models, state_files
from common.training import state as states
from common.training import step as step_lib

PROTOCOLS = ("validation", "test")
NETWORKS = training_problem.NETWORKS
_EVALUATED_AT_ONCE = 256


@compilation.in_32_bits
def evaluator(
    space: str,
    *,
    dataset: str = "digits",
    data_dir: str | os.PathLike | None = None,
    protocol: str = "validation",
    latency: latencies.Config | Mapping[str, Any] | None = None,
    **settings: Any,
) -> types.Evaluator:
    """Returns the evaluator. Its results depend on the architecture and the key alone, bit-exactly.

    The fitness is the accuracy on training images that were held out; for the test fitness it trains again, with
    the key it is given. The cost is the time taken, compilation included. For invalid rows, and trainings that diverge
    or run out of memory, `ok` is False and `reasons` gives the reason.

    Args:
      space: a key of `NETWORKS`.
      dataset: see `images.load`.
      data_dir: likewise.
      protocol: images of `evaluate`: "validation", or "test" for the test images.
      latency: if given, the costs of `common.training.latency` are measured, with these settings.
      **settings: fields of `training_config.Config`.

    Raises:
      ValueError: the space has no network, a setting is not allowed, or the dataset cannot be loaded.
    """
    if space not in NETWORKS:
        raise ValueError(f"space {space!r} has no network to train; choose one of {', '.join(NETWORKS)}")
    config_lib.one_of("protocol", protocol, PROTOCOLS)
    config = training_config.Config(**settings)
    problem = training_problem.problem(space, images.load(dataset, data_dir), config)
    train = functools.partial(_measure, problem)
    network, known = functools.partial(_network, problem), _costs(problem)
    if config.program == "shared":
        alone = _in_one_program(problem, config, dataset, data_dir)
        train, network, known = functools.partial(stand_alone.train, alone), alone.run.stand_alone, alone.run.costs
    else:
        _check(problem)
    changed = {name: value for name, value in dataclasses.asdict(config).items() if value is not None}
    label = ",".join(f"{name}={value}" for name, value in changed.items())
    folder = None if data_dir is None else str(pathlib.Path(data_dir).absolute())
    recipe = {"space": space, "dataset": dataset, "data_dir": folder, "protocol": protocol, **changed}
    if isinstance(latency, Mapping):
        latency = config_lib.from_json(latencies.Config, latency)
    if latency is not None:
        recipe["latency"] = config_lib.to_json(latency)
    made = types.Evaluator(
        name=f"training/{pathlib.Path(dataset).stem}/{label}",
        space=spaces.get(space),
        protocol=protocol,
        evaluate=functools.partial(train, protocol),
        test=functools.partial(train, "test"),
        recipe=types.Recipe(f"{__name__}.evaluator", recipe),
        costs=known,
        data=records.checksum(problem.parts.values()),
    )
    if latency is None:
        return made
    return latencies.measured(made, network, problem.parts["train"].images.shape[1:], latency)


def until(
    evaluator: types.Evaluator, epochs: int | None, folder: pathlib.Path
) -> Callable[[chex.PRNGKey, chex.Array], types.Evaluation]:
    """Returns an `evaluate` whose trainings stop early, and resume where an earlier one stopped.

    The learning rate and all else depend on the epochs of the whole training, so that one that stops and resumes is
    bit-exactly the one that does not.

    Args:
      evaluator: of this module, with a program for each architecture and the accuracy of the last epoch.
      epochs: after which trainings stop; None: all.
      folder: which exists, for the states, those of trainings with one evaluator and key.
    """
    return functools.partial(evaluator.evaluate, epochs=epochs, folder=folder)


def _in_one_program(problem, config, dataset, data_dir):
    """Returns the training of any architecture by the program of shared weights, of the same size and settings."""
    if reason := training_program.obstacle(problem.space, config):
        raise ValueError(f"program 'shared' cannot train these networks: {reason}; leave program out")
    network, sizes = problem.preset.network, config.given("num_cells", "width", "dtype")
    if problem.space in of_space.SHARING:
        network = supernet_presets.get("digits", problem.space, num_classes=problem.num_classes, **sizes).network
    elif isinstance(network, mobile.Config):
        network = mobile_elastic.elastic(network)
    preset = supernet_presets.PRESETS["digits"]._replace(**problem.preset._asdict() | {"network": network})
    images = {"held_out": config.held_out, "num_images": config.num_images}
    return stand_alone.trainer(supernet.describe(problem.space, dataset, preset, **images), data_dir)


def _costs(problem):
    """Returns the known costs of the networks that are trained."""
    network, shape = problem.preset.network, problem.parts["train"].images.shape[1:]
    if shape[0] != shape[1] or not costs.is_known(problem.space, network):
        return {}
    return costs.of_space(problem.space, network, image_size=shape[0], num_channels=shape[2])


@compilation.in_32_bits
def _measure(problem, part, key, archs, **stop):
    fitness, cost, reasons = [], [], []
    for arch in np.asarray(archs, np.int32):
        start = time.perf_counter()
        found, reason = 0.0, ""
        try:
            # The key depends on the row, not on its place in the batch.
            found = _accuracy(problem, part, jax.random.fold_in(key, zlib.crc32(arch.tobytes())), arch, **stop)
        except (ValueError, MemoryError, jax.errors.JaxRuntimeError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            reason = measuring.reason_of(error)
            logging.warning("%s is infeasible: %s", arch.tolist(), reason)
        fitness.append(found)
        reasons.append(reason)
        cost.append(time.perf_counter() - start)
    return types.Evaluation(
        fitness=np.array(fitness, np.float32),
        cost=np.array(cost, np.float32),
        ok=np.array([not reason for reason in reasons], bool),
        reasons=tuple(reasons),
    )


def _accuracy(problem, part, key, arch, *, epochs=None, folder=None):
    """Returns the accuracy of the last epoch, or the best one, of a training; raises an error if it diverges.

    With a folder see `until`.
    """
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

    accuracies, num_epochs = [], epochs or problem.preset.training.num_epochs
    if folder is not None:
        path = folder / "-".join(map(str, arch))
        earlier = state_files.load(path, state)
        state = earlier if earlier.step <= num_epochs * length else state
    for epoch in range(int(state.step) // length, num_epochs):
        state, metrics = train_epoch(state, keys, jnp.int32(epoch), pixels, labels)
        finite = np.isfinite(metrics.loss) & np.isfinite(metrics.grad_norm)
        if not np.all(finite):
            raise loop.DivergedError(epoch * length + int(np.argmin(finite)))
        if problem.fitness_epoch == "best":
            accuracies.append(_evaluated(problem, steps, states.averaged(state), problem.parts[part]))
    if folder is not None:
        state_files.save(path, state)
    return max(accuracies) if accuracies else _evaluated(problem, steps, states.averaged(state), problem.parts[part])


def _evaluated(problem, steps, variables, split):
    """Returns the accuracy on a split."""
    evaluate = jax.jit(steps.evaluate, compiler_options=problem.compiler_options)
    num, right = len(split.labels), 0
    for start in range(0, num, _EVALUATED_AT_ONCE):
        rows = np.arange(start, start + _EVALUATED_AT_ONCE)
        some = np.minimum(rows, num - 1)
        right += int(evaluate(variables, split.images[some], split.labels[some], rows < num).top1)
    return right / num


def _network(problem, arch):
    return models.network(conversion.from_arch(problem.space, arch), problem.preset.network)


def _steps(problem, arch):
    return step_lib.steps(
        _network(problem, arch),
        problem.preset.training,
        problem.inputs,
        num_classes=problem.num_classes,
        num_images=len(problem.parts["train"].labels),
    )


def _check(problem):
    """Raises an error, before any training, if no architecture of the space could be trained with the settings."""
    arch = np.asarray(spaces.get(problem.space).sample(jax.random.key(0), 1))[0]
    steps, shape = _steps(problem, arch), problem.parts["train"].images.shape[1:]
    jax.eval_shape(lambda key: steps.init(key, shape), jax.random.key(0))
