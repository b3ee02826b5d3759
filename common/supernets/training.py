"""Training of shared weights: one network that holds every architecture of a space; each step trains one of them.

A run is described by one record of JSON types, `about`, from which it is built, at the start as well as when
architectures are scored later. The loop is `common.training.loop`, with a sampler of architectures.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config as config_lib
from common import spaces, types
from common.datasets import images, records
from common.genotypes import conversion
from common.networks import costs, elastic, supernet
from common.records import run_dir
from common.supernets import config as supernet_config
from common.supernets import presets, sampling
from common.training import augmentation as augmentations
from common.training import checkpoints, export, loop, models, sandwich, sharding
from common.training import config as configs
from common.training import state as states
from common.training import step as step_lib

KIND = "supernet"


class Run(NamedTuple):
    """A training of shared weights.

    Attributes:
      about: the record it was built from.
      space: the search space.
      network: `supernet.Network`, or that of `elastic.FAMILIES`.
      config: settings of the training.
      steps: the training and evaluation steps.
      inputs: augmentation and normalization of images.
      images: shape and normalization of the images.
      parts: "train", "validation" and "test" -> the images.
      num_classes: number of classes.
      draws: sampling of the architecture of a step.
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
        """Random keys of the training."""
        return states.keys(jax.random.key(self.about["seed"]))

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch."""
        return configs.steps_per_epoch(self.config, len(self.parts["train"].labels))

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.num_epochs * self.steps_per_epoch

    def init(self, params: Any | None = None) -> states.State:
        """Returns the initial state, with the given parameters or random ones."""
        state = self.steps.init(self.keys.init, self.images.shape)
        # Copies: the loop donates the buffers of a state.
        return state if params is None else state.replace(params=jax.tree.map(jnp.copy, params))

    def template(self, batches: jax.sharding.NamedSharding | None = None) -> states.State:
        """Returns the shapes of a state, on every device of `batches` if it is given."""
        state = jax.eval_shape(lambda key: self.steps.init(key, self.images.shape), self.keys.init)
        return sharding.template(state, batches)

    def data(self, part: str) -> loop.Data:
        """Returns the images of a part on the device."""
        return loop.Data(images=jnp.asarray(self.parts[part].images), labels=jnp.asarray(self.parts[part].labels))

    @property
    def checksum(self) -> int:
        """Checksum of the images, see `run_dir.checksum`."""
        return records.checksum(self.parts.values())

    def draw(self, pool: np.ndarray | None = None) -> jax.tree_util.Partial:
        """Returns the sampler of a step's architecture, see `sampling`; of the pool int32[P, L], if given."""
        if pool is None and self.draws.pool_size:
            pool = self.space.sample(jax.random.fold_in(self.keys.step, loop.DRAW), self.draws.pool_size)
        num_growing = self.draws.growth * self.num_steps
        return sampling.make(self.draws.sampling, self.space, pool, num_params=self.num_params, num_growing=num_growing)

    @property
    def costs(self) -> dict[str, Callable[[chex.Array], chex.Array]]:
        """Costs of the stand-alone networks by name, see `types.Evaluator.costs`."""
        height, width, num_channels = self.parts["train"].images.shape[1:]
        config = self.network.config if self.space.name in elastic.FAMILIES else self._stand_alone
        found = costs.of_space(self.space.name, config, image_size=height, num_channels=num_channels)
        return found if height == width else {"params": found["params"]}

    @property
    def _stand_alone(self):
        """Settings of the stand-alone networks."""
        config, family = self.network.config, elastic.FAMILIES.get(self.space.name)
        return family.stand_alone(config) if family else supernet.stand_alone(config)

    def stand_alone(self, arch: np.ndarray) -> Any:
        """Returns the stand-alone network of a row int32[L], a Linen module."""
        return models.network(conversion.from_arch(self.space.name, arch), self._stand_alone)

    def num_params(self, archs: np.ndarray) -> np.ndarray:
        """Returns int64[B], the parameters of the stand-alone network of each of int32[B, L]."""
        return self.costs["params"](np.asarray(archs, np.int32))


