"""Checked reading of files from others: regular ones only, of limited size, decompressed to a limited size.

Every reader of the project goes through this package. Its errors are one line with the file; what the parsers of
libraries say never reaches a user.
"""

import bz2
import contextlib
import gzip
import lzma
import os
import pathlib
import pickle
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence

from common.file_formats import text_file

MAX_SIZE = 1 << 30  # bytes of a file that is read whole as text
_CHUNK = 1 << 20
_NUM_SHOWN = 5  # of many faults of a file
_FREE = 1 << 26  # bytes that any compressed file may expand to
_MAX_RATIO = 100  # of contents to the compressed file, beyond that
_NOT_FILES = ("ISDIR", "is a folder"), ("ISFIFO", "is a named pipe"), ("ISSOCK", "is a socket")
_UNKNOWN = ("an empty file", "a text file", "binary data", "a Python pickle")
_DECOMPRESSED = {"a gzip file": gzip.open, "a bzip2 file": bz2.open, "an xz file": lzma.open}
BROKEN = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError, OSError, ImportError),
    *(RecursionError, MemoryError, NotImplementedError, RuntimeError, SyntaxError),
    *(struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pickle.PickleError),
)


class FormatError(ValueError):
    """A file is not what it should be; the message is one line for the user."""


def check(path: str | os.PathLike) -> int:
    """Returns the size of a file in bytes.

    Raises:
      ValueError: it is missing, or is a folder, pipe, device or a loop of links, which would hang or never end.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        raise FormatError(f"no file at {path}") from error
    if not stat.S_ISREG(status.st_mode):
        found = (text for name, text in _NOT_FILES if getattr(stat, f"S_{name}")(status.st_mode))
        raise FormatError(f"{path} {next(found, 'is a device')}, not a file")
    return status.st_size


def read_bytes(path: str | os.PathLike, *, at_most: int = MAX_SIZE) -> bytes:
    """Returns the contents of a file; raises a `ValueError` if it is no regular file or larger than `at_most` bytes."""
    if (size := check(path)) > at_most:
        raise FormatError(f"{path} has {size:,} bytes; at most {at_most:,} are read")
    return pathlib.Path(path).read_bytes()


def read_text(path: str | os.PathLike) -> str:
    """Returns the text of a UTF-8 file, without a byte order mark; raises a `ValueError` if it is none."""
    return text_file.decode(read_bytes(path), path)


def kind(head: bytes) -> str | None:
    """Returns the kind of a file, such as "a gzip file", by its first 512 bytes; None if unknown."""
    found = text_file.kind(head)
    is_marked = not found.startswith("UTF-16") or head[:2] in (b"\xff\xfe", b"\xfe\xff")
    return found if is_marked and found not in _UNKNOWN else None


def kind_of(path: str | os.PathLike) -> str | None:
    """Returns the kind of a file by its first bytes, see `kind`; raises a `ValueError` as `check` does."""
    check(path)
    with open(path, "rb") as file:
        return kind(file.read(512))


def limit(size: int) -> int:
    """Returns the number of bytes that a compressed file of `size` bytes may expand to."""
    return max(_FREE, _MAX_RATIO * size)


def read_decompressed(path: str | os.PathLike) -> bytes:
    """Returns the contents of a file, decompressed if it is of gzip, bzip2 or xz.

    Raises:
      ValueError: it is no regular file, is damaged, or expands to more than `limit` bytes.
    """
    with opened(path) as file, reporting(path, "is damaged or cut short; copy it again"):
        return b"".join(iter(lambda: file.read(_CHUNK), b""))


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator["Limited"]:
    """Opens a file for sequential reading, decompressed; raises and limits as `read_decompressed` does."""
    made, size = _DECOMPRESSED.get(kind_of(path), open), check(path)
    with made(path, "rb") as file:
        yield Limited(file, limit(size) if made is not open else size, path)


class Limited:
    """A binary file that is read in pieces, never beyond a number of bytes."""

    def __init__(self, file, most: int, path: str | os.PathLike):
        """Takes an open file, the number of bytes, and the path for the message."""
        self._file, self._left, self._path = file, most, path

    def read(self, size: int = _CHUNK) -> bytes:
        """Returns the next bytes, at most `size`."""
        piece = self._file.read(min(size, _CHUNK))
        self._left -= len(piece)
        if self._left < 0:
            raise FormatError(f"{self._path} expands to more than {_MAX_RATIO} times its size, and is not read")
        return piece


def refuse(faults: Sequence[str]) -> None:
    """Raises a `ValueError` that lists the faults of a file, the first few of many, if there are any."""
    if faults:
        more = f"; and {len(faults) - _NUM_SHOWN} more" if len(faults) > _NUM_SHOWN else ""
        raise FormatError("; ".join(faults[:_NUM_SHOWN]) + more)


@contextlib.contextmanager
def reporting(path: str | os.PathLike, problem: str) -> Iterator[None]:
    """Turns what parsers raise into a `ValueError` of one line; a `FormatError` keeps its message."""
    try:
        yield
    except FormatError as error:
        raise FormatError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except PermissionError:
        raise
    except BROKEN as error:
        raise FormatError(f"{path} {problem}") from error
