"""Metrics of a run: one JSON object a line, event files for TensorBoard and a progress line."""

import contextlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from common.records import json_files, json_lines, progress, run_dir


class MetricsLog:
    """Writes the metrics of a run while it advances. Use it in a `with` statement.

    Attributes:
      lines: the lines of the file, those of earlier runs first.
    """

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
          title: first words of the progress line.
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
        if self._writer is not None:
            for name, value in (scalars or {}).items():
                self._writer.add_scalar(name, value, done)
        self._live.update(done, note)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            run_dir.write_text(self._path, "".join(json.dumps(line) + "\n" for line in self.lines))
            self._file = stack.enter_context(self._path.open("a"))
            self._writer = None if self._events is None else stack.enter_context(_writer(self._events, self._start))
            stack.enter_context(self._live)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


def _writer(folder, start):
    """Returns the writer of event files; TensorBoard hides events of earlier files after step `start`."""
    import tensorboardX  # takes a second to import where PyTorch is installed

    if not start:
        for path in pathlib.Path(folder).glob("events.out.tfevents.*"):
            path.unlink()
    return tensorboardX.SummaryWriter(str(folder), purge_step=start + 1 if start else None)
