"""What a training run is made of.

A run is described by one record of JSON types, `about`, from which everything is built, at the start as well as when
a checkpoint is evaluated later.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from common import config as json_configs
from common.datasets import images, streams
from common.training import augmentation as augmentations
from common.training import config as configs
from common.training import export, models
from common.training import state as states
from common.training import step as step_lib


class Run(NamedTuple):
    """What a training run is made of.

    Attributes:
      about: the record it was made from.
      network: a Linen module.
      config: how it is trained.
      steps: its steps.
      images: what it takes.
      parts: "train", "test" and, where images are held out, "validation" -> the images, in memory.
      keys: of its randomness.
      stream: what is read instead where images do not fit into memory, and what becomes of them; else None.
    """

    about: Mapping[str, Any]
    network: Any
    config: configs.Config
    steps: step_lib.Steps
    images: export.Images
    parts: dict[str, images.Split]
    keys: states.Keys
    stream: tuple[streams.Source, streams.Config] | None = None

    @property
    def num_images(self) -> int:
        """Images of the training set."""
        return len(self.stream[0].train) if self.stream else len(self.parts["train"].labels)

    @property
    def watched(self) -> str:
        """The part that is evaluated while training goes on, and by which the best checkpoint is chosen."""
        return "validation" if "validation" in self.parts else "test"

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return configs.steps_per_epoch(self.config, self.num_images)

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.config.num_epochs * self.steps_per_epoch

    def template(self, split: jax.sharding.NamedSharding | None = None) -> states.State:
        """Returns the shapes of a state, on every device if batches are split."""
        shapes = jax.eval_shape(lambda key: self.steps.init(key, self.images.shape), self.keys.init)
        if split is None:
            return shapes
        everywhere = jax.sharding.NamedSharding(split.mesh, jax.sharding.PartitionSpec())
        return jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype, sharding=everywhere), shapes)


def build(about: Mapping[str, Any], data_dir: str | None) -> Run:
    """Returns the run that a record describes.

    Raises:
      ValueError: it cannot be: unknown settings, no such dataset, images too small for the network and the like.
    """
    stream, parts = None, {}
    if "stream" in about:
        if about["held_out"]:
            raise ValueError("no images can be held out of a stream; leave --held_out out")
        dataset, changes = open_stream(about, data_dir)
        stream, shape, num_images = (dataset, changes), (changes.image_size, changes.image_size, 3), len(dataset.train)
    else:
        dataset = images.load(about["dataset"], data_dir)
        parts = {"train": dataset.train, "test": dataset.test}
        if about["held_out"]:  # the same images whatever the seed, so that runs can be compared
            parts["train"], parts["validation"] = images.hold_out(
                dataset.train, about["held_out"], key=jax.random.key(0)
            )
        shape, num_images = dataset.train.images.shape[1:], len(parts["train"].labels)
    config = json_configs.from_json(configs.Config, about["training"])
    augmentation = json_configs.from_json(augmentations.Config, about["augmentation"])
    network = models.from_dict(about)
    steps = step_lib.steps(
        network,
        config,
        models.inputs(augmentation, mean=dataset.mean, std=dataset.std),
        num_classes=dataset.num_classes,
        num_images=num_images,
    )
    taken = export.Images(shape, dataset.mean, dataset.std, augmentation.normalization)
    made = Run(about, network, config, steps, taken, parts, states.keys(jax.random.key(about["seed"])), stream)
    made.template()  # refuses what does not fit together
    return made


def open_stream(about: Mapping[str, Any], data_dir: str | None) -> tuple[streams.Source, streams.Config]:
    """Returns what a run streams, and what becomes of the images."""
    return streams.open_source(data_dir, about["dataset"]), json_configs.from_json(streams.Config, about["stream"])
