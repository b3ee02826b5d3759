"""Metrics of a run: one JSON object a line, event files for TensorBoard and a progress line."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from common.records import json_files, json_lines, progress, run_dir


class MetricsLog:
    """Writes metrics while a run advances, in a `with` statement; `lines` are those of the file, earlier ones first."""

    def __init__(
        self,
        path: str | os.PathLike,
        *,
        title: str,
        total: int,
        unit: str,
        start: int = 0,
        key: str = "step",
        events: str | os.PathLike | None = None,
    ):
        """Opens the files of a run, which an interrupted run resumes.

        Args:
          path: the file of lines, such as `folder / run_dir.METRICS`.
          total: progress at the end of the run.
          unit: of progress, a plural.
          start: progress so far; later lines and events of an earlier run are dropped. 0: the files start empty.
          key: the entry of a line that holds its progress, an integer or a float.
          events: folder of the event files; None: none are written.
        """
        self._path, self._events, self._key, self._start = pathlib.Path(path), events, key, start
        self._live = progress.Progress(title, total=total, unit=unit)
        lines = json_files.read_lines(self._path) if start else ()
        self.lines: list[dict[str, Any]] = [
            line for line in lines if isinstance(line.get(key), int | float) and line[key] <= start
        ]

    def add(
        self, line: Mapping[str, Any], *, scalars: Mapping[str, float] | None = None, note: str, done: int | None = None
    ) -> None:
        """Writes one line, its events, and updates the progress line.

        Args:
          line: JSON types, `key` among them.
          scalars: name -> number for TensorBoard, which groups names by what precedes the slash, as in `train/loss`.
          note: text of the progress line.
          done: progress, if it is not the entry `key` of the line.
        """
        json_lines.check_there(self._file)
        done = line[self._key] if done is None else done
        self.lines.append(dict(line))
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._write_scalars is not None:
            self._write_scalars(scalars or {}, done)
        self._live.update(done, note)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            run_dir.write_text(self._path, "".join(json.dumps(line) + "\n" for line in self.lines))
            self._file = stack.enter_context(self._path.open("a"))
            self._write_scalars = None
            if self._events is not None:
                self._write_scalars = stack.enter_context(_event_file(pathlib.Path(self._events), self._start))
            stack.enter_context(self._live)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


@contextlib.contextmanager
def _event_file(folder, start):
    """Yields (scalars by name, step) -> None, which writes to a new event file; events after step `start` are hidden.

    It does without tensorboardX' `SummaryWriter`, whose thread ends where a disk is full or the clock is set back by
    weeks; a search would then wait for it for ever.
    """
    from tensorboardX import event_file_writer  # takes a second to import where PyTorch is installed
    from tensorboardX.proto import event_pb2, summary_pb2

    folder.mkdir(parents=True, exist_ok=True)
    if not start:
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
    with contextlib.closing(event_file_writer.EventsWriter(str(folder / "events"))) as writer:

        def write(**fields):
            writer.write_event(event_pb2.Event(wall_time=time.time(), **fields))

        def write_scalars(scalars, step):
            values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
            write(step=step, summary=summary_pb2.Summary(value=values))
            writer.flush()

        if start:
            write(step=start + 1, file_version="brain.Event:2")
            write(step=start + 1, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        yield write_scalars
