"""Datasets in one NumPy file: `mnist.npz`, and files of a user.

The arrays are x_train (images, uint8, [N, H, W] or [N, H, W, C]), y_train (labels, integers, [N] or [N, 1]), x_test
and y_test; or train_images, train_labels, test_images and test_labels. Without test images, some are held out
(`records.make`); x and y, or images and labels, are training images too. num_classes (one integer) and class_names
(texts, [K]) are optional; by default the number of classes follows from the names, else from the largest label.
"""

import os
import pathlib

import numpy as np

from common.datasets import records
from common.file_formats import npz

SUFFIX = ".npz"
_MAX_CLASSES = 1 << 20
_OPTIONAL = ("num_classes", "class_names")
NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x", "y"),
    ("images", "labels"),
)


def load_mnist(data_dir: str | os.PathLike | None = None) -> records.Dataset:
    """Returns MNIST, from `mnist.npz` in `data_dir` or in its folder mnist.

    Raises:
      ValueError: if the file is missing or damaged.
    """
    advice = "get mnist.npz (arrays x_train, y_train, x_test, y_test; Keras has one) and give its folder as --data_dir"
    if data_dir is None:
        raise ValueError(f"dataset mnist does not ship with the package: {advice}")
    paths = [pathlib.Path(data_dir, "mnist.npz"), pathlib.Path(data_dir, "mnist", "mnist.npz")]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise ValueError(f"no file of dataset mnist; looked for {', '.join(map(str, paths))}; {advice}")
    return load_file(found, name="mnist", num_classes=10)


def load_file(path: str | os.PathLike, *, name: str | None = None, num_classes: int | None = None) -> records.Dataset:
    """Returns the dataset of an npz file; `name` and `num_classes` are by default those of the file.

    Raises:
      ValueError: if the file is missing or damaged.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no file at {path}; want an {SUFFIX} file with the arrays {', '.join(NAMES[0])}")
    present = npz.names(path)
    names = next((names for names in NAMES if present.issuperset(names[:2])), None)
    if names is not None and not present.intersection(names[2:]):
        names = names[:2]  # without test images
    read = npz.read(path, {*(names or ()), *_OPTIONAL})
    arrays, stated = [read.get(key) for key in names or ()], read.get("num_classes")
    if names is None or any(array is None for array in arrays):
        nearest = max(NAMES, key=lambda one: len(present.intersection(one)))
        lacking = [name for name in nearest[: 4 if present.intersection(nearest[2:]) else 2] if name not in present]
        problem = f"{path} has the arrays {', '.join(sorted(present)) or 'of no name'}, but no {' and '.join(lacking)}"
        allowed = " or ".join(", ".join(one[:2]) for one in NAMES)
        raise ValueError(f"{problem}; want {allowed}, and may have {', '.join(NAMES[0][2:])}")
    if num_classes is None and stated is not None:
        if stated.shape or not np.issubdtype(stated.dtype, np.integer) or not 1 <= stated <= _MAX_CLASSES:
            raise ValueError(f"num_classes of {path} is {stated!r}; want one integer above 0, at most {_MAX_CLASSES:,}")
        num_classes = int(stated)
    class_names = _class_names(path, read.get("class_names"), num_classes)
    num_classes = len(class_names) or num_classes
    unused = sorted(present - {*names, *_OPTIONAL})
    notes = (f"{path} has the arrays {', '.join(unused)} too, which are not used",) if unused else ()
    test = arrays[2:] or None
    about = {"num_classes": num_classes, "notes": notes, "class_names": class_names}
    return records.make(name or path.stem, arrays[:2], test, source=str(path), **about)


def _class_names(path, stated, num_classes):
    """Returns the names of the classes, none if the file has none."""
    if stated is None:
        return ()
    if stated.ndim != 1 or not len(stated) or stated.dtype.kind not in "US":
        raise ValueError(f"class_names of {path} is {stated.dtype}{list(stated.shape)}; want texts [K], one a class")
    try:
        texts = np.char.decode(stated, "utf-8") if stated.dtype.kind == "S" else stated
    except UnicodeDecodeError:
        raise ValueError(f"class_names of {path} are not UTF-8; save them as texts, np.array(names)") from None
    names = tuple(text.strip() for text in texts.tolist())
    if num_classes not in (None, len(names)):
        raise ValueError(f"{path} has {len(names)} class_names and num_classes = {num_classes}; leave one of them out")
    if len(set(names)) < len(names) or "" in names:
        some = ", ".join(map(repr, names[:9]))
        raise ValueError(f"class_names of {path} must be different and not empty; got {some}")
    return names
