"""The plain ConvNet space of the LaNAS paper's motivating example (arXiv:1906.06832v1, section 1).

One to five convolution layers, each with one of two widths and one of two kernels: 4 + 4^2 + ... + 4^5
= 1,364 networks. The evaluator defines the two widths and kernels.
"""

import itertools

import chex
import jax.numpy as jnp
import numpy as np

from common import types
from common.spaces import factory

MAX_DEPTH = 5
LAYERS = ("narrow-small", "narrow-large", "wide-small", "wide-large")  # width and kernel
NUM_LAYERS = len(LAYERS)
SMALLEST, LARGEST = (1, *(0,) * (MAX_DEPTH - 1)), (NUM_LAYERS,) * MAX_DEPTH


def space() -> types.SearchSpace:
    """Returns the space: decision l is 0 for no layer, else 1 + 2 * is_wide + is_large_kernel.

    A missing layer is the identity, so rows that differ only in the places of missing layers are one network; the
    canonical row has its layers first.
    """
    return factory.search_space(
        "convnet",
        (1 + NUM_LAYERS,) * MAX_DEPTH,
        size=sum(NUM_LAYERS**depth for depth in range(1, MAX_DEPTH + 1)),
        describe=describe,
        is_valid=lambda archs: jnp.any(archs > 0, axis=-1),
        canonicalize=_canonicalize,
        enumerate_rows=_enumerate,
    )


def extremes(archs: chex.Array) -> chex.Array:
    """Returns int32[2, 5], the largest and the smallest network, whatever the rows."""
    return jnp.array((LARGEST, SMALLEST), archs.dtype)


def describe(arch: np.ndarray) -> str:
    """Returns a text of one row (5,), such as `narrow-small wide-large`."""
    return " ".join(LAYERS[kind - 1] for kind in np.asarray(arch).tolist() if kind)


def _canonicalize(archs: chex.Array) -> chex.Array:
    order = jnp.argsort(archs == 0, axis=-1, stable=True)
    return jnp.take_along_axis(archs, order, axis=-1)


def _enumerate() -> np.ndarray:
    full = np.array(list(itertools.product(range(1 + NUM_LAYERS), repeat=MAX_DEPTH)), np.int32)
    is_packed = np.all((full[:, :-1] > 0) | (full[:, 1:] == 0), axis=1)
    return full[is_packed & (full[:, 0] > 0)]
