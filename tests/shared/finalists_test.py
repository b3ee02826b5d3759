"""Trainings of given architectures: each once, in threads, with a record of results that resumes."""

import contextlib
import io
import json
import os
import threading
from concurrent import futures
from unittest import mock

import jax
import numpy as np
import pytest

from common import types
from common.runs import finalists, training_queue
from tests.shared import folders

FIRST, SECOND, BAD = (1, 2), (3, 4), (0, 0)


class TrainingsTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "trained.json"
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
        )

    def trainings(self, evaluator=None, **settings):
        return training_queue.opened(self.path, evaluator or self.evaluator(), seed=3, **settings)

    def run_all(self, trainings, evaluator=None, **settings):
        with contextlib.redirect_stderr(io.StringIO()), self.trainings(evaluator, **settings) as alone:
            found = alone.results(trainings, title="trained")
        return {training: result.fitness for training, result in found.items()}

    def test_nothing_is_trained_twice_and_each_training_has_its_key(self):
        trainings = [training_queue.Training(FIRST, number, "test") for number in (1, 2)]
        assert self.run_all(trainings) == dict.fromkeys(trainings, 0.375)
        more = [*trainings, training_queue.Training(FIRST, 1, "validation"), training_queue.Training(SECOND, 1, "test")]
        assert list(self.run_all(more).values()) == [0.375, 0.375, 0.375, 0.875]
        keys = [tuple(jax.random.key_data(jax.random.fold_in(jax.random.key(3), number)).tolist()) for number in (1, 2)]
        assert self.calls == [
            *(("test", FIRST, keys[0]), ("test", FIRST, keys[1]), ("validation", FIRST, keys[0])),
            ("test", SECOND, keys[0]),
        ]

    def test_what_failed_has_no_accuracy_and_is_not_tried_again(self):
        training = training_queue.Training(BAD, 0, "validation")
        for _ in range(2):
            assert np.isnan(self.run_all([training])[training])
        assert len(self.calls) == 1

    def test_the_first_compiles_by_itself_and_the_others_are_trained_at_the_same_time(self):
        meeting, trainings = (
            threading.Barrier(2, timeout=60),
            [training_queue.Training(FIRST, n, "test") for n in range(3)],
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
        done, trainings = threading.Event(), [training_queue.Training(FIRST, number, "test") for number in range(2)]

        def test(key, archs):
            self.calls.append(threading.get_ident())
            if len(self.calls) == 2:
                done.set()
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        with self.trainings(self.evaluator()._replace(test=test), num_threads=2) as alone:
            alone.start(trainings)
            alone.start(trainings)  # which are begun already
            assert done.wait(timeout=60)
            assert alone.results(trainings, title="trained") == dict.fromkeys(trainings, training_queue.Result(1.0))
        assert len(self.calls) == 2
        assert threading.get_ident() not in self.calls

    def test_an_error_leaves_out_what_has_not_begun_and_keeps_what_has(self):
        begun, leaves = threading.Event(), threading.Event()

        def test(key, archs):
            begun.set()
            assert leaves.wait(timeout=60)
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        shutdown = futures.ThreadPoolExecutor.shutdown

        def cancel_first(pool, *, cancel_futures):
            shutdown(pool, wait=False, cancel_futures=cancel_futures)
            leaves.set()
            shutdown(pool)

        def interrupted():
            with self.trainings(self.evaluator()._replace(test=test), num_threads=2) as alone:
                alone.start([training_queue.Training(FIRST, number, "test") for number in range(9)])
                assert begun.wait(timeout=60)
                raise KeyboardInterrupt

        with mock.patch.object(futures.ThreadPoolExecutor, "shutdown", cancel_first), pytest.raises(KeyboardInterrupt):
            interrupted()
        assert len(json.loads(self.path.read_text())["trainings"]) == 1

    def test_two_programs_do_not_share_the_file(self):
        with self.trainings(), pytest.raises(ValueError, match=r"trained\.json is in use by pid \d+"), self.trainings():
            pass

    def test_a_processor_takes_a_training_a_core_and_an_accelerator_one(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
            assert training_queue.default_num_threads() == 3
            patch.setattr(jax, "default_backend", lambda: "gpu")
            assert training_queue.default_num_threads() == 1

    def test_what_others_gave_is_kept_when_one_breaks(self):
        meeting = threading.Barrier(2, timeout=60)

        def test(key, archs):
            if archs[0].tolist() != list(FIRST):
                meeting.wait()  # both have begun
            if archs[0].tolist() == list(BAD):
                raise RuntimeError("out of memory")
            return types.Evaluation(fitness=np.ones(1, np.float32), cost=np.ones(1, np.float32), ok=np.ones(1, bool))

        evaluator = self.evaluator()._replace(test=test)
        trainings = [training_queue.Training(arch, 0, "test") for arch in (FIRST, BAD, SECOND)]
        with pytest.raises(RuntimeError, match="out of memory"):
            self.run_all(trainings, evaluator, num_threads=2)
        kept = {tuple(one["arch"]) for one in json.loads(self.path.read_text())["trainings"]}
        assert kept == {FIRST, SECOND}

    def test_trainings_by_other_settings_are_refused(self):
        self.run_all([training_queue.Training(FIRST, 0, "test")])
        with pytest.raises(ValueError, match="holds trainings with alone, not longer; restore the settings"):
            self.run_all([training_queue.Training(SECOND, 0, "test")], self.evaluator("longer"))


class RerankTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        self.keys = []

    def evaluator(self, name="short"):
        def evaluate(key, archs):
            self.keys.append(tuple(jax.random.key_data(key).tolist()))
            if archs[0, 0] == 7:
                raise ValueError("diverged")
            ok = np.array([archs[0].any()])
            return types.Evaluation(
                fitness=np.float32(archs.sum(axis=1) / 8), cost=np.ones(1, np.float32), ok=ok, reasons=("no branch",)
            )

        return types.Evaluator(name, None, "validation", evaluate, evaluate, None, None, False)

    def test_finalists_are_trained_once_and_their_file_is_that_of_earlier_versions(self):
        archs, fitness = np.array([FIRST, BAD, SECOND]), np.float32([0.75, 0.5, 0.25])
        found = finalists.rerank(self.evaluator(), archs[:2], fitness[:2], self.folder, seed=3)
        assert found[0] == finalists.Finalist(FIRST, 0.75, training_queue.Result(0.375))
        assert (np.isnan(found[1].result.fitness), found[1].result.reason) == (True, "no branch")
        assert finalists.num_trained(self.folder) == 2
        assert json.loads((self.folder / "finalists.json").read_text()) == {
            "trained_as": "short",
            "finalists": [
                {"arch": [1, 2], "shared_weights": 0.75, "trained": 0.375},
                {"arch": [0, 0], "shared_weights": 0.5, "trained": None},
            ],
        }
        again = finalists.rerank(self.evaluator(), archs, fitness, self.folder, seed=3)
        assert [one.result.fitness for one in again[::2]] == [0.375, 0.875]
        assert self.keys == [tuple(jax.random.key_data(jax.random.key(3)).tolist())] * 3
        fewer = finalists.rerank(self.evaluator(), archs[2:], fitness[2:], self.folder, seed=3)
        assert [(one.arch, one.found) for one in fewer] == [(SECOND, 0.25), (FIRST, 0.75), (BAD, 0.5)]
        with pytest.raises(ValueError, match="holds trainings with short, not long; restore the settings"):
            finalists.rerank(self.evaluator("long"), archs, fitness, self.folder, seed=3)
        for row, message in (
            ({"arch": [1, "2"], "shared_weights": 1, "trained": 1}, r"finalists\[0\].arch\[1\] must be a whole number"),
            ({"arch": [1, 2], "shared_weights": 1}, r"finalists\[0\].trained must be there"),
        ):
            record = {"trained_as": "short", "finalists": [row]}
            (self.folder / "finalists.json").write_text(json.dumps(record))
            with pytest.raises(ValueError, match=f"finalists.json is damaged: {message}"):
                finalists.rerank(self.evaluator(), archs, fitness, self.folder, seed=3)
        (self.folder / "finalists.json").write_text('{"finalists": 5}')
        with pytest.raises(ValueError, match=r"finalists.json is damaged: finalists must be a list; got 5"):
            finalists.num_trained(self.folder)

    def halved(self):
        """An evaluator whose fitness grows with the epochs, up to 4, and its trainings."""
        trained = []

        def evaluate(key, archs, *, epochs, folder):
            assert folder.is_dir()
            trained.append((tuple(archs[0].tolist()), epochs))
            if len(trained) == self.fails_at:
                raise RuntimeError("killed")
            fitness = archs[:, 0] * (epochs or 4) / 32
            return types.Evaluation(
                fitness=np.float32(fitness), cost=np.ones(1, np.float32), ok=archs[:, 0] > 0, reasons=("no branch",)
            )

        return types.Evaluator("halved", None, "validation", evaluate, evaluate, None, None, False), trained

    def test_halved_finalists_resume_wherever_they_are_killed(self):
        archs = np.array([(2, 0), (0, 0), (5, 0), (8, 0), (7, 0)])
        arguments = {"archs": archs, "fitness": np.float32([0.5, 0.4, 0.3, 0.2, 0.1]), "seed": 3}
        arguments |= {"stops": (1, 2, None), "factor": 2}
        expected = [(tuple(arch), 1) for arch in archs.tolist()] + [((8, 0), 2), ((7, 0), 2), ((8, 0), None)]
        for self.fails_at in range(len(expected) + 1):
            folder = self.folder / str(self.fails_at)
            folder.mkdir()
            evaluator, trained = self.halved()
            if self.fails_at:
                with pytest.raises(RuntimeError, match="killed"):
                    finalists.rerank(evaluator, folder=folder, **arguments)
                assert trained.pop() == expected[self.fails_at - 1]
                assert (folder / "finalists").exists()
                self.fails_at = 0
            found = finalists.rerank(evaluator, folder=folder, **arguments)
            assert trained == expected
            assert [(one.arch, one.epochs) for one in found] == [
                ((2, 0), 1),
                ((0, 0), 1),
                ((5, 0), 1),
                ((8, 0), None),
                ((7, 0), 2),
            ]
            fitness = [2 / 32, np.nan, 5 / 32, 1.0, 14 / 32]
            np.testing.assert_array_equal([one.result.fitness for one in found], np.float32(fitness))
            assert finalists.best(found) == (8, 0)
            assert finalists.num_trained(folder) == 5
            rows = json.loads((folder / "finalists.json").read_text())["finalists"]
            assert [(tuple(row["arch"]), row.get("epochs")) for row in rows] == expected
            assert not (folder / "finalists").exists()
        more = arguments | {"archs": archs[:1], "fitness": np.float32([0.5]), "stops": (None,), "factor": None}
        evaluator, trained = self.halved()
        evaluator = evaluator._replace(
            evaluate=lambda key, archs: evaluator.test(key, archs, epochs=None, folder=folder)
        )
        found = finalists.rerank(evaluator, folder=folder, **more)  # now all in full
        assert [one.epochs for one in found] == [None] * 5
        assert {arch for arch, _ in trained} == {(2, 0), (0, 0), (5, 0), (7, 0)}

    def test_a_halving_that_leaves_nobody(self):
        self.fails_at = 0
        evaluator, trained = self.halved()
        settings = {"folder": self.folder, "seed": 3, "stops": (1, None), "factor": 2}
        found = finalists.rerank(evaluator, np.array([(0, 1), (0, 2)]), np.float32([0.5, 0.4]), **settings)
        assert trained == [((0, 1), 1), ((0, 2), 1)]
        assert [one.result.reason for one in found] == ["no branch"] * 2
        assert finalists.best(found) == (0, 1)

    def test_journaled_finalists_have_keys_of_their_own_and_failures_reasons(self):
        archs = np.array([FIRST, (7, 0), SECOND])
        settings = {"header": {"corpus": "text"}, "seed": 3}
        found = finalists.rerank_journaled(self.evaluator(), archs, self.folder, **settings)
        assert [found[FIRST], found[SECOND]] == [training_queue.Result(0.375), training_queue.Result(0.875)]
        assert (np.isnan(found[7, 0].fitness), found[7, 0].reason) == (True, "ValueError: diverged")
        assert len(set(self.keys)) == 3
        assert str(finalists.rerank_journaled(self.evaluator(), archs, self.folder, **settings)) == str(found)
        assert len(self.keys) == 3
        # Others of a search that went on: only they are trained, and none is given the result of another.
        others = finalists.rerank_journaled(self.evaluator(), np.array([(1, 5), SECOND]), self.folder, **settings)
        assert {arch: one.fitness for arch, one in others.items() if not one.reason} == {
            (1, 5): 0.75,
            SECOND: 0.875,
            FIRST: 0.375,
        }
        assert len(set(self.keys)) == 4
        none = finalists.rerank_journaled(self.evaluator(), archs[:0], self.folder, **settings)
        assert none.keys() == others.keys()
        with pytest.raises(ValueError, match="corpus was 'text' and is now 'other'"):
            finalists.rerank_journaled(self.evaluator(), archs, self.folder, header={"corpus": "other"}, seed=3)
