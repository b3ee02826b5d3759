"""Image augmentation and normalization, as part of the compiled training step.

The order is that of the published programs: crop, flip, AutoAugment (arXiv:1805.09501) or RandAugment
(arXiv:1909.13719), normalization, cutout (arXiv:1708.04552) or random erasing (arXiv:1708.04896); last mixup
(arXiv:1710.09412) or CutMix (arXiv:1905.04899) of the batch. Every random choice is sampled first (`draw_...`) and
applied by a separate function, so that each can be tested alone.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import chex
import jax
import jax.numpy as jnp

from common import config as configs
from common.config import Needs, Range
from common.training import autoaugment, erasing

_MIXED = Needs("mixing", ("mixup", "cutmix"))
_POLICIES = ("none", *autoaugment.FORMS)
_MAGNITUDES = Range(at_least=0, at_most=autoaugment.MAX_MAGNITUDE)  # the field hides the module


@configs.dataclass
class Config:
    """Augmentation of training images; the defaults are those of NAONet in PyTorch on CIFAR."""

    crop_padding: Annotated[
        int, "black pixels added on each side before a random crop to the original size; 0: no crop", Range(at_least=0)
    ] = 4
    flip: Annotated[bool, "whether to mirror half of the images horizontally"] = True
    autoaugment: Annotated[
        Literal[_POLICIES],
        "AutoAugment's policy for CIFAR-10 as released with a paper: none, lanet (magnitudes uniform in bins, spline "
        "interpolation), nao (fixed magnitudes, Pillow's interpolation)",
    ] = "none"
    randaugment: Annotated[
        int | None, "operations of RandAugment for each image; None: no RandAugment", Range(at_least=1)
    ] = None
    randaugment_magnitude: Annotated[
        float | None, "magnitude of all operations of RandAugment, 10 the strongest; None: 9", _MAGNITUDES
    ] = None
    erasing: Annotated[
        float | None,
        "random erasing: probability that a rectangle of 2 to 33 % of an image becomes noise; None: 0",
        Range(at_least=0, at_most=1),
    ] = None
    cutout: Annotated[
        Literal["none", "centre", "corner"],
        "a square set to 0 after normalization: none, centre (uniform centre, clipped on all sides: PyTorch), "
        "corner (uniform top left corner, clipped at the bottom and the right: TensorFlow)",
    ] = "centre"
    cutout_size: Annotated[
        int, "side of the square of cutout, in pixels", Range(at_least=1), Needs("cutout", ("centre", "corner"))
    ] = 16
    normalization: Annotated[
        Literal["channel", "image"],
        "channel (mean and standard deviation of each channel of the training set), image (those of each image)",
    ] = "channel"
    mixing: Annotated[Literal["none", "mixup", "cutmix"], "mixing of the images of a batch and their labels"] = "none"
    mixing_beta: Annotated[float, "shares are sampled from Beta(mixing_beta, mixing_beta)", Range(above=0), _MIXED] = (
        1.0
    )
    mixing_probability: Annotated[float, "probability of each mix, per image", Range(at_least=0, at_most=1), _MIXED] = (
        1.0
    )
    num_mixes: Annotated[int, "mixes applied to an image, one after the other", Range(at_least=1), _MIXED] = 1

    def __post_init__(self):
        configs.require(
            (
                self.randaugment is None or self.autoaugment == "none",
                f"randaugment needs autoaugment 'none'; got autoaugment {self.autoaugment!r}",
            ),
            (
                self.randaugment is not None or self.randaugment_magnitude is None,
                "randaugment_magnitude needs randaugment, the number of operations for each image, such as 2",
            ),
            (not self.erasing or self.cutout == "none", f"erasing needs cutout 'none'; got cutout {self.cutout!r}"),
        )


# Published settings, and `none` and `digits` of our own.
PRESETS: dict[str, Config] = {
    "none": Config(crop_padding=0, flip=False, cutout="none"),
    "digits": Config(crop_padding=1, flip=False, cutout="none"),
    "standard": Config(cutout="none"),
    "naonet": Config(),
    "naonet_tensorflow": Config(cutout="corner", normalization="image"),
    "naonet_autoaugment": Config(autoaugment="nao"),
    "lanet": Config(autoaugment="lanet", cutout="none", mixing="cutmix", mixing_probability=0.5, num_mixes=2),
}


def describe(config: Config) -> str:
    """Returns the description of an augmentation, which continues a sentence that begins with "an image is"."""
    found = []
    if config.crop_padding:
        pixels = f"{config.crop_padding} pixel{'s' * (config.crop_padding > 1)}"
        found.append(f"shifted by up to {pixels} in each direction, with black edges")
    if config.flip:
        found.append("mirrored with probability one half")
    if config.autoaugment != "none":
        found.append(f"changed by AutoAugment's policy ({config.autoaugment})")
    if config.randaugment:
        found.append(f"changed by {config.randaugment} random operations (RandAugment)")
    if config.erasing:
        found.append(f"covered by a rectangle of noise with probability {config.erasing:g}")
    if config.cutout != "none":
        found.append(f"covered by a grey square of {config.cutout_size} pixels")
    if config.mixing != "none":
        found.append(f"mixed with another one ({config.mixing})")
    return ", ".join(found) or "shown as it is"


def augment(
    key: chex.PRNGKey, images: chex.Array, config: Config, mean: Sequence[float], std: Sequence[float]
) -> chex.Array:
    """Returns float32[B, H, W, C], augmented and normalized images; the arguments are those of `normalize`."""
    chex.assert_rank(images, 4)
    batch_size, height, width, _ = images.shape
    crop_key, flip_key, policy_key, cutout_key = jax.random.split(key, 4)
    if config.crop_padding:
        images = crop(images, draw_crops(crop_key, batch_size, config.crop_padding), config.crop_padding)
    if config.flip:
        images = flip(images, jax.random.bernoulli(flip_key, shape=(batch_size,)))
    if config.autoaugment != "none":
        images = autoaugment.augment(policy_key, images, form=config.autoaugment)
    if config.randaugment:
        magnitude = 9.0 if config.randaugment_magnitude is None else config.randaugment_magnitude
        images = autoaugment.randaugment(policy_key, images, num_operations=config.randaugment, magnitude=magnitude)
    values = normalize(images, mean, std, normalization=config.normalization)
    if config.erasing:
        values = erasing.erase(cutout_key, values, config.erasing)
    if config.cutout != "none":
        values = cut_out(values, draw_squares(cutout_key, batch_size, (height, width), config))
    return values


def normalize(
    images: chex.Array, mean: Sequence[float], std: Sequence[float], *, normalization: str = "channel"
) -> chex.Array:
    """Returns float32[B, H, W, C], normalized images.

    Args:
      images: uint8[B, H, W, C].
      mean: of each channel, of pixels / 255.
      std: standard deviation, likewise.
      normalization: "channel": (pixels / 255 - mean) / std; "image": see `standardize`; mean and std are ignored.
    """
    if normalization == "image":
        return standardize(images)
    mean, std = (jnp.asarray(values, jnp.float32)[None, None, None] for values in (mean, std))
    return (images.astype(jnp.float32) / 255 - mean) / std


def standardize(images: chex.Array) -> chex.Array:
    """Returns images with mean 0 and standard deviation 1 each, as `tf.image.per_image_standardization`.

    The deviation, in units of pixel values, is at least 1 / sqrt(H W C): an image of one colour becomes 0.
    """
    values = images.astype(jnp.float32)
    mean, deviation = (reduce(values, axis=(1, 2, 3), keepdims=True) for reduce in (jnp.mean, jnp.std))
    return (values - mean) / jnp.maximum(deviation, values[0].size ** -0.5)


def draw_crops(key: chex.PRNGKey, batch_size: int, padding: int) -> chex.Array:
    """Returns int32[B, 2], the row and column of each crop's top left corner in the padded image."""
    return jax.random.randint(key, (batch_size, 2), 0, 2 * padding + 1)


