"""Datasets of images by name, in memory. A new source is one file and one line in `DATASETS`."""

import functools
import os
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from common import paths
from common.datasets import arrays, class_folders, digits, prepared, records, tfds_format
from common.records import progress

Split = records.Split
Dataset = records.Dataset

DATASETS: dict[str, Callable[[str | os.PathLike | None], Dataset]] = {
    "digits": digits.load,
    "cluttered_digits": digits.load_cluttered,
    "mnist": arrays.load_mnist,
    **{name: functools.partial(prepared.load, name) for name in prepared.SOURCES},
}

_PACKAGED = ("digits", "cluttered_digits")
_MOST_HELD_OUT = 5000  # as the papers hold out of CIFAR-10's 50,000


def load(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
    """Returns a dataset, whose arrays are read-only: callers share them, and they are read once until a file changes.

    Args:
      name: a key of `DATASETS`, a dataset prepared in `data_dir`, an npz file (`common.datasets.arrays`), in
        `data_dir` if it exists there, or a folder with a folder of images for each class (`class_folders`).

    Raises:
      ValueError: if there is no such dataset, or a file is missing or damaged.
    """
    folder = None if data_dir is None else str(paths.path(data_dir))
    name = paths.expand(name)
    return _load(name, folder, _stamps(name, folder))


def report(dataset: Dataset) -> None:
    """Prints what was understood of a dataset of the user, and what is odd about it."""
    if dataset.name not in _PACKAGED:
        progress.report(records.describe(dataset), records.oddities(dataset))


@functools.lru_cache(maxsize=2)
def _load(name, data_dir, stamps):
    del stamps  # a file that has changed is read again
    if name.endswith(arrays.SUFFIX):
        inside = pathlib.Path(data_dir or ".", name)
        dataset = arrays.load_file(inside if inside.is_file() else name)
    elif name in DATASETS:
        dataset = DATASETS[name](data_dir)
    elif name and data_dir and tfds_format.folder_of(name, data_dir):
        dataset = prepared.load(name, data_dir)
    elif name and pathlib.Path(name).is_dir():
        dataset = class_folders.load(name)
    else:
        names = ", ".join(sorted(DATASETS))
        kinds = f"a file FILE{arrays.SUFFIX} or a folder with a folder of images for each class"
        raise ValueError(f"unknown dataset {name!r}; choose one of {names}, or give {kinds}")
    for split in (dataset.train, dataset.test):
        split.images.flags.writeable = split.labels.flags.writeable = False  # all callers share them
    return dataset


def _stamps(name, data_dir):
    """Returns (path, time of the last change, size) of the files that the dataset can be read from."""
    folder = pathlib.Path(data_dir or ".")
    paths = [pathlib.Path(name), folder / name, folder / "mnist.npz", folder / "mnist" / "mnist.npz"]
    paths += sorted((folder / prepared.source_of(name).stored_name).glob("*/*.json"))
    if name and name not in DATASETS and pathlib.Path(name).is_dir():
        paths += sorted(pathlib.Path(name).rglob("*"))
    stats = [(str(path), path.stat()) for path in paths if path.is_file()]
    return tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def parts(dataset: Dataset, *, held_out: int | None = None, num_images: int | None = None) -> dict[str, Split]:
    """Returns the splits of a search, "train", "validation" and "test"; they do not depend on its seed.

    Args:
      dataset: its training images are split.
      held_out: number of validation images; by default a third of the training images, at most 5,000.
      num_images: number of images to train on; by default all others.

    Raises:
      ValueError: if there are not as many images.
    """
    held_out = min(_MOST_HELD_OUT, len(dataset.train.labels) // 3) if held_out is None else held_out
    if held_out < 1:
        raise ValueError(f"held_out must be at least 1 image; got {held_out}")
    split_key, rest_key = jax.random.split(jax.random.key(0))
    train, validation = hold_out(dataset.train, held_out, key=split_key)
    if num_images is not None:
        rest = len(train.labels) - num_images
        if num_images < 1 or rest < 0:
            raise ValueError(f"num_images must be from 1 to {len(train.labels)}; got {num_images}")
        train, _ = hold_out(train, rest, key=rest_key)
    return {"train": train, "validation": validation, "test": dataset.test}


def hold_out(split: Split, count: int, *, key: jax.Array) -> tuple[Split, Split]:
    """Returns (remaining images, `count` sampled uniformly without replacement), in order; with groups, group by group.

    Raises:
      ValueError: unless there are more than `count` images.
    """
    if not 0 <= count < len(split.labels):
        raise ValueError(f"cannot hold out {count} of {len(split.labels)} images; want 0 to {len(split.labels) - 1}")
    groups = np.arange(len(split.labels)) if split.groups is None else split.groups
    places = np.argsort(jax.random.permutation(key, int(groups.max()) + 1))
    order = np.argsort(places[groups], kind="stable")
    parts = []
    for part in (np.sort(order[count:]), np.sort(order[:count])):
        kept = None if split.groups is None else np.unique(groups[part], return_inverse=True)[1]
        parts.append(Split(images=split.images[part], labels=split.labels[part], groups=kept))
    return tuple(parts)
