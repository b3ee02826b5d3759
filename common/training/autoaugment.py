"""AutoAugment's policy for CIFAR-10 (arXiv:1805.09501, appendix A), and RandAugment, as array programs.

One of 25 pairs of operations is sampled per image; each operation of the pair is applied with its probability. Two
forms were released with the papers of this project:

  lanet: magnitudes are uniform within one of 10 bins of their range, signs included; shears, translations and
    rotations use SciPy's cubic splines, with black outside the image.
  nao: magnitudes are one of 10 levels, with a random sign (rotations have none); translations and rotations use
    Pillow's nearest neighbour, shears its bicubic interpolation, with grey outside.

RandAugment (arXiv:1909.13719) applies random operations of one magnitude, in the form nao.

All other operations are Pillow's, byte for byte; only autocontrast may round an exact tie one level lower.

Cheap operations run on the whole batch and are selected; warps and equalization run on the images that sampled them.
"""

import functools
import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common.training import coloring, warping

FORMS = ("lanet", "nao")
OPERATIONS = ("nothing", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "equalize", *coloring.OPERATIONS)
_NUMBER = {name: number for number, name in enumerate(OPERATIONS)}

# (operation, probability, magnitude), twice.
POLICY = (
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("autocontrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("autocontrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 1)),
)


RANDOM = tuple(name for name in OPERATIONS if name != "invert")  # the 14 of RandAugment
MAX_MAGNITUDE = 10


@chex.dataclass(frozen=True)
class Draws:
    """The N operations of each image: two of AutoAugment."""

    operations: chex.Array  # int32[B, N], indices in `OPERATIONS`
    magnitudes: chex.Array  # float32[B, N], in the unit of the operation: radians, shares of the width, bits, factors


def augment(key: chex.PRNGKey, images: chex.Array, *, form: str) -> chex.Array:
    """Applies the policy in one of `FORMS` to uint8[B, H, W, C], images of 1 or 3 channels.

    Raises:
      ValueError: the form is unknown, or the images have another number of channels.
    """
    configs.one_of("form", form, FORMS)
    _check_channels(images)
    return _apply_all(images, draw(key, images.shape[0], form=form), form=form)


def randaugment(key: chex.PRNGKey, images: chex.Array, *, num_operations: int, magnitude: float) -> chex.Array:
    """Applies RandAugment to uint8[B, H, W, C], images of 1 or 3 channels.

    Args:
      num_operations: operations for each image, one after the other; each of `RANDOM` is as probable.
      magnitude: of all of them, from 0 (weakest) to `MAX_MAGNITUDE`; signs are random.

    Raises:
      ValueError: the images have another number of channels.
    """
    _check_channels(images)
    draws = draw_random(key, images.shape[0], num_operations=num_operations, magnitude=magnitude)
    return _apply_all(images, draws, form="nao")


def _check_channels(images):
    if images.shape[-1] not in (1, 3):
        raise ValueError(f"AutoAugment and RandAugment are for images of 1 or 3 channels; got {images.shape[-1]}")


def _apply_all(images, draws, *, form):
    drawn = draws.operations.T, draws.magnitudes.T
    return jax.lax.scan(lambda images, one: (apply(images, *one, form=form), None), images, drawn)[0]


def draw(key: chex.PRNGKey, batch_size: int, *, form: str) -> Draws:
    """Samples the operations of a batch."""
    pair_key, coin_key, magnitude_key = jax.random.split(key, 3)
    pairs = jax.random.randint(pair_key, (batch_size,), 0, len(POLICY))
    numbers, probabilities, lowest, highest = (jnp.asarray(column)[pairs] for column in _columns(form))
    is_applied = jax.random.uniform(coin_key, (batch_size, 2)) < probabilities
    share = jax.random.uniform(magnitude_key, (batch_size, 2))
    if form == "nao":
        share = jnp.round(share)  # one of the two signs
    magnitudes = lowest + share * (highest - lowest)
    return Draws(operations=jnp.where(is_applied, numbers, 0), magnitudes=magnitudes)


def draw_random(key: chex.PRNGKey, batch_size: int, *, num_operations: int, magnitude: float) -> Draws:
    """Samples the operations of RandAugment for a batch."""
    operation_key, sign_key = jax.random.split(key)
    chosen = jax.random.randint(operation_key, (batch_size, num_operations), 0, len(RANDOM))
    is_larger = jax.random.bernoulli(sign_key, shape=chosen.shape)
    bounds = np.array([_levels(name, 9 * magnitude / MAX_MAGNITUDE) for name in RANDOM], np.float32)
    bounds[RANDOM.index("rotate"), 0] *= -1
    numbers = np.array([_NUMBER[name] for name in RANDOM], np.int32)
    return Draws(
        operations=jnp.asarray(numbers)[chosen], magnitudes=jnp.asarray(bounds)[chosen, is_larger.astype(jnp.int32)]
    )


