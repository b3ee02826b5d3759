"""Prepared datasets on disk: made by `prepare`, or elsewhere by `tfds build`."""

import os
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import PIL.Image

from common import paths
from common.datasets import archives, class_folders, records, tfds_format
from common.file_formats import pictures
from common.records import progress

IMAGENET_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_IMAGE_SIZE = 224  # of ImageNet in memory


class Source(NamedTuple):
    """Published and stored form of a dataset."""

    stored_name: str  # its name and folder in TensorFlow Datasets
    version: str  # the version that is written
    source: str  # the published file or folder, for messages
    read: Callable[[pathlib.Path], archives.Published]  # from the path of the source
    test: str = "test"  # name of the test split
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # published (mean, std) of each channel


_CIFAR10_STATISTICS = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)

SOURCES: dict[str, Source] = {
    "cifar10": Source(
        "cifar10", "3.0.2", "cifar-10-python.tar.gz", archives.read_cifar10, statistics=_CIFAR10_STATISTICS
    ),
    "cifar100": Source("cifar100", "3.0.2", "cifar-100-python.tar.gz", archives.read_cifar100),
    "imagenet": Source(
        "imagenet2012",
        "5.1.0",
        "FOLDER_OF_TRAIN_AND_VAL",
        class_folders.read_imagenet,
        test="validation",
        statistics=IMAGENET_STATISTICS,
    ),
}


def source_of(name: str) -> Source:
    """Returns the record of a dataset; one that is not in `SOURCES` comes from a NumPy file, or from a folder."""
    return SOURCES.get(name) or Source(name, "1.0.0", "FILE.npz", archives.read_arrays)


def command_for(name: str, data_dir: str | os.PathLike | None) -> str:
    """Returns the command that prepares a dataset."""
    folder = data_dir or "DATA_DIR"
    return f"python -m launch.prepare_data --dataset={name} --source={source_of(name).source} --data_dir={folder}"


def find(name: str, data_dir: str | os.PathLike | None) -> pathlib.Path:
    """Returns the folder of a prepared dataset.

    Raises:
      ValueError: if it is missing; the message has the command that prepares it.
    """
    advice = f"prepare it by `{command_for(name, data_dir)}`"
    if data_dir is None:
        raise ValueError(f"dataset {name} does not ship with the package: give --data_dir, and {advice}")
    if not pathlib.Path(data_dir).is_dir():
        raise ValueError(f"no folder {data_dir} to find dataset {name} in; {advice}")
    source = source_of(name)
    folder = tfds_format.folder_of(source.stored_name, data_dir)
    if folder is None:
        looked_for = pathlib.Path(data_dir, source.stored_name, source.version)
        raise ValueError(f"no dataset {name} at {looked_for}; {advice}")
    return folder


def prepare(name: str, source: str, data_dir: str | os.PathLike, *, image_size: int | None = None) -> pathlib.Path:
    """Writes a dataset from its published source, printing progress, and returns its folder.

    Args:
      name: a key of `SOURCES`, or a new name for a NumPy file or a folder with a folder of images for each class.
      source: the archive, folder or npz file.
      image_size: resizes the images of a folder of the user, see `class_folders.load`.

    Raises:
      ValueError: if the name is unknown or not allowed, or the source is missing or damaged.
    """
    is_array_file, is_own_folder = source.endswith(".npz"), name not in SOURCES and paths.path(source).is_dir()
    if name not in SOURCES and not is_array_file and not is_own_folder:
        names = ", ".join(SOURCES)
        kinds = "an npz file, or a folder with a folder of images for each class, as source"
        raise ValueError(f"unknown dataset {name!r}; choose one of {names}, or give {kinds}")
    if image_size is not None and not is_own_folder:
        raise ValueError(f"image_size is for a folder of images of your own, not for {source}; leave it out")
    if image_size is not None and not 1 <= image_size <= 1024:
        raise ValueError(f"image_size must be from 1 to 1024 pixels; got {image_size}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a dataset's name must be lower-case letters, digits and _, a letter first; got {name!r}")
    kind = source_of(name)
    if is_own_folder:
        published = class_folders.read(paths.path(source), image_size)
    else:
        published = (archives.read_arrays if is_array_file else kind.read)(paths.path(source))
    for split, part in published.parts.items():
        print(f"{name}: {part.num_examples:,} images in {split}")
    classes = {label: each if isinstance(each, int) else len(each) for label, each in published.classes.items()}
    about = ", ".join(f"{num:,} classes ({label})" for label, num in classes.items())
    if published.image_shape[0] is None:  # a folder of the user
        progress.report(f"{name}: {about}", published.notes)
    total, done = sum(part.num_examples for part in published.parts.values()), 0
    with progress.Progress(name, total=total, unit="images") as shown:

        def report(split):
            nonlocal done
            done += 1
            shown.update(done, split)

        return tfds_format.write(kind.stored_name, kind.version, published, paths.path(data_dir), report)


def load(name: str, data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns a prepared dataset of images of one size; of ImageNet, or a subset of it, squares of 224 pixels.

    Raises:
      ValueError: if it is missing or damaged, or ImageNet too large for memory.
    """
    folder, source = find(name, data_dir), source_of(name)
    decode = decode_centre if name == "imagenet" else tfds_format.decode_image
    parts = []
    for split in ("train", source.test):
        examples = tfds_format.open_split(folder, split)
        if name == "imagenet" and len(examples) * 3 * _IMAGE_SIZE**2 > class_folders.MAX_BYTES:
            problem = f"{split} of {folder} has {len(examples):,} images, too many to be held in memory"
            raise ValueError(f"{problem}; read them as a stream (common.datasets.streams)")
        parts.append(tfds_format.read_split(folder, split, decode))
    about = {"num_classes": tfds_format.num_classes(folder), "class_names": tfds_format.class_names(folder)}
    return records.make(name, *parts, source=str(folder), **about, statistics=source.statistics)


def decode_centre(contents: bytes, image_size: int = _IMAGE_SIZE, resized: int = 256) -> np.ndarray:
    """Returns the central crop uint8[S, S, 3] of a JPEG or PNG, the test transform of ImageNet.

    Args:
      image_size: S.
      resized: length of the shorter side before the crop.
    """
    image = pictures.decode(contents).convert("RGB")
    shorter = min(image.size)
    size = tuple(int(resized * length / shorter) for length in image.size)
    image = image.resize(size, PIL.Image.Resampling.BILINEAR)
    left, top = (round((length - image_size) / 2) for length in size)
    return np.asarray(image.crop((left, top, left + image_size, top + image_size)))
