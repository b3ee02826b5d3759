"""Arrays of images with labels, and the checks that every dataset passes."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Images with labels.

    Attributes:
      images: uint8[N, H, W, C].
      labels: int32[N], from 0.
      groups: int32[N], from 0: images of one group show the same object and are held out together; None: no groups.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __len__(self):
        return len(self.labels)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Training images, from which validation images are held out, and test images for final results only.

    Attributes:
      num_classes: K; labels are 0 to K - 1.
      mean: mean of each channel over the training images, of pixels / 255.
      std: standard deviation, likewise.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def make(
    name: str,
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    *,
    source: str,
    num_classes: int | None = None,
    statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    groups: np.ndarray | None = None,
) -> Dataset:
    """Returns a dataset of checked arrays.

    Args:
      name: of the dataset.
      train: (uint8[N, H, W, C] or uint8[N, H, W], labels: integers [N] or [N, 1]).
      test: the same.
      source: origin of the arrays, for error messages.
      num_classes: K; by default one more than the largest label.
      statistics: (mean, std) of each channel, of pixels / 255; by default those of the training images.
      groups: integers [N] of the training images, see `Split`.

    Raises:
      ValueError: if a shape, a type or a label is wrong.
    """
    parts = {"train": check(*train, source=f"train of {source}"), "test": check(*test, source=f"test of {source}")}
    shapes = {part: split.images.shape[1:] for part, split in parts.items()}
    if shapes["train"] != shapes["test"]:
        raise ValueError(f"{source}: images of train are {shapes['train']} and of test {shapes['test']}; want one size")
    if num_classes is None:
        num_classes = 1 + max(int(split.labels.max()) for split in parts.values())
    for part, split in parts.items():
        if len(wrong := np.flatnonzero(split.labels >= num_classes)):
            place = f"label {split.labels[wrong[0]]} of image {wrong[0]} in {part} of {source}"
            raise ValueError(f"{place}: there are {num_classes} classes, so labels go from 0 to {num_classes - 1}")
    if groups is not None:
        parts["train"] = dataclasses.replace(parts["train"], groups=np.asarray(groups, np.int32))
    mean, std = statistics or measure(parts["train"].images)
    return Dataset(name=name, num_classes=num_classes, mean=tuple(mean), std=tuple(std), **parts)


def check(images: np.ndarray, labels: np.ndarray, *, source: str) -> Split:
    """Returns a split of these arrays, or raises a `ValueError` if they are invalid."""
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8:
        raise ValueError(f"{source}: images are {images.dtype}; want uint8, pixels from 0 to 255")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(f"{source}: images have shape {images.shape}; want [N, height, width, channels], all above 0")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise ValueError(f"{source}: labels are {labels.dtype} of shape {labels.shape}; want integers [N]")
    if len(labels) != len(images):
        raise ValueError(f"{source}: {len(images)} images but {len(labels)} labels")
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = np.flatnonzero((labels < 0) | (labels > np.iinfo(np.int32).max))[0]
        raise ValueError(f"{source}: label {labels[wrong]} of image {wrong}; labels are classes, from 0 up")
    return Split(images=np.ascontiguousarray(images), labels=labels.astype(np.int32))


def measure(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns (mean, standard deviation or 1 if it is 0) of each channel of uint8[N, H, W, C], of pixels / 255."""
    values = np.arange(256) / 255  # their counts make the sums exact
    counts = np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])])
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt(np.sum(shares * (values - mean[:, None]) ** 2, axis=1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
