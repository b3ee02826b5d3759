"""Reads pickled benchmark files safely, and without the packages that wrote them.

A pickle is a program. Here it may build containers, numbers, text, NumPy numbers and arrays, and plain records in
place of a benchmark's own classes; every other name is rejected.
"""

import array
import collections
import io
import pathlib
import pickle
import pickletools
import re
import struct
import types as python_types
import warnings
import zipfile

import numpy as np

from common.file_formats import files

_PACKAGES = ("nas_201_api", "nats_bench", "nas_102_api")
_RECORDS = ("ArchResults", "ResultsCount")  # their classes, whatever module they were moved to
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_FREE_MEMO = 1000  # places in the memo beyond twice the number of objects in it
_MAX_NESTING = 4000  # tuples in tuples; Python hashes them recursively, without a check of the stack
_NUMBER = re.compile("[<>|=]?(b1|[iu][1248]|f(2|4|8))")  # of NumPy
_PAIRS = re.compile(rb"(?:K.G.{8})+|(?:M..G.{8})+|(?:h.G.{8})+|(?:j.{4}G.{8})+", re.DOTALL)  # of a key and a float
_FORMATS = {b"K": "<xB9x", b"M": "<xH9x", b"h": "<xB9x", b"j": "<xI9x"}  # of these pairs, for struct
_EMPTY = 1 << 15  # place in the memo
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_NO_PICKLE = "is cut short, damaged or no pickle"


def read(path: pathlib.Path) -> object:
    """Returns the contents of a pickle: plain, compressed, or written by `torch.save`.

    Instances of a benchmark's classes become `types.SimpleNamespace`, NumPy numbers Python numbers.

    Raises:
      ValueError: if the file is missing or broken, or names anything but the admitted classes.
    """
    contents = files.read_decompressed(path)
    with files.reporting(path, _NO_PICKLE):
        found = files.kind(contents[:512])
        if found == "a zip archive":
            contents = _of_torch(path)
        elif found is not None:
            raise files.FormatError(f"{path} is {found}; want a pickle")
        file = io.BytesIO(contents)
        first = _load(file)
        if first != TORCH_MAGIC:
            return first
        for _ in range(2):  # the version of the format, then facts of the machine
            _load(file)
        return _load(file)


def _of_torch(path):
    """Returns the pickle in a zip file of `torch.save`."""
    size = files.check(path)
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith("/data.pkl")]
        if len(members) != 1 or members[0].compress_size > size or members[0].file_size > files.limit(size):
            raise files.FormatError(f"{path} is a zip file that `torch.save` did not write; unpack it")
        with archive.open(members[0]) as file:
            return file.read(members[0].file_size)


def load_dictionary(contents: bytes) -> dict[str, object]:
    """Returns a pickled dictionary, as safely as `read`; text that Python 2 wrote becomes one character per byte.

    Raises:
      ValueError: if the pickle is broken, is not a dictionary, or names anything but the admitted classes.
    """
    with files.reporting("a broken pickle", "of another kind"):
        found = _load(io.BytesIO(contents), encoding="latin1")
    if not isinstance(found, dict):
        raise ValueError(f"a pickle of a {type(found).__name__}; want a dictionary")
    names = (name.decode("latin1") if isinstance(name, bytes) else str(name) for name in found)
    values = (value.view(np.ndarray) if isinstance(value, _Array) else value for value in found.values())
    return dict(zip(names, values, strict=True))


def _load(file: io.BytesIO, **settings):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of escapes in damaged texts
        check_program(file)
        return _Unpickler(file, **settings).load()


class _Unpickler(pickle.Unpickler):
    """Admits the names of `_ADMITTED`, all of which build plain data."""

    def find_class(self, module, name):
        if module.split(".")[0] in _PACKAGES and name in _RECORDS:
            return python_types.SimpleNamespace
        if (module, name) not in _ADMITTED:
            raise files.FormatError(f"it names {module}.{name}, which no benchmark file needs; do not trust it")
        return _ADMITTED[module, name]

    def persistent_load(self, pid):
        raise files.FormatError("it holds network weights; take the file without weights instead")


class _Dtype:
    """A NumPy number type. NumPy's own would let a pickle set flags that make bytes be read as pointers."""

    def __init__(self, code, *_):
        if not isinstance(code, str) or not _NUMBER.fullmatch(code):
            raise files.FormatError(f"NumPy type {code!r:.60} is not a number")
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
        raise files.FormatError("bytes in an encoding other than latin1")
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


def check_program(file: io.BytesIO) -> None:
    """Raises a `FormatError` if the next pickle of a file would overflow the stack or claims memory without need.

    The depths of the tuples on the stack are followed through the opcodes. Sizes of texts and places in the memo, for
    which a reader makes room at once, must fit the file.
    """
    start, contents = file.tell(), file.getvalue()
    stack, marks, memo, num_memoized = [], [], array.array("H"), 0
    for opcode, argument, _ in pickletools.genops(file):
        name, pushed = opcode.name, len(opcode.stack_after)
        if name == "MARK":
            marks.append(len(stack))
            file.seek(_skip_pairs(contents, file.tell(), stack, memo))
        elif name == "MEMOIZE" or "PUT" in name:
            place = num_memoized if name == "MEMOIZE" else argument
            if place > 2 * num_memoized + _FREE_MEMO:
                raise files.FormatError("it numbers its objects with gaps")
            if place >= len(memo):
                memo.extend([_EMPTY] * (place + 1 - len(memo)))
            num_memoized += memo[place] == _EMPTY
            memo[place] = stack[-1]
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
                raise files.FormatError(f"it nests tuples more than {_MAX_NESTING} deep")
            stack[at:] = [depth] * pushed
    file.seek(start)


def _skip_pairs(contents, at, stack, memo):
    """Pushes the pairs of a key and a float, most of a benchmark file, at once; returns the place of what follows."""
    while run := _PAIRS.match(contents, at):
        found, at = run.group(), run.end()
        for (key,) in struct.iter_unpack(_FORMATS[found[:1]], found):
            stack += (memo[key] if found[0] in b"hj" else 0, 0)
    return at
