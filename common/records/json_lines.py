"""Append-only files of one JSON object per line, locked by one process, on disk before the event is acted on.

The first line identifies the run: {"format": 1, "header": {"space": "nasbench201", "seed": 0, ...}}. A process that is
killed while it writes leaves at most a torn last line, which the next start drops: its event was not acted on.
"""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, BinaryIO, TypeVar

from common.file_formats import files, json_values
from common.records import locks

FORMAT = 1
LOCK_SUFFIX = ".lock"
_BEGINNING = b'{"'  # of every line
_KINDS = ("command was ", "algorithm was ")  # differences
_MOST = 5  # differences that a message names
T = TypeVar("T")


@contextlib.contextmanager
def opened(
    path: str | os.PathLike,
    header: Mapping[str, Any],
    take: Callable[[BinaryIO, list[dict[str, Any]]], T],
) -> Iterator[T]:
    """Opens or creates the file at `path` and locks it until the end of the `with` statement.

    Args:
      path: the file; its folder must exist.
      header: JSON types that identify the run; the file can be resumed with an equal header only.
      take: (file, its lines after the first) -> the value of the `with` statement. A `ValueError` leaves the file
        unchanged.

    Raises:
      ValueError: the file has another header or format, is damaged, or in use.
      OSError: the folder cannot be written, or its disk is full.
    """
    path = pathlib.Path(path)
    first = {"format": FORMAT, "header": json.loads(json.dumps(dict(header)))}
    with contextlib.ExitStack() as stack:
        stack.enter_context(locks.hold(f"{path}{LOCK_SUFFIX}", what=f"{path.parent}"))
        lines, size = _read(path)
        if lines:
            _check_first(path, lines[0], first)
        # Unbuffered, so that a failed write is not repeated when the file is closed.
        file = stack.enter_context(path.open("ab", buffering=0))
        taken = take(file, lines[1:])
        file.truncate(size)
        if not lines:
            append(file, [first])
            _sync_folder(path.parent)
        yield taken


def read(path: str | os.PathLike, take: Callable[[BinaryIO, list[dict[str, Any]]], T]) -> T:
    """Returns the result of `take` (see `opened`) without locking the file, which another process may be writing.

    Raises:
      ValueError: the file is of another format, or damaged.
    """
    path = pathlib.Path(path)
    lines, _ = _read(path)
    if not lines or lines[0].get("format") != FORMAT or not isinstance(lines[0].get("header"), dict):
        raise ValueError(f"{path} is not a journal of format {FORMAT}, which this version reads")
    with path.open("rb") as file:
        return take(file, lines[1:])


def take_each(file: BinaryIO, events: Iterable[Mapping[str, Any]], take: Callable[[Mapping[str, Any]], None]) -> None:
    """Calls `take` for each line after the first.

    Raises:
      ValueError: a line, which is named, is not a valid event.
    """
    for number, event in enumerate(events, start=2):
        try:
            take(event)
        except ValueError as error:
            raise ValueError(_damage(file.name, number, error)) from error
        except KeyError as error:
            raise ValueError(_damage(file.name, number, f"it lacks {error.args[0]!r}")) from error
        except (TypeError, OverflowError) as error:
            raise ValueError(_damage(file.name, number, "a field of it is of another kind")) from error


def append(file: BinaryIO, lines: Sequence[Mapping[str, Any]]) -> None:
    """Appends lines and waits until they are on disk. A partial write is undone."""
    check_there(file)
    data = memoryview(b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines))
    size = os.fstat(file.fileno()).st_size
    try:
        while data:
            data = data[file.write(data) :]
        os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            file.truncate(size)
        raise OSError(error.errno, error.strerror, file.name) from error


def check_there(file: IO) -> None:
    """Raises an `OSError` if an open file was deleted, moved or replaced, so that what is written would be lost."""
    try:
        if os.path.samestat(os.fstat(file.fileno()), os.stat(file.name)):
            return
    except OSError:
        pass  # there is nothing under its name
    problem = "was deleted or moved while the program ran, which therefore stops; nothing was written elsewhere"
    raise FileNotFoundError(errno.ENOENT, problem, file.name)


def _sync_folder(path):
    """Waits until the folder's new entry is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path):
    """Returns (parsed lines, bytes they take); a torn last line is left out."""
    data = files.read_bytes(path) if path.exists() else b""
    *whole, torn = data.split(b"\n")
    if not whole and torn.strip(b"\0") and torn[: len(_BEGINNING)] != _BEGINNING[: len(torn)]:
        raise ValueError(f"{path} is not a journal; start in a fresh folder")
    lines = []
    for number, line in enumerate(whole, start=1):
        try:
            parsed = json_values.parse(line)
            if not isinstance(parsed, dict):
                raise ValueError("not a JSON object")
        except ValueError as error:
            if number == len(whole) > 1:
                return lines, sum(len(line) + 1 for line in whole[:-1])
            raise ValueError(_damage(path, number, error)) from error
        lines.append(parsed)
    return lines, sum(len(line) + 1 for line in whole)


def _check_first(path, got, wanted):
    """Raises a `ValueError` unless the first line `got` is the one that would be written now."""
    if got == wanted:
        return
    if not isinstance(got.get("header"), dict) or got.get("format") != FORMAT:
        said = f"one of format {got['format']!r}" if "format" in got else "something else"
        raise ValueError(
            f"{path} is not a journal of format {FORMAT}, which this version reads, but {said}; start in a fresh "
            "folder, or resume with the version that wrote it"
        )
    if not (found := list(differences(got["header"], wanted["header"]))):
        return
    if others := [text for text in found if text.startswith(_KINDS)]:
        found = others  # whose settings differ anyway
    if len(found) > _MOST:
        found[_MOST:] = [f"and {len(found) - _MOST} more"]
    raise ValueError(
        f"{path} is of another search: {'; '.join(found)}; start in a fresh folder or with the old settings"
    )


def differences(got: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yields a text for each entry that differs, of nested objects too; a missing one equals None."""
    for name in sorted(got.keys() | wanted.keys()):
        old, new = got.get(name), wanted.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new)
        elif old != new:
            yield f"{name} was {old!r} and is now {new!r}"


def _damage(path, number, error):
    return f"line {number} of {path} is damaged ({error}); restore the file or start in a fresh folder"
