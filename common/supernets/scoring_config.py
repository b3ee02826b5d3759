"""Settings of scores on shared weights. Light to import, for commands that list them."""

import dataclasses
from typing import Annotated

METHODS = {
    "subset": "the same images for all",
    "consecutive": "for each architecture of a call the next ones (NAO-WS in TensorFlow)",
    "random": "drawn for each (NAO in PyTorch)",
    "all": "all there are (LaNAS)",
}
STATISTICS = {
    "batch": "those of the batch that is scored",
    "recalibrated": "those of a few training batches, found for each architecture",
}


def _listed(texts):
    return "; ".join(f"{name}: {text}" for name, text in texts.items())


@dataclasses.dataclass(frozen=True)
class Config:
    """What is looked at."""

    method: Annotated[str, f"which validation images are scored; {_listed(METHODS)}"] = "subset"
    num_images: Annotated[int | None, "how many, but of method all; by default 500, or all if there are fewer"] = None
    batch_size: Annotated[int, "images at a time"] = 500
    statistics: Annotated[str, f"the statistics of norms; {_listed(STATISTICS)}"] = "batch"
    num_calibration: Annotated[int, "training batches for statistics recalibrated"] = 4

    def __post_init__(self):
        """Refuses what makes no sense."""
        for name, allowed in (("method", METHODS), ("statistics", STATISTICS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r} is unknown; choose one of {', '.join(allowed)}")
        for name in ("num_images", "batch_size", "num_calibration"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        if self.method == "all" and self.num_images is not None:
            raise ValueError(f"method 'all' scores all images; leave num_images out, which is {self.num_images}")
