"""Spaces, evaluators and algorithms of another package, named as package.module:name on a command line."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from absl.testing import parameterized

from common import config as configs
from common import plugins, spaces
from common.evaluators import problem
from common.records import run_dir
from common.runs import bugs
from launch import algorithms, baselines, lanas, study
from tests.shared import folders

ROOT = pathlib.Path(__file__).parents[2]
MODULE = '''
"""A package of a user: switches, some of which are lamps."""

import jax
import jax.numpy as jnp
import numpy as np

from common import types
from common.baselines import random_search
from common.spaces import factory

print("imported")


def space():
    return factory.search_space("switches", (2,) * 6, size=64, describe=lambda arch: "".join(map(str, arch)))


def evaluator(space):
    def measure(key, archs):
        fitness = np.asarray(archs).mean(axis=1).astype(np.float32)
        return types.Evaluation(fitness=fitness, cost=np.ones(len(archs), np.float32), ok=np.ones(len(archs), bool))

    return types.Evaluator(
        name="lamps/six", space=space, protocol="validation", evaluate=measure, test=measure, optimum=1.0,
        num_archs=64, is_traceable=False,
    )


def costly(space):
    return evaluator(space)._replace(costs={"lit": lambda archs: archs.sum(axis=1)})


def broken(space):
    import pathlib

    def measure(key, archs):
        if pathlib.Path(__file__).with_name("bug").exists():
            return archs + "1"
        return evaluator(space).evaluate(key, archs)

    return evaluator(space)._replace(evaluate=measure)


ready = evaluator(space())
shy = random_search.searcher
number = 3


def nothing():
    return None
'''


class BringYourOwnTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        (self.folder / "mylamps.py").write_text(MODULE)
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        self.addCleanup(sys.modules.pop, "mylamps", None)
        self.workdir = self.folder / "run"

    def run_command(self, main, *arguments, code=0):
        arguments = (f"--workdir={self.workdir}", *arguments)
        return self.run_main(main, *arguments, code=code)[code]

    def result(self):
        return json.loads((self.workdir / run_dir.RESULT).read_text())

    @parameterized.parameters("synchronous", "asynchronous")
    def test_an_evaluator_with_a_bug_stops_the_search_until_it_is_mended(self, mode):
        own = ("--evaluator=mylamps:broken", "--space=mylamps:space", "--budget=12", "--count=4", f"--mode={mode}")
        (self.folder / "bug").touch()
        for _ in range(2):  # the second start stops at once
            errors = self.run_command(baselines.main, *own, code=1)
            assert "all 3 evaluations so far raised " in errors
            assert "resume with --retry_failed" in errors
            assert not (self.workdir / run_dir.RESULT).exists()
        assert 'return archs + "1"' in (self.workdir / bugs.TRACEBACKS).read_text()
        (self.folder / "bug").unlink()
        self.run_command(baselines.main, *own, "--retry_failed")
        found, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        assert (self.result()["queries"], self.result()["infeasible"]) == (12, 0)
        np.testing.assert_allclose(found.fitness, found.archs.mean(axis=1), rtol=1e-6)
        self.run_command(baselines.main, *own, "--budget=16")  # the journal is read with the line of the retried rows
        later, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        np.testing.assert_array_equal(later.archs[:12], found.archs)
        assert self.result()["infeasible"] == 0

    def test_a_default_budget_is_at_most_all_there_is_in_whole_rounds(self):
        own = ("--evaluator=mylamps:costly", "--space=mylamps:space", "--count=4", "--limit=lit<=2")  # of 1 + 6 + 15
        self.workdir = self.folder / "all"
        printed, errors = self.run_main(
            baselines.main, f"--workdir={self.workdir}", *own, "--objectives=fitness,lit", "--algorithm=nsga2"
        )
        assert "budget: 20, all that lamps/six has in whole rounds (--budget)" in printed
        assert "lit is maximized; write -lit for less, or +lit" in errors
        assert self.result()["queries"] == 20
        assert json.loads((self.workdir / run_dir.CONFIG).read_text())["flags"]["budget"] == 20
        self.workdir = self.folder / "more"
        assert "budget must be at most 22" in self.run_command(baselines.main, *own, "--budget=100", code=1)

    def test_a_bug_may_be_recorded_as_infeasible(self):
        own = ("--evaluator=mylamps:broken", "--space=mylamps:space", "--budget=4", "--count=4", "--max_errors=0")
        (self.folder / "bug").touch()
        self.run_command(baselines.main, *own)
        assert self.result()["infeasible"] == 4

    def test_a_search_resumes(self):
        own = ("--evaluator=mylamps:evaluator", "--space=mylamps:space", "--algorithm=mylamps:shy", "--seed=3")
        self.run_command(baselines.main, *own, "--budget=5")
        first = json.loads((self.workdir / run_dir.CONFIG).read_text())
        assert (first["space"], first["benchmark"], first["algorithm"]) == ("switches", "lamps/six", "shy")
        self.run_command(baselines.main, *own, "--budget=9")
        assert self.result()["queries"] == 9
        wrong = self.run_command(baselines.main, "--budget=9", "--algorithm=mylamps:shy", code=1)
        assert "benchmark was 'lamps/six' and is now 'digits_convnet/digits'" in wrong
        del sys.modules["mylamps"]
        assert "imported" not in self.run_command(baselines.main, "--budget=9", code=1), "a folder imports nothing"
        assert "mylamps" not in sys.modules

    def test_limits_on_the_costs_of_an_evaluator(self):
        own = ("--evaluator=mylamps:costly", "--space=mylamps:space", "--budget=40")
        self.run_command(baselines.main, *own, "--limit=lit<=3,lit>=1")
        found, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        np.testing.assert_array_equal(np.unique(found.archs.sum(axis=1)), [1, 2, 3])
        assert len(found.archs) == 40  # of 6 + 15 + 20
        _, twice = self.run_main(baselines.main, *own, "--limit=lit<=3", "--limit=lit>=1", code=2)
        assert "--limit is given twice; give it once, with commas between the values" in twice

    def test_an_evaluator_that_is_ready_and_lanas(self):
        self.run_command(lanas.main, "--evaluator=mylamps:ready", "--budget=30", "--height=2", "--regressor=ridge")
        result = self.result()
        assert (result["best"]["fitness"], result["best"]["description"]) == (1.0, "111111")

    @pytest.mark.slow
    def test_worker_processes_make_the_evaluator(self):
        own = ("--evaluator=mylamps:evaluator", "--space=mylamps:space", "--budget=6")
        done = subprocess.run(
            [sys.executable, "-m", "launch.baselines", *own, "--executor=process", f"--workdir={self.workdir}"],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{self.folder}", "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert self.result()["queries"] == 6

    def test_an_algorithm_of_a_study(self):
        flags = ("--algorithms=random,mylamps:shy", "--budget=20", "--num_seeds=2", "--seeds_at_once=2")
        self.run_command(study.main, *flags)
        report = json.loads((self.workdir / run_dir.STUDY).read_text())["algorithms"]
        np.testing.assert_equal(report["shy"]["best_fitness"], report["random"]["best_fitness"])

    def test_an_algorithm_record(self):
        assert algorithms.get("common.baselines.local_search:ALGORITHM").name == "local_search"
        assert algorithms.get("lanas_jax:ALGORITHM").config.height == 4

    def test_settings_after_the_name_of_an_algorithm(self):
        space = spaces.get("nasbench_macro")
        for name in ("lanas:height=7:exploration=0.25", "lanas_jax:ALGORITHM:height=7:exploration=0.25"):
            one = algorithms.get(name)
            assert (one.name, one.config.height, one.config.exploration) == (name, 7, 0.25)
            base = algorithms.get("lanas")
            wanted = configs.replace(base.for_space(space, base.config), {"height": 7, "exploration": 0.25})
            assert one.for_space(space, one.config) == wanted
        for name, message in (
            ("lanas:heigth=7", "algorithm lanas:heigth=7: lanas has no setting 'heigth'; did you mean height"),
            ("lanas:explor=0.3", "lanas has no setting 'explor'; did you mean explor"),
            ("random:zzz=1", "random has no setting 'zzz'; its settings: count"),
            ("lanas:height=0", "height must be at least 1"),
            ("lanes:height=7", "unknown algorithm 'lanes'"),
        ):
            with pytest.raises(ValueError, match=message):
                algorithms.get(name)

    @parameterized.parameters(
        ("mylamps", "'mylamps' must have the form package.module:name"),
        ("no.such:thing", "no module 'no' for no.such:thing; run the command from its folder, or install it"),
        ("common.nowhere:thing", "no module 'common.nowhere' for common.nowhere:thing"),
        ("mylamps.py:ready", "no module 'mylamps.py' for mylamps.py:ready; leave .py out, and run"),
        ("mylamps:evaluatr", "module mylamps has no 'evaluatr'; did you mean evaluator?"),
        ("mylamps:lamps", "module mylamps has no 'lamps'; it has jax, jnp, np,"),
        ("mylamps:number", "mylamps:number must be of the type Evaluator or a function that returns one; got int"),
        ("mylamps:nothing", "mylamps:nothing must return the type Evaluator; it returned NoneType"),
        (
            "mylamps:evaluator",
            "mylamps:evaluator must be callable with no arguments: missing a required argument: 'space'; give its",
        ),
    )
    def test_errors_are_one_line(self, path, message):
        with pytest.raises(ValueError, match=message.replace("(", r"\(")):
            problem.custom(path)

    def test_errors_of_the_module_itself(self):
        for text, message in (("1 / 0", "ZeroDivisionError: division by zero"), ("import nowhere", "No module named")):
            (self.folder / "broken.py").write_text(text)
            with pytest.raises(ValueError, match=f"broken cannot be imported: .*{message}"):
                plugins.load("broken:thing")

    def test_flags_that_do_not_suit(self):
        for flags, message in (
            (("--evaluator=mylamps:ready", "--space=nasbench201"), "is an evaluator of switches; leave out the space"),
            (("--evaluator=mylamps:ready", "--benchmark=nasbench201"), "--benchmark is not for --evaluator=mylamps"),
            (("--space=mylamps:space",), "space mylamps:space is no space of a benchmark; give an evaluator of"),
            (("--evaluator=mylamps:ready", "--costs=more.csv"), "--costs is not for --evaluator=mylamps:ready"),
            (("--algorithm=mylamps:shy", "--count=2"), "--count is not a setting of shy; its settings: none"),
            (("--evaluator=mine",), "unknown evaluator 'mine'; choose one of benchmark, training, supernet"),
        ):
            assert message in self.run_command(baselines.main, *flags, code=1)
