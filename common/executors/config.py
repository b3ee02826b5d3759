"""Settings of executors."""

from typing import Annotated

from common import config as configs

_AT_LEAST_1 = configs.Range(at_least=1)
_ELSEWHERE = configs.Needs("executor", ("process", "ray"))


@configs.dataclass
class Config:
    """Settings of the executor. They do not change the result of an evaluation."""

    num_workers: Annotated[
        int | None,
        "evaluations at a time; by default one per device (inline: one; ray: one per GPU, else per CPU)",
        _AT_LEAST_1,
    ] = None
    candidate_timeout: Annotated[
        float | None,
        "seconds after which an evaluation is stopped and its architecture recorded as infeasible",
        configs.Range(above=0),
    ] = None
    copy_after: Annotated[
        float | None,
        "seconds after which an idle worker starts a second copy of an evaluation (process, ray); the first result "
        "counts",
        configs.Range(above=0),
        _ELSEWHERE,
    ] = None
    max_retries: Annotated[
        int,
        "retries of an evaluation whose worker died, before it counts as failed",
        configs.Range(at_least=0),
        _ELSEWHERE,
    ] = 2
    recycle_after: Annotated[
        int | None, "evaluations after which a worker is replaced by a fresh one", _AT_LEAST_1, _ELSEWHERE
    ] = None
    ray_address: Annotated[
        str,
        "Ray cluster: auto for the running one, local for a fresh one on this machine, or host:port",
        configs.Needs("executor", ("ray",)),
    ] = "auto"

    def __post_init__(self):
        if not self.ray_address:
            raise ValueError("ray_address is empty; choose auto, local, or host:port")
