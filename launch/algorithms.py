"""Algorithms by name, with their default settings: what `launch.study` can compare."""

import dataclasses
import functools
from collections.abc import Callable

import lanas_jax.config
import lanas_jax.search
import nao_jax.presets
import nao_jax.search
from common import baselines, types


def _lanas(name: str) -> Callable[[types.SearchSpace], types.Searcher]:
    return functools.partial(lanas_jax.search.searcher, config=lanas_jax.config.PRESETS[name], name=name)


def _nao(name: str) -> Callable[[types.SearchSpace], types.Searcher]:
    return functools.partial(nao_jax.search.searcher, config=nao_jax.presets.PRESETS[name], name=name)


ALGORITHMS: dict[str, Callable[[types.SearchSpace], types.Searcher]] = {
    **{name: _lanas(name) for name in lanas_jax.config.PRESETS},
    **{name: _nao(name) for name in nao_jax.presets.PRESETS},
    **baselines.BASELINES,
}


def of_large_space(name: str) -> Callable[[types.SearchSpace], types.Searcher]:
    """Returns an algorithm for spaces that cannot be listed: LaNAS finds its candidates by a walk there."""
    if name not in lanas_jax.config.PRESETS:
        return ALGORITHMS[name]
    config = dataclasses.replace(lanas_jax.config.PRESETS[name], sampler="walk")
    return functools.partial(lanas_jax.search.searcher, config=config, name=name)
