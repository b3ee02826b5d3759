"""Baselines by name. A new one is one file and one entry of `ALGORITHMS`."""

from common import types
from common.baselines import local_search, random_search, regularized_evolution

ALGORITHMS: dict[str, types.Algorithm] = {
    module.ALGORITHM.name: module.ALGORITHM for module in (random_search, regularized_evolution, local_search)
}
