"""Setup of a training run: network, step, images and keys, from settings or from the record in its folder."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from common import config as config_lib
from common.datasets import streams
from common.genotypes import genotype as genotypes
from common.runs import training_data
from common.training import augmentation as augmentations
from common.training import config as configs
from common.training import losses, models, presets, sharding
from common.training import state as states
from common.training import step as step_lib


class Run(NamedTuple):
    """A training run."""

    about: Mapping[str, Any]  # record of JSON types that identifies the run: `build` makes the run from it
    network: Any  # a Linen module
    config: configs.Config  # settings of its training
    steps: step_lib.Steps  # its training and evaluation step
    images: training_data.Images  # of the run
    keys: states.Keys  # random keys
    normalization: str  # of images, see `augmentation.Config`
    teacher: losses.Teacher | None = None  # to learn from

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return configs.steps_per_epoch(self.config, self.images.sizes["train"])

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.num_epochs * self.steps_per_epoch

    def template(self, batches: jax.sharding.NamedSharding | None = None) -> states.State:
        """Returns the shapes of a state, on every device of `batches` if it is given."""
        state = jax.eval_shape(lambda key: self.steps.init(key, self.images.shape), self.keys.init)
        return sharding.template(state, batches)


def new(
    genotype: genotypes.Genotype,
    preset: presets.Preset,
    dataset: str,
    data_dir: str | os.PathLike | None,
    *,
    stream: streams.Config | None,
    held_out: int,
    seed: int,
) -> Run:
    """Returns a run; the arguments and errors are those of `training.train`."""
    images = _images(dataset, data_dir, stream=stream, held_out=held_out, seed=seed)
    network = models.network(genotype, dataclasses.replace(preset.network, num_classes=images.num_classes))
    about = {
        **models.to_dict(network),
        "training": config_lib.to_json(preset.training),
        "augmentation": config_lib.to_json(preset.augmentation),
        **{"dataset": dataset, "held_out": held_out, "seed": seed},
    }
    if stream is not None:
        about["stream"] = config_lib.to_json(stream)
    return _make(about, network, preset.training, preset.augmentation, images)


def build(about: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Run:
    """Returns the run of a record.

    Raises:
      ValueError: the record is of another kind or version, or there is no such dataset.
    """
    if missing := {"genotype", "network", "training", "augmentation", "dataset", "held_out", "seed"} - set(about):
        raise ValueError(f"this is not a training run of launch.train: it lacks {', '.join(sorted(missing))}")
    stream = config_lib.from_json(streams.Config, about["stream"]) if "stream" in about else None
    images = _images(about["dataset"], data_dir, stream=stream, held_out=about["held_out"], seed=about["seed"])
    config = config_lib.from_json(configs.Config, about["training"])
    augmentation = config_lib.from_json(augmentations.Config, about["augmentation"])
    return _make(about, models.from_dict(about), config, augmentation, images)


def split(run: Run, num_devices: int, *, evaluation_batch_size: int) -> jax.sharding.NamedSharding | None:
    """Returns the sharding of batches over devices, None for one device.

    Raises:
      ValueError: there are fewer devices, several hosts are to use a part of theirs, or a batch cannot be split evenly.
    """
    if jax.process_count() > 1 and num_devices not in (0, jax.device_count()):
        raise ValueError(f"several hosts train on all of their devices: leave --num_devices={num_devices} out")
    batches = sharding.over(num_devices)
    if batches is not None:
        num_images = 0 if run.images.is_streamed else run.images.sizes["train"]
        sharding.check_batches(run.config.batch_size, configs.last_batch_size(run.config, num_images), batches.mesh)
        sharding.check_batch(evaluation_batch_size, batches.mesh, name="evaluation_batch_size")
    return batches


def _images(dataset, data_dir, *, stream, held_out, seed):
    if stream is None:
        return training_data.in_memory(dataset, data_dir, held_out=held_out)
    if held_out:
        raise ValueError("no images can be held out of a stream; leave --held_out out")
    return training_data.streamed(dataset, data_dir, stream, seed=seed)


def _make(about, network, config, augmentation, images):
    inputs = models.inputs(augmentation, mean=images.mean, std=images.std)
    sizes = {"num_classes": images.num_classes, "num_images": images.sizes["train"]}
    steps = step_lib.steps(network, config, inputs, **sizes)
    keys = states.keys(jax.random.key(about["seed"]))
    run = Run(about, network, config, steps, images, keys, augmentation.normalization)
    run.template()  # raises where images are too small for the network
    return run
