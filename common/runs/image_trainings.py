"""Trainings of `search_images`: of candidates by one program for all, of the finalists by a program of their own.

A training keeps its state in a file, twice a minute and at its end, and resumes from it.
"""

import functools
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from common import compilation
from common import config as configs
from common.datasets import images
from common.networks import elastic, small_images_extraction
from common.supernets import config as supernet_config
from common.supernets import presets, sampling, scoring
from common.supernets import training as shared
from common.training import augmentation, autoaugment, export, loop, models, schedules, state_files
from common.training import config as training_config
from common.training import presets as training_presets
from common.training import state as states
from common.training import step as step_lib

SPACE = "small_images"
MAX_SEARCH_IMAGES = 10_000  # on which candidates are trained
_BATCH_SIZE, _CHUNK = 64, 32  # images of a step; steps between two lines of progress
MUCH_WORK = 4.5e8  # see `augment`
_NO_END = 10_000  # epochs; the learning rate of candidates is constant
_SECONDS_BETWEEN_SAVES = 30.0


class Task(NamedTuple):
    """What trainings of one program have in common."""

    steps: step_lib.Steps  # training and evaluation steps
    config: Any  # of the training
    keys: states.Keys  # random keys, the same for all candidates: initial parameters and order of the images are equal
    data: loop.Data  # training images on the device
    init: states.State  # the initial state, copied for each training

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        return max(len(self.data.labels) // self.config.batch_size, 1)

    @property
    def most(self) -> int:
        """Maximum steps between two lines of progress; 0: an epoch."""
        return 0 if self.steps_per_epoch < 2 * _CHUNK else _CHUNK


class Candidates(NamedTuple):
    """The program that trains and validates any network of the space."""

    run: shared.Run
    task: Task


def batch_size(num_images: int) -> int:
    """Returns the images of a training step: fewer for very few images."""
    return max(1, min(_BATCH_SIZE, num_images // 4))


def augment(dataset: images.Dataset, work: float = 0.0) -> augmentation.Config:
    """Returns the augmentation for a dataset: crops by the size of the images, flips of coloured ones.

    Args:
      work: epochs times multiply-adds of the network. With much of it, networks would memorize the training images, and
        coloured images have AutoAugment besides; with little, it costs accuracy (docs/experiments/supernet.md).
    """
    _, side, _, channels = dataset.train.images.shape
    policy = "nao" if channels == 3 and work >= MUCH_WORK else "none"
    return augmentation.Config(crop_padding=max(1, side // 8), flip=channels == 3, autoaugment=policy, cutout="none")


def run_of(dataset: images.Dataset, *, seed: int) -> shared.Run:
    """Returns the run of the program that trains candidates, on images of which a quarter is held out."""
    preset = presets.get("elastic", SPACE, num_classes=dataset.num_classes)
    num = len(dataset.train)
    held_out = max(1, min(num // 4, MAX_SEARCH_IMAGES // 4))
    size = batch_size(num - held_out)
    steps = min(num - held_out, MAX_SEARCH_IMAGES) // size
    steps = steps if steps < 2 * _CHUNK else steps // _CHUNK * _CHUNK  # chunks of one length: one program
    # With a constant learning rate and averaged parameters, every epoch can be the last one.
    values = {"schedule": "constant", "average_decay": float(np.clip(1 - 5 / steps, 0.5, 0.99))}
    values |= {"num_epochs": _NO_END, "batch_size": size}
    preset = preset._replace(training=configs.replace(preset.training, values), augmentation=augment(dataset))
    about = shared.describe(SPACE, dataset.name, preset, held_out=held_out, num_images=max(1, steps) * size, seed=seed)
    network = elastic.FAMILIES[SPACE].network(SPACE, preset.network)
    return shared.make(about, network, dataset, preset)


def candidates(run: shared.Run) -> Candidates:
    """Returns the program that trains candidates, with initial parameters."""
    return Candidates(run, Task(run.steps, run.config, run.keys, run.data("train"), run.init()))


def train(
    task: Task,
    path: pathlib.Path,
    *,
    stop: int,
    arch: np.ndarray | None = None,
    num_epochs: int | None = None,
    on_step: Callable[[int], None] = lambda step: None,
    deadline: float = math.inf,
) -> states.State:
    """Trains to step `stop`, or resumes from the state in a file.

    Args:
      stop: steps done at the end.
      arch: int32[L], of a candidate.
      num_epochs: of the learning rate schedule of a `final`.
      on_step: called with the steps done.
      deadline: time on `time.monotonic` at which the training ends, even if unfinished.

    Raises:
      loop.DivergedError: the loss or its gradient is not finite.
    """
    start, saved = state_files.load(path, task.init), time.monotonic()
    state = start
    if arch is not None:
        draw = sampling.from_pool(arch[None])
    else:
        draw = jax.tree_util.Partial(_num_epochs, jnp.int32(num_epochs))
    for state, chunk in loop.train(
        task.steps, start, task.keys, task.data, task.config, stop=stop, most=task.most, draw=draw
    ):
        on_step(chunk.step)
        if (now := time.monotonic()) - saved > _SECONDS_BETWEEN_SAVES:
            state_files.save(path, state)
            saved = now
        if now > deadline:
            break
    state_files.save(path, state)
    return state


def validate(made: Candidates, state: states.State, arch: np.ndarray) -> float:
    """Returns the accuracy of a candidate on images held out, with averaged parameters; 0 if it is not finite."""
    scored = scoring.of(made.run, states.averaged(state)["params"], supernet_config.Scoring(method="all"))
    found = scored.evaluate(made.task.keys.step, arch[None])
    return float(found.fitness[0]) if found.ok[0] else 0.0


class Final(NamedTuple):
    """A network that is trained to the end, on all training images."""

    network: Any
    images: export.Images
    task: Task


def final(dataset: images.Dataset, network: Any, *, seed: int, macs: float) -> Final:
    """Returns the training of a network from scratch by the preset of `launch.train` for such networks.

    The number of epochs is data, and without effect on the warm-up, which so can tell how many epochs there is time
    for.
    """
    preset = training_presets.PRESETS[SPACE]
    schedule = preset.training.optimizer.schedule
    constant = {"schedule": "constant", "learning_rate": 1.0, "warmup_epochs": 0, "num_epochs": _NO_END}
    config = configs.replace(preset.training, constant | {"batch_size": batch_size(len(dataset.train))})
    inputs = models.inputs(augment(dataset), mean=dataset.mean, std=dataset.std)
    steps = step_lib.steps(
        network, config, inputs, num_classes=dataset.num_classes, num_images=len(dataset.train.labels)
    )
    per_epoch = training_config.steps_per_epoch(config, len(dataset.train.labels))
    long = augment(dataset, MUCH_WORK)

    def train(key, state, images, labels, num_epochs):
        """Updates of SGD are proportional to the learning rate, which is that of a schedule over `num_epochs`."""
        if long.autoaugment != "none":
            policy_key = jax.random.fold_in(jax.random.fold_in(key, state.step), 1)
            policy = functools.partial(autoaugment.augment, policy_key, form=long.autoaugment)
            images = jax.lax.cond(num_epochs * macs >= MUCH_WORK, policy, lambda images: images, images)
        new, metrics = steps.train(key, state, images, labels)
        num_epochs = jnp.where(state.step < schedule.warmup_epochs * per_epoch, _NO_END, num_epochs)
        rate = schedules.learning_rate(schedule, num_epochs=num_epochs, steps_per_epoch=per_epoch)(state.step)
        params = jax.tree.map(lambda old, moved: old + rate * (moved - old), state.params, new.params)
        return new.replace(params=params), metrics.replace(learning_rate=rate)

    taken = export.Images(dataset.train.images.shape[1:], dataset.mean, dataset.std)
    keys = states.keys(jax.random.fold_in(jax.random.key(seed), 1))
    data = loop.Data(images=jnp.asarray(dataset.train.images), labels=jnp.asarray(dataset.train.labels))
    made = steps._replace(train=train)
    return Final(network, taken, Task(made, config, keys, data, steps.init(keys.init, taken.shape)))


def continued(made: Final, candidates: Candidates, path: pathlib.Path, arch: np.ndarray, *, epochs: int) -> Final:
    """Returns a last training that starts from the parameters of the candidate whose state is in a file.

    They stand for its first `epochs`, those of the warm-up of the learning rate. A `ValueError` if there is no file.
    """
    if not path.exists():
        raise ValueError(f"{path}, the state of the best candidate, is missing; start in a fresh folder")
    params = states.averaged(state_files.load(path, candidates.task.init))["params"]
    _, variables = small_images_extraction.extract({"params": params}, candidates.run.network.config, arch)
    params, step = jax.tree.map(jnp.array, variables["params"]), jnp.int32(epochs * made.task.steps_per_epoch)
    init = made.task.init.replace(params=params, step=step)
    return made._replace(task=made.task._replace(init=init))


def _num_epochs(num_epochs, key, step):
    """Returns the number of epochs: what a step of `final` takes in place of an architecture."""
    return num_epochs


@compilation.in_32_bits
def in_32_bits(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Calls a function in a thread as `compilation.in_32_bits` does."""
    return function(*args, **settings)
