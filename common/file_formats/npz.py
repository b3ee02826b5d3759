"""Checked reading of NumPy's npz files: the sizes that headers claim must fit the file before anything is allocated."""

import ast
import contextlib
import math
import os
import re
import zipfile
from collections.abc import Container

import numpy as np

from common.file_formats import files

_MAX_HEADER = 10_000  # bytes
_MAX_ARRAYS = 10_000
_DTYPES = re.compile(r"[<>|=]?(\?|b1|[iu][1248]|f(2|4|8)|c(8|16)|[SU][1-9]\d{0,6})")
_CHUNK = 1 << 20


def read(path: str | os.PathLike, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Returns the arrays of an npz file by name, those in `names` or all.

    Raises:
      ValueError: it is missing, damaged, no npz file, or an array holds objects; the message names the array.
    """
    with _opened(path) as (archive, members):
        chosen = [name for name in members if names is None or name in names]
        return {name: _read(archive, members[name], name) for name in chosen}


def names(path: str | os.PathLike) -> set[str]:
    """Returns the names of the arrays in an npz file; raises as `read` does."""
    with _opened(path) as (_, members):
        return set(members)


@contextlib.contextmanager
def _opened(path):
    size = files.check(path)
    with files.reporting(path, "is cut short, damaged or not an npz file"):
        if (found := files.kind_of(path)) not in ("a zip archive", None):
            raise files.FormatError(f"{path} is {found}, not an npz file")
        with zipfile.ZipFile(path) as archive:
            yield archive, _members(archive, size)


def _members(archive, size):
    """Returns the members by name of their array."""
    members = {}
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if len(infos) > _MAX_ARRAYS:
        raise files.FormatError(f"holds {len(infos):,} arrays; at most {_MAX_ARRAYS:,} are read")
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise files.FormatError(f"holds the array {name[:60]!r} twice")
        is_stored = info.compress_type == zipfile.ZIP_STORED
        is_known = is_stored or info.compress_type == zipfile.ZIP_DEFLATED
        if not is_known or info.compress_size > size or (is_stored and info.file_size != info.compress_size):
            raise files.FormatError(
                f"array {name[:60]!r}: its size does not fit the file, which is cut short or damaged"
            )
        members[name] = info
    if sum(info.file_size for info in infos) > files.limit(size):
        raise files.FormatError("its arrays claim more than 100 times the size of the file, and are not read")
    return members


def _read(archive, info, name):
    """Returns the array of a member."""
    with archive.open(info) as file:
        dtype, shape, is_fortran, length = _header(file, name)
        if math.prod(shape) * dtype.itemsize != info.file_size - length:
            needed, there = f"{math.prod(shape) * dtype.itemsize:,}", f"{info.file_size - length:,}"
            raise files.FormatError(
                f"array {name[:60]!r} of shape {shape!r:.60} needs {needed} bytes; {there} are there"
            )
        array = np.empty(shape, dtype, order="F" if is_fortran else "C")
        view = memoryview((array.T if is_fortran else array).reshape(-1).view(np.uint8))
        at = 0
        while piece := file.read(_CHUNK):
            view[at : at + len(piece)] = piece
            at += len(piece)
    return array


def _header(file, name):
    """Returns (type, shape, whether in Fortran order, bytes of the header)."""
    magic = file.read(8)
    width = {1: 2, 2: 4, 3: 4}.get(magic[6] if magic[:6] == b"\x93NUMPY" and len(magic) == 8 else 0)
    if width is None:
        raise files.FormatError(f"array {name[:60]!r} is no NumPy array")
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER:
        raise files.FormatError(
            f"array {name[:60]!r} has a header of {length:,} bytes; at most {_MAX_HEADER:,} are read"
        )
    header = ast.literal_eval(file.read(length).decode("utf-8").strip())
    descr, shape, is_fortran = header["descr"], header["shape"], header["fortran_order"]
    if descr == "|O":
        raise files.FormatError(
            f"array {name[:60]!r} holds Python objects; save it as numbers or, with dtype=str, texts"
        )
    if not isinstance(descr, str) or not _DTYPES.fullmatch(descr):
        raise files.FormatError(f"array {name[:60]!r} is of type {descr!r:.60}; want numbers or text")
    if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise files.FormatError(f"array {name[:60]!r} has the shape {shape!r:.60}")
    return np.dtype(descr), shape, bool(is_fortran), 8 + width + length
