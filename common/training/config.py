"""Settings of a training run.

The defaults are those of NAONet-A with 36 channels on CIFAR-10 (arXiv:1808.07233, the released PyTorch program).
"""

from typing import Annotated, Any, Literal

from common import config as configs
from common.config import Needs, Range

Unit = Literal["epoch", "step"]
_COSINE = Needs("schedule", ("cosine", "cosine_restarts"))
_RESTARTS = Needs("schedule", ("cosine_restarts",))
_DECAY = Needs("schedule", ("step", "exponential"))


@configs.dataclass
class Schedule:
    """Learning rate schedule."""

    schedule: Annotated[
        Literal["constant", "cosine", "cosine_restarts", "step", "exponential"], "shape of the learning rate schedule"
    ] = "cosine"
    learning_rate: Annotated[float, "peak learning rate", Range(above=0)] = 0.025
    final_learning_rate: Annotated[float, "learning rate at the end of a cosine", Range(at_least=0), _COSINE] = 0.0
    schedule_unit: Annotated[Unit, "the learning rate changes once per"] = "epoch"
    period_epochs: Annotated[
        int, "epochs of the cosine, more than num_epochs to stop midway; 0: num_epochs", Range(at_least=0), _COSINE
    ] = 0
    restart_epochs: Annotated[int, "cosine_restarts: epochs of the first cosine, T0", Range(at_least=1), _RESTARTS] = 10
    restart_factor: Annotated[
        int, "cosine_restarts: growth factor of the cosines, Tmul", Range(at_least=1), _RESTARTS
    ] = 2
    decay_epochs: Annotated[
        int, "step and exponential: epochs per decay by decay_factor", Range(at_least=1), _DECAY
    ] = 1
    decay_factor: Annotated[float, "step and exponential: factor per decay_epochs", Range(above=0), _DECAY] = 0.97
    warmup_epochs: Annotated[int, "epochs of linear scaling of the schedule from 0 to 1", Range(at_least=0)] = 0


@configs.dataclass
class Optimizer:
    """Optimizer: SGD with momentum, or Adam (arXiv:1412.6980)."""

    optimizer: Annotated[Literal["sgd", "adam"], "optimizer"] = "sgd"
    schedule: Annotated[Schedule, "learning rate schedule"] = Schedule()
    momentum: Annotated[float, "momentum; adam: beta1", Range(at_least=0, below=1)] = 0.9
    beta2: Annotated[
        float, "adam: decay of the mean squared gradient", Range(at_least=0, below=1), Needs("optimizer", ("adam",))
    ] = 0.999
    nesterov: Annotated[bool, "sgd: whether to use Nesterov momentum"] = False
    clip_norm: Annotated[float, "maximum global norm of the gradient; 0: no clipping", Range(at_least=0)] = 5.0
    weight_decay: Annotated[float, "coefficient of the L2 penalty", Range(at_least=0)] = 3e-4
    decay: Annotated[
        Literal["gradient", "half_square", "square", "decoupled"],
        "where the L2 penalty enters: gradient (PyTorch: weight_decay * p is added to the clipped gradient), "
        "half_square (TensorFlow: weight_decay * p^2 / 2 is part of the loss, and its gradient is clipped too), "
        "square (likewise without the half), decoupled (AdamW, arXiv:1711.05101: each step subtracts "
        "learning_rate * weight_decay * p)",
    ] = "gradient"
    decay_batch_norm: Annotated[bool, "whether scales and offsets of batch normalization are decayed too"] = True

    def __post_init__(self):
        configs.require(
            (not self.nesterov or self.momentum > 0, "nesterov = True needs a momentum above 0; got momentum = 0"),
            (
                not self.nesterov or self.optimizer == "sgd",
                f"nesterov = True needs optimizer 'sgd'; got optimizer {self.optimizer!r}",
            ),
        )


@configs.dataclass
class Loss:
    """Classification loss."""

    label_smoothing: Annotated[
        float, "share of the target spread evenly over all classes", Range(at_least=0, below=1)
    ] = 0.0
    auxiliary_weight: Annotated[float, "weight of the auxiliary head's cross-entropy", Range(at_least=0)] = 0.4


@configs.dataclass
class Config:
    """Training."""

    num_epochs: Annotated[int, "passes over the training images", Range(at_least=1)] = 600
    batch_size: Annotated[int, "images per step, over all devices", Range(at_least=1)] = 128
    last_batch: Annotated[Literal["drop", "keep"], "what to do with a smaller last batch of an epoch"] = "drop"
    optimizer: Annotated[Optimizer, "optimizer"] = Optimizer()
    loss: Annotated[Loss, "loss"] = Loss()
    progress_epochs: Annotated[int, "epochs of the drop-path ramp; 0: num_epochs", Range(at_least=0)] = 0
    progress_restarts: Annotated[bool, "whether the ramp restarts every progress_epochs", Needs("progress_epochs")] = (
        False
    )
    progress_unit: Annotated[Unit, "the drop-path ramp advances once per"] = "step"
    average_decay: Annotated[
        float, "decay of the moving average of parameters and batch statistics; 0: none", Range(at_least=0, below=1)
    ] = 0.0


@configs.dataclass
class Changes:
    """Training of a kind of network: a preset, and the settings that differ (None: as in the preset)."""

    preset: Annotated[str, "settings to start from"] = ""
    num_cells: Annotated[int | None, "cells of a network of cells, the two reductions included", Range(at_least=1)] = (
        None
    )
    width: Annotated[int | None, "channels of the first cell, or of the first stage of a chain", Range(at_least=1)] = (
        None
    )
    dtype: Annotated[Literal["float32", "bfloat16"] | None, "type of activations"] = None
    num_epochs: Annotated[int | None, "passes over the training images", Range(at_least=1)] = None
    batch_size: Annotated[int | None, "images per step", Range(at_least=1)] = None
    learning_rate: Annotated[float | None, "peak learning rate", Range(above=0)] = None
    held_out: Annotated[
        int | None, "training images held out for the fitness; None: a third, at most 5,000", Range(at_least=1)
    ] = None
    num_images: Annotated[int | None, "maximum number of training images; None: all others", Range(at_least=1)] = None

    def given(self, *names: str) -> dict[str, Any]:
        """Returns those of the settings `names` that differ from the preset."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def steps_per_epoch(config: Config, num_images: int) -> int:
    """Returns the number of steps of an epoch.

    Raises:
      ValueError: smaller batches are dropped and there is no whole one.
    """
    if config.last_batch == "keep":
        return -(-num_images // config.batch_size)
    if num_images < config.batch_size:
        raise ValueError(
            f"batch_size = {config.batch_size} is more than the {num_images} training images; "
            "make it smaller, or set last_batch to keep"
        )
    return num_images // config.batch_size


def last_batch_size(config: Config, num_images: int) -> int:
    """Returns the size of the smaller last batch of an epoch; 0: there is none."""
    return num_images % config.batch_size if config.last_batch == "keep" else 0
