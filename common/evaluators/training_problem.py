"""The part of a short training that all architectures share: settings and images."""

import dataclasses
from typing import Any, NamedTuple

from common import config as config_lib
from common.datasets import images
from common.evaluators import training_config
from common.networks import child, mobile, nasbench201, nasbench_macro, of_space
from common.networks.kernels import compile_options
from common.training import augmentation as augmentations
from common.training import config as configs
from common.training import models, presets
from common.training import step as step_lib

NETWORKS = of_space.NETWORKS
_SHORT_EPOCHS = 3


class Problem(NamedTuple):
    """Settings and images of the trainings of all architectures."""

    space: str
    preset: presets.Preset
    inputs: step_lib.Inputs
    parts: dict[str, images.Split]  # "train", "validation" and "test"
    num_classes: int
    compiler_options: dict[str, Any] | None
    fitness_epoch: str | None = None  # "best", else the last


def problem(space: str, dataset: images.Dataset, config: training_config.Config) -> Problem:
    """Returns the settings and images of the trainings of a space.

    Raises:
      ValueError: a setting is not allowed.
    """
    preset = _preset(space, dataset, config)
    parts = images.parts(dataset, held_out=config.held_out, num_images=config.num_images)
    return Problem(
        space,
        preset,
        models.inputs(preset.augmentation, mean=dataset.mean, std=dataset.std),
        parts,
        dataset.num_classes,
        compile_options.quick("short") if config.preset == training_config.SHORT else None,
        config.fitness_epoch,
    )


def num_epochs(config: training_config.Config) -> int:
    """Returns the epochs of a training; a `ValueError` if there is no such preset."""
    config_lib.one_of("preset", config.preset, (training_config.SHORT, *presets.PRESETS))
    of_preset = (
        _SHORT_EPOCHS if config.preset == training_config.SHORT else presets.PRESETS[config.preset].training.num_epochs
    )
    return of_preset if config.num_epochs is None else config.num_epochs


def _preset(space, dataset, config):
    """Returns the settings of all trainings."""
    epochs = num_epochs(config)
    preset = _short(space, dataset) if config.preset == training_config.SHORT else presets.PRESETS[config.preset]
    sizes = {"num_cells": config.num_cells, "width": config.width}
    network = adapted(preset.network, space, num_classes=dataset.num_classes, **sizes)
    if config.dtype is not None:
        if not hasattr(network, "dtype"):
            raise ValueError(f"dtype is not a setting of the networks of {space}, which are float32; leave it out")
        network = dataclasses.replace(network, dtype=config.dtype)
    given = config.given("batch_size", "learning_rate")
    training = config_lib.replace(preset.training, {"last_batch": "drop", "num_epochs": epochs, **given})
    return presets.Preset(network, training, preset.augmentation)


def adapted(
    network: of_space.Config, space: str, *, num_classes: int, num_cells: int | None = None, width: int | None = None
) -> of_space.Config:
    """Returns the settings of a network of another size; None: as it is.

    Raises:
      ValueError: the networks of the space have no such setting.
    """
    network = dataclasses.replace(network, num_classes=num_classes)
    if num_cells is not None:
        if not hasattr(network, "num_cells"):
            raise ValueError(f"num_cells is for networks of cells; those of {space} are chains of blocks")
        network = dataclasses.replace(network, num_cells=num_cells)
    if width is None:
        return network
    return (
        mobile.scaled(network, width)
        if isinstance(network, mobile.Config)
        else dataclasses.replace(network, width=width)
    )


def _short(space, dataset):
    """Returns settings for images of few pixels, or of CIFAR's size, that take seconds."""
    network = NETWORKS[space]
    if isinstance(network, mobile.Config):
        network = dataclasses.replace(mobile.scaled(network, 8), dropout_keep=1.0)
    elif isinstance(network, child.Config):
        network = dataclasses.replace(
            network, num_cells=3, width=8, auxiliary=False, drop_path_keep=1.0, dropout_keep=1.0
        )
    elif isinstance(network, nasbench201.Config):
        network = dataclasses.replace(network, num_cells=5, width=8)
    elif isinstance(network, nasbench_macro.Config):
        network = dataclasses.replace(network, width=8, last_width=320)
    is_tiny = min(dataset.train.images.shape[1:3]) < 16
    return presets.Preset(
        network,
        configs.Config(
            num_epochs=_SHORT_EPOCHS,
            batch_size=64,
            optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.1)),
        ),
        augmentations.PRESETS["digits" if is_tiny else "standard"],
    )
