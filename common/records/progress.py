"""Progress of a command: a live line on a terminal, otherwise a plain line every few seconds."""

import datetime
import sys
import threading
import time
from collections.abc import Iterable

import rich.console
import rich.progress
import rich.table

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_SIGNS = 15.0  # of life, before the first update


def report(about: str, oddities: Iterable[str] = ()) -> None:
    """Prints, on standard error, one line about the data of a user that was read, and one for each oddity."""
    print(f"data: {about}", file=sys.stderr, flush=True)
    for oddity in oddities:
        print(f"warning: {oddity}", file=sys.stderr, flush=True)


class Progress:
    """Shows progress on standard error. Use it in a `with` statement."""

    def __init__(self, title: str, *, total: int, unit: str):
        """Counts up to `total` of `unit` (a plural)."""
        self._title, self._total, self._unit = title, total, unit
        self._first: tuple[float, int] | None = None
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        console = rich.console.Console(stderr=True)
        self._live = _live(console) if console.is_terminal else None
        self._task = None
        self._started, self._waiting = threading.Event(), None

    def __enter__(self):
        if self._live is not None:
            self._live.start()
            fields = {"unit": self._unit, "note": "compiling", "left": ""}
            self._task = self._live.add_task(self._title, total=self._total, **fields)
        else:
            self._waiting = threading.Thread(target=self._wait, daemon=True)
            self._waiting.start()
        return self

    def __exit__(self, *_):
        if self._live is not None:
            self._live.stop()
        if self._waiting is not None:
            self._started.set()
            self._waiting.join()

    def update(self, done: int, note: str, *, left: str | None = None) -> None:
        """Shows `done`, a note, and the text `left`, by default the estimated time left."""
        now = time.monotonic()
        self._started.set()
        self._first = self._first or (now, done)
        left = self._left(now, done) if left is None else left
        left = f", {left}" if left else ""
        if self._live is not None:
            self._live.update(self._task, completed=done, note=note, left=left)
        elif now >= self._next_line or done == self._total:
            self._next_line = now + _SECONDS_BETWEEN_LINES
            note = f", {note}" if note else ""
            print(f"{self._title}: {done}/{self._total} {self._unit}{note}{left}", file=sys.stderr, flush=True)

    def _wait(self):
        """Prints lines until the first update, before which large networks take minutes to compile."""
        start = time.monotonic()
        while not self._started.wait(_SECONDS_BETWEEN_SIGNS):
            waited = f"no {self._unit} yet after {time.monotonic() - start:.0f} s"
            print(f"{self._title}: {waited}; compiling takes minutes for large networks", file=sys.stderr, flush=True)

    def _left(self, now, done):
        """Estimates the time left. The clock starts at the first update, after compiling and replay."""
        start, before = self._first
        if done in (before, self._total):
            return ""
        seconds = (now - start) / (done - before) * (self._total - done)
        return f"{datetime.timedelta(seconds=round(seconds))} left"


def _live(console):
    """Returns a live line. On a narrow terminal it loses its bar first, then the end of the note."""
    text = "{task.description}: {task.completed}/{task.total} {task.fields[unit]}{task.fields[left]}, "
    return rich.progress.Progress(
        rich.progress.BarColumn(bar_width=12),
        rich.progress.TextColumn(
            text + "{task.fields[note]}", table_column=rich.table.Column(no_wrap=True, overflow="ellipsis")
        ),
        console=console,
    )
