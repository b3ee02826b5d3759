"""How far a command is: a live line on a terminal, elsewhere a plain line every few seconds."""

import datetime
import sys
import time

import rich.console
import rich.progress
import rich.table

_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Shows how far something is, on standard error. Use it in a `with` statement."""

    def __init__(self, title: str, *, total: int, unit: str):
        """Counts up to `total` of `unit` (a plural)."""
        self._title, self._total, self._unit = title, total, unit
        self._first: tuple[float, int] | None = None
        self._next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
        console = rich.console.Console(stderr=True)
        self._live = _live(console) if console.is_terminal else None
        self._task = None

    def __enter__(self):
        if self._live is not None:
            self._live.start()
            fields = {"unit": self._unit, "note": "compiling", "left": ""}
            self._task = self._live.add_task(self._title, total=self._total, **fields)
        return self

    def __exit__(self, *_):
        if self._live is not None:
            self._live.stop()

    def update(self, done: int, note: str, *, left: str | None = None) -> None:
        """Says that `done` are done, `note`, and what is `left`, in words; by default the time at the pace so far."""
        now = time.monotonic()
        self._first = self._first or (now, done)
        left = self._left(now, done) if left is None else left
        left = f", {left}" if left else ""
        if self._live is not None:
            self._live.update(self._task, completed=done, note=note, left=left)
        elif now >= self._next_line or done == self._total:
            self._next_line = now + _SECONDS_BETWEEN_LINES
            print(f"{self._title}: {done}/{self._total} {self._unit}, {note}{left}", file=sys.stderr, flush=True)

    def _left(self, now, done):
        """The time left. The first update is where the clock starts: before it lie compiling and replay."""
        start, before = self._first
        if done in (before, self._total):
            return ""
        seconds = (now - start) / (done - before) * (self._total - done)
        return f"{datetime.timedelta(seconds=round(seconds))} left"


def _live(console):
    """One line. A narrow terminal leaves out its bar first, then the end of the note."""
    text = "{task.description}: {task.completed}/{task.total} {task.fields[unit]}{task.fields[left]}, "
    return rich.progress.Progress(
        rich.progress.BarColumn(bar_width=12),
        rich.progress.TextColumn(
            text + "{task.fields[note]}", table_column=rich.table.Column(no_wrap=True, overflow="ellipsis")
        ),
        console=console,
    )
