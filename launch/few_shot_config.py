"""Settings of weights for regions of a space. Light to import, for commands that list them."""

import dataclasses
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Config:
    """Which regions get shared weights of their own, and for how long these are trained."""

    few_shot_epochs: Annotated[
        int, "of evaluator supernet: epochs in which each region of a tree gets weights of its own; 0: none"
    ] = 0
    few_shot_height: Annotated[int, "of evaluator supernet: levels of that tree: 2 for two regions, 3 for four"] = 2
    few_shot_measured: Annotated[int, "of evaluator supernet: random architectures that it is fitted to"] = 100

    def __post_init__(self):
        """Refuses what makes no sense."""
        for name, least in (("few_shot_epochs", 0), ("few_shot_height", 2), ("few_shot_measured", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")
        if self.few_shot_height > 4:
            raise ValueError(f"few_shot_height must be at most 4, for eight regions; got {self.few_shot_height}")
        if not self.few_shot_epochs and (self.few_shot_height, self.few_shot_measured) != (2, 100):
            raise ValueError("few_shot_height and few_shot_measured are of few_shot_epochs above 0; give it too")
