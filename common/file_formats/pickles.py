"""Reads pickled benchmark files without running them, and without the packages that wrote them.

A pickle is a program. The one run here may build containers, numbers and text, NumPy numbers and
arrays, and plain records in place of a benchmark's own classes; it can name nothing else.
"""

import bz2
import collections
import pathlib
import pickle
import types as python_types
import zipfile
from typing import BinaryIO

import numpy as np

# Classes of the benchmarks' own packages, by their last name, whatever module they were moved to.
_RECORDS = ("ArchResults", "ResultsCount")
_PACKAGES = ("nas_201_api", "nats_bench", "nas_102_api")
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    AttributeError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    ImportError,
    OverflowError,
    zipfile.BadZipFile,
)


def read(path: pathlib.Path) -> object:
    """Returns what a pickle holds: plain, compressed by bzip2, or written by `torch.save`.

    Instances of a benchmark's classes come back as `types.SimpleNamespace`, NumPy numbers and arrays as
    Python numbers and nested lists.

    Raises:
      ValueError: if the file is missing, broken, or names anything that it has no business to name.
    """
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:3] == b"BZh":
            with bz2.open(path, "rb") as file:
                return _load(file)
        if magic == b"PK\x03\x04":
            return _load_torch_zip(path)
        with path.open("rb") as file:
            return _load(file)
    except _BROKEN as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def load_arrays(file: BinaryIO) -> dict[str, object]:
    """Returns the dictionary of an open pickle, its NumPy arrays as such, read with the same care as by `read`.

    Text that Python 2 wrote comes back as text, its bytes as one character each.

    Raises:
      ValueError: if the pickle is broken, is no dictionary, or names anything that it has no business to name.
    """
    try:
        found = _ArrayUnpickler(file, encoding="latin1").load()
    except _BROKEN as error:
        raise ValueError(f"a broken pickle: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a pickle of a {type(found).__name__}; want a dictionary")
    names = (name.decode("latin1") if isinstance(name, bytes) else str(name) for name in found)
    values = (value.values if isinstance(value, _KeptArray) else value for value in found.values())
    return dict(zip(names, values, strict=True))


def _load(file):
    first = _Unpickler(file).load()
    if first != _TORCH_MAGIC:
        return first
    for _ in range(2):  # the version of the format, then facts of the machine
        _Unpickler(file).load()
    return _Unpickler(file).load()


def _load_torch_zip(path):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise pickle.UnpicklingError("a zip file that `torch.save` did not write")
        with archive.open(names[0]) as file:
            return _Unpickler(file).load()


class _Unpickler(pickle.Unpickler):
    """Admits the names of `_ADMITTED`, all of which build plain data and nothing else."""

    def find_class(self, module, name):
        package = module.split(".")[0]
        if package in _PACKAGES and name in _RECORDS:
            return python_types.SimpleNamespace
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no benchmark file needs; do not trust it")
        return _ADMITTED[module, name]

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it holds network weights; take the file without weights instead")


class _ArrayUnpickler(_Unpickler):
    """Keeps arrays instead of making nested lists of them."""

    def find_class(self, module, name):
        found = super().find_class(module, name)
        return {_make_array: _make_kept_array, _make_filled_array: _make_filled_kept_array}.get(found, found)


class _KeptArray:
    """An array, once its state is known."""

    values = None

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, contents = state
        if isinstance(contents, str):
            contents = contents.encode("latin1")
        self.values = np.frombuffer(contents, dtype.value()).reshape(shape, order="F" if is_fortran else "C")


class _Dtype:
    """A NumPy number type, as pickles describe it: code, then a state with the byte order."""

    __slots__ = ("order", "type_code")

    def __init__(self, type_code):
        self.type_code, self.order = type_code, "<"

    def __setstate__(self, state):
        self.order = state[1]

    def value(self):
        if self.type_code[:1] not in ("b", "i", "u", "f") or self.order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"NumPy type {self.type_code!r} is not a number")
        return np.dtype(self.type_code).newbyteorder(self.order)


class _Array(list):
    """The nested list of an array's values, once its state is known."""

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, contents = state
        values = np.frombuffer(contents, dtype.value())
        self[:] = values.reshape(shape, order="F" if is_fortran else "C").tolist()


def _make_dtype(type_code, *_):
    return _Dtype(type_code)


def _make_array(*_):
    return _Array()


def _make_kept_array(*_):
    return _KeptArray()


def _make_filled_kept_array(contents, dtype, shape, order, *_):
    made = _KeptArray()
    made.values = np.frombuffer(contents, dtype.value()).reshape(shape, order=order)
    return made


def _make_filled_array(contents, dtype, shape, order, *_):
    return np.frombuffer(contents, dtype.value()).reshape(shape, order=order).tolist()


def _make_number(dtype, contents):
    return np.frombuffer(contents, dtype.value(), count=1)[0].item()


def _encode(text, encoding="latin1"):
    """Old protocols write bytes as text in latin1."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding}")
    return text.encode("latin1")


def _admitted():
    names = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("numpy", "dtype"): _make_dtype,
        ("numpy", "ndarray"): list,
        ("_codecs", "encode"): _encode,
    }
    for module in ("builtins", "__builtin__"):
        names |= {(module, kind.__name__): kind for kind in (set, frozenset, list, dict, tuple, int, float, complex)}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names |= {(module, "scalar"): _make_number, (module, "_reconstruct"): _make_array}
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        names[module, "_frombuffer"] = _make_filled_array
    return names


_ADMITTED = _admitted()
