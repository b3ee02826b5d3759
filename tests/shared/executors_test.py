"""Executors: their contract, and failures of workers."""

import collections
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time
import warnings

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import executors, one_round, search, types
from common.evaluators import benchmark
from common.executors import config as configs
from common.executors import inline, measuring, process
from common.executors import ray as ray_executor
from common.records import journal as journal_lib
from tests.shared import folders
from tests.shared import search_test as toy
from tests.shared import troubled_evaluator as troubled

KEY = 5


def run(name, evaluator, *, budget=24, mode="synchronous", journal=None, **config):
    with executors.EXECUTORS[name](evaluator, configs.Config(**config)) as executor:
        return search.run_search(
            jax.random.key(KEY), toy.climber(4), evaluator, budget=budget, mode=mode, executor=executor, journal=journal
        )


def expected_fitness(archs) -> np.ndarray:
    """Results of the evaluator without failures, for each row."""
    evaluate = troubled.evaluator().evaluate
    archs = np.asarray(archs)
    keys = one_round.candidate_keys(jax.random.key(KEY), archs)
    return np.array([evaluate(key, arch[None]).fitness[0] for key, arch in zip(keys, archs)])


class ExecutorTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.log = str(self.folder / "log")

    def num_tries(self):
        return collections.Counter(int(line.split()[0]) for line in pathlib.Path(self.log).read_text().splitlines())


class InlineTest(ExecutorTest):
    def test_exceptions_are_retried_in_the_middle_of_a_search(self):
        def resumed(budget, raises=(), retry=False):
            with journal_lib.open_journal(self.folder / "journal.jsonl", {}) as journal:
                if retry:
                    assert journal.retry_failed() > 0
                return run("inline", troubled.evaluator(raises=raises), budget=budget, journal=journal)

        first = resumed(24, raises=range(0, 81, 3))
        with self.assertNoLogs(level="WARNING"):  # of rounds that would be proposed differently
            retried = resumed(36, retry=True)
            toy.assert_same(resumed(36), retried)
        np.testing.assert_array_equal(retried.archs[:24], first.archs)
        assert np.all(retried.status == types.MEASURED)
        np.testing.assert_allclose(retried.fitness, expected_fitness(retried.archs), rtol=1e-6)

    def test_troubles_are_recorded_with_their_reasons_and_the_search_goes_on(self):
        evaluator = troubled.evaluator(log=self.log, raises=(3, 40), diverges=(17,), fills_memory=(60,))
        journal = journal_lib.Journal()
        history = run("inline", evaluator, budget=80, journal=journal)
        index = troubled.index(history.archs)
        reasons = {index[at]: one.reason for at, one in journal.measured.items() if not one.ok}
        expected = {
            3: "RuntimeError: no network of index 3",
            40: "RuntimeError: no network of index 40",
            17: "diverged: its fitness is nan",
            60: "out of memory: RuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes.",
        }
        assert reasons == {at: reason for at, reason in expected.items() if at in index}
        assert len(reasons) >= 3
        is_infeasible = np.asarray(history.status) == types.INFEASIBLE
        np.testing.assert_array_equal(is_infeasible, np.isin(index, list(reasons)))
        np.testing.assert_array_equal(
            np.asarray(history.fitness)[~is_infeasible], expected_fitness(history.archs)[~is_infeasible]
        )
        assert set(self.num_tries().values()) == {1}

    def test_a_time_out_needs_another_process(self):
        with pytest.raises(ValueError, match="choose process or ray for candidate_timeout"):
            run("inline", troubled.evaluator(), candidate_timeout=1.0)

    def test_traced_in_any_number_gives_the_same(self):
        evaluator = benchmark.evaluator("digits_convnet")
        archs = evaluator.space.enumerate()[:11].tolist()
        candidates = [
            types.Candidate(at=at, arch=tuple(arch), key=(0, at), impl="threefry2x32") for at, arch in enumerate(archs)
        ]
        together, apart = inline.make(evaluator), inline.make(evaluator)
        together.submit(candidates)
        outcomes = []
        for candidate in candidates:
            apart.submit([candidate])
            outcomes += apart.collect()
        assert (together.collect(), [one.at for one in outcomes]) == (outcomes, list(range(11)))
        assert together.collect() == []


class RecipeTest(ExecutorTest):
    def test_a_benchmark_is_made_again_from_its_recipe(self):
        made = benchmark.evaluator("digits_convnet", protocol="test")
        again = measuring.make(made.recipe)
        assert again.recipe == made.recipe
        assert (again.name, again.protocol, again.optimum) == (made.name, made.protocol, made.optimum)
        assert benchmark.evaluator("digits_convnet", data_dir="here").recipe.settings["data_dir"] == os.path.abspath(
            "here"
        )

    def test_without_a_recipe_there_are_no_workers(self):
        for name in ("process", "ray"):
            if name == "ray":
                pytest.importorskip("ray", reason="needs the extra [ray]")
            with pytest.raises(ValueError, match="troubled has no recipe, from which workers could build it"):
                run(name, troubled.evaluator()._replace(recipe=None))

    @parameterized.parameters("nowhere.evaluator", "common.evaluators.benchmark.nothing", "evaluator")
    def test_a_factory_that_is_not_there(self, path):
        with pytest.raises(ValueError, match=f"factory {path} cannot be imported"):
            measuring.make(types.Recipe(path, {}))


