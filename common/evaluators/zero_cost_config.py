"""Settings of zero-cost scores. Light to import, for commands that list them."""

from typing import Annotated, Literal

from common import config as configs
from common.config import Needs, Range

SCORES = {
    "synflow": "synaptic flow, log(1 + sum of |w dR/dw|), without images",
    "jacov": "correlation of the images' gradients",
    "nwot": "log-determinant of the agreement of ReLU codes",
    "snip": "sum of |w dL/dw|",
    "grad_norm": "sum of the norms of the layers' gradients",
}


@configs.dataclass
class Config:
    """Zero-cost score: of a network with its initial parameters and a batch of images."""

    score: Annotated[Literal[tuple(SCORES)], "; ".join(f"{name}: {text}" for name, text in SCORES.items())] = "synflow"
    batch_size: Annotated[int, "images, except for synflow", Range(at_least=2), Needs("score", tuple(SCORES)[1:])] = 64
    num_cells: Annotated[
        int | None, "cells of a network of cells, the two reductions included; None: as published", Range(at_least=1)
    ] = None
    width: Annotated[int | None, "channels of the first cell or stage; None: as published", Range(at_least=1)] = None
    init_seed: Annotated[int, "seed of the initial parameters and of the choice of images", Range(at_least=0)] = 0
