"""Modules whose parameters are copies in an array, of which a compiled loop applies one, for shared weights."""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from common import config as configs
from common.networks import styles

STATISTICS = ("batch", "collect", "given", "none")


def style(own: styles.Style, statistics: str) -> styles.Style:
    """Returns the style of a network with shared weights, see `Style.statistics`."""
    configs.one_of("statistics", statistics, STATISTICS)
    return dataclasses.replace(own, statistics=statistics)


def param(parent: nn.Module, name: str, module: nn.Module, sizes: tuple[int, ...], features: int) -> Any:
    """Returns the parameters of copies of a module, arrays [*sizes, ...], which become a parameter of `parent`.

    Args:
      parent: the network or a part of it, within its call.
      module: takes images and whether in training mode.
      sizes: number of copies, of one or several axes.
      features: channels of the images that it takes.
    """

    def init(key):
        images = jax.ShapeDtypeStruct((1, 4, 4, features), jnp.float32)
        return module.lazy_init(key, images, True).get("params", {})

    def copies(key):
        made = init
        for _ in sizes:
            made = jax.vmap(made)
        return made(jax.random.split(key, sizes) if sizes else key)

    return lazy_param(parent, name, copies)


def lazy_param(parent: nn.Module, name: str, init: Callable[..., Any], *args: Any) -> Any:
    """Returns `parent.param(name, init, *args)`, without tracing the initializer at every call."""
    if parent.has_variable("params", name):
        return parent.get_variable("params", name)
    return parent.param(name, init, *args)


def apply(module: nn.Module, weights: Any, given: Any, images: chex.Array) -> tuple[chex.Array, Any]:
    """Returns the output of a module with the given weights, and the statistics of its norms if it collects them."""
    variables = {"params": weights, "batch_stats": given}
    if module.style.statistics != "collect":
        return module.apply(variables, images, True), {}
    made, changed = module.apply(variables, images, True, mutable=["batch_stats"])
    return made, changed.get("batch_stats", {})
