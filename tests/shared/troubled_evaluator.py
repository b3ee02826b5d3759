"""Evaluator on a toy space for tests of executors: the row determines whether and how it fails.

It keeps a line of each measurement that it begins in a file, so that tests can count them.
"""

import os
import pathlib
import signal
import time

import jax
import numpy as np

from common import types
from common.spaces import factory

SPACE = factory.search_space("toy", (3,) * 4, size=81, describe=lambda arch: "".join(map(str, arch)))
_WEIGHTS = np.array([27, 9, 3, 1], np.int32)


def index(archs) -> np.ndarray:
    """Returns int[B], the place of each row in the space."""
    return np.asarray(archs) @ _WEIGHTS


def evaluator(
    *, log=None, seconds=0.0, raises=(), diverges=(), fills_memory=(), kills=(), kills_once=(), hangs=(), hangs_once=()
):
    """Returns the evaluator. The names of troubles take the indices of the rows that have them.

    Args:
      log: file to which a line is added when a measurement begins: its index and the process.
      seconds: how long a measurement takes.
      raises: of these the measurement raises.
      diverges: of these the fitness is NaN.
      fills_memory: of these the measurement raises as XLA does when memory runs out.
      kills: these end the worker by a signal, each time.
      kills_once: these end the worker at the first try.
      hangs: these never end.
      hangs_once: these never end at the first try.
    """
    settings = dict(locals())

    def evaluate(key, archs):
        at = int(index(archs)[0])
        is_first = True
        if log is not None:
            begun = pathlib.Path(log).read_text().splitlines() if os.path.exists(log) else []
            is_first = str(at) not in [line.split()[0] for line in begun]
            with open(log, "a") as file:
                file.write(f"{at} {os.getpid()}\n")
        time.sleep(seconds)
        if at in raises:
            raise RuntimeError(f"no network\nof index {at}")
        if at in fills_memory:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.")
        if at in kills or (at in kills_once and is_first):
            os.kill(os.getpid(), signal.SIGKILL)
        if at in hangs or (at in hangs_once and is_first):
            time.sleep(3600)
        noise = int(jax.random.randint(key, (), 0, 256))
        fitness = np.nan if at in diverges else at / 128 + noise / 1024
        return types.Evaluation(
            fitness=np.array([fitness], np.float32), cost=np.array([at / 8], np.float32), ok=np.array([True])
        )

    return types.Evaluator(
        name="troubled",
        space=SPACE,
        protocol="validation",
        evaluate=evaluate,
        test=evaluate,
        num_archs=81,
        recipe=types.Recipe(f"{__name__}.evaluator", settings),
    )


def cannot_be_made(**settings):
    """Raises, as a factory does whose data are not there."""
    raise ValueError(f"no data at {settings['path']}")