def crop(images: chex.Array, corners: chex.Array, padding: int) -> chex.Array:
    """Pads every image with `padding` zeros and crops it to its size, at `corners` (int32[B, 2])."""
    size = images.shape[1:]
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return jax.vmap(lambda image, corner: jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), size))(
        padded, corners
    )


def flip(images: chex.Array, is_flipped: chex.Array) -> chex.Array:
    """Mirrors the images where `is_flipped` (bool[B]) horizontally."""
    return jnp.where(is_flipped[:, None, None, None], images[:, :, ::-1], images)


def draw_squares(key: chex.PRNGKey, batch_size: int, image_size: tuple[int, int], config: Config) -> chex.Array:
    """Returns int32[B, 2, 2], the start and end (exclusive) of each square by (rows, columns), unclipped."""
    at = jax.random.randint(key, (batch_size, 2), 0, jnp.array(image_size)[None])
    half = config.cutout_size // 2
    first, last = (at - half, at + half) if config.cutout == "centre" else (at, at + config.cutout_size)
    return jnp.stack([first, last], axis=2)


def cut_out(values: chex.Array, boxes: chex.Array) -> chex.Array:
    """Sets `values` (float32[B, H, W, C]) to 0 inside `boxes` (int32[B, 2, 2], see `draw_squares`)."""
    return jnp.where(erasing.is_inside(boxes, values.shape[1:3])[..., None], 0.0, values)