@functools.cache
def _columns(form):
    """Returns (operations, probabilities, lowest and highest magnitudes), each [25, 2]."""
    numbers = np.array([[_NUMBER[name] for name, _, _ in pair] for pair in POLICY], np.int32)
    probabilities = np.array([[probability for _, probability, _ in pair] for pair in POLICY], np.float32)
    bounds = {"lanet": _bin, "nao": _levels}[form]
    magnitudes = np.array([[bounds(name, at) for name, _, at in pair] for pair in POLICY], np.float32)
    return numbers, probabilities, magnitudes[..., 0], magnitudes[..., 1]


_SHIFT = 150 / 331  # of the size; the published ranges were made for images of 331 pixels


def _bin(name, at):
    """Returns the (least, greatest) magnitude of bin `at` of 10."""
    ranges = {
        **dict.fromkeys(("shear_x", "shear_y"), (-0.3, 0.3)),
        **dict.fromkeys(("translate_x", "translate_y"), (-_SHIFT, _SHIFT)),
        **dict.fromkeys(("contrast", "color", "brightness", "sharpness"), (0.1, 1.9)),
        "rotate": (-math.radians(30), math.radians(30)),
        "solarize": (0, 256),
        "posterize": (4, 8),
    }
    edges = np.linspace(*ranges.get(name, (0, 0)), 11)
    return edges[at], edges[at + 1]


def _levels(name, at):
    """Returns the two magnitudes of level `at`, from 0 to 9, which differ at most in their sign."""
    share = at / 9
    if name in ("contrast", "color", "brightness", "sharpness"):
        return 1 - 0.9 * share, 1 + 0.9 * share
    if name in ("shear_x", "shear_y", "translate_x", "translate_y"):
        most = 0.3 if name.startswith("shear") else _SHIFT
        return -most * share, most * share
    level = {"rotate": math.radians(30) * share, "solarize": 256 * (1 - share), "posterize": round(8 - 4 * share)}
    return (level.get(name, 0),) * 2


def apply(images: chex.Array, operations: chex.Array, magnitudes: chex.Array, *, form: str) -> chex.Array:
    """Applies an operation (int32[B], indices in `OPERATIONS`) with its magnitude (float32[B]) to each image."""
    is_warp = (operations >= _NUMBER["shear_x"]) & (operations <= _NUMBER["rotate"])
    images = on_some(functools.partial(_warp, form=form), images, (operations, magnitudes), is_warp)
    images = on_some(coloring.equalize, images, (), operations == _NUMBER["equalize"])
    return coloring.change(images, operations - _NUMBER[coloring.OPERATIONS[0]], magnitudes)


def on_some(
    function: Callable, images: chex.Array, arguments: tuple[chex.Array, ...], is_chosen: chex.Array
) -> chex.Array:
    """Applies a function to the chosen images of a batch, an eighth of it at a time; the others are unchanged.

    Args:
      function: (images, *arguments) -> images, row by row.
      images: [B, ...].
      arguments: arrays [B, ...].
      is_chosen: bool[B].
    """
    batch_size = images.shape[0]
    size = max(1, batch_size // 8)
    num_chosen = jnp.sum(is_chosen)
    # The chosen ones first; indices beyond the batch read the last image and are never written.
    order = jnp.pad(jnp.argsort(~is_chosen), (0, size), constant_values=batch_size)

    def advance(state):
        start, images = state
        at = jax.lax.dynamic_slice(order, (start,), (size,))
        part = function(*(values.at[at].get(mode="clip") for values in (images, *arguments)))
        is_due = start + jnp.arange(size) < num_chosen
        return start + size, images.at[jnp.where(is_due, at, batch_size)].set(part, mode="drop")

    return jax.lax.while_loop(lambda state: state[0] < num_chosen, advance, (jnp.int32(0), images))[1]


def _warp(images, operations, magnitudes, *, form):
    """Shears, translates or rotates each image."""
    size = images.shape[1:3]
    one, zero = jnp.ones_like(magnitudes), jnp.zeros_like(magnitudes)

    def of(name, value, otherwise):
        return jnp.where(operations == _NUMBER[name], value, otherwise)

    # Where a pixel comes from: matrix (rows, columns) and shift. LaNet's two shears are along the other axis.
    is_lanet = form == "lanet"
    down, right = ("shear_x", "shear_y") if is_lanet else ("shear_y", "shear_x")
    angle = magnitudes if is_lanet else -magnitudes
    cosine, sine = of("rotate", jnp.cos(angle), one), of("rotate", jnp.sin(angle), zero)
    rows = [cosine, of(down, magnitudes, -sine)], [of(right, magnitudes, sine), cosine]
    matrix = jnp.stack([jnp.stack(row, axis=1) for row in rows], axis=1)
    shifts = [of(name, magnitudes * side, zero) for name, side in zip(("translate_y", "translate_x"), size)]
    shift = jnp.stack(shifts, axis=1)
    if is_lanet:
        centre = jnp.array(size, jnp.float32) / 2 + 0.5
        return warping.spline(images, matrix, shift, jnp.broadcast_to(centre[None], shift.shape))
    is_shear = (operations == _NUMBER["shear_x"]) | (operations == _NUMBER["shear_y"])
    centre = jnp.where(is_shear[:, None], -0.5, (jnp.array(size, jnp.float32)[None] - 1) / 2)
    return warping.pillow(images, matrix, shift, centre, is_smooth=is_shear, fill=128)
