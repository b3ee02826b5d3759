"""Settings of LaNAS and the published ones.

Paper: arXiv:1906.06832. Each disagreement between the paper and its released code is a field here;
`PRESETS` holds our defaults, the paper's algorithm and the released code's.
"""

import dataclasses
from typing import Annotated, Literal

from common import config as configs
from common import regression_targets as targets

_AT_LEAST_1 = configs.Range(at_least=1)
_AT_LEAST_0 = configs.Range(at_least=0)
_ADAM = configs.Needs("regressor", ("adam",))


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a LaNAS search."""

    height: Annotated[int, "levels of the tree, root and leaves included", configs.Range(at_least=1, at_most=16)] = 4
    front_height: Annotated[
        int | None, "levels of the tree in a search for several objectives; None: 2", configs.Range(1, at_most=16)
    ] = None
    num_initial: Annotated[int, "random architectures before the first fit", _AT_LEAST_1] = 10
    front_num_initial: Annotated[
        int | None,
        "random architectures before the first fit in a search for several objectives; None: 5, or num_initial if that "
        "is smaller",
        _AT_LEAST_1,
    ] = None
    num_select: Annotated[int, "new architectures between two fits of the tree", _AT_LEAST_1] = 5
    count: Annotated[int, "architectures proposed per round; at most num_select", _AT_LEAST_1] = 5
    regressor: Annotated[
        Literal["kernel", "ridge", "adam"],
        "model of the nodes: Gaussian process, linear as in the paper, or linear fitted as in the released code",
    ] = "kernel"
    features: Annotated[
        Literal["space", "one_hot", "integers"],
        "inputs of the models: the space's features, or its decisions, one-hot or as integers (distributed LaNAS)",
    ] = "space"
    target: Annotated[
        Literal[tuple(targets.TARGETS)], "regression target: scores of the ranks of fitness, or scaled fitness"
    ] = "normal_scores"
    failures: Annotated[
        Literal["worst", "none"] | None,
        "regression target of an infeasible architecture: the worst fitness so far, or none, as in the released code; "
        "None: worst",
    ] = None
    max_rows: Annotated[
        int | None,
        "architectures that the kernel regressor is fitted to, the best and the latest ones; None: 256",
        configs.Range(at_least=2, at_most=4096),
        configs.Needs("regressor", ("kernel",)),
    ] = None
    ridge: Annotated[float, "L2 penalty on a node's weights, or on their distance to the prior", _AT_LEAST_0] = 20.0
    prior: Annotated[Literal["parent", "zero"], "prior mean of a node's weights"] = "parent"
    min_samples: Annotated[int, "a node with fewer measured architectures uses its parent's model", _AT_LEAST_1] = 2
    threshold: Annotated[Literal["mean", "mean_prediction", "median"], "split value of a node"] = "mean"
    train_routing: Annotated[
        Literal["prediction", "value"],
        "whether measured architectures are routed by their prediction or by their value",
    ] = "prediction"
    exploration: Annotated[float, "constant c of the upper confidence bound", _AT_LEAST_0] = 0.1
    exploration_scale: Annotated[Literal["relative", "fixed"], "whether c is relative to the best value so far"] = (
        "relative"
    )
    ucb: Annotated[Literal["log", "sqrt"], "function of the parent's visits in the upper confidence bound"] = "log"
    reset: Annotated[
        Literal["recompute", "zero"], "visit counts after a fit: recomputed from the routed data, or zero"
    ] = "recompute"
    sampler: Annotated[
        Literal["pool", "reject", "walk", "hit_and_run"], "how candidates of a leaf are found; pool lists the space"
    ] = "pool"
    acquisition: Annotated[
        Literal["greedy", "uniform", "tempered", "expected_improvement", "thompson"],
        "which candidate of the leaf is proposed",
    ] = "expected_improvement"
    temperature: Annotated[
        float,
        "of the tempered acquisition, in standard deviations of the target",
        _AT_LEAST_0,
        configs.Needs("acquisition", ("tempered",)),
    ] = 0.1
    num_candidates: Annotated[int, "candidates per proposal, where the sampler is not pool", _AT_LEAST_1] = 256
    max_batches: Annotated[
        int, "batches of candidates before a proposal falls back to an ancestor's region", _AT_LEAST_1
    ] = 8
    walk_steps: Annotated[
        int, "steps of a random walk to a candidate; of hit_and_run, steps per decision", _AT_LEAST_1
    ] = 8
    adam_steps_first: Annotated[int, "steps of the adam regressor in the first fit", _AT_LEAST_1, _ADAM] = 20_000
    adam_steps: Annotated[int, "steps of the adam regressor in later fits", _AT_LEAST_1, _ADAM] = 3_000

    def __post_init__(self):
        configs.validate(self)
        configs.require(
            (
                self.count <= self.num_select,
                f"count must be at most num_select ({self.num_select}), as a fit serves whole rounds; got {self.count}",
            ),
            (
                self.ridge > 0 or self.regressor == "adam",
                "ridge must be above 0 unless the regressor is adam; got 0 (no unique fit of small nodes)",
            ),
            (
                self.sampler != "hit_and_run" or self.features == "one_hot",
                f"sampler 'hit_and_run' requires features 'one_hot'; got {self.features!r}",
            ),
            (
                self.regressor != "kernel" or (self.acquisition != "thompson" and self.sampler != "hit_and_run"),
                "regressor 'kernel' allows neither acquisition 'thompson' nor sampler 'hit_and_run'; set "
                "regressor to 'ridge'",
            ),
            (
                self.temperature > 0 or self.acquisition != "tempered",
                "temperature must be above 0 with acquisition 'tempered'; for 0 use 'greedy'",
            ),
        )

    @property
    def num_nodes(self) -> int:
        """All nodes: 2^height - 1."""
        return 2**self.height - 1


_LINEAR = Config(regressor="ridge", target="exponential_scores", acquisition="greedy")
_PAPER = Config(
    regressor="ridge",
    height=5,
    num_initial=10,
    num_select=20,
    count=20,
    target="fitness",
    failures="none",
    prior="zero",
    ridge=1e-3,
    acquisition="uniform",
)

PRESETS: dict[str, Config] = {
    "lanas": Config(),
    "lanas_uniform": dataclasses.replace(_LINEAR, acquisition="uniform", height=6),
    "lanas_linear": _LINEAR,
    "lanas_paper": _PAPER,
    "lanas_official": dataclasses.replace(
        _PAPER,
        regressor="adam",
        threshold="mean_prediction",
        train_routing="value",
        exploration_scale="fixed",
        count=1,
        min_samples=1,
    ),
}
