"""Settings of the trainings that give architectures their fitness. Light to import, for commands that list them."""

import dataclasses
from typing import Annotated

from common import config as configs

SHORT = "short"


@dataclasses.dataclass(frozen=True)
class Config:
    """Short training of a stand-alone network: a preset, and the settings that differ (None: as in the preset)."""

    preset: Annotated[
        str, f"settings to start from: {SHORT}, seconds on two processor cores, or a preset of launch.train"
    ] = SHORT
    num_cells: Annotated[
        int | None, "cells of a network of cells, the two reductions included", configs.Range(at_least=1)
    ] = None
    width: Annotated[
        int | None, "channels of the first cell, or of the first stage of a chain", configs.Range(at_least=1)
    ] = None
    num_epochs: Annotated[int | None, "passes over the training images", configs.Range(at_least=1)] = None
    batch_size: Annotated[int | None, "images per step", configs.Range(at_least=1)] = None
    learning_rate: Annotated[float | None, "peak learning rate", configs.Range(above=0)] = None
    held_out: Annotated[
        int | None, "training images held out for the fitness; None: a third, at most 5,000", configs.Range(at_least=1)
    ] = None
    num_images: Annotated[
        int | None, "maximum number of training images; None: all others", configs.Range(at_least=1)
    ] = None

    def __post_init__(self):
        """Validates the fields."""
        configs.validate(self)
