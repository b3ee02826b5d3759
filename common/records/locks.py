"""A lock that one process holds, until it ends however it ends."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def hold(path: str | os.PathLike, *, what: str) -> Iterator[None]:
    """Holds the lock file at `path`, which says who holds it and stays there afterwards.

    Args:
      path: the lock file; its folder must exist.
      what: what is locked, for the message.

    Raises:
      ValueError: another process, or another part of this one, holds it.
    """
    with pathlib.Path(path).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(200).decode(errors="replace").strip() or "a process that has just started"
            raise ValueError(f"{what} is in use by {holder}; wait for it, stop it, or take another folder") from error
        with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield
