"""Arrays of images with labels, and the checks that every dataset passes."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from common.records import run_dir

_CHANNELS = (1, 2, 3, 4)


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
    """Training images, from which validation images are held out, and test images for final results only."""

    name: str
    train: Split
    test: Split
    num_classes: int  # K; labels are 0 to K - 1
    mean: tuple[float, ...]  # mean of each channel over the training images, of pixels / 255
    std: tuple[float, ...]  # standard deviation, likewise
    notes: tuple[str, ...] = ()  # what is unusual about the files that it was read from
    class_names: tuple[str, ...] = ()  # of all classes, or none where they are not known


def checksum(splits: Iterable[Split]) -> int:
    """Returns the checksum of images and labels."""
    return run_dir.checksum(array for split in splits for array in (split.images, split.labels))


def make(
    name: str,
    train: Sequence[np.ndarray],
    test: Sequence[np.ndarray] | None,
    *,
    source: str,
    num_classes: int | None = None,
    statistics: tuple[Sequence[float], Sequence[float]] | None = None,
    groups: np.ndarray | None = None,
    notes: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> Dataset:
    """Returns a dataset of checked arrays.

    Args:
      train: (uint8[N, H, W, C] or uint8[N, H, W], labels: integers [N] or [N, 1]).
      test: the same; None: a fifth of the training images of each class, always the same ones, are the test images.
      source: origin of the arrays, for error messages.
      num_classes: K; by default one more than the largest label.
      statistics: (mean, std) of each channel, of pixels / 255; by default those of the training images.
      groups: integers [N] of the training images, see `Split`.
      notes: see `Dataset`.
      class_names: likewise.

    Raises:
      ValueError: if a shape, a type or a label is wrong.
    """
    if test is None:
        train, test = _hold_out_test(check(*train, source=source), source)
        notes = (*notes, f"no test images are given: {len(test[1]):,}, a fifth of each class, are held out as such")
    parts = {"train": check(*train, source=f"train of {source}"), "test": check(*test, source=f"test of {source}")}
    shapes = {part: split.images.shape[1:] for part, split in parts.items()}
    if shapes["train"] != shapes["test"]:
        raise ValueError(f"{source}: images of train are {shapes['train']} and of test {shapes['test']}; want one size")
    if num_classes is None:
        num_classes = _count_classes(parts, source)
    for part, split in parts.items():
        if len(wrong := np.flatnonzero(split.labels >= num_classes)):
            place = f"label {split.labels[wrong[0]]} of image {wrong[0]} in {part} of {source}"
            given = f"{num_classes} {'class_names, one a class' if class_names else 'classes'}"
            raise ValueError(f"{place}: there are {given}, so labels go from 0 to {num_classes - 1}")
    highest = {part: int(split.images.max()) for part, split in parts.items()}
    if min(highest.values()) == 1 < max(highest.values()):
        low, high = sorted(highest, key=highest.get)
        problem = f"{source}: pixels of {low} go from 0 to 1, those of {high} to {highest[high]}"
        raise ValueError(f"{problem}; save both with pixels from 0 to 255")
    if not np.isin(parts["test"].labels, parts["train"].labels).any():
        raise ValueError(f"{source}: no class of test occurs in train; number the classes of both alike")
    if groups is not None:
        parts["train"] = dataclasses.replace(parts["train"], groups=np.asarray(groups, np.int32))
    mean, std = statistics or measure(parts["train"].images)
    texts = {"notes": tuple(notes), "class_names": tuple(class_names)}
    return Dataset(name=name, num_classes=num_classes, mean=tuple(mean), std=tuple(std), **texts, **parts)


def _hold_out_test(split, source):
    """Returns (images, labels) to train and to test on: a fifth of each class, at least one image where it has two."""
    order = np.random.default_rng(0).permutation(len(split))
    order = order[np.argsort(split.labels[order], kind="stable")]
    counts = np.unique(split.labels, return_counts=True)[1]
    if counts.max() < 2:
        raise ValueError(f"{source}: no class has two images, so none can be held out as test images; give some")
    starts = np.cumsum(counts) - counts
    nums = np.where(counts < 2, 0, np.maximum(counts // 5, 1))
    is_test = np.zeros(len(split), bool)
    for start, num in zip(starts, nums, strict=True):
        is_test[order[start : start + num]] = True
    return tuple((split.images[part], split.labels[part]) for part in (~is_test, is_test))


def check(images: np.ndarray, labels: np.ndarray, *, source: str) -> Split:
    """Returns a split of these arrays, or raises a `ValueError` if they are invalid, with the remedy where known."""
    images, labels = np.asarray(images), _checked_labels(np.asarray(labels), source)
    if images.ndim == 2 and 0 not in images.shape:
        side = math.isqrt(images.shape[1])
        advice = f"such as x.reshape(-1, {side}, {side})" if side**2 == images.shape[1] else "as they were"
        side = math.isqrt(images.shape[1] // 3)
        if 3 * side**2 == images.shape[1]:
            advice = f"x.reshape(-1, 3, {side}, {side}).transpose(0, 2, 3, 1) if channels come first, as in CIFAR-10"
        wanted = "want [N, height, width, channels]"
        raise ValueError(f"{source}: images have shape {images.shape}; {wanted}, not rows of pixels: {advice}")
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(f"{source}: images have shape {images.shape}; want [N, height, width, channels], all above 0")
    if len(labels) != len(images):
        order = (images.ndim - 1, *range(images.ndim - 1))
        advice = f"; if images are along the last axis: x.transpose{order}" if images.shape[-1] == len(labels) else ""
        raise ValueError(f"{source}: {len(images)} images but {len(labels)} labels{advice}")
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in _CHANNELS:
        raise ValueError(
            f"{source}: images have shape {images.shape}, channels first; want them last: x.transpose(0, 2, 3, 1)"
        )
    if images.dtype != np.uint8:
        raise ValueError(f"{source}: images are {images.dtype}; want uint8, pixels from 0 to 255{_range(images)}")
    images = images[..., None] if images.ndim == 3 else images
    return Split(images=np.ascontiguousarray(images), labels=labels)


def _range(images):
    """Returns the range of pixels that are not uint8, and how to convert them."""
    if images.dtype.kind not in "fiub":
        return ""
    finite = np.isfinite(images)
    if not finite.all():
        return f"; image {np.argwhere(~finite)[0][0]} has a pixel that is not finite"
    low, high = images.min(), images.max()
    advice = "they look normalized, so save what they were before"
    if low >= 0 and high <= 255:
        if images.dtype.kind == "f":
            advice = f"{'(255 * x)' if high <= 1 else 'x'}.round().astype(np.uint8)"
        else:  # int8 cannot be multiplied by 255
            advice = f"{'255 * ' if high <= 1 else ''}x.astype(np.uint8)"
    return f"; these go from {low:g} to {high:g}: {advice}"


def _checked_labels(labels, source):
    """Returns int32[N]."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    wanted = f"{source}: labels are {labels.dtype} of shape {labels.shape}; want integers [N]"
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and np.all(np.sum(labels != 0, axis=1) == 1):
        raise ValueError(f"{wanted}: of one-hot labels y.argmax(axis=1)")
    if labels.ndim != 1:
        raise ValueError(wanted)
    if labels.dtype.kind in "US" and len(labels):
        raise ValueError(f"{wanted}, not texts such as {str(labels[0])!r:.40}: number the classes from 0")
    if not np.issubdtype(labels.dtype, np.integer):
        is_whole = labels.dtype.kind == "b" or (labels.dtype.kind == "f" and np.all(labels == np.round(labels)))
        raise ValueError(f"{wanted}{': y.astype(np.int32)' if is_whole else ''}")
    if len(labels) and (labels.min() < 0 or labels.max() > np.iinfo(np.int32).max):
        wrong = np.flatnonzero((labels < 0) | (labels > np.iinfo(np.int32).max))[0]
        raise ValueError(f"{source}: label {labels[wrong]} of image {wrong}; labels are classes, from 0 up")
    return labels.astype(np.int32)