class EnvironmentTest(parameterized.TestCase):
    """Environment of a worker, on simulated machines."""

    class Gpu:
        platform = "gpu"

        def __init__(self, number, version="CUDA 12"):
            self.local_hardware_id = number
            self.client = type("Client", (), {"platform_version": version})()

    def setUp(self):
        super().setUp()
        patch = pytest.MonkeyPatch()
        self.addCleanup(patch.undo)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        self.patch = patch

    def test_one_gpu_a_worker(self):
        gpus = [self.Gpu(0), self.Gpu(1)]
        seen = [process.environment(slot, num_workers=2, devices=gpus) for slot in range(2)]
        assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == ["0", "1"]
        assert {one["XLA_PYTHON_CLIENT_PREALLOCATE"] for one in seen} == {"false"}
        assert {one["XLA_PYTHON_CLIENT_MEM_FRACTION"] for one in seen} == {"0.900"}

    def test_workers_share_gpus_where_there_are_more(self):
        gpus = [self.Gpu(0), self.Gpu(1)]
        seen = [process.environment(slot, num_workers=3, devices=gpus) for slot in range(3)]
        assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == ["0", "1", "0"]
        assert {one["XLA_PYTHON_CLIENT_MEM_FRACTION"] for one in seen} == {"0.450"}

    def test_of_the_gpus_that_this_process_may_see(self):
        self.patch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
        seen = [process.environment(at, num_workers=2, devices=[self.Gpu(0), self.Gpu(1)]) for at in range(2)]
        assert [one["CUDA_VISIBLE_DEVICES"] for one in seen] == ["5", "7"]
        rocm = process.environment(0, num_workers=1, devices=[self.Gpu(3, "ROCm 6")])
        assert rocm["ROCR_VISIBLE_DEVICES"] == "3"
        assert "CUDA_VISIBLE_DEVICES" not in rocm


@pytest.mark.slow
class ProcessTest(ExecutorTest):
    def test_the_same_history_with_one_worker_three_and_none(self):
        wanted = run("inline", troubled.evaluator(raises=(3, 40), diverges=(17,)))
        for num_workers in (1, 3):
            toy.assert_same(
                run("process", troubled.evaluator(raises=(3, 40), diverges=(17,)), num_workers=num_workers), wanted
            )

    def test_killed_hanging_and_raising_candidates(self):
        troubles = {"kills_once": (5, 7, 30), "kills": (11, 50), "raises": (20,), "hangs": (61,)}
        every = [row for rows in troubles.values() for row in rows]
        evaluator = troubled.evaluator(log=self.log, **troubles)
        journal = journal_lib.Journal()
        history = run(
            "process", evaluator, budget=80, journal=journal, num_workers=2, candidate_timeout=5.0, max_retries=1
        )
        index = troubled.index(history.archs)
        assert len(np.unique(index)) == 80
        reasons = {index[at]: one.reason for at, one in journal.measured.items() if not one.ok}
        killed = "the worker was ended by SIGKILL (the system does that when memory runs out); tried 2 times"
        expected = {11: killed, 50: killed, 20: "RuntimeError: no network of index 20", 61: "timed out after 5 s"}
        assert reasons == {at: reason for at, reason in expected.items() if at in index}
        errors = {index[at]: one.error for at, one in journal.measured.items() if one.error}
        assert errors == ({20: "RuntimeError"} if 20 in index else {})
        tries = self.num_tries()
        assert {row: count for row, count in tries.items() if count > 1} == {
            row: 2 for row in (5, 7, 30, 11, 50) if row in index
        }
        assert set(every) - set(index) <= {int(set(range(81)).difference(index).pop())}

    def test_what_hangs_is_begun_by_an_idle_worker_and_measured_once(self):
        wanted = run("inline", troubled.evaluator())
        hangs = tuple(troubled.index(wanted.archs)[[2, 9]].tolist())
        journal = journal_lib.Journal()
        evaluator = troubled.evaluator(log=self.log, hangs_once=hangs)
        toy.assert_same(run("process", evaluator, num_workers=2, copy_after=3.0, journal=journal), wanted)
        tries = self.num_tries()
        assert ([tries[at] for at in hangs], max(tries.values())) == ([2, 2], 2)
        assert sorted(journal.measured) == list(range(24))

    def test_recycled_workers(self):
        history = run("process", troubled.evaluator(log=self.log), budget=8, num_workers=1, recycle_after=4)
        processes = [line.split()[1] for line in pathlib.Path(self.log).read_text().splitlines()]
        assert [len(set(processes[:4])), len(set(processes[4:])), len(set(processes))] == [1, 1, 2]
        np.testing.assert_array_equal(history.fitness, expected_fitness(history.archs))

    def test_a_worker_that_cannot_make_the_evaluator_ends_the_search(self):
        broken = troubled.evaluator()._replace(
            recipe=types.Recipe("tests.shared.troubled_evaluator.cannot_be_made", {"path": "/nowhere"})
        )
        with pytest.raises(ValueError, match="cannot build the evaluator: ValueError: no data at /nowhere"):
            run("process", broken, num_workers=1)


