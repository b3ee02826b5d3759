"""Settings of the trainings that give architectures their fitness. Light to import, for commands that list them."""

import dataclasses
from typing import Annotated, Literal

from common import config as config_lib
from common.training import config as configs

SHORT = "short"


@dataclasses.dataclass(frozen=True)
class Config(configs.Changes):
    """Short training of a stand-alone network: a preset, and the settings that differ (None: as in the preset)."""

    preset: Annotated[
        str, f"settings to start from: {SHORT}, seconds on two processor cores, or a preset of launch.train"
    ] = SHORT
    fitness_epoch: Annotated[
        Literal["last", "best"] | None,
        "epoch whose accuracy is the fitness; best, as released, evaluates after each; None: last",
    ] = None
    program: Annotated[
        Literal["each", "shared"] | None,
        "compiled programs: each, one for every architecture; shared, one that trains any of them, for spaces with "
        "shared weights: compiled once, of slightly different networks; None: in a search the one that takes less time",
    ] = None


@config_lib.dataclass
class Rerank:
    """Trainings from scratch of the best architectures of a search on shared weights."""

    rerank: Annotated[
        int, "number of best architectures to train from scratch, see --proxy_*", config_lib.Range(at_least=0)
    ] = 0
    rerank_halving: Annotated[
        int | None,
        "successive halving of these trainings: after each stage one of so many continues, to as many times the "
        "epochs, the last to the end; None: all are trained to the end",
        config_lib.Range(at_least=2),
        config_lib.Needs("rerank"),
    ] = None
