"""How far a command is: a live line on a terminal, elsewhere a plain line every few seconds."""

import datetime
import sys
import time

import rich.console
import rich.progress

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
            self._task = self._live.add_task(self._title, total=self._total, unit=self._unit, note="compiling")
        return self

    def __exit__(self, *_):
        if self._live is not None:
            self._live.stop()

    def update(self, done: int, note: str, *, seconds_left: float | None = None) -> None:
        """Says that `done` are done, `note`, and how long the rest takes: as told, or at the pace so far."""
        if self._live is not None:
            self._live.update(self._task, completed=done, note=note)
            return
        now = time.monotonic()
        self._first = self._first or (now, done)
        if now >= self._next_line or done == self._total:
            self._next_line = now + _SECONDS_BETWEEN_LINES
            line = f"{self._title}: {done}/{self._total} {self._unit}, {note}{self._left(now, done, seconds_left)}"
            print(line, file=sys.stderr, flush=True)

    def _left(self, now, done, seconds=None):
        """The time left. The first update is where the clock starts: before it lie compiling and replay."""
        start, before = self._first
        if done == self._total or (seconds is None and done == before):
            return ""
        if seconds is None:
            seconds = (now - start) / (done - before) * (self._total - done)
        return f", {datetime.timedelta(seconds=round(seconds))} left"


def _live(console):
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TextColumn("{task.completed}/{task.total} {task.fields[unit]}, {task.fields[note]}"),
        rich.progress.TimeRemainingColumn(),
        console=console,
    )
