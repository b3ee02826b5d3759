"""The devices of a training run: how batches are split over them, and what lies on them."""

from typing import Any

import jax
from absl import flags

from common.datasets import images
from common.training import loop, sharding
from launch import training_run


def split(values: flags.FlagValues, run: training_run.Run) -> jax.sharding.NamedSharding | None:
    """Returns how batches are split over devices: None with one device.

    Raises:
      ValueError: there are not so many devices, or a batch cannot be split evenly.
    """
    devices = jax.devices()
    if not 0 <= values.num_devices <= len(devices):
        raise ValueError(f"--num_devices must be from 0 to {len(devices)}, all there are; got {values.num_devices}")
    if values.num_devices == 1 or len(devices) == 1:
        return None
    mesh = sharding.mesh(devices[: values.num_devices or len(devices)])
    sharding.check_batch(run.config.batch_size, mesh)
    sharding.check_batch(values.evaluation_batch_size, mesh, name="evaluation_batch_size")
    if run.config.last_batch == "keep" and not run.stream:
        sharding.check_batch(len(run.parts["train"].labels) % run.config.batch_size, mesh, name="the last batch")
    return sharding.batches(mesh)


def data(part: images.Split) -> loop.Data:
    """Returns the images of a part as what is trained on."""
    return loop.Data(images=part.images, labels=part.labels)


def placed(tree: Any, split: jax.sharding.NamedSharding | None) -> Any:
    """Returns a tree of arrays on the device, or on all of them."""
    return jax.device_put(tree) if split is None else sharding.replicate(tree, split.mesh)
