"""Readers of datasets as published in archives, example by example; `class_folders` reads folders."""

import functools
import io
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import PIL.Image

from common.datasets import arrays, records
from common.file_formats import files as file_formats
from common.file_formats import pickles, tar, text_file
from common.records import progress

_PIXELS = 3 * 32 * 32
_MAX_BATCH = 1 << 28  # bytes of a file of CIFAR


class Part(NamedTuple):
    """A split of a published dataset; each example is (encoded image, labels by name, name of the image)."""

    num_examples: int
    examples: Iterator[tuple[io.BytesIO, Mapping[str, int], str]]


class Published(NamedTuple):
    """A published dataset."""

    image_shape: tuple[int | None, int | None, int]  # (height, width, channels); None where images differ
    encoding: str  # of the images, "png" or "jpeg"
    classes: Mapping[str, int | list[str]]  # number of classes or their names, by label
    parts: Mapping[str, Part]  # by split
    notes: tuple[str, ...] = ()  # what is unusual, and may be a mistake


class _Label(NamedTuple):
    """A label of CIFAR: the number of its classes, its key in the Python archive, and that of the classes' names."""

    num_classes: int
    key: str
    names: str


class _Cifar(NamedTuple):
    """Files and labels of an archive of CIFAR, whose binary files have the suffix .bin."""

    train: str  # pattern of the training files
    test: str
    labels: Mapping[str, _Label]  # in the order of the binary files


_CIFAR = {
    "cifar10": _Cifar(r"data_batch_\d+", "test_batch", {"label": _Label(10, "labels", "label_names")}),
    "cifar100": _Cifar(
        "train",
        "test",
        {
            "coarse_label": _Label(20, "coarse_labels", "coarse_label_names"),
            "label": _Label(100, "fine_labels", "fine_label_names"),
        },
    ),
}


def read_cifar(path: pathlib.Path, dataset: str) -> Published:
    """Reads "cifar10" or "cifar100" from the archive for Python or the binary one (`cifar-10-python.tar.gz` ...).

    Raises:
      ValueError: if the archive is missing, damaged, or of another dataset.
    """
    if not path.exists():
        name = f"cifar-{dataset.removeprefix('cifar')}"
        files = f"{name}-python.tar.gz or {name}-binary.tar.gz"
        raise ValueError(f"no file at {path}; get {files} from www.cs.toronto.edu/~kriz/cifar.html")
    cifar = _CIFAR[dataset]
    files, names = _read_unpacked(path, cifar) if path.is_dir() else _read_tar(path, cifar)
    is_binary = not any(re.fullmatch(cifar.train, name) for name in files)
    suffix = ".bin" if is_binary else ""
    train = sorted(name for name in files if re.fullmatch(cifar.train + re.escape(suffix), name))
    if not train or cifar.test + suffix not in files:
        held = ", ".join(sorted(names)[:10]) or "nothing"
        raise ValueError(f"{path} is not an archive of {dataset} as published: it holds {held}")
    read_batch = _read_binary if is_binary else _read_pickle
    parts = {}
    for split, names in (("train", train), ("test", [cifar.test + suffix])):
        read = []
        for name in names:
            pixels, labels = read_batch(files[name], cifar, f"{name} in {path}")
            _check_batch(pixels, labels, cifar, f"{name} in {path}")
            read.append((pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels))
        labels = {label: np.concatenate([labels[label] for _, labels in read]) for label in cifar.labels}
        parts[split] = _part(np.concatenate([pixels for pixels, _ in read]), labels, split)
    return Published((32, 32, 3), "png", _cifar_classes(files, cifar), parts)


read_cifar10 = functools.partial(read_cifar, dataset="cifar10")
read_cifar100 = functools.partial(read_cifar, dataset="cifar100")


def _read_tar(path, cifar):
    """Returns (the contents of the files that are needed of a tar archive by name, the names of all)."""
    advice = {
        "a zip archive": "; unpack it and give its folder",
        "a Python pickle": ", one file of the archive; give the folder that has all of them",
    }
    found = text_file.kind_of(path)
    if found in advice or found.startswith("a web page"):
        raise ValueError(f"{path} is {found}{advice.get(found, '')}")
    return tar.read(path, lambda name: _is_of(cifar, name))


