"""Writing files all or nothing."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Yields a binary file that replaces `path` once it is complete and on disk; until then `path` stays as it was.

    Until then it is called `.NAME.tmp`, and locked. A killed process leaves at most that file, which the next one that
    writes `path` takes over.

    Raises:
      OSError: it cannot be written; the error names `path`.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with _locked(temporary) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
    except OSError as error:
        if not error.errno:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def check_folder(path: str | os.PathLike, made: str | os.PathLike | None = None) -> None:
    """Raises a `ValueError` unless the folder of a file exists, or is `made`, and can be written."""
    path = pathlib.Path(path)
    if path.parent.is_dir():
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise ValueError(f"cannot write {path}: no permission to write to the folder {path.parent}")
    elif made is None or path.parent.absolute() != pathlib.Path(made).absolute():
        raise ValueError(f"cannot write {path}: there is no folder {path.parent}")


def _locked(path):
    """Opens an empty file that no other process writes; waits for one that does."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):  # else another process has renamed it
                file.truncate()
                return file
        file.close()
