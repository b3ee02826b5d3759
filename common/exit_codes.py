"""Errors of a program as one line on standard error, and its exit code.

0 success, 1 error, 2 usage error, 130 interrupted, 141 broken pipe (as in `| head`).
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable

from common import compilation

INTERRUPTED, BROKEN_PIPE = 130, 141  # as shells report a program that SIGINT or SIGPIPE ended


def piped(run: Callable[[], int]) -> int:
    """Returns the exit code of `run`, `BROKEN_PIPE` if nothing reads its output any more."""
    try:
        code = run()
        print(end="", flush=True)  # a broken pipe shows here, not at exit
        return code
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):  # rich exits by one
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)  # for what Python flushes at exit
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                os.dup2(nowhere, stream.fileno())
        return BROKEN_PIPE


def ended(code: int) -> int:
    """Returns an exit code, but ends an interrupted process at once: XLA would first finish what it compiles."""
    if code == INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    return code


def guarded(run: Callable[[], None], *, has_traceback: bool) -> int:
    """Runs a program and returns its exit code.

    `ValueError` and `OSError` are errors of the user or the system, one line on standard error, with the traceback on
    request. Any other exception is a bug, and keeps its traceback.
    """
    try:
        run()
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        if has_traceback:
            traceback.print_exc()
        return fail(_system_message(error) if isinstance(error, OSError) else one_line(error), code=1)
    except KeyboardInterrupt:
        return fail(
            "interrupted; resume it by the same command, with the --workdir that it printed, if any", code=INTERRUPTED
        )
    except Exception as error:
        if not has_traceback and (problem := compilation.missing_platform(error)):
            return fail(problem, code=1)
        raise
    return 0


def fail(message: str, *, code: int) -> int:
    """Prints an error on standard error and returns the exit code."""
    print(f"error: {message}", file=sys.stderr)
    return code


def one_line(error: Exception) -> str:
    """Returns the message of an error on one line."""
    return " ".join(str(error).split())


def _system_message(error):
    """Returns the file and the reason of an `OSError`."""
    where = f"{error.filename}: " if error.filename else ""
    advice = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "; make room and resume with the same --workdir"
    return " ".join(f"{where}{error.strerror or error}{advice}".split())
