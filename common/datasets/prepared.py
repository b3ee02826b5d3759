"""Prepared datasets on disk: made by `prepare`, or elsewhere by `tfds build`."""

import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Callable

import numpy as np
import PIL.Image

from common.datasets import archives, records, tfds_format
from common.records import progress

IMAGENET_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MAX_BYTES = 2**33  # of decoded ImageNet images; beyond, they are read as a stream


@dataclasses.dataclass(frozen=True)
class Source:
    """Published and stored form of a dataset.

    Attributes:
      stored_name: its name and folder in TensorFlow Datasets.
      version: the version that is written.
      source: the published file or folder, for messages.
      read: path of the source -> its examples.
      test: name of the test split.
      statistics: published (mean, std) of each channel; None: computed from the training images.
    """

    stored_name: str
    version: str
    source: str
    read: Callable[[pathlib.Path], archives.Published]
    test: str = "test"
    statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None


SOURCES: dict[str, Source] = {
    "cifar10": Source(
        stored_name="cifar10",
        version="3.0.2",
        source="cifar-10-python.tar.gz",
        read=lambda path: archives.read_cifar(path, "cifar10"),
        statistics=((0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)),
    ),
    "cifar100": Source(
        stored_name="cifar100",
        version="3.0.2",
        source="cifar-100-python.tar.gz",
        read=lambda path: archives.read_cifar(path, "cifar100"),
    ),
    "imagenet": Source(
        stored_name="imagenet2012",
        version="5.1.0",
        source="FOLDER_OF_TRAIN_AND_VAL",
        read=archives.read_folder,
        test="validation",
        statistics=IMAGENET_STATISTICS,
    ),
}


def source_of(name: str) -> Source:
    """Returns the record of a dataset; one that is not in `SOURCES` comes from a NumPy file."""
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
    command = command_for(name, data_dir)
    if data_dir is None:
        raise ValueError(
            f"dataset {name} does not ship with the package: give --data_dir, and prepare it by `{command}`"
        )
    if not pathlib.Path(data_dir).is_dir():
        raise ValueError(f"no folder {data_dir} to find dataset {name} in; prepare it by `{command}`")
    folder = tfds_format.folder_of(source_of(name).stored_name, data_dir)
    if folder is None:
        looked_for = pathlib.Path(data_dir, source_of(name).stored_name, source_of(name).version)
        raise ValueError(f"no dataset {name} at {looked_for}; prepare it by `{command}`")
    return folder


def prepare(name: str, source: str, data_dir: str | os.PathLike) -> pathlib.Path:
    """Writes a dataset from its published source, printing progress, and returns its folder.

    Args:
      name: a key of `SOURCES`, or a new name for a NumPy file.
      source: the archive, folder or npz file.
      data_dir: the folder of prepared datasets.

    Raises:
      ValueError: if the name is unknown or not allowed, or the source is missing or damaged.
    """
    is_array_file = source.endswith(".npz")
    if name not in SOURCES and not is_array_file:
        names = ", ".join(SOURCES)
        raise ValueError(f"unknown dataset {name!r}; choose one of {names}, or give an npz file as source")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"a dataset's name must be lower-case letters, digits and _, a letter first; got {name!r}")
    kind = source_of(name)
    published = (archives.read_arrays if is_array_file else kind.read)(pathlib.Path(source))
    for split, part in published.parts.items():
        print(f"{name}: {part.num_examples:,} images in {split}")
    total, done = sum(part.num_examples for part in published.parts.values()), 0
    with progress.Progress(name, total=total, unit="images") as shown:

        def report(split, *_):
            nonlocal done
            done += 1
            shown.update(done, split)

        return tfds_format.write(kind.stored_name, kind.version, published, pathlib.Path(data_dir), report=report)


def load(name: str, data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns a prepared dataset of images of one size.

    Raises:
      ValueError: if it is missing or damaged.
    """
    folder = find(name, data_dir)
    source = source_of(name)
    train, test = (tfds_format.read_split(folder, split) for split in ("train", source.test))
    return records.make(
        name,
        (train.images, train.labels),
        (test.images, test.labels),
        source=str(folder),
        num_classes=tfds_format.num_classes(folder),
        statistics=source.statistics,
    )


def load_imagenet(data_dir: str | os.PathLike | None = None, *, image_size: int = 224) -> records.Dataset:
    """Returns ImageNet, or a small subset of it, as central squares of `image_size` pixels.

    Raises:
      ValueError: if it is missing, damaged, or too large for memory.
    """
    folder = find("imagenet", data_dir)
    splits = {}
    for split in ("train", "validation"):
        count = len(tfds_format.open_split(folder, split))
        if count * 3 * image_size**2 > _MAX_BYTES:
            raise ValueError(
                f"{split} of {folder} has {count:,} images, too many to be held in memory; "
                "read them as a stream (common.datasets.streams)"
            )
        read = tfds_format.read_split(folder, split, lambda contents: decode_centre(contents, image_size))
        splits[split] = (read.images, read.labels)
    return records.make(
        "imagenet",
        splits["train"],
        splits["validation"],
        source=str(folder),
        num_classes=tfds_format.num_classes(folder),
        statistics=IMAGENET_STATISTICS,
    )


def decode_centre(contents: bytes, image_size: int = 224, resized: int | None = None) -> np.ndarray:
    """Returns the resized central crop of an encoded image, uint8[S, S, 3], the test transform of ImageNet.

    Args:
      contents: JPEG or PNG.
      image_size: S.
      resized: length of the shorter side before the crop; by default 256 / 224 of S, rounded.
    """
    image = PIL.Image.open(io.BytesIO(contents)).convert("RGB")
    resized = resized or round(image_size * 256 / 224)
    shorter = min(image.size)
    size = tuple(int(resized * length / shorter) for length in image.size)
    image = image.resize(size, PIL.Image.Resampling.BILINEAR)
    left, top = (round((length - image_size) / 2) for length in size)
    return np.asarray(image.crop((left, top, left + image_size, top + image_size)))
