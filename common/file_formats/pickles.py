"""Reads pickled benchmark files safely, and without the packages that wrote them.

A pickle is a program. Here it may build containers, numbers, text, NumPy numbers and arrays, and plain records in
place of a benchmark's own classes; every other name is rejected.
"""

import bz2
import collections
import io
import pathlib
import pickle
import pickletools
import types as python_types
import zipfile
from typing import BinaryIO

import numpy as np

_PACKAGES = ("nas_201_api", "nats_bench", "nas_102_api")
_RECORDS = ("ArchResults", "ResultsCount")  # their classes, whatever module they were moved to
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_NESTING = 4000  # tuples in tuples; Python hashes them recursively, without a check of the stack
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_BROKEN = (
    *(pickle.UnpicklingError, EOFError, OSError, AttributeError, TypeError, ValueError, IndexError, KeyError),
    *(ImportError, OverflowError, MemoryError, RecursionError, zipfile.BadZipFile),
)


def read(path: pathlib.Path) -> object:
    """Returns the contents of a pickle: plain, compressed by bzip2, or written by `torch.save`.

    Instances of a benchmark's classes become `types.SimpleNamespace`, NumPy numbers Python numbers.

    Raises:
      ValueError: if the file is missing or broken, or names anything but the admitted classes.
    """
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    try:
        contents = path.read_bytes()
        if contents[:3] == b"BZh":
            contents = bz2.decompress(contents)
        if contents[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                if len(names) != 1:
                    raise pickle.UnpicklingError("a zip file that `torch.save` did not write")
                return _load(io.BytesIO(archive.read(names[0])))
        file = io.BytesIO(contents)
        first = _load(file)
        if first != _TORCH_MAGIC:
            return first
        for _ in range(2):  # the version of the format, then facts of the machine
            _load(file)
        return _load(file)
    except _BROKEN as error:
        raise ValueError(f"cannot read {path}: {error or type(error).__name__}") from error


def load_dictionary(contents: bytes) -> dict[str, object]:
    """Returns a pickled dictionary, as safely as `read`; text that Python 2 wrote becomes one character per byte.

    Raises:
      ValueError: if the pickle is broken, is not a dictionary, or names anything but the admitted classes.
    """
    try:
        found = _load(io.BytesIO(contents), encoding="latin1")
    except _BROKEN as error:
        raise ValueError(f"a broken pickle: {error or type(error).__name__}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a pickle of a {type(found).__name__}; want a dictionary")
    names = (name.decode("latin1") if isinstance(name, bytes) else str(name) for name in found)
    values = (value.view(np.ndarray) if isinstance(value, _Array) else value for value in found.values())
    return dict(zip(names, values, strict=True))


def _load(file: BinaryIO, **settings):
    _check_nesting(file)
    return _Unpickler(file, **settings).load()


class _Unpickler(pickle.Unpickler):
    """Admits the names of `_ADMITTED`, all of which build plain data."""

    def find_class(self, module, name):
        if module.split(".")[0] in _PACKAGES and name in _RECORDS:
            return python_types.SimpleNamespace
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no benchmark file needs; do not trust it")
        return _ADMITTED[module, name]

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it holds network weights; take the file without weights instead")


class _Dtype:
    """A NumPy number type. NumPy's own would let a pickle set flags that make bytes be read as pointers."""

    def __init__(self, code, *_):
        if code[:1] not in ("b", "i", "u", "f"):
            raise pickle.UnpicklingError(f"NumPy type {code!r} is not a number")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        self.value = self.value.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array whose state names a `_Dtype`."""

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, contents = state
        super().__setstate__((1, shape, dtype.value, is_fortran, contents))


def _make_array(*_):
    return np.ndarray.__new__(_Array, 0)


def _make_filled_array(contents, dtype, shape, order, *_):
    return np.frombuffer(contents, dtype.value).reshape(shape, order=order).view(_Array)


def _make_number(dtype, contents):
    return np.frombuffer(contents, dtype.value, count=1)[0].item()


def _encode(text, encoding="latin1"):
    """Old protocols write bytes as text in latin1."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {encoding}")
    return text.encode("latin1")


_ADMITTED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): list,  # named as the kind of array to make; never called
    ("_codecs", "encode"): _encode,
    **{(at, kind.__name__): kind for at in ("builtins", "__builtin__") for kind in (set, frozenset, complex)},
    **{(f"numpy.{core}.multiarray", "scalar"): _make_number for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _make_array for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _make_filled_array for core in ("core", "_core")},
}


def _check_nesting(file: BinaryIO) -> None:
    """Raises an `UnpicklingError` if the next pickle of a file nests tuples deeper than `_MAX_NESTING`.

    The depths of the objects on the stack are followed through the opcodes, unless there are too few tuples.
    """
    start = file.tell()
    codes = np.frombuffer(file.getbuffer()[start:], np.uint8)
    if sum(int(np.count_nonzero(codes == code)) for code in b"t\x85\x86\x87") < _MAX_NESTING:
        return
    stack, marks, memo = [], [], {}
    for opcode, argument, _ in pickletools.genops(file):
        name, pushed = opcode.name, len(opcode.stack_after)
        if name == "MARK":
            marks.append(len(stack))
        elif name == "MEMOIZE" or "PUT" in name:
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            taken = opcode.stack_before
            if pickletools.markobject in taken:
                at = marks.pop() - taken.index(pickletools.markobject)
            elif name == "POP" and marks and marks[-1] == len(stack):
                at = marks.pop()
            else:
                at = len(stack) - len(taken)
            depth = 1 + max(stack[at:], default=0) if name in _TUPLES else 0
            if depth > _MAX_NESTING:
                raise pickle.UnpicklingError(f"it nests tuples more than {_MAX_NESTING} deep")
            stack[at:] = [depth] * pushed
    file.seek(start)
