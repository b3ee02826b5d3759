"""Settings of the trainings that give architectures their fitness. Light to import, for commands that list them."""

import dataclasses
from typing import Annotated

SHORT = "short"


@dataclasses.dataclass(frozen=True)
class Config:
    """How long, and how small, an architecture is trained. What is None is as in the preset."""

    preset: Annotated[
        str, f"settings to start from: {SHORT}, seconds on two processor cores, or those of a launch.train preset"
    ] = SHORT
    num_cells: Annotated[int | None, "cells of a network of cells, the two reductions among them"] = None
    width: Annotated[int | None, "channels of the first cell, or of the first stage of a chain"] = None
    num_epochs: Annotated[int | None, "passes over the training images"] = None
    batch_size: Annotated[int | None, "images a step"] = None
    learning_rate: Annotated[float | None, "the largest one"] = None
    held_out: Annotated[int | None, "training images that give the fitness; by default a third, at most 5,000"] = None
    num_images: Annotated[int | None, "images to train on at most; by default all others"] = None