class RayHeadTest(parameterized.TestCase):
    @parameterized.parameters((4, 0, 1, 0.0), (2, 2, 1, 1.0), (1, 4, 1, 1.0), (12, 8, 2, 0.5), (3, 1, 3, 0.3333))
    def test_workers_share_gpus_where_there_are_more(self, num_workers, num_gpus, num_sharing, part):
        assert ray_executor.shares(num_workers, num_gpus) == (num_sharing, part)

    def test_a_head_that_does_not_answer_three_times_is_gone(self):
        server = socket.create_server(("127.0.0.1", 0))
        head = ray_executor._Head(f"127.0.0.1:{server.getsockname()[1]}")
        for _ in range(4):
            head.check()
        server.close()
        head.check()
        head.check()
        assert not head.is_gone
        with pytest.raises(ValueError, match=r"the Ray cluster at 127.0.0.1:\d+ is gone: .*, and resume with the same"):
            head.check()
        assert head.is_gone


@pytest.mark.slow
class RayTest(ExecutorTest):
    """On a cluster of two nodes on this machine."""

    def setUp(self):
        super().setUp()
        self.ray = pytest.importorskip("ray", reason="needs the extra [ray]")
        from ray import cluster_utils

        with contextlib.ExitStack() as stack:
            stack.enter_context(_calm())
            self.cluster = cluster_utils.Cluster(
                initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000}
            )
            self.addCleanup(self.cluster.shutdown)
            self.second = self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
            self.ray.init(address=self.cluster.address, log_to_driver=False, logging_level="error")
        self.addCleanup(self.ray.shutdown)

    def test_a_search_whose_cluster_is_gone_ends_with_one_line(self):
        # In a process of its own, as Ray ends one that has lost its head for a minute.
        program = f"""
from common.executors import config, ray
from tests.shared import troubled_evaluator
from common import search
from tests.shared import search_test as toy
import jax
ray._SECONDS_BETWEEN_CHECKS = 1.0
evaluator = troubled_evaluator.evaluator(log={self.log!r}, seconds=1.0)
try:
    with ray.executor(evaluator, config.Config(ray_address={self.cluster.address!r})) as executor:
        search.run_search(jax.random.key(0), toy.climber(4), evaluator, budget=40, executor=executor)
except ValueError as error:
    print(error)
"""
        root = pathlib.Path(__file__).parents[2]
        with subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True) as started:
            while not os.path.exists(self.log):
                time.sleep(0.1)
            self.cluster.head_node.kill_gcs_server()
            output, _ = started.communicate(timeout=120)
        assert "is gone: its head does not answer; all results so far are in the folder of the run" in output

    def test_a_node_lost_and_a_worker_killed_in_the_middle(self):
        wanted = run("inline", troubled.evaluator(), budget=40)

        def disturb():
            while not os.path.exists(self.log) or len(pathlib.Path(self.log).read_text().splitlines()) < 10:
                time.sleep(0.02)
            with _calm():
                self.cluster.remove_node(self.second, allow_graceful=False)

        thread = threading.Thread(target=disturb)
        thread.start()
        evaluator = troubled.evaluator(
            log=self.log, seconds=0.2, kills_once=troubled.index(wanted.archs)[30:31].tolist()
        )
        with _calm():
            history = run("ray", evaluator, budget=40, max_retries=3)
        thread.join()
        toy.assert_same(history, wanted)
        tries = self.num_tries()
        assert set(tries) == set(troubled.index(wanted.archs).tolist())
        assert sum(tries.values()) <= 42

    def test_troubles(self):
        troubles = {"kills": (11, 50), "raises": (20,), "hangs": (61,), "diverges": (33,)}
        evaluator = troubled.evaluator(log=self.log, **troubles)
        journal = journal_lib.Journal()
        with _calm():
            history = run("ray", evaluator, budget=80, journal=journal, candidate_timeout=5.0, max_retries=1)
        index = troubled.index(history.archs)
        assert len(np.unique(index)) == 80
        reasons = {int(index[at]): one.reason for at, one in journal.measured.items() if not one.ok}
        assert set(reasons) == {11, 50, 20, 61, 33} & set(index.tolist())
        for at, reason in {20: "RuntimeError: no network", 61: "timed out after 5 s", 33: "diverged"}.items():
            assert at not in reasons or reasons[at].startswith(reason)
        for at in {11, 50} & set(reasons):
            assert reasons[at].endswith("tried 2 times")


@contextlib.contextmanager
def _calm():
    """Ray forks and leaves files open, of which the tests' strict settings would make errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
