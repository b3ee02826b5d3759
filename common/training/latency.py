"""Measured latency: the time of the compiled forward pass of a network on the device at hand."""

import functools
import math
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np

from common import config as configs
from common import types

NAMES = ("latency", "latency_spread")
_SHORTEST = 1e-3  # seconds of a repeat, by several passes


@configs.dataclass
class Config:
    """Measurement of the latency of networks."""

    batch_size: Annotated[int, "images of a forward pass, whose seconds are the latency", configs.Range(at_least=1)] = 1
    num_repeats: Annotated[int, "timed repeats of at least a millisecond each", configs.Range(at_least=3)] = 100
    statistic: Annotated[
        Literal["median", "minimum"], "of the repeats; the minimum where other programs share the device"
    ] = "median"


class Latency(NamedTuple):
    """Time of a forward pass."""

    seconds: float  # the median or minimum of the repeats
    spread: float  # their interquartile range, relative to their median


def measure(network: Any, image_shape: tuple[int, int, int], config: Config) -> Latency:
    """Measures the forward pass of a network, compiled for the default device, on random weights.

    A repeat that would take less than a millisecond is the mean of several passes; each waits for its result.

    Args:
      network: Linen module of images.
      image_shape: (H, W, C).
    """
    images = np.random.default_rng(0).normal(size=(config.batch_size, *image_shape)).astype(np.float32)
    shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images)
    variables, images = jax.device_put((_random(shapes), images))
    run = jax.jit(functools.partial(network.apply, train=False)).lower(variables, images).compile()

    def seconds(num_passes):
        start = time.perf_counter()
        for _ in range(num_passes):
            jax.block_until_ready(run(variables, images))
        return (time.perf_counter() - start) / num_passes

    seconds(3)
    num_passes = math.ceil(_SHORTEST / seconds(3))
    times = [seconds(num_passes) for _ in range(config.num_repeats)]
    least, low, median, high = np.quantile(times, (0.0, 0.25, 0.5, 0.75)).tolist()
    return Latency(least if config.statistic == "minimum" else median, (high - low) / median)


def _random(shapes):
    """Returns weights that keep activations within a few orders of magnitude; statistics of norms are ones."""
    rng = np.random.default_rng(1)

    def values(path, leaf):
        if path[0].key != "params":
            return np.ones(leaf.shape, leaf.dtype)
        scale = max(1, math.prod(leaf.shape[:-1])) ** -0.5
        return (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(values, shapes)


def measured(
    evaluator: types.Evaluator, network: Callable[[np.ndarray], Any], image_shape: tuple[int, int, int], config: Config
) -> types.Evaluator:
    """Returns an evaluator that measures the latency too, as the costs "latency" and "latency_spread".

    Its name, which identifies the search, says how and on which kind of device.

    Args:
      evaluator: the source of fitness, not traceable; its recipe is kept, and must be one of the evaluator returned.
      network: one row int32[L] -> Linen module.
      image_shape: (H, W, C).
    """

    def evaluate(key, archs):
        found = evaluator.evaluate(key, archs)
        times = [
            measure(network(arch), image_shape, config) if ok else Latency(math.nan, math.nan)
            for arch, ok in zip(np.asarray(archs), np.asarray(found.ok), strict=True)
        ]
        columns = np.array(times, np.float32).reshape(len(times), 2).T
        return found.replace(costs={**found.costs, **dict(zip(NAMES, columns, strict=True))})

    defaults = Config(batch_size=config.batch_size)
    changed = [f"{name}={value}" for name, value in vars(config).items() if value != getattr(defaults, name)]
    how = ",".join(["latency", jax.devices()[0].device_kind, f"batch_size={config.batch_size}", *changed])
    name = f"{evaluator.name}/{how}"
    return evaluator._replace(name=name, evaluate=evaluate, measured=(*evaluator.measured, *NAMES))
