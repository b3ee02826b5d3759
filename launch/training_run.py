"""What a training run is made of.

A run is described by one record of JSON types, `about`, from which everything is built, at the start as well as when
a checkpoint is evaluated later.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from common.datasets import images
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
    """

    about: Mapping[str, Any]
    network: Any
    config: configs.Config
    steps: step_lib.Steps
    images: export.Images
    parts: dict[str, images.Split]
    keys: states.Keys

    @property
    def watched(self) -> str:
        """The part that is evaluated while training goes on, and by which the best checkpoint is chosen."""
        return "validation" if "validation" in self.parts else "test"

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return configs.steps_per_epoch(self.config, len(self.parts["train"].labels))

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
    dataset = images.load(about["dataset"], data_dir)
    parts = {"train": dataset.train, "test": dataset.test}
    if about["held_out"]:
        # The same images whatever the seed, so that runs can be compared.
        parts["train"], parts["validation"] = images.hold_out(dataset.train, about["held_out"], key=jax.random.key(0))
    config = models.from_fields(configs.Config, about["training"])
    augmentation = models.from_fields(augmentations.Config, about["augmentation"])
    network = models.from_dict(about)
    steps = step_lib.steps(
        network,
        config,
        models.inputs(augmentation, mean=dataset.mean, std=dataset.std),
        num_classes=dataset.num_classes,
        num_images=len(parts["train"].labels),
    )
    taken = export.Images(dataset.train.images.shape[1:], dataset.mean, dataset.std, augmentation.normalization)
    made = Run(about, network, config, steps, taken, parts, states.keys(jax.random.key(about["seed"])))
    made.template()  # refuses what does not fit together
    return made
