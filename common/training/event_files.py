"""TensorBoard event files, written and read without TensorFlow."""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import tensorboardX
from tensorboardX.proto import event_pb2

from common.file_formats import tfrecord


class Scalar(NamedTuple):
    """A number at a step of training."""

    step: int
    name: str
    value: float


class EventFile:
    """Writes scalars into a new event file of a folder. Use it in a `with` statement."""

    def __init__(self, folder: str | os.PathLike, *, start: int = 0):
        """Starts a file.

        Args:
          folder: made if it is not there; TensorBoard shows all its files as one run.
          start: steps done already. What earlier files say of later steps is no longer shown: training that was
            killed does them again.
        """
        self._writer = tensorboardX.SummaryWriter(str(folder), purge_step=start + 1 if start else None)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Writes numbers by name; names of one group share what stands before the slash, as in `train/loss`."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()


def read(folder: str | os.PathLike) -> Iterator[Scalar]:
    """Yields the scalars of the event files of a folder, those of earlier files first.

    Raises:
      ValueError: while iterating, if a file is damaged.
    """
    for path in sorted(pathlib.Path(folder).glob("events.out.tfevents.*")):
        for record in tfrecord.read(path):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                yield Scalar(event.step, value.tag, value.simple_value)