def describe(
    space: str,
    dataset: str,
    preset: presets.Preset,
    *,
    held_out: int | None = None,
    num_images: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the record of a run, for `build`.

    Args:
      dataset: see `images.load`.
      preset: all settings; the number of classes is taken from the dataset.
      held_out: validation images, see `images.parts`.
      num_images: training images, likewise.
    """
    about = {
        "kind": KIND,
        "space": space,
        "dataset": dataset,
        "held_out": held_out,
        "num_images": num_images,
        "seed": seed,
        **{name: config_lib.to_json(config) for name, config in preset._asdict().items()},
    }
    return json.loads(json.dumps(about))


def build(about: Mapping[str, Any], data_dir: str | os.PathLike | None = None) -> Run:
    """Returns the run that a record describes.

    Raises:
      ValueError: the record is not of shared weights, there is no such dataset, or settings do not fit together.
    """
    if about.get("kind") != KIND:
        raise ValueError("these checkpoints are not of shared weights; train some with launch.train_supernet")
    if missing := {"space", "dataset", "held_out", "num_images", "seed", *presets.Preset._fields} - set(about):
        raise ValueError(f"the record of these checkpoints lacks {', '.join(sorted(missing))}")
    dataset = images.load(about["dataset"], data_dir)
    family = elastic.FAMILIES.get(about["space"])
    network, training, augmentation, draws = (
        config_lib.from_json(kind, about[name])
        for name, kind in (
            ("network", family.config if family else supernet.Config),
            ("training", configs.Config),
            ("augmentation", augmentations.Config),
            ("draws", supernet_config.Sampling),
        )
    )
    network = config_lib.replace(network, {"num_classes": dataset.num_classes})
    made = (family.network if family else supernet.Network)(about["space"], network)
    return make(about, made, dataset, presets.Preset(None, training, augmentation, draws))


def make(about: Mapping[str, Any], network: Any, dataset: images.Dataset, preset: presets.Preset) -> Run:
    """Returns a training run of a given network.

    Args:
      about: description of the run, written into its checkpoints.
      network: Flax module that takes images and architectures.
      preset: settings of training, augmentation and sampling.

    Raises:
      ValueError: settings do not fit together.
    """
    config = preset.training
    if not config.optimizer.decay_batch_norm:
        raise ValueError("decay_batch_norm = False is not for shared weights, whose norms keep no statistics")
    space = spaces.get(about["space"])
    parts = images.parts(dataset, held_out=about["held_out"], num_images=about["num_images"])
    inputs = models.inputs(preset.augmentation, mean=dataset.mean, std=dataset.std)
    steps = step_lib.steps(
        network,
        config,
        inputs,
        num_classes=dataset.num_classes,
        num_images=len(parts["train"].labels),
        arch=jnp.zeros(len(space.num_choices), jnp.int32),
        distillation=sandwich.adaptive_divergence if preset.draws.sampling == "sandwich_adaptive" else None,
    )
    taken = export.Images(dataset.train.images.shape[1:], dataset.mean, dataset.std, preset.augmentation.normalization)
    run = Run(about, space, network, config, steps, inputs, taken, parts, dataset.num_classes, preset.draws)
    run.template()  # raises if the settings do not fit together
    return run


def load(folder: str | os.PathLike, data_dir: str | os.PathLike | None = None) -> tuple[Run, Any]:
    """Returns (the run in `folder`, its trained parameters).

    Raises:
      ValueError: there are no checkpoints, they are not of shared weights, or training is unfinished.
    """
    where = pathlib.Path(folder, run_dir.CHECKPOINTS)
    if not (where / checkpoints.ABOUT).exists():
        state = "" if pathlib.Path(folder).exists() else ", which does not exist"
        raise ValueError(
            f"no shared weights in {folder}{state}; give the --workdir of a finished launch.train_supernet, or none: "
            "then a search trains weights of its own"
        )
    run = build(checkpoints.read_about(where), data_dir)
    with checkpoints.Checkpoints(where, run.about, run.checksum) as saved:
        state = saved.latest(run.template())
    if state is None or int(state.step) < run.num_steps:
        done = 0 if state is None else int(state.step)
        raise ValueError(
            f"the shared weights in {folder} are trained for {done} of {run.num_steps} steps; resume with "
            "launch.train_supernet --workdir"
        )
    return run, states.averaged(state)["params"]
