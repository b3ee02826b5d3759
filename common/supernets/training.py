"""Training of shared weights: one network that holds every architecture of a space, of which a step trains one.

A run is described by one record of JSON types, `about`, from which everything is built, at the start as well as when
architectures are scored later. The loop is that of any network (`loop.py`), with a draw of architectures.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from common import config as json_configs
from common import spaces, types
from common.datasets import images
from common.networks import supernet, supernet_counting
from common.supernets import config as supernet_config
from common.supernets import sampling as supernet_draws
from common.training import augmentation as augmentations
from common.training import checkpoints, export, loop, models
from common.training import config as configs
from common.training import state as states
from common.training import step as step_lib

KIND = "supernet"
CHECKPOINTS = "checkpoints"  # in the folder of a run


class Run(NamedTuple):
    """What a training run is made of.

    Attributes:
      about: the record it was made from.
      space: of the architectures.
      network: `supernet.Network`.
      config: how it is trained.
      steps: its steps.
      inputs: how images become its inputs.
      images: what it takes.
      parts: "train", "validation" and "test" -> the images.
      num_classes: of them.
      draws: which architecture a step takes.
    """

    about: Mapping[str, Any]
    space: types.SearchSpace
    network: Any
    config: configs.Config
    steps: step_lib.Steps
    inputs: step_lib.Inputs
    images: export.Images
    parts: dict[str, images.Split]
    num_classes: int
    draws: supernet_config.Sampling

    @property
    def keys(self) -> states.Keys:
        """Returns the keys of its randomness."""
        return states.keys(jax.random.key(self.about["seed"]))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return configs.steps_per_epoch(self.config, len(self.parts["train"].labels))

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.num_epochs * self.steps_per_epoch

    def init(self, params: Any | None = None) -> states.State:
        """Returns the state before the first step, with the parameters given or random ones."""
        state = self.steps.init(self.keys.init, self.images.shape)
        # Copies: the loop uses a state up.
        return state if params is None else state.replace(params=jax.tree.map(jnp.copy, params))

    def template(self) -> states.State:
        """Returns the shapes of a state."""
        return jax.eval_shape(lambda key: self.steps.init(key, self.images.shape), self.keys.init)

    def data(self, part: str) -> loop.Data:
        """Returns a part of the images on the device."""
        return loop.Data(images=jnp.asarray(self.parts[part].images), labels=jnp.asarray(self.parts[part].labels))

    def draw(self, pool: np.ndarray | None = None) -> jax.tree_util.Partial:
        """Returns which architecture a step takes; of a pool int32[P, L] where one is given."""
        if pool is None and self.draws.pool_size:
            pool = self.space.sample(jax.random.fold_in(self.keys.step, loop.DRAW), self.draws.pool_size)
        num_growing = self.draws.growth * self.num_steps
        return supernet_draws.make(
            self.draws.sampling, self.space, pool, num_params=self.num_params, num_growing=num_growing
        )

    def num_params(self, archs: np.ndarray) -> np.ndarray:
        """Returns int64[B], the parameters that each of int32[B, L] has alone."""
        return supernet_counting.num_params(self.space.name, self.network.config, np.asarray(archs, np.int32))


def describe(
    space: str,
    dataset: str,
    *,
    network: supernet.Config,
    training: configs.Config,
    augmentation: augmentations.Config,
    draws: supernet_config.Sampling,
    held_out: int | None = None,
    num_images: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the record of a run, for `build`.

    Args:
      space: of the architectures.
      dataset: see `images.load`.
      network: its settings; the number of classes is taken from the dataset.
      training: how it is trained.
      augmentation: how its images are changed.
      draws: which architecture a step takes.
      held_out: images for validation, see `images.parts`.
      num_images: images to train on, likewise.
      seed: decides everything random.
    """
    about = {
        "kind": KIND,
        "space": space,
        "dataset": dataset,
        "held_out": held_out,
        "num_images": num_images,
        "seed": seed,
        "network": dataclasses.asdict(network),
        "training": dataclasses.asdict(training),
        "augmentation": dataclasses.asdict(augmentation),
        "draws": dataclasses.asdict(draws),
    }
    return json.loads(json.dumps(about))


