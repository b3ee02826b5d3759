"""Statistics of a study by hand, and the files of a run."""

import json
import os
import pathlib
import tempfile
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import history as history_lib
from common import types
from common.records import run_dir
from common.spaces import factory
from common.statistics import study

NAN, INF = np.nan, np.inf
SPACE = factory.search_space("toy", (4, 2), size=8, describe=lambda arch: f"{arch[0]}-{arch[1]}")


def histories(fitness, is_measured):
    fitness, is_measured = np.asarray(fitness, np.float32), np.asarray(is_measured)
    num_seeds, budget = fitness.shape
    return history_lib.History(
        archs=np.arange(num_seeds * budget * 2, dtype=np.int32).reshape(num_seeds, budget, 2) % 4,
        fitness=np.where(is_measured, fitness, NAN).astype(np.float32),
        cost=np.ones((num_seeds, budget), np.float32),
        status=np.where(is_measured, types.MEASURED, types.INFEASIBLE).astype(np.int32),
        size=np.full((num_seeds,), budget, np.int32),
    )


class StatisticsTest(chex.TestCase):
    def test_checkpoints(self):
        assert study.checkpoints(30) == (30,)
        assert study.checkpoints(50) == (50,)
        assert study.checkpoints(120) == (50, 100, 120)
        assert study.checkpoints(200) == (50, 100, 150, 200)

    def test_checkpoints_shown(self):
        assert study.shown((50, 100, 120)) == (50, 100, 120)
        assert study.shown(study.checkpoints(500)) == (50, 100, 150, 200, 300, 500)
        assert study.shown(study.checkpoints(500), most=4) == (50, 100, 300, 500)
        assert study.shown((1, 2, 3, 4, 5), most=4) == (1, 2, 3, 5)

    def test_best_so_far_by_hand(self):
        best, at = study.best_so_far(
            np.array([[0.9, 0.25, 0.25, 0.5, 0.125]]), np.array([[False, True, True, True, True]])
        )
        np.testing.assert_array_equal(best, [[-INF, 0.25, 0.25, 0.5, 0.5]])
        np.testing.assert_array_equal(at, [[-1, 1, 1, 3, 3]])

    def test_statistics_by_hand(self):
        """Seeds find the optimum 0.75 at query 2, at query 60, and never; query 1 of the last is infeasible."""
        fitness = np.full((3, 60), 0.25)
        fitness[0, 1] = fitness[1, 59] = 0.75
        fitness[2, 30] = 0.5
        is_measured = np.ones((3, 60), bool)
        is_measured[2, 0] = False
        test = np.full((3, 60), 0.125)
        test[0, 1], test[1, 59], test[2, 30] = 0.5, 0.25, 0.375
        got = study.statistics(histories(fitness, is_measured), optimum=0.75, test_fitness=test)
        queries = np.array([2.0, 60.0, 60.0])
        wanted = {
            "mean": queries.mean(),
            "median": 60.0,
            "sd": queries.std(ddof=1),
            "se": queries.std(ddof=1) / 3**0.5,
            "found": 2 / 3,
        }
        assert got["queries_to_optimum"] == pytest.approx(wanted)
        assert got["best_fitness"] == pytest.approx({"50": (0.75 + 0.25 + 0.5) / 3, "60": (0.75 + 0.75 + 0.5) / 3})
        assert got["test_of_best"] == pytest.approx({"50": (0.5 + 0.125 + 0.375) / 3, "60": (0.5 + 0.25 + 0.375) / 3})
        assert got["simple_regret"] == pytest.approx({"50": 0.25, "60": 0.25 / 3})
        assert got["best_fitness_se"]["50"] == pytest.approx(0.25 / 3**0.5)
        assert got["test_of_best_se"]["60"] == pytest.approx(np.std([0.5, 0.25, 0.375], ddof=1) / 3**0.5)

    def test_what_cannot_be_said_is_none(self):
        is_measured = np.zeros((2, 3), bool)
        is_measured[0] = True
        got = study.statistics(
            histories(np.full((2, 3), 0.5), is_measured), optimum=None, test_fitness=np.full((2, 3), NAN)
        )
        assert got["queries_to_optimum"] == {}
        assert got["best_fitness"] == {"3": None}
        assert got["test_of_best"] == {"3": None}
        assert "simple_regret" not in got

    def test_one_seed_has_no_spread(self):
        got = study.statistics(histories([[0.5, 0.25]], [[True, True]]), optimum=0.5, test_fitness=np.zeros((1, 2)))
        assert got["queries_to_optimum"] == {"mean": 1.0, "median": 1.0, "sd": 0.0, "se": 0.0, "found": 1.0}

    def test_test_fitness_is_looked_up_row_by_row(self):
        def test(key, archs):
            del key
            value = (archs[:, 0] * 2 + archs[:, 1]).astype(jnp.float32)
            return types.Evaluation(fitness=value, cost=value, ok=archs[:, 1] == 0)

        archs = np.array([[[0, 0], [3, 0]], [[1, 1], [2, 0]]], np.int32)
        got = study.test_fitness(jax.random.split(jax.random.key(0), 2), _evaluator(test), archs)
        np.testing.assert_array_equal(got, np.array([[0, 6], [NAN, 4]], np.float32))


class RunDirTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_fresh_folders_differ(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        made = [run_dir.create(None, command="lanas", benchmark="toy") for _ in range(3)]
        assert len(set(made)) == 3
        for path in made:
            assert path.is_dir()
            assert path.parts[0] == "runs"
            assert path.name.startswith("lanas-toy-2")

    def test_workdir_is_made_and_kept(self):
        path = self.folder / "a" / "b"
        for _ in range(2):
            assert run_dir.create(str(path), command="lanas", benchmark="toy") == path
        assert path.is_dir()

    def test_workdir_that_is_a_file(self):
        path = self.folder / "file"
        path.write_text("kept")
        with pytest.raises(ValueError, match=r"workdir .*file is not a folder that can be made"):
            run_dir.create(str(path), command="lanas", benchmark="toy")

    def test_json_has_null_for_what_is_not_finite(self):
        path = self.folder / "x.json"
        run_dir.write_json(path, {"a": NAN, "b": (1, np.float32(0.5), -INF), "c": {"d": np.int32(7)}})
        assert json.loads(path.read_text()) == {"a": None, "b": [1, 0.5, None], "c": {"d": 7}}
        assert [file.name for file in self.folder.iterdir()] == ["x.json"]

    def test_a_writer_that_fails_leaves_the_old_file(self):
        path = self.folder / "x.json"
        run_dir.write_json(path, {"a": 1})
        with mock.patch("os.fsync", side_effect=OSError("disk full")), pytest.raises(OSError, match="disk full"):
            run_dir.write_json(path, {"a": 2})
        assert json.loads(path.read_text()) == {"a": 1}
        assert [file.name for file in self.folder.iterdir()] == ["x.json"]

    def test_history_is_written_without_empty_rows(self):
        history = history_lib.append(
            history_lib.empty(5, 2),
            jnp.array([[3, 1], [0, 0]]),
            types.Evaluation(fitness=jnp.array([0.5, 0.9]), cost=jnp.array([1.0, 2.0]), ok=jnp.array([True, False])),
        )
        run_dir.write_history(self.folder / "history.npz", history)
        with np.load(self.folder / "history.npz") as arrays:
            assert sorted(arrays.files) == ["archs", "cost", "fitness", "status"]
            np.testing.assert_array_equal(arrays["archs"], [[3, 1], [0, 0]])
            np.testing.assert_array_equal(arrays["fitness"], np.array([0.5, NAN], np.float32))
            np.testing.assert_array_equal(arrays["status"], [types.MEASURED, types.INFEASIBLE])

    def test_result_by_hand(self):
        history = history_lib.append(
            history_lib.empty(5, 2),
            jnp.array([[3, 1], [2, 0], [0, 0]]),
            types.Evaluation(fitness=jnp.array([0.5, 0.75, 0.9]), cost=jnp.ones(3), ok=jnp.array([True, True, False])),
        )

        def test(key, archs):
            del key
            value = archs[:, 0] / 4
            return types.Evaluation(fitness=value, cost=value, ok=archs[:, 1] == 0)

        got = run_dir.result(history, _evaluator(test), key=jax.random.key(0), seed=4, seconds=1.23456)
        assert got == {
            "protocol": "validation",
            "benchmark": "toy",
            "dataset": "small",
            "seed": 4,
            "queries": 3,
            "infeasible": 1,
            "seconds": 1.235,
            "best": {"arch": [2, 0], "description": "2-0", "fitness": 0.75, "test": 0.5},
        }
        nothing = run_dir.result(history_lib.empty(5, 2), _evaluator(test), key=jax.random.key(0), seed=4, seconds=0.0)
        assert nothing["best"] is None

    def test_environment(self):
        got = run_dir.environment()
        assert got["versions"]["jax"] == jax.__version__
        assert got["device"]["platform"] == "cpu"


def _evaluator(test):
    return types.Evaluator(
        name="toy/small",
        space=SPACE,
        protocol="validation",
        evaluate=test,
        test=test,
        optimum=None,
        num_archs=None,
        is_traceable=True,
    )
