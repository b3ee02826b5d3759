"""A search for own images that is killed at each of its stages ends with the results of one that is not."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from absl.testing import parameterized

# The plan is given, and candidates are proposed one by one: otherwise both depend on the speed of the machine.
_PROGRAM = """
import sys, time
from unittest import mock
import numpy as np
from common import baselines, compilation, search_images
from common.runs import image_plan, image_trainings, training_queue

images, folder, cache = sys.argv[1:]
compilation.enable_cache(cache)
train = image_trainings.train

def slow(*args, **settings):
    state = train(*args, **settings)
    time.sleep(0.3)
    return state

plan = image_plan.Plan(4, (1, 3), 2000.0, 2000.0)
with (
    mock.patch.object(image_plan, "make", lambda *args, **settings: plan),
    mock.patch.object(image_plan, "finals", lambda seconds, each, **settings: (3, tuple(each))),
    mock.patch.object(image_plan, "check_minutes"),
    mock.patch.object(training_queue, "default_num_threads", lambda: 1),
    mock.patch.object(image_trainings, "train", slow),
):
    search_images(images, minutes=100, workdir=folder, algorithm=baselines.ALGORITHMS["random"])
"""


def _num(path, event):
    """Returns how many events of a name a journal has."""
    with contextlib.suppress(FileNotFoundError):
        return sum(f'"event": "{event}"' in line for line in path.read_text().splitlines())
    return 0


@pytest.mark.slow  # five starts of the program of all candidates
class KillTest(parameterized.TestCase):
    def test_killed_at_each_stage(self):
        top = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        random = np.random.default_rng(0)
        x, y = random.integers(0, 256, (90, 8, 8, 1), dtype=np.uint8), np.arange(90) % 3
        np.savez(top / "mine.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])

        def start(name):
            words = [sys.executable, "-c", _PROGRAM, top / "mine.npz", top / name, top / "cache"]
            return subprocess.Popen([str(word) for word in words])

        assert start("whole").wait() == 0
        killed = top / "killed"
        stages = (
            lambda: _num(killed / "journal.jsonl", "measured") >= 2,
            lambda: _num(killed / "trainings.jsonl", "trained") >= 1,
            lambda: _num(killed / "trainings.jsonl", "finals") >= 1,
            lambda: _num(killed / "trainings.jsonl", "final") >= 1,
        )
        for is_reached in stages:
            process = start("killed")
            while process.poll() is None and not is_reached():
                time.sleep(0.02)
            process.kill()
            assert process.wait() == -9
        assert start("killed").wait() == 0
        whole, resumed = (json.loads((top / name / "result.json").read_text()) for name in ("whole", "killed"))
        for result in (whole, resumed):
            for name in ("seconds", "workdir"):
                del result[name]
            for network in (result["best"], *result["baselines"]):
                del network["cost"]
        assert resumed == whole
        for name in ("model.safetensors", "resnet.safetensors", "best.json"):
            assert (top / "killed" / name).read_bytes() == (top / "whole" / name).read_bytes()
