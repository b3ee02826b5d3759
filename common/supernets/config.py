"""Settings of shared weights: sampling, training, scoring. Light to import, for commands that list them."""

from typing import Annotated, Literal

from common import config as configs
from common.training import config as training_config

SAMPLINGS = {
    "uniform": "all with equal probability",
    "num_params": "in proportion to the parameters of the stand-alone network, which needs a pool (NAO-V2)",
    "fair": "every operation equally often, from the whole space",
    "growing": "one architecture at first, then more and more, all in the end",
    "sandwich": "the largest, the smallest and two random ones in each step, for elastic weights (BigNAS)",
    "sandwich_adaptive": "the same, where the others learn from the largest by AlphaNet's adaptive divergence",
    "shrinking": "sandwich, but first kernels, then depths and at last expansions are smaller than the largest (OFA)",
}
WHOLE_SPACE = ("fair", "sandwich", "sandwich_adaptive", "shrinking")  # these sample from no pool
METHODS = {
    "subset": "the same images for all",
    "consecutive": "the next images for each architecture of a call (NAO-WS in TensorFlow)",
    "random": "a random sample for each (NAO in PyTorch)",
    "all": "all images (LaNAS)",
}
STATISTICS = {
    "batch": "those of the batch that is scored",
    "recalibrated": "those of a few training batches, collected for each architecture",
}
PRESETS = (
    "digits",
    "cluttered_digits",
    "nao_ws",
    "nao_v1",
    "nao_v2",
    "lanas_oneshot",
    "elastic",
    "ofa_mobile_cifar",
)  # see `presets.PRESETS`


def _listed(texts):
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


@configs.dataclass
class Sampling:
    """Sampling of the architecture of a training step."""

    sampling: Annotated[
        Literal[tuple(SAMPLINGS)], f"distribution of the architecture of a step; {_listed(SAMPLINGS)}"
    ] = "uniform"
    pool_size: Annotated[
        int,
        "random architectures to train on, unless a search provides a pool; 0: the whole space",
        configs.Range(at_least=0),
    ] = 0
    growth: Annotated[
        float,
        "with sampling growing or shrinking: fraction of the training after which all architectures are sampled",
        configs.Range(above=0, at_most=1),
        configs.Needs("sampling", ("growing", "shrinking")),
    ] = 0.5

    def __post_init__(self):
        if self.sampling == "num_params" and not self.pool_size:
            raise ValueError("sampling 'num_params' needs a pool: set pool_size, for example to 1000")
        if self.sampling in WHOLE_SPACE and self.pool_size:
            text = f"sampling {self.sampling!r} samples the whole space"
            raise ValueError(f"{text}: set pool_size to 0; got {self.pool_size}")


@configs.dataclass
class Training(training_config.Changes):
    """Training of shared weights: a preset, and the settings that differ (None: as in the preset)."""

    preset: Annotated[Literal[PRESETS], "settings to start from"] = "digits"
    sampling: Annotated[Literal[tuple(SAMPLINGS)] | None, "distribution of the architecture of a step"] = None


@configs.dataclass
class Pace:
    """Intervals of evaluations and checkpoints during training."""

    evaluate_every: Annotated[
        int, "epochs between evaluations of a few architectures; 0: num_epochs / 10", configs.Range(at_least=0)
    ] = 0
    steps_per_chunk: Annotated[
        int, "maximum steps per compiled chunk, after which metrics are written; 0: an epoch", configs.Range(at_least=0)
    ] = 0
    checkpoint_seconds: Annotated[float, "minimum seconds between checkpoints", configs.Range(at_least=0)] = 60.0
    num_devices: Annotated[int, "devices to split batches over; 0: all", configs.Range(at_least=0)] = 1


@configs.dataclass
class Scoring:
    """Scoring of architectures on shared weights."""

    method: Annotated[Literal[tuple(METHODS)], f"validation images to score; {_listed(METHODS)}"] = "subset"
    num_images: Annotated[
        int | None, "number of images, unless method is all; None: 500, or all if fewer", configs.Range(at_least=1)
    ] = None
    batch_size: Annotated[int, "images per batch", configs.Range(at_least=1)] = 500
    statistics: Annotated[Literal[tuple(STATISTICS)], f"batch-normalization statistics; {_listed(STATISTICS)}"] = (
        "batch"
    )
    num_calibration: Annotated[
        int,
        "training batches for recalibrated statistics",
        configs.Range(at_least=1),
        configs.Needs("statistics", ("recalibrated",)),
    ] = 4

    def __post_init__(self):
        if self.method == "all" and self.num_images is not None:
            raise ValueError(f"method 'all' scores all images; leave num_images out; got {self.num_images}")
