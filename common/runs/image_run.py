"""What the stages of `search_images` share: the run, and the progress of a stage."""

import contextlib
import dataclasses
import datetime
import pathlib
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent import futures
from typing import Any

import numpy as np

from common import types
from common.datasets import images
from common.records import progress
from common.report import own_images as pages
from common.report import small_networks
from common.runs import image_events
from common.runs.halving import Row
from common.supernets import training as shared

PAGE = "report.html"
STATES, FINAL = "states", "final_"  # folder of the states of trainings; prefix of those of the last stage
_SECONDS_BETWEEN_TIMES, _SECONDS_BETWEEN_NOTES = 15.0, 1.0


@dataclasses.dataclass(frozen=True)
class Run:
    """What the stages of one start share."""

    dataset: images.Dataset
    made: shared.Run  # the program of the candidates
    space: types.SearchSpace  # the part of the space within the limits
    algorithm: types.Algorithm  # proposes candidates
    about: Mapping[str, Any]  # identifies the run
    folder: pathlib.Path
    events: image_events.Events  # the journal of trainings
    resources: contextlib.ExitStack  # closed at the end
    pool: futures.Executor  # threads that train
    num_threads: int  # their number
    begun: float  # time on `time.monotonic`, of which earlier starts are subtracted
    stopped: threading.Event  # set when trainings must end

    @property
    def deadline(self) -> float:
        """The time on `time.monotonic` at which the minutes are over."""
        return self.begun + 60 * self.about["minutes"]

    @property
    def spent(self) -> float:
        """Seconds since the beginning, earlier starts included."""
        return time.monotonic() - self.begun

    def check(self) -> None:
        """Ends a training of a run that is interrupted; else records the time, which counts over all starts."""
        if self.stopped.is_set():
            raise RuntimeError("interrupted")
        if self.spent - self.events.lines[-1]["seconds"] > _SECONDS_BETWEEN_TIMES:
            self.record(event="time")

    def record(self, **event: Any) -> dict[str, Any]:
        """Appends an event to the journal of trainings and returns it."""
        event |= {"seconds": round(self.spent, 2)}
        self.events.append(event)
        return event

    def write_page(self, *, is_running: bool = True, epochs: Mapping[str, float] | None = None) -> None:
        """Writes the page; while the search runs, only if the one that is there is some seconds old.

        Args:
          epochs: done so far by each network that trains to the end.
        """
        path, left = self.folder / PAGE, self.deadline - time.monotonic() if is_running else None
        if not is_running or not path.exists() or time.time() - path.stat().st_mtime > pages.RELOAD_SECONDS / 2:
            pages.write(self.folder, path, seconds_left=left, epochs=epochs)

    def cost(self, name: str, archs: Any) -> np.ndarray:
        """Returns float[B], costs of int32[B, L]."""
        return np.asarray(self.made.costs[name](np.asarray(archs, np.int32)))

    def words(self, arch: Row) -> str:
        """Returns a candidate as the page describes it, such as `32 | 64 + 2 residual | 128 + 1 plain`."""
        side, _, num_channels = self.dataset.train.images.shape[1:]
        sizes = small_networks.Sizes(self.made.network.config, side, num_channels)
        return " | ".join(small_networks.words(arch, sizes))

    def state_path(self, arch: Row) -> pathlib.Path:
        """Returns the file of the state of a candidate."""
        return self.folder / STATES / "".join(map(str, arch))

    def keep(self, archs: Iterable[Row]) -> None:
        """Deletes the states of other candidates."""
        kept = {self.state_path(arch).name for arch in archs}
        for path in (self.folder / STATES).iterdir():
            if path.name not in kept and not path.name.startswith(FINAL):
                path.unlink()


class Live:
    """Progress of a stage: a line every few seconds, also while a program compiles."""

    def __init__(self, title: str, total: int, unit: str, deadline: float):
        self._line = progress.Progress(title, total=total, unit=unit)
        self._done, self._note, self._deadline, self._closed = 0, "compiling", deadline, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._line.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._closed.set()
        self._thread.join()
        self._line.__exit__(*error)

    def note(self, text: str, *, done: int | None = None) -> None:
        """Shows a text, and how many are done."""
        self._note, self._done = text, self._done if done is None else done

    def _run(self):
        while not self._closed.wait(_SECONDS_BETWEEN_NOTES):
            left = round(self._deadline - time.monotonic())
            text = f"{datetime.timedelta(seconds=abs(left))} {'left of the whole' if left >= 0 else 'over the minutes'}"
            self._line.update(self._done, self._note, left=text)
