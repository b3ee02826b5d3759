"""Lock files of a process, released when it ends, also if it is killed."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def hold(path: str | os.PathLike, *, what: str) -> Iterator[None]:
    """Holds the lock file at `path`, which names the holder and is not deleted afterwards.

    Args:
      path: the lock file; its folder must exist.
      what: name of the locked resource, for the message.

    Raises:
      ValueError: another process, or another part of this one, holds the lock.
    """
    with pathlib.Path(path).open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read(200).decode(errors="replace").strip() or "a process that has just started"
            raise ValueError(f"{what} is in use by {holder}; wait for it, stop it, or take another folder") from error
        with contextlib.suppress(OSError):  # the lock is held on a full disk too
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield
