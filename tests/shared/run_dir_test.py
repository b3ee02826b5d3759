"""The folder and the files of a run."""

import errno
import json
import os
import zlib
from concurrent import futures
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import history as history_lib
from common import types
from common.records import run_dir
from common.spaces import factory
from tests.shared import folders

NAN, INF = np.nan, np.inf
SPACE = factory.search_space("toy", (4, 2), size=8, describe=lambda arch: f"{arch[0]}-{arch[1]}")


class RunDirTest(folders.FolderTest):
    def test_fresh_folders_differ(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        made = [run_dir.create(None, command="lanas", benchmark="toy") for _ in range(3)]
        assert len(set(made)) == 3
        for path in made:
            assert path.is_dir()
            assert path.parts[0] == "runs"
            assert path.name.startswith("lanas-toy-2")

    def test_json_has_null_for_what_is_not_finite(self):
        path = self.folder / "x.json"
        run_dir.write_json(path, {"a": NAN, "b": (1, np.float32(0.5), -INF), "c": {"d": np.int32(7)}})
        assert json.loads(path.read_text()) == {"a": None, "b": [1, 0.5, None], "c": {"d": 7}}
        assert [file.name for file in self.folder.iterdir()] == ["x.json"]

    def test_what_a_killed_writer_left_is_taken_over(self):
        (self.folder / ".x.json.tmp").write_text("more than what comes later")
        run_dir.write_json(self.folder / "x.json", {"a": 1})
        assert (self.folder / "x.json").read_text() == '{\n  "a": 1\n}\n'
        assert [file.name for file in self.folder.iterdir()] == ["x.json"]

    def test_what_killed_processes_of_older_versions_left_is_removed(self):
        for name in (".history.npz.k3_zq81a", ".notes.original"):
            (self.folder / name).write_text("")
        run_dir.write_config(self.folder, {})
        assert sorted(file.name for file in self.folder.iterdir()) == [".notes.original", "config.json"]

    def test_another_checksum_of_the_data_is_refused(self):
        assert run_dir.checksum([np.array([49, 50], np.uint8), np.array([[51]], np.uint8)]) == zlib.crc32(b"123")
        for data in (None, 1, None, 1):  # files of older versions have none
            run_dir.write_config(self.folder, {"data": data} if data else {})
        with pytest.raises(ValueError, match="have changed since it began \\(checksum 1, now 2\\); restore them"):
            run_dir.write_config(self.folder, {"data": 2})

    def test_several_writers_take_turns(self):
        def write(number):
            run_dir.write_text(self.folder / "x", str(number % 8) * 10_000)

        with futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(64)))
        text = (self.folder / "x").read_text()
        assert text == text[0] * 10_000
        assert [file.name for file in self.folder.iterdir()] == ["x"]

    def test_a_writer_that_fails_leaves_the_old_file(self):
        path = self.folder / "x.json"
        run_dir.write_json(path, {"a": 1})
        with mock.patch("os.fsync", side_effect=OSError("disk full")), pytest.raises(OSError, match="disk full"):
            run_dir.write_json(path, {"a": 2})
        assert json.loads(path.read_text()) == {"a": 1}
        assert [file.name for file in self.folder.iterdir()] == ["x.json"]

    def test_what_the_system_refuses_names_the_file_and_no_temporary_one(self):
        path = self.folder / "gone" / "x.json"
        with pytest.raises(FileNotFoundError) as caught:
            run_dir.write_json(path, {"a": 1})
        assert caught.value.filename == str(path)
        path = self.folder / "x.json"
        full = OSError(errno.ENOSPC, "No space left on device")
        with mock.patch("os.fsync", side_effect=full), pytest.raises(OSError, match="No space") as caught:
            run_dir.write_json(path, {"a": 1})
        assert (caught.value.filename, list(self.folder.iterdir())) == (str(path), [])

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
        assert (got["versions"]["jax"], got["device"]["platform"]) == (jax.__version__, "cpu")


def _evaluator(test):
    return types.Evaluator(
        name="toy/small",
        space=SPACE,
        protocol="validation",
        evaluate=test,
        test=test,
        is_traceable=True,
    )
