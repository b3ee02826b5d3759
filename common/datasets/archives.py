"""Readers of datasets as published: archives and folders, example by example."""

import dataclasses
import io
import os
import pathlib
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import PIL.Image

from common.datasets import arrays
from common.file_formats import pickles

CIFAR_LABELS = {"cifar10": ("label",), "cifar100": ("coarse_label", "label")}  # in the order of the binary files
_PIXELS = 3 * 32 * 32
_SUFFIXES = (".jpeg", ".jpg", ".png")
_BROKEN = (OSError, EOFError, tarfile.TarError, zlib.error)


@dataclasses.dataclass(frozen=True)
class Part:
    """A split of a published dataset.

    Attributes:
      num_examples: number of examples.
      examples: iterator over (encoded image, labels by name, name of the image).
    """

    num_examples: int
    examples: Iterator[tuple[io.BytesIO, Mapping[str, int], str]]


@dataclasses.dataclass(frozen=True)
class Published:
    """A published dataset.

    Attributes:
      image_shape: (height, width, channels); None where images differ.
      encoding: of the images, "png" or "jpeg".
      classes: number of classes or their names, by label.
      parts: by split.
    """

    image_shape: tuple[int | None, int | None, int]
    encoding: str
    classes: Mapping[str, int | list[str]]
    parts: Mapping[str, Part]


def read_cifar(path: pathlib.Path, dataset: str) -> Published:
    """Reads CIFAR-10 or CIFAR-100 from the archive for Python or the binary one (`cifar-10-python.tar.gz` ...).

    Args:
      path: the archive.
      dataset: "cifar10" or "cifar100".

    Raises:
      ValueError: if the archive is missing, damaged, or of another dataset.
    """
    if not path.is_file():
        number = dataset.removeprefix("cifar")
        raise ValueError(
            f"no file at {path}; get cifar-{number}-python.tar.gz or cifar-{number}-binary.tar.gz "
            "from www.cs.toronto.edu/~kriz/cifar.html"
        )
    try:
        with tarfile.open(path) as archive:
            files = {
                pathlib.PurePosixPath(member.name).name: archive.extractfile(member).read()
                for member in archive
                if member.isfile()
            }
    except _BROKEN as error:
        raise ValueError(f"cannot read {path}, is it damaged? {error}") from error
    batches = _cifar_batches(files, dataset)
    if not all(batches.values()):
        held = ", ".join(sorted(files)) or "nothing"
        raise ValueError(f"{path} is no archive of {dataset} as published: it holds {held}")
    parts = {}
    for split, names in batches.items():
        read = [_read_batch(files[name], dataset, source=f"{name} in {path}") for name in names]
        images = np.concatenate([images for images, _ in read])
        labels = {name: np.concatenate([labels[name] for _, labels in read]) for name in CIFAR_LABELS[dataset]}
        parts[split] = _part(images, labels, split)
    return Published(image_shape=(32, 32, 3), encoding="png", classes=_cifar_classes(files, dataset), parts=parts)


def read_folder(path: pathlib.Path) -> Published:
    """Reads a folder with the folders train and val (or validation), each with a folder of images for each class.

    This is the usual layout of ImageNet. Images keep their encoding.

    Raises:
      ValueError: if a folder is missing, or its classes or files are not in this layout.
    """
    folders = {"train": path / "train", "validation": path / "val"}
    if not folders["validation"].is_dir():
        folders["validation"] = path / "validation"
    for folder in folders.values():
        if not folder.is_dir():
            raise ValueError(f"no folder {folder}; want {path}/train/CLASS/*.JPEG and {path}/val/CLASS/*.JPEG")
    classes = sorted(entry.name for entry in folders["train"].iterdir() if entry.is_dir())
    if not classes:
        raise ValueError(f"no class folders in {folders['train']}; want {path}/train/CLASS/*.JPEG")
    parts = {}
    for split, folder in folders.items():
        unknown = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name not in classes)
        if unknown:
            raise ValueError(f"{folder / unknown[0]} is of a class that {folders['train']} does not have")
        files = [(file, label) for label, name in enumerate(classes) for file in _images_in(folder / name)]
        if not files:
            raise ValueError(f"no images in {folder}/CLASS; want files ending in {', '.join(_SUFFIXES)}")
        parts[split] = Part(num_examples=len(files), examples=_folder_examples(files))
    return Published(image_shape=(None, None, 3), encoding="jpeg", classes={"label": classes}, parts=parts)


