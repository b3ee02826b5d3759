"""Workers in trouble, for `benchmarks.kill_test`: they exit, hang, print or are stopped for a second.

The evaluator is the benchmark that ships with the package. In a folder named by $NAS_TROUBLES some architectures get
into trouble at their first evaluation; without it none do, so both runs must end with the same results.

    python -m benchmarks.kill_test --commands='lanas --budget=60 --executor=process --num_workers=2 --copy_after=4
        --evaluator=benchmarks.troubles:evaluator'
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from common import types
from common.evaluators import benchmark

FOLDER = "NAS_TROUBLES"
KINDS = ("exit", "print", "stop", "hang")
_SHARE = 0.2  # of the architectures


def evaluator() -> types.Evaluator:
    """Returns the evaluator."""
    table = benchmark.evaluator("digits_convnet")

    def evaluate(key, archs):
        if folder := os.environ.get(FOLDER):
            _trouble(pathlib.Path(folder), "_".join(map(str, archs[0].tolist())))
        return table.evaluate(key, archs)

    return table._replace(name="troubled/digits", evaluate=evaluate, is_traceable=False, recipe=None)


def _trouble(folder, row):
    """Does, once in a folder, what the row determines."""
    moments = random.Random(row)
    kind = moments.choice(KINDS)
    if moments.random() > _SHARE or not _is_first(folder / row):
        return
    if kind == "hang" and not _is_first(folder / "hang"):  # one, as no worker would be left to take over
        kind = "exit"
    (folder / f"{row}.{kind}").touch()
    if kind == "exit":
        os._exit(3)
    elif kind == "hang":
        time.sleep(3600)
    elif kind == "print":
        os.write(1, b"\0\xff no text \n" * 10_000)
        print('{"event": "measured", "at": 0}' * 1000, file=sys.stderr, flush=True)
    else:
        subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)


def _is_first(path):
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def counts(folder: pathlib.Path) -> dict[str, int]:
    """Returns the number of troubles by kind that happened in a folder."""
    return {kind: len(list(folder.glob(f"*.{kind}"))) for kind in KINDS}
