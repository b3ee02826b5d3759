"""Architectures that are trained alone, some at the same time; each result is on disk at once.

Small networks leave most of a processor idle, as their operations are too short to be shared among its cores. Two
trainings in two threads, which run the same compiled program, take as long as one: 2.0 times the throughput on two
cores, and each gives what it gives by itself, to the bit.
"""

import json
import os
import pathlib
import threading
from collections.abc import Sequence
from concurrent import futures
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


def default_num_threads() -> int:
    """Returns one per processor core of this process on a CPU, and one on an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    path: pathlib.Path,
    evaluator: types.Evaluator,
    trainings: Sequence[Training],
    *,
    seed: int,
    title: str,
    num_threads: int = 1,
) -> dict[Training, float]:
    """Returns the accuracy after each training, NaN where it failed; none that `path` holds is trained again.

    Args:
      path: the file, JSON.
      evaluator: trains; its protocol is "validation".
      trainings: which, each once.
      seed: decides first weights and the order of images.
      title: of the progress.
      num_threads: trainings at the same time. Results do not depend on it.

    Raises:
      ValueError: the file holds trainings by other settings.
    """
    found = _read(path, evaluator)
    functions = {"validation": evaluator.evaluate, "test": evaluator.test}
    missing = [training for training in trainings if training not in found]
    lock = threading.Lock()

    def train(training):
        key = jax.random.fold_in(jax.random.key(seed), training.number)
        evaluation = functions[training.part](key, np.array([training.arch], np.int32))
        accuracy = float(evaluation.fitness[0]) if evaluation.ok[0] else None
        with lock:
            found[training] = accuracy
            _write(path, evaluator, found)
            done = sum(training in found for training in trainings)
            live.update(done, "infeasible" if accuracy is None else f"accuracy {100 * accuracy:.2f} %")

    with (
        progress.Progress(title, total=len(trainings), unit="trainings") as live,
        futures.ThreadPoolExecutor(num_threads) as pool,
    ):
        for training in missing[:1]:  # by itself, as it compiles what the others run
            train(training)
        for _ in pool.map(train, missing[1:]):
            pass
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