def build(about: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Run:
    """Returns the run that a record describes.

    Raises:
      ValueError: it cannot be: this is no such record, there is no such dataset, and the like.
    """
    if about.get("kind") != KIND:
        raise ValueError("these checkpoints are not of shared weights; train some with launch.train_supernet")
    dataset = images.load(about["dataset"], data_dir)
    network, config, augmentation, draws = (
        json_configs.from_json(kind, about[name])
        for name, kind in (
            ("network", supernet.Config),
            ("training", configs.Config),
            ("augmentation", augmentations.Config),
            ("draws", supernet_config.Sampling),
        )
    )
    return make(
        about,
        supernet.Network(about["space"], dataclasses.replace(network, num_classes=dataset.num_classes)),
        dataset,
        config=config,
        augmentation=augmentation,
        draws=draws,
    )


def make(
    about: Mapping[str, Any],
    network: Any,
    dataset: images.Dataset,
    *,
    config: configs.Config,
    augmentation: augmentations.Config,
    draws: supernet_config.Sampling,
) -> Run:
    """Returns a run of a network that the caller made; `about` says the rest.

    Raises:
      ValueError: the settings do not suit each other.
    """
    if not config.optimizer.decay_batch_norm:
        raise ValueError("decay_batch_norm = False is not for shared weights, whose norms keep no statistics")
    space = spaces.get(about["space"])
    parts = images.parts(dataset, held_out=about["held_out"], num_images=about["num_images"])
    inputs = models.inputs(augmentation, mean=dataset.mean, std=dataset.std)
    steps = step_lib.steps(
        network,
        config,
        inputs,
        num_classes=dataset.num_classes,
        num_images=len(parts["train"].labels),
        arch=jnp.zeros(len(space.num_choices), jnp.int32),
    )
    taken = export.Images(dataset.train.images.shape[1:], dataset.mean, dataset.std, augmentation.normalization)
    run = Run(about, space, network, config, steps, inputs, taken, parts, dataset.num_classes, draws)
    run.template()  # refuses what does not fit together
    return run


def restarting(config: configs.Config, num_blocks: int) -> configs.Config:
    """Returns a training whose cosine and drop-path ramp begin anew in each of `num_blocks` equal parts (NAO-V2).

    Raises:
      ValueError: the epochs cannot be divided so, or the learning rate does not go along a cosine.
    """
    check_blocks(config, num_blocks)
    schedule, length = config.optimizer.schedule, config.num_epochs // num_blocks
    if not schedule.schedule.startswith("cosine"):
        raise ValueError(f"a training in blocks that begin anew needs a cosine; got schedule = {schedule.schedule!r}")
    schedule = dataclasses.replace(
        schedule, schedule="cosine_restarts", period_epochs=0, restart_epochs=length, restart_factor=1
    )
    return dataclasses.replace(
        config,
        optimizer=dataclasses.replace(config.optimizer, schedule=schedule),
        progress_epochs=length,
        progress_restarts=True,
    )


def check_blocks(config: configs.Config, num_blocks: int) -> None:
    """Raises a `ValueError` unless the epochs can be divided into `num_blocks` equal parts."""
    if config.num_epochs % num_blocks:
        raise ValueError(
            f"num_epochs = {config.num_epochs} cannot be divided into {num_blocks} equal blocks; choose a multiple"
        )


def load(folder: str | os.PathLike, data_dir: str | os.PathLike | None = None) -> tuple[Run, Any]:
    """Returns (the run whose folder is `folder`, its trained parameters).

    Raises:
      ValueError: there are none, they are not of shared weights, or training has not come to its end.
    """
    where = pathlib.Path(folder, CHECKPOINTS)
    run = build(checkpoints.read_about(where), data_dir)
    with checkpoints.Checkpoints(where, run.about) as saved:
        state = saved.latest(run.template())
    if state is None or int(state.step) < run.num_steps:
        done = 0 if state is None else int(state.step)
        raise ValueError(
            f"the shared weights in {folder} are trained for {done} of {run.num_steps} steps; go on with "
            "launch.train_supernet --workdir"
        )
    return run, states.averaged(state)["params"]
