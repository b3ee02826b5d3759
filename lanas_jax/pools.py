"""The rows that LaNAS chooses from: a listed space, and what a searcher knows before it starts."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import front_improvement, types
from common import objectives as objectives_lib
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import grid

MAX_LISTED = 2_000_000  # networks of a space that the "pool" sampler lists by itself


class Setting(NamedTuple):
    """Static part of a searcher: the space, the settings, and archs -> features."""

    space: types.SearchSpace
    config: configs.Config
    features: Callable[[chex.Array], chex.Array]


@chex.dataclass(frozen=True)
class Pool:
    """Rows of a space that is small enough to list, and several objectives, which may hold arrays."""

    archs: chex.Array  # int32[P, L], distinct canonical rows in lexicographic order
    features: chex.Array  # float32[P, F]
    grid: grid.Grid  # the features as the kernel regressor predicts from them
    goal: front_improvement.Goal | None = None  # the objectives; None for the fitness alone


def setting(space: types.SearchSpace, config: configs.Config) -> Setting:
    """Returns the static part of a search on `space`."""
    features = space.features
    if config.features == "one_hot":
        features = functools.partial(factory.one_hot, num_choices=space.num_choices)
    elif config.features == "integers":
        features = functools.partial(jnp.asarray, dtype=jnp.float32)
    return Setting(space=space, config=config, features=features)


def is_listable(space: types.SearchSpace) -> bool:
    """Returns whether the "pool" sampler can list a space."""
    return space.enumerate is not None and space.size <= MAX_LISTED


def for_space(space: types.SearchSpace, config: configs.Config) -> configs.Config:
    """Returns `config` with the sampler "walk" in place of "pool" for a space that cannot be listed."""
    if config.sampler != "pool" or is_listable(space):
        return config
    return dataclasses.replace(config, sampler="walk")


def list_pool(setting: Setting, pool: np.ndarray | None, objectives: objectives_lib.Objectives | None = None) -> Pool:
    """Returns the `Pool`, empty if the sampler does not use it; a `ValueError` for a space too large to list."""
    space, length = setting.space, len(setting.space.num_choices)
    num_features = setting.features(np.zeros((1, length), np.int32)).shape[1]
    if setting.config.sampler != "pool":
        none = no_pool(length, num_features)
        return none.replace(goal=front_improvement.goal(objectives, space, none.archs))
    if pool is None:
        if not is_listable(space):
            problem = f"has {space.size} networks, more than the {MAX_LISTED} that the 'pool' sampler lists"
            if space.enumerate is None:
                problem = "lists no networks (its factory takes enumerate_rows), as the 'pool' sampler needs"
            raise ValueError(f"{space.name} {problem}; set sampler to 'reject' or 'walk', or give a pool of rows")
        pool = space.enumerate()
    else:
        factory.check_rows(pool, space)
        pool = np.unique(pool.astype(np.int32), axis=0)
    features = np.concatenate(
        [np.asarray(jax.jit(setting.features)(pool[at : at + 65536]), np.float32) for at in range(0, len(pool), 65536)]
    )
    return Pool(
        archs=jnp.asarray(pool, jnp.int32),
        features=jnp.asarray(features),
        grid=grid.of_features(features),
        goal=front_improvement.goal(objectives, space, pool),
    )


def no_pool(num_decisions: int, num_features: int) -> Pool:
    """Returns a `Pool` without rows."""
    features = np.zeros((0, num_features), np.float32)
    archs = jnp.zeros((0, num_decisions), jnp.int32)
    return Pool(archs=archs, features=jnp.asarray(features), grid=grid.of_features(features))
