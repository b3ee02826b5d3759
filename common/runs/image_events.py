"""Journal of the trainings of `search_images`, and of its plan."""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from common.records import json_lines


class Events:
    """The events of a run, each with its name in "event" and its "seconds", in memory and on disk."""

    def __init__(self, file: BinaryIO, lines: Sequence[Mapping[str, Any]]):
        """Takes the lines of earlier starts, see `json_lines.opened`."""
        self._file, self.lines = file, list(lines)

    def append(self, event: Mapping[str, Any]) -> None:
        """Writes an event."""
        json_lines.append(self._file, [event])
        self.lines.append(dict(event))

    def all(self, name: str) -> list[dict[str, Any]]:
        """Returns the events of a name."""
        return [line for line in self.lines if line["event"] == name]

    def last(self, name: str) -> dict[str, Any] | None:
        """Returns the last event of a name, if there is one."""
        return next(reversed(self.all(name)), None)
