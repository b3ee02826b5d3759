"""Settings of the executors."""

import dataclasses
import math
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Config:
    """How measurements run. None of it changes what a measurement gives."""

    num_workers: Annotated[
        int | None, "measurements at a time; by default one per device (inline: one; ray: one per GPU, else per CPU)"
    ] = None
    candidate_timeout: Annotated[
        float | None, "seconds after which a measurement is stopped and its architecture recorded infeasible"
    ] = None
    copy_after: Annotated[
        float | None,
        "seconds after which a measurement is begun a second time by a worker that has nothing else to do (process, "
        "ray); the first result counts",
    ] = None
    max_retries: Annotated[int, "times a measurement is tried again whose worker died, before it counts as failed"] = 2
    recycle_after: Annotated[int | None, "measurements after which a worker is replaced by a fresh one"] = None
    ray_address: Annotated[str, "Ray cluster: auto for the running one, local for a fresh one here, or host:port"] = (
        "auto"
    )

    def __post_init__(self):
        for name in ("num_workers", "recycle_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}")
        if self.max_retries < 0:
            raise ValueError(f"max_retries must be at least 0; got {self.max_retries}")
        for name in ("candidate_timeout", "copy_after"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number of seconds; got {value}")
        if not self.ray_address:
            raise ValueError("ray_address is empty; choose auto, local, or host:port")
