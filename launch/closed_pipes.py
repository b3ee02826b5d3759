"""Standard output that nobody reads any more, as of `| head`: a program ends without a word then, as others do."""

import os
import select
import sys
from collections.abc import Callable

CODE = 141  # 128 + SIGPIPE, what shells say of programs that a closed pipe ended


def end_quietly(run: Callable[[], int]) -> int:
    """Returns the exit code that `run` does, or CODE if what it says could not be written, as its reader has gone.

    The signal itself is left alone: it would also end a search of which but a worker has died.
    """
    try:
        code = run()
        for stream in _streams():
            stream.flush()
        return code
    except BrokenPipeError:
        if not close():  # another pipe broke
            raise
        return CODE
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich has closed the pipe by then
            return CODE
        raise


def close() -> bool:
    """Returns whether a reader of ours has gone; what is still to be written for it goes nowhere from now on."""
    gone = [stream for stream in _streams() if _is_broken(stream)]
    for stream in gone:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(gone)


def _streams():
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]  # None: closed from the start


def _is_broken(stream):
    try:
        number = stream.fileno()
    except OSError:  # a text in memory
        return False
    poll = select.poll()
    poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
