"""Costs of architectures among the features that models of a search learn from."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from common import compilation, types
from common.spaces.limits import Cost

_NUM_STANDARDIZED = 512  # random architectures whose costs have mean 0 and deviation 1
_SCALE = 2.0  # of these among features that are 0 or 1: docs/experiments/supernet.md


def with_costs(space: types.SearchSpace, costs: Mapping[str, Cost]) -> types.SearchSpace:
    """Returns a space with the logarithms of parameters and multiply-adds, standardized, among its features.

    The seconds of a training depend mostly on them, and few candidates do not show how on the decisions.
    """

    def logarithms(archs):
        return jnp.stack([jnp.log(costs[name](archs)) for name in ("params", "macs")], axis=-1).astype(jnp.float32)

    sampled = logarithms(space.sample(jax.random.key(0), _NUM_STANDARDIZED))
    mean = jnp.mean(sampled, axis=0, keepdims=True)
    deviation = jnp.maximum(jnp.std(sampled, axis=0, keepdims=True), 1e-6)

    def features(archs):
        added = _SCALE * (logarithms(archs) - mean) / deviation
        return jnp.concatenate([space.features(archs), added], axis=-1)

    return space._replace(features=compilation.one_program(features))