def _count_classes(parts, source):
    """Returns the number of classes that labels imply; a `ValueError` if they are not numbers of classes from 0."""
    present = np.unique(np.concatenate([split.labels for split in parts.values()]))
    low, high = int(present[0]), int(present[-1])
    stated = "or state num_classes in the file"
    if low > 0:
        raise ValueError(f"labels of {source} go from {low} to {high}; want them from 0: y - {low}, {stated}")
    if high + 1 > 2 * len(present):
        problem = f"labels of {source} go to {high}, but only {len(present)} classes occur"
        raise ValueError(f"{problem}; number them without gaps (np.unique(y, return_inverse=True)[1]), {stated}")
    return high + 1


def describe(dataset: Dataset) -> str:
    """Returns one line: the numbers of images, their shape and range, the classes and the images of a class."""
    height, width, num_channels = dataset.train.images.shape[1:]
    counts = _counts(dataset)
    each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    low, high = dataset.train.images.min(), dataset.train.images.max()
    return (
        f"{dataset.name}: {len(dataset.train):,} training and {len(dataset.test):,} test images of "
        f"{height}x{width}x{num_channels}, pixels from {low} to {high}, {dataset.num_classes} classes of {each} "
        "training images"
    )


def oddities(dataset: Dataset) -> list[str]:
    """Returns one line for everything that is unusual in a dataset, and may be a mistake."""
    found = list(dataset.notes)
    height, width, num_channels = dataset.train.images.shape[1:]
    if num_channels not in _CHANNELS or num_channels == 2:
        found.append(f"images have {num_channels} channels")
    if max(height, width) > 4 * min(height, width):
        found.append(f"images are {height} pixels high and {width} wide")
    low, high = int(dataset.train.images.min()), int(dataset.train.images.max())
    if low == high:
        found.append(f"all pixels of the training images are {low}")
    elif high == 1:
        found.append("pixels are 0 or 1; if they were fractions, multiply them by 255 before the conversion to uint8")
    if len(empty := np.flatnonzero(_counts(dataset) == 0)):
        names = ", ".join(map(str, empty[:5].tolist())) + (", ..." if len(empty) > 5 else "")
        tested = np.isin(empty, dataset.test.labels).sum()
        more = f", of which {tested} have test images" if tested else ""
        found.append(f"{len(empty)} of {dataset.num_classes} classes have no training image: {names}{more}")
    if dataset.num_classes == 1:
        found.append("all images are of one class")
    return found


def _counts(dataset):
    """Returns the number of training images of each class."""
    return np.bincount(dataset.train.labels, minlength=dataset.num_classes)


def measure(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns (mean, standard deviation or 1 if it is 0) of each channel of uint8[N, H, W, C], of pixels / 255."""
    values = np.arange(256) / 255  # their counts make the sums exact
    counts = np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])])
    shares = counts / counts.sum(axis=1, keepdims=True)
    mean = shares @ values
    std = np.sqrt(np.sum(shares * (values - mean[:, None]) ** 2, axis=1))
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
