"""The settings of LaNAS, their meaning and the published ones.

Paper: arXiv:1906.06832. Where paper and released code disagree there is a switch, and `PRESETS` holds
our default, the paper's algorithm and the released code's.
"""

import dataclasses
from typing import Annotated

from common import regression_targets as targets

REGRESSORS = ("ridge", "adam")
FEATURES = ("space", "one_hot")
PRIORS = ("parent", "zero")
THRESHOLDS = ("mean", "mean_prediction", "median")
ROUTINGS = ("prediction", "value")
EXPLORATION_SCALES = ("relative", "fixed")
UCBS = ("log", "sqrt")
RESETS = ("recompute", "zero")
SAMPLERS = ("pool", "reject", "walk", "hit_and_run")
ACQUISITIONS = ("greedy", "uniform", "tempered", "expected_improvement", "thompson")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a LaNAS search."""

    height: Annotated[int, "levels of the tree, the root's and the leaves' included"] = 4
    num_initial: Annotated[int, "architectures drawn at random before the first fit"] = 10
    num_select: Annotated[int, "new architectures between two fits of the tree"] = 5
    count: Annotated[int, "architectures proposed a round; at most num_select"] = 5
    regressor: Annotated[str, f"how a node's linear model is fitted: {', '.join(REGRESSORS)}"] = "ridge"
    features: Annotated[str, "what the models read: the space's features, or its one-hot decisions"] = "space"
    target: Annotated[str, f"what is fitted, scores of ranks or scaled fitness: {', '.join(targets.TARGETS)}"] = (
        "exponential_scores"
    )
    ridge: Annotated[float, "penalty on a node's squared weights (or on their distance to the parent's)"] = 20.0
    prior: Annotated[str, "what a node's weights are drawn to: the parent's weights, or zero"] = "parent"
    min_samples: Annotated[int, "a node with fewer measured architectures takes its parent's model"] = 2
    threshold: Annotated[str, f"where a node is split: {', '.join(THRESHOLDS)}"] = "mean"
    train_routing: Annotated[str, "measured ones go down by their prediction or by their value"] = "prediction"
    exploration: Annotated[float, "the constant c of the upper confidence bound"] = 0.1
    exploration_scale: Annotated[str, "whether c is relative to the best value so far, or fixed"] = "relative"
    ucb: Annotated[str, "the parent's count enters the bound by its log, or by its square root"] = "log"
    reset: Annotated[str, "node counts at a fit: recomputed from the routed data, or zero"] = "recompute"
    sampler: Annotated[str, f"how candidates of a leaf are found: {', '.join(SAMPLERS)}"] = "pool"
    acquisition: Annotated[str, f"which candidate of the leaf is taken: {', '.join(ACQUISITIONS)}"] = "greedy"
    temperature: Annotated[float, "of the tempered acquisition, in standard deviations of the target"] = 0.1
    num_candidates: Annotated[int, "candidates a draw chooses from, where the sampler is not the pool"] = 256
    max_batches: Annotated[int, "batches of candidates before a draw falls back to the ancestor's region"] = 8
    walk_steps: Annotated[int, "steps of a random walk to a candidate; of hit-and-run, steps a decision"] = 8
    adam_steps_first: Annotated[int, "steps of the adam regressor at the first fit"] = 20_000
    adam_steps: Annotated[int, "steps of the adam regressor at later fits"] = 3_000

    @property
    def num_inner(self) -> int:
        """Nodes that split: 2^(height-1) - 1."""
        return 2 ** (self.height - 1) - 1

    @property
    def num_nodes(self) -> int:
        """All nodes: 2^height - 1."""
        return 2**self.height - 1


_PAPER = Config(
    height=5,
    num_initial=10,
    num_select=20,
    count=20,
    target="fitness",
    prior="zero",
    ridge=1e-3,
    acquisition="uniform",
)

PRESETS: dict[str, Config] = {
    "lanas": Config(),
    "lanas_uniform": Config(acquisition="uniform", height=6),
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


def validate(config: Config) -> None:
    """Raises a `ValueError` that names the first field that is out of range."""
    for field, allowed in (
        ("regressor", REGRESSORS),
        ("features", FEATURES),
        ("target", targets.TARGETS),
        ("prior", PRIORS),
        ("threshold", THRESHOLDS),
        ("train_routing", ROUTINGS),
        ("exploration_scale", EXPLORATION_SCALES),
        ("ucb", UCBS),
        ("reset", RESETS),
        ("sampler", SAMPLERS),
        ("acquisition", ACQUISITIONS),
    ):
        value = getattr(config, field)
        if value not in allowed:
            raise ValueError(f"{field} is {value!r}; choose one of {', '.join(allowed)}")
    for field, low in (
        ("height", 1),
        ("num_initial", 1),
        ("num_select", 1),
        ("count", 1),
        ("min_samples", 1),
        ("num_candidates", 1),
        ("max_batches", 1),
        ("walk_steps", 1),
        ("adam_steps_first", 1),
        ("adam_steps", 1),
    ):
        value = getattr(config, field)
        if value < low:
            raise ValueError(f"{field} is {value}; it must be at least {low}")
    if config.height > 16:
        raise ValueError(f"height is {config.height}; at most 16 (32,768 leaves) is supported")
    if config.count > config.num_select:
        raise ValueError(
            f"count is {config.count}, above num_select, {config.num_select}; a round cannot outlast the fit it draws "
            "from: lower count or raise num_select"
        )
    for field in ("ridge", "temperature", "exploration"):
        value = getattr(config, field)
        if not value >= 0:
            raise ValueError(f"{field} is {value}; it must be at least 0")
    if config.ridge == 0 and config.regressor == "ridge":
        raise ValueError("ridge is 0; a node with fewer samples than features then has no unique fit: take a small one")
    if config.sampler == "hit_and_run" and config.features != "one_hot":
        raise ValueError(
            f"hit_and_run walks through relaxed one-hot decisions: features must be 'one_hot'; got {config.features!r}"
        )
    if config.temperature == 0 and config.acquisition == "tempered":
        raise ValueError("temperature is 0; take the greedy acquisition instead")
