"""Architectures that are trained alone one after another; each result is on disk at once."""

import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from common import run_dir, types
from launch import progress


class Training(NamedTuple):
    """One training of an architecture.

    Attributes:
      arch: the row.
      number: which of its trainings; each has first weights of its own.
      part: the images on which its accuracy is measured, "validation" or "test".
    """

    arch: tuple[int, ...]
    number: int
    part: str


def run(
    path: pathlib.Path, evaluator: types.Evaluator, trainings: Sequence[Training], *, seed: int, title: str
) -> dict[Training, float]:
    """Returns the accuracy after each training, NaN where it failed; none that `path` holds is trained again.

    Args:
      path: the file, JSON.
      evaluator: trains; its protocol is "validation".
      trainings: which.
      seed: decides first weights and the order of images.
      title: of the progress.

    Raises:
      ValueError: the file holds trainings by other settings.
    """
    found = _read(path, evaluator)
    functions = {"validation": evaluator.evaluate, "test": evaluator.test}
    with progress.Progress(title, total=len(trainings), unit="trainings") as live:
        for at, training in enumerate(trainings, start=1):
            if training not in found:
                key = jax.random.fold_in(jax.random.key(seed), training.number)
                evaluation = functions[training.part](key, np.array([training.arch], np.int32))
                found[training] = float(evaluation.fitness[0]) if evaluation.ok[0] else None
                _write(path, evaluator, found)
            accuracy = found[training]
            live.update(at, "infeasible" if accuracy is None else f"accuracy {100 * accuracy:.2f} %")
    return {training: np.nan if found[training] is None else found[training] for training in trainings}


def _read(path, evaluator):
    """Returns training -> accuracy, None where it failed."""
    if not path.exists():
        return {}
    record = json.loads(path.read_text())
    if record["trained_as"] != evaluator.name:
        raise ValueError(
            f"{path} holds trainings as {record['trained_as']}, and now it is {evaluator.name}; set --proxy_... as "
            "before, or start in a fresh folder"
        )
    return {Training(tuple(one["arch"]), one["training"], one["part"]): one["accuracy"] for one in record["trainings"]}


def _write(path, evaluator, found):
    trainings = [
        {"arch": training.arch, "training": training.number, "part": training.part, "accuracy": accuracy}
        for training, accuracy in found.items()
    ]
    run_dir.write_json(path, {"trained_as": evaluator.name, "trainings": trainings})
