"""Reads TensorBoard event files."""

import pathlib
from collections.abc import Iterator

from tensorboardX.proto import event_pb2

from common.file_formats import tfrecord


def events(folder: pathlib.Path) -> Iterator[event_pb2.Event]:
    """Yields the events of the files in a folder."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        yield from map(event_pb2.Event.FromString, tfrecord.read(path))


def scalars(folder: pathlib.Path) -> dict[tuple[int, str], float]:
    """Returns (step, name) -> value."""
    return {(event.step, value.tag): value.simple_value for event in events(folder) for value in event.summary.value}
