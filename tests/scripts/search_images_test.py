"""From shared weights to networks trained alone: the record of trainings, and the whole command."""

import contextlib
import io
import json
import os
import pathlib
import tempfile
import threading

import chex
import jax
import numpy as np
import pytest

from common import types
from launch import search_images, trained_alone

FIRST, SECOND, BAD = (1, 2), (3, 4), (0, 0)


class TrainedAloneTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "trained.json")
        self.calls = []

    def evaluator(self, name="alone"):
        def measure(part, key, archs):
            self.calls.append((part, tuple(archs[0].tolist()), tuple(jax.random.key_data(key).tolist())))
            ok = np.array([archs[0].any()])
            return types.Evaluation(fitness=np.float32(archs.sum(axis=1) / 8), cost=np.ones(1, np.float32), ok=ok)

        return types.Evaluator(
            name=name,
            space=None,
            protocol="validation",
            evaluate=lambda key, archs: measure("validation", key, archs),
            test=lambda key, archs: measure("test", key, archs),
            optimum=None,
            num_archs=None,
            is_traceable=False,
        )

    def trainings(self, evaluator=None, **settings):
        return trained_alone.Trainings(self.path, evaluator or self.evaluator(), seed=3, **settings)

    def run_all(self, trainings, evaluator=None, **settings):
        with contextlib.redirect_stderr(io.StringIO()), self.trainings(evaluator, **settings) as alone:
            return alone.results(trainings, title="trained")

    def test_nothing_is_trained_twice_and_each_training_has_its_key(self):
        trainings = [trained_alone.Training(FIRST, number, "test") for number in (1, 2)]
        assert self.run_all(trainings) == dict.fromkeys(trainings, 0.375)
        more = [*trainings, trained_alone.Training(FIRST, 1, "validation"), trained_alone.Training(SECOND, 1, "test")]
        assert list(self.run_all(more).values()) == [0.375, 0.375, 0.375, 0.875]
        keys = [tuple(jax.random.key_data(jax.random.fold_in(jax.random.key(3), number)).tolist()) for number in (1, 2)]
        assert self.calls == [
            ("test", FIRST, keys[0]),
            ("test", FIRST, keys[1]),
            ("validation", FIRST, keys[0]),
            ("test", SECOND, keys[0]),
        ]

    def test_what_failed_has_no_accuracy_and_is_not_tried_again(self):
        training = trained_alone.Training(BAD, 0, "validation")
        for _ in range(2):
            assert np.isnan(self.run_all([training])[training])
        assert len(self.calls) == 1

    def test_the_first_compiles_by_itself_and_the_others_are_trained_at_the_same_time(self):
        meeting, trainings = (
            threading.Barrier(2, timeout=60),
            [trained_alone.Training(FIRST, n, "test") for n in range(3)],
        )

        def test(key, archs):
            self.calls.append(threading.get_ident())
            if len(self.calls) > 1:
                meeting.wait()  # broken, and so an error, unless two are here at once
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        evaluator = self.evaluator()._replace(test=test)
        assert self.run_all(trainings, evaluator, num_threads=2) == dict.fromkeys(trainings, 1.0)
        assert len(self.calls) == 3
        assert len(set(self.calls)) == 2
        assert threading.get_ident() in self.calls  # the caller does not only wait

    def test_what_is_started_is_trained_while_the_caller_does_something_else(self):
        done, trainings = threading.Event(), [trained_alone.Training(FIRST, number, "test") for number in range(2)]

        def test(key, archs):
            self.calls.append(threading.get_ident())
            if len(self.calls) == 2:
                done.set()
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        with self.trainings(self.evaluator()._replace(test=test), num_threads=2) as alone:
            alone.start(trainings)
            alone.start(trainings)  # which are begun already
            assert done.wait(timeout=60)
            assert alone.results(trainings, title="trained") == dict.fromkeys(trainings, 1.0)
        assert len(self.calls) == 2
        assert threading.get_ident() not in self.calls

    def test_one_thread_starts_nothing_by_itself(self):
        training = trained_alone.Training(FIRST, 0, "test")
        with self.trainings() as alone:
            alone.start([training])
            assert self.calls == []
            assert alone.results([training], title="trained") == {training: 0.375}
        assert len(self.calls) == 1

    def test_an_error_leaves_out_what_has_not_begun_and_keeps_what_has(self):
        begun, leaves = threading.Event(), threading.Event()

        def test(key, archs):
            begun.set()
            assert leaves.wait(timeout=60)
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        def interrupted():
            with self.trainings(self.evaluator()._replace(test=test), num_threads=2) as alone:
                alone.start([trained_alone.Training(FIRST, number, "test") for number in range(9)])
                assert begun.wait(timeout=60)
                threading.Timer(0.2, leaves.set).start()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert len(json.loads(self.path.read_text())["trainings"]) == 1

    def test_two_programs_do_not_share_the_file(self):
        with self.trainings(), pytest.raises(ValueError, match=r"trained\.json is in use by pid \d+"), self.trainings():
            pass

    def test_a_processor_takes_a_training_a_core_and_an_accelerator_one(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
            assert trained_alone.default_num_threads() == 3
            patch.setattr(jax, "default_backend", lambda: "gpu")
            assert trained_alone.default_num_threads() == 1

    def test_what_others_gave_is_kept_when_one_breaks(self):
        meeting = threading.Barrier(2, timeout=60)

        def test(key, archs):
            if archs[0].tolist() != list(FIRST):
                meeting.wait()  # both have begun
            if archs[0].tolist() == list(BAD):
                raise RuntimeError("out of memory")
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        evaluator = self.evaluator()._replace(test=test)
        trainings = [trained_alone.Training(arch, 0, "test") for arch in (FIRST, BAD, SECOND)]
        with pytest.raises(RuntimeError, match="out of memory"):
            self.run_all(trainings, evaluator, num_threads=2)
        kept = {tuple(one["arch"]) for one in json.loads(self.path.read_text())["trainings"]}
        assert kept == {FIRST, SECOND}

    def test_trainings_by_other_settings_are_refused(self):
        self.run_all([trained_alone.Training(FIRST, 0, "test")])
        with pytest.raises(ValueError, match=r"holds trainings as alone, and now it is longer; set --proxy_"):
            self.run_all([trained_alone.Training(SECOND, 0, "test")], self.evaluator("longer"))


class CommandTest(chex.TestCase):
    @pytest.mark.slow
    def test_what_is_found_is_the_best_by_validation_and_a_second_start_trains_nothing(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "run")
        flags = ["--supernet_width=2", "--supernet_num_epochs=2", "--supernet_num_images=64", "--supernet_held_out=40"]
        flags += ["--supernet_batch_size=32", "--proxy_num_epochs=1", "--algorithms=random,lanas", "--budget=20"]
        flags += ["--num_best=3", "--num_random=4", "--num_trainings=2", f"--workdir={folder}"]
        results = []
        for _ in range(2):
            output = io.StringIO()
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                assert search_images.main(["--compilation_cache_dir=", *flags]) == 0, output.getvalue()
            results.append((json.loads((folder / "result.json").read_text()), (folder / "trained.json").read_text()))
        assert results[0] == results[1]
        result, trained = results[0][0], json.loads(results[0][1])["trainings"]
        names = ("random", "lanas", search_images.CHOSEN)
        assert [one["found_by"] for one in result["networks"]] == [*names, *[search_images.RANDOM] * 4]
        assert len(result["choice"]) == 9
        for name, found in zip(names, result["networks"]):
            rows = [one for one in result["choice"] if one["found_by"] == name]
            assert found["arch"] == max(rows, key=lambda one: one["validation"])["arch"]
        for one in result["networks"]:
            own = [row for row in trained if row["arch"] == one["arch"] and row["part"] == "test"]
            tests = [row["accuracy"] for row in sorted(own, key=lambda row: row["training"])]
            assert one["test"] == tests
            assert len(tests) == (1 if one["found_by"] == search_images.RANDOM else 2)
        summary = (folder / "summary.md").read_text()
        assert [summary.count(f"\n| {name} | ") for name in names] == [1, 1, 1]
        assert '"random, chosen alike" is the same of 3 random architectures' in summary