def mix(key: chex.PRNGKey, images: chex.Array, targets: chex.Array, config: Config) -> tuple[chex.Array, chex.Array]:
    """Mixes images (float32[B, H, W, C]) of a batch, and their targets (float32[B, K]) in the same shares.

    The partners of each mix are a permutation of the unmixed batch. (LaNet's code samples them from the training set.)
    """
    if config.mixing == "none":
        return images, targets
    mixed, mixed_targets = images, targets
    for mix_key in jax.random.split(key, config.num_mixes):
        partner_key, coin_key, share_key, box_key = jax.random.split(mix_key, 4)
        partners = jax.random.permutation(partner_key, images.shape[0])
        is_mixed = jax.random.bernoulli(coin_key, config.mixing_probability, (images.shape[0],))
        shares = draw_shares(share_key, images.shape[0], config.mixing_beta)
        if config.mixing == "mixup":
            shares = jnp.where(is_mixed, shares, 1.0)
            mixed = blend(mixed, images[partners], shares)
        else:
            boxes = jnp.where(is_mixed[:, None, None], draw_boxes(box_key, shares, images.shape[1:3]), 0)
            mixed, shares = paste(mixed, images[partners], boxes)
        mixed_targets = blend(mixed_targets, targets[partners], shares)
    return mixed, mixed_targets


def draw_shares(key: chex.PRNGKey, batch_size: int, beta: float) -> chex.Array:
    """Returns float32[B] samples of Beta(beta, beta); uniform for beta = 1, which is much cheaper to sample."""
    if beta == 1:
        return jax.random.uniform(key, (batch_size,))
    return jax.random.beta(key, beta, beta, (batch_size,))


def blend(values: chex.Array, others: chex.Array, shares: chex.Array) -> chex.Array:
    """Returns shares * values + (1 - shares) * others, with a share (float32[B]) per image."""
    shares = shares.reshape(-1, *[1] * (values.ndim - 1))
    return shares * values + (1 - shares) * others


def draw_boxes(key: chex.PRNGKey, shares: chex.Array, image_size: tuple[int, int]) -> chex.Array:
    """Returns boxes, see `draw_squares`, that leave about `shares` (float32[B]) of an image uncovered.

    Sides are those of the image times sqrt(1 - share), rounded down to even numbers; boxes may exceed the image.
    """
    size = jnp.array(image_size)[None]
    centres = jax.random.randint(key, (shares.shape[0], 2), 0, size)
    halves = (size * jnp.sqrt(1 - shares)[:, None]).astype(jnp.int32) // 2
    return jnp.stack([centres - halves, centres + halves], axis=2)


def paste(images: chex.Array, others: chex.Array, boxes: chex.Array) -> tuple[chex.Array, chex.Array]:
    """Returns (images with the pixels of `others` inside `boxes`, float32[B]: share of its pixels each image keeps)."""
    is_pasted = erasing.is_inside(boxes, images.shape[1:3])
    shares = jnp.mean(~is_pasted, axis=(1, 2), dtype=jnp.float32)
    return jnp.where(is_pasted[..., None], others, images), shares
