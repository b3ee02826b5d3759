"""Baselines by name. A new one is one file and one line in each of the two dicts."""

from collections.abc import Callable

from common import types
from common.baselines import local_search, random_search, regularized_evolution

BASELINES: dict[str, Callable[..., types.Searcher]] = {
    "random": random_search.searcher,
    "regularized_evolution": regularized_evolution.searcher,
    "local_search": local_search.searcher,
}

CONFIGS: dict[str, type] = {
    "random": random_search.Config,
    "regularized_evolution": regularized_evolution.Config,
    "local_search": local_search.Config,
}
