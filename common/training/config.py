"""The settings of a training run and their meaning.

The defaults are those of NAONet-A with 36 channels on CIFAR-10 (arXiv:1808.07233, as released in PyTorch).
"""

import dataclasses
import math
from typing import Annotated

SCHEDULES = ("constant", "cosine", "cosine_restarts", "step", "exponential")
UNITS = ("epoch", "step")
OPTIMIZERS = ("sgd", "adam")
DECAYS = ("gradient", "half_square", "square", "decoupled")
LAST_BATCHES = ("drop", "keep")


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How the learning rate goes."""

    schedule: Annotated[str, f"how the learning rate goes: {', '.join(SCHEDULES)}"] = "cosine"
    learning_rate: Annotated[float, "the largest one"] = 0.025
    final_learning_rate: Annotated[float, "what a cosine ends at"] = 0.0
    schedule_unit: Annotated[str, f"when the learning rate changes, every: {', '.join(UNITS)}"] = "epoch"
    period_epochs: Annotated[int, "length of the cosine, longer if training stops midway; 0: num_epochs"] = 0
    restart_epochs: Annotated[int, "of cosine_restarts: length of the first cosine, T0"] = 10
    restart_factor: Annotated[int, "of cosine_restarts: how much longer each cosine is than the one before, Tmul"] = 2
    decay_epochs: Annotated[int, "of step and exponential: epochs in which the learning rate falls by decay_factor"] = 1
    decay_factor: Annotated[float, "of step and exponential"] = 0.97
    warmup_epochs: Annotated[int, "the schedule is scaled by a line from 0 to 1 over these first epochs"] = 0

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_one_of(self, "schedule", SCHEDULES)
        _check_one_of(self, "schedule_unit", UNITS)
        _check_range(self, "learning_rate", above=0.0)
        _check_range(self, "final_learning_rate", at_least=0.0)
        _check_range(self, "period_epochs", at_least=0)
        _check_range(self, "restart_epochs", at_least=1)
        _check_range(self, "restart_factor", at_least=1)
        _check_range(self, "decay_epochs", at_least=1)
        _check_range(self, "decay_factor", above=0.0)
        _check_range(self, "warmup_epochs", at_least=0)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Stochastic gradient descent with momentum, or Adam (arXiv:1412.6980)."""

    optimizer: Annotated[str, f"how a gradient changes the parameters: {', '.join(OPTIMIZERS)}"] = "sgd"
    schedule: Annotated[Schedule, "the learning rate"] = dataclasses.field(default_factory=Schedule)
    momentum: Annotated[float, "share of the last step's direction that is kept; of adam: beta1"] = 0.9
    beta2: Annotated[float, "of adam: share of the mean of squared gradients that is kept"] = 0.999
    nesterov: Annotated[bool, "Nesterov's momentum"] = False
    clip_norm: Annotated[float, "largest norm of the gradient of all parameters together; 0: no limit"] = 5.0
    weight_decay: Annotated[float, "L2 penalty on the parameters"] = 3e-4
    decay: Annotated[
        str,
        "where it enters: gradient (PyTorch: weight_decay * p is added to the clipped gradient), half_square "
        "(TensorFlow: weight_decay * p^2 / 2 is in the loss, its gradient is clipped too), square (without the half), "
        "decoupled (AdamW, arXiv:1711.05101: each step takes learning_rate * weight_decay * p away)",
    ] = "gradient"
    decay_batch_norm: Annotated[bool, "whether it covers scales and offsets of batch normalisation too"] = True

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_one_of(self, "optimizer", OPTIMIZERS)
        _check_one_of(self, "decay", DECAYS)
        _check_range(self, "momentum", at_least=0.0, below=1.0)
        _check_range(self, "beta2", at_least=0.0, below=1.0)
        _check_range(self, "clip_norm", at_least=0.0)
        _check_range(self, "weight_decay", at_least=0.0)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = True needs a momentum above 0; got momentum = 0")
        if self.nesterov and self.optimizer != "sgd":
            raise ValueError(f"nesterov = True is of optimizer sgd; got optimizer {self.optimizer!r}")


@dataclasses.dataclass(frozen=True)
class Loss:
    """What is minimised, next to the L2 penalty."""

    label_smoothing: Annotated[float, "share of the target that is spread over all classes"] = 0.0
    auxiliary_weight: Annotated[float, "weight of the auxiliary head's cross-entropy, where there is one"] = 0.4

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_range(self, "label_smoothing", at_least=0.0, below=1.0)
        _check_range(self, "auxiliary_weight", at_least=0.0)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a training run."""

    num_epochs: Annotated[int, "passes over the training images"] = 600
    batch_size: Annotated[int, "images a step, over all devices"] = 128
    last_batch: Annotated[
        str, f"what becomes of an epoch's last batch if it is a smaller one: {', '.join(LAST_BATCHES)}"
    ] = "drop"
    optimizer: Annotated[Optimizer, "how weights are updated"] = dataclasses.field(default_factory=Optimizer)
    loss: Annotated[Loss, "what is minimised"] = dataclasses.field(default_factory=Loss)
    progress_epochs: Annotated[int, "length of the drop-path ramp; 0: num_epochs"] = 0
    progress_restarts: Annotated[bool, "whether the ramp begins anew every progress_epochs"] = False
    progress_unit: Annotated[str, f"when the drop-path ramp goes on, every: {', '.join(UNITS)}"] = "step"
    average_decay: Annotated[float, "of the moving average of all weights and statistics; 0: none is kept"] = 0.0

    def __post_init__(self):
        """Refuses what makes no sense."""
        _check_one_of(self, "last_batch", LAST_BATCHES)
        _check_one_of(self, "progress_unit", UNITS)
        _check_range(self, "num_epochs", at_least=1)
        _check_range(self, "batch_size", at_least=1)
        _check_range(self, "progress_epochs", at_least=0)
        _check_range(self, "average_decay", at_least=0.0, below=1.0)


def steps_per_epoch(config: Config, num_images: int) -> int:
    """Returns how many steps an epoch has.

    Raises:
      ValueError: not one whole batch, and smaller ones are dropped.
    """
    if config.last_batch == "keep":
        return -(-num_images // config.batch_size)
    if num_images < config.batch_size:
        raise ValueError(
            f"batch_size = {config.batch_size} is more than the {num_images} training images; "
            "make it smaller, or set last_batch to keep"
        )
    return num_images // config.batch_size


def _check_one_of(config, name, allowed):
    value = getattr(config, name)
    if value not in allowed:
        raise ValueError(f"{name} = {value!r} is unknown; choose one of {', '.join(allowed)}")


def _check_range(config, name, *, at_least=-math.inf, above=-math.inf, below=math.inf):
    value = getattr(config, name)
    if not (value >= at_least and value > above and value < below):
        bounds = {"at least": at_least, "above": above, "below": below}
        told = " and ".join(f"{text} {bound}" for text, bound in bounds.items() if math.isfinite(bound))
        raise ValueError(f"{name} must be {told}; got {value}")
