"""Reads the arrays of a network that PyTorch saved, without PyTorch and without running anything from the file.

A file of `torch.save` holds a pickle of names and descriptions of tensors, and their numbers: since version 1.6 as
members of a zip archive, before that one after the other behind the pickle.
"""

import collections
import io
import math
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common.file_formats import files, pickles

_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_NO_WEIGHTS = "is cut short, damaged or no file of network weights"


class _Storage(NamedTuple):
    """Numbers that tensors share."""

    key: str
    dtype: str  # of NumPy
    size: int


class _Tensor(NamedTuple):
    """A part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays by name of a saved `state_dict`, or of a saved dictionary that holds one as "state_dict".

    Raises:
      ValueError: the file is missing, broken, or holds anything but names and tensors of numbers.
    """
    contents = files.read_bytes(path)
    with files.reporting(path, _NO_WEIGHTS):
        if files.kind(contents[:512]) == "a zip archive":
            found, numbers = _of_archive(contents)
        else:
            found, numbers = _of_stream(contents)
        if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
            found = found["state_dict"]
        if not isinstance(found, dict) or not all(
            isinstance(name, str) and isinstance(value, _Tensor) for name, value in found.items()
        ):
            raise files.FormatError("it holds no `state_dict` of tensors")
        return {name: _array(value, numbers) for name, value in found.items()}


def _of_archive(contents):
    """Returns the pickled object, and a function from the key of a storage to its bytes."""
    archive = zipfile.ZipFile(io.BytesIO(contents))
    names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise files.FormatError("`torch.save` did not write this archive")
    root = names[0].removesuffix("data.pkl")

    def member(name):
        if archive.getinfo(name).file_size > len(contents):  # torch.save compresses nothing
            raise files.FormatError("its members are larger than the file")
        return archive.read(name)

    return _load(io.BytesIO(member(names[0]))), lambda storage: member(f"{root}data/{storage.key}")


def _of_stream(contents):
    """Returns the same of a file of the older layout."""
    file = io.BytesIO(contents)
    if _load(file) != pickles.TORCH_MAGIC:
        raise files.FormatError("`torch.save` did not write this file")
    for _ in range(2):  # the version of the format, then facts of the machine
        _load(file)
    found, keys = _load(file), _load(file)
    start, places = file.tell(), {}
    sizes = {tensor.storage.key: tensor.storage for tensor in _tensors(found)}
    for key in keys:  # each with its number of elements before it
        number = int.from_bytes(contents[start : start + 8], "little")
        if key not in sizes:
            raise files.FormatError(f"storage {key!r:.40} belongs to no tensor")
        places[key] = start + 8
        start += 8 + number * np.dtype(sizes[key].dtype).itemsize

    def numbers(storage):
        return contents[places[storage.key] : places[storage.key] + storage.size * np.dtype(storage.dtype).itemsize]

    return found, numbers


def _tensors(found):
    if isinstance(found, _Tensor):
        return [found]
    values = found.values() if isinstance(found, dict) else ()
    return [tensor for value in values for tensor in _tensors(value)]


def _array(tensor: _Tensor, numbers: Callable[[_Storage], bytes]) -> np.ndarray:
    """Returns the array of a tensor, a copy."""
    storage = tensor.storage
    whole = np.frombuffer(numbers(storage), storage.dtype)
    sizes = (*tensor.shape, *tensor.strides, tensor.offset)
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or len(tensor.shape) != len(tensor.strides):
        raise files.FormatError("a tensor has a shape that is not one of numbers")
    last = tensor.offset + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    number = math.prod(tensor.shape)
    if number > len(whole) or (number and last >= len(whole)):
        raise files.FormatError("a tensor reaches beyond its storage")
    strides = [step * whole.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(whole[tensor.offset :], tensor.shape, strides).copy()


def _load(file):
    pickles.check_program(file)
    return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    """Admits descriptions of tensors."""

    def find_class(self, module, name):
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in _ADMITTED:
            raise files.FormatError(f"it names {module}.{name}, which no file of weights needs; do not trust it")
        return _ADMITTED[module, name]

    def persistent_load(self, pid):
        kind, dtype, key, _, size = pid[:5]
        if kind != "storage" or dtype not in _DTYPES.values() or not isinstance(size, int) or size < 0:
            raise files.FormatError("it refers to something other than numbers of a tensor")
        return _Storage(str(key), dtype, size)


_ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
        storage, offset, tuple(shape), tuple(strides)
    ),
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
}
