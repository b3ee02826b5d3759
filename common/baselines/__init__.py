"""Baselines by name. A new one is one file and one entry of `ALGORITHMS`."""

from common import types
from common.baselines import (
    bananas,
    bayesian_optimization,
    lamcts,
    local_search,
    mcts,
    nsga2,
    random_search,
    regularized_evolution,
    weaknas,
)

ALGORITHMS: dict[str, types.Algorithm] = {
    module.ALGORITHM.name: module.ALGORITHM
    for module in (
        random_search,
        regularized_evolution,
        local_search,
        nsga2,
        bayesian_optimization,
        bananas,
        mcts,
        lamcts,
        weaknas,
    )
}