def read_arrays(path: pathlib.Path) -> Published:
    """Reads an npz file, see `common.datasets.arrays`.

    Raises:
      ValueError: if the file is missing or damaged.
    """
    data = arrays.load_file(path)
    shape = data.train.images.shape[1:]
    if shape[2] not in (1, 3):
        raise ValueError(f"images of {path} have {shape[2]} channels; only 1 or 3 can be encoded")
    splits = {"train": data.train, "test": data.test}
    parts = {name: _part(split.images, {"label": split.labels}, name) for name, split in splits.items()}
    return Published(image_shape=shape, encoding="png", classes={"label": data.num_classes}, parts=parts)


def _cifar_batches(files, dataset):
    """Returns the file names of each split: those of the Python archive, or of the binary one (.bin)."""
    pattern = {"cifar10": r"data_batch_\d+", "cifar100": "train"}[dataset]
    test = {"cifar10": "test_batch", "cifar100": "test"}[dataset]
    for suffix in ("", ".bin"):
        train = [name for name in files if re.fullmatch(pattern + re.escape(suffix), name)]
        if train:
            break
    return {"train": sorted(train), "test": [test + suffix] if test + suffix in files else []}


def _read_batch(contents, dataset, *, source):
    """Returns (uint8[N, 32, 32, 3], labels by name) of one file of an archive."""
    names = CIFAR_LABELS[dataset]
    if source.split(" ")[0].endswith(".bin"):
        rows, rest = divmod(len(contents), len(names) + _PIXELS)
        if rest or not rows:
            raise ValueError(f"{source} has {len(contents)} bytes; want a multiple of {len(names) + _PIXELS}")
        values = np.frombuffer(contents, np.uint8).reshape(rows, -1)
        pixels, labels = values[:, len(names) :], {name: values[:, at] for at, name in enumerate(names)}
    else:
        try:
            found = pickles.load_dictionary(contents)
        except ValueError as error:
            raise ValueError(f"{source} is {error}") from error
        keys = {"cifar10": {"label": "labels"}, "cifar100": {"label": "fine_labels", "coarse_label": "coarse_labels"}}
        wanted = {"data", *keys[dataset].values()}
        if not wanted <= set(found):
            raise ValueError(f"{source} has {', '.join(sorted(found))}; want {', '.join(sorted(wanted))}")
        pixels, labels = found["data"], {name: np.asarray(found[key]) for name, key in keys[dataset].items()}
    is_sound = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (_PIXELS,)
    if not is_sound or any(values.shape != pixels.shape[:1] for values in labels.values()):
        raise ValueError(f"{source}: want pixels uint8[N, {_PIXELS}] and N labels")
    for name, values in labels.items():
        num_classes = _NUM_CLASSES[dataset][name]
        if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() >= num_classes:
            raise ValueError(f"{source}: a {name} is not from 0 to {num_classes - 1}")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


_NUM_CLASSES = {"cifar10": {"label": 10}, "cifar100": {"label": 100, "coarse_label": 20}}


def _cifar_classes(files, dataset):
    """Returns the names of the classes if the archive has them, else their number."""
    classes = dict(_NUM_CLASSES[dataset])
    keys = {"label": "label_names"} if dataset == "cifar10" else {}
    keys = keys or {"label": "fine_label_names", "coarse_label": "coarse_label_names"}
    meta = next((files[name] for name in ("batches.meta", "meta") if name in files), None)
    found = pickles.load_dictionary(meta) if meta else {}
    texts = {"label_names": "batches.meta.txt"}
    for label, key in keys.items():
        text = files.get(texts.get(key, f"{key}.txt"), b"").decode()
        names = found.get(key, text.split())
        if len(set(names)) == classes[label]:
            classes[label] = [str(name) for name in names]
    return classes


def _part(images, labels, split):
    def examples():
        for at, image in enumerate(images):
            yield encode_png(image), {name: int(values[at]) for name, values in labels.items()}, f"{split}_{at:05}"

    return Part(num_examples=len(images), examples=examples())


def encode_png(image: np.ndarray) -> io.BytesIO:
    """Returns uint8[H, W, C] as a PNG, which is lossless."""
    file = io.BytesIO()
    PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
    file.seek(0)
    return file


def _images_in(folder):
    if not folder.is_dir():
        return []
    return sorted(pathlib.Path(file) for file in os.scandir(folder) if file.name.lower().endswith(_SUFFIXES))


def _folder_examples(files):
    for file, label in files:
        contents = file.read_bytes()
        try:
            PIL.Image.open(io.BytesIO(contents)).close()
        except OSError as error:
            raise ValueError(f"{file} cannot be read as an image: {error}") from error
        yield io.BytesIO(contents), {"label": label}, file.name