def _read_unpacked(path, cifar):
    """Returns the same of an unpacked archive, from a folder or one in it."""
    files = {}
    for file in sorted(file for pattern in ("*", "*/*") for file in path.glob(pattern) if file.is_file()):
        if file.stat().st_size > _MAX_BATCH or file.name.startswith("."):
            continue
        if re.fullmatch(rf"({cifar.train}|{cifar.test})(\.bin)?", file.name) and file.name in files:
            raise ValueError(f"{path} has two files called {file.name}; give the folder of one of them")
        if "batch" in file.name or file.name in ("train", "test", "meta") or file.suffix in (".bin", ".txt"):
            files[file.name] = file_formats.read_bytes(file, at_most=_MAX_BATCH)
    archives = sorted(file for file in path.glob("cifar-*") if file.is_file())
    if archives and not any(re.fullmatch(rf"{cifar.train}(\.bin)?", name) for name in files):
        raise ValueError(f"{path} is a folder; give the archive in it: --source={archives[0]}")
    return files, list(files)


def read_arrays(path: pathlib.Path) -> Published:
    """Reads an npz file as `arrays.load_file` does; images must have 1 or 3 channels."""
    return of_dataset(arrays.load_file(path), path)


def of_dataset(data: records.Dataset, path: pathlib.Path) -> Published:
    """Returns images in memory, of 1 or 3 channels, that were read from `path`; prints what was understood of them."""
    progress.report(records.describe(data), records.oddities(data))
    shape = data.train.images.shape[1:]
    if shape[2] not in (1, 3):
        raise ValueError(f"images of {path} have {shape[2]} channels; only 1 or 3 can be encoded")
    splits = {"train": data.train, "test": data.test}
    parts = {name: _part(split.images, {"label": split.labels}, name) for name, split in splits.items()}
    names = list(data.class_names)
    if not all(name.isprintable() and name == name.strip() for name in names):  # the file of names has a line for each
        names = []
    return Published(shape, "png", {"label": names or data.num_classes}, parts)


def _is_of(cifar, name):
    """Returns whether a file in an archive holds images, labels or the names of classes."""
    meta = ("batches.meta", "meta", "batches.meta.txt", *(f"{label.names}.txt" for label in cifar.labels.values()))
    return name in meta or any(re.fullmatch(rf"({one})(\.bin)?", name) for one in (cifar.train, cifar.test))


def _read_binary(contents, cifar, source):
    """Returns (uint8[N, 3072], labels by name) of a file of the binary archive."""
    num_labels = len(cifar.labels)
    rows, rest = divmod(len(contents), num_labels + _PIXELS)
    if rest or not rows:
        raise ValueError(f"{source} has {len(contents)} bytes; want a multiple of {num_labels + _PIXELS}")
    values = np.frombuffer(contents, np.uint8).reshape(rows, -1)
    return values[:, num_labels:], {name: values[:, at] for at, name in enumerate(cifar.labels)}


def _read_pickle(contents, cifar, source):
    """Returns the same of a file of the Python archive."""
    try:
        found = pickles.load_dictionary(contents)
    except ValueError as error:
        raise ValueError(f"{source} is {error}") from error
    wanted = {"data", *(label.key for label in cifar.labels.values())}
    if not wanted <= set(found):
        raise ValueError(f"{source} has {', '.join(map(repr, sorted(found)))[:200]}; want {', '.join(sorted(wanted))}")
    return found["data"], {name: _labels(found[label.key], source) for name, label in cifar.labels.items()}


def _labels(values, source):
    if not isinstance(values, np.ndarray | list) or not all(np.ndim(value) == 0 for value in values):
        raise ValueError(f"{source}: its labels are no list of integers")
    return np.asarray(values)


def _check_batch(pixels, labels, cifar, source):
    is_sound = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (_PIXELS,)
    if not is_sound or any(values.shape != pixels.shape[:1] for values in labels.values()):
        raise ValueError(f"{source}: want pixels uint8[N, {_PIXELS}] and N labels")
    for name, values in labels.items():
        most = cifar.labels[name].num_classes - 1
        if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() > most:
            raise ValueError(f"{source}: a {name} is not from 0 to {most}")


def _cifar_classes(files, cifar):
    """Returns the names of the classes if the archive has them, else their number."""
    meta = next((files[name] for name in ("batches.meta", "meta") if name in files), None)
    found = pickles.load_dictionary(meta) if meta else {}
    classes = {}
    for label, (num_classes, _, key) in cifar.labels.items():
        text = files.get("batches.meta.txt" if key == "label_names" else f"{key}.txt", b"").decode(errors="replace")
        stated = found.get(key, text.split())
        names = [str(name)[:100] for name in stated] if isinstance(stated, list) else []
        classes[label] = names if len(set(names)) == num_classes else num_classes
    return classes


def _part(images, labels, split):
    def examples():
        for at, image in enumerate(images):
            file = io.BytesIO()
            PIL.Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "png")
            file.seek(0)
            yield file, {name: int(values[at]) for name, values in labels.items()}, f"{split}_{at:05}"

    return Part(len(images), examples())
