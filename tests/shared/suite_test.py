"""The suites of tasks, where their files are at hand."""

import contextlib
import functools
import io
import os
import pathlib
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import tables
from common.evaluators import suite
from common.spaces import lanas_oneshot, nasbench101
from launch import study
from tests.shared import folders

DATA = os.environ.get("NAS_DATA_DIR")


def read(folder, *arrays, name=None):
    with np.load(pathlib.Path(DATA, folder, f"{name or folder}.npz")) as file:
        return {array: file[array] for array in arrays}


@functools.cache
def tasks():
    return {one.name: one for name in suite.SUITES for one in suite.tasks(name, DATA)}


def look_up(task, archs):
    """Returns (fitness in %, whether it is known) of each row."""
    found = task.evaluate(jax.random.key(0), jnp.asarray(archs))
    return 100 * np.asarray(found.fitness, np.float64), np.asarray(found.ok)


class SuiteTest(folders.FolderTest):
    def test_missing_files_are_named(self):
        with pytest.raises(ValueError, match="no file of benchmark nasbench201; looked for"):
            suite.tasks("choosing", self.folder)
        with pytest.raises(ValueError, match="unknown suite 'tuning'; choose one of choosing, reporting"):
            suite.tasks("tuning", self.folder)

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_each_missing_file_is_named(self):
        for name, message in (
            ("nasbench201", r"no file nasbench201_robustness\.npz for the suite; looked for"),
            ("nasbench201_robustness", r"no file nasbench201_costs\.npz for the suite; looked for"),
            ("nasbench201_costs", "no file of benchmark nasbench_macro; looked for"),
            ("nasbench_macro", r"no file distributed_trace\.npz for the suite; looked for .*lanas_traces"),
            ("lanas_traces", "no file of benchmark nasbench101_sample; looked for"),
        ):
            (self.folder / name).symlink_to(pathlib.Path(DATA, name))
            with pytest.raises(ValueError, match=message):
                suite.tasks("reporting", self.folder)

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_tasks_by_their_files(self):
        made = tasks()
        assert len(made) == 20 + 23  # no task is in both
        table = tables.load_benchmark("nasbench201", DATA)
        attacks = read("nasbench201_robustness", "ops", "accuracy")
        devices = read("nasbench201_costs", "hw_columns", "hw_cifar10", "hw_imagenet16")
        row = int(np.flatnonzero(np.all(attacks["ops"] < 4, axis=1))[1000])
        arch = attacks["ops"][row]
        at = int(np.flatnonzero(np.all(table.archs == arch, axis=1))[0])
        of_name = devices["hw_columns"].tolist().index
        seconds = devices["hw_cifar10"][:, of_name("edgegpu_latency")]
        joules = devices["hw_imagenet16"][:, of_name("fpga_energy")]
        expected = {
            "nasbench201/cifar10_test": table.metrics["cifar10/test"][at, 0],
            "nasbench201_one_hot/imagenet16_test": table.metrics["imagenet16/test"][at, 0],
            "nasbench201_one_hot/cifar100_12_epochs": table.metrics["cifar100/validation_12_epochs"][at, 0],
            "nasbench201_one_hot/square_eps3p0": attacks["accuracy"][row][5] / 100,
            "nasbench201_4ops/pgd_eps2p0": attacks["accuracy"][row][10] / 100,
            "nasbench201_4ops/cifar10_edgegpu_latency": (seconds.max() - seconds[row]) / np.ptp(seconds),
            "nasbench201_one_hot/imagenet16_fpga_energy": (joules.max() - joules[row]) / np.ptp(joules),
        }
        for name, fitness in expected.items():
            found = look_up(made[name], arch[None].astype(np.int32))[0]
            np.testing.assert_allclose(found / 100, fitness, rtol=1e-6)
        features = {
            made[f"{name}/cifar10_test"].space.features(jnp.zeros((1, 6), int)).shape[1]
            for name in ("nasbench201", "nasbench201_one_hot", "nasbench201_4ops")
        }
        assert features == {60, 30, 24}
        assert made["nasbench201_4ops/cifar10_test"].space is made["nk_6x4/k1_seed0"].space  # so they share programs

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_only_recorded_networks_have_a_fitness(self):
        for name, rows, best, mean in (
            ("lanas_cell/trained", 5402, 93.43, 82.352875),
            ("lanas_oneshot/predicted", 3776, 81.7, 62.681239),
            ("nasbench101_sample/cifar10", 292, 94.711536, 90.985445),
        ):
            task = tasks()[name]
            archs = task.space.enumerate()
            assert len(archs) == task.space.size == task.num_archs == rows
            fitness, is_known = look_up(task, archs)
            np.testing.assert_allclose(
                [fitness.max(), 100 * task.optimum, fitness.mean()], [best, best, mean], rtol=1e-6
            )
            assert is_known.all()
            moved = np.asarray(task.space.mutate(jax.random.key(0), jnp.asarray(archs)))
            assert look_up(task, moved)[1].all()
            assert (moved != archs).any(axis=1).all()

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_records_are_those_of_their_networks(self):
        recorded = read("lanas_traces", "encoding", "accuracy", name="distributed_trace")
        task = tasks()["lanas_cell/trained"]
        archs = task.space.canonicalize(jnp.asarray(recorded["encoding"], jnp.int32))
        np.testing.assert_allclose(look_up(task, archs)[0], recorded["accuracy"], rtol=1e-6)
        recorded = read("lanas_traces", "encoding", "accuracy", name="oneshot_result")
        archs = lanas_oneshot.from_mask(recorded["encoding"])
        found = look_up(tasks()["lanas_oneshot/predicted"], archs)[0]
        np.testing.assert_allclose(found, recorded["accuracy"], rtol=1e-6)
        # input -> conv3x3 -> output is one row, with the mean of its runs
        sample = read("nasbench101_sample", "pruned_adjacency", "pruned_ops", "val_accuracy", name="nasbench101_500")
        is_chain = np.all(sample["pruned_ops"] == [0, 4, 1, -1, -1, -1, -1], axis=1)
        is_chain &= sample["pruned_adjacency"].sum(axis=(1, 2)) == 2
        runs = np.unique(sample["val_accuracy"][is_chain])
        assert len(runs) > 1
        arch = nasbench101.from_matrix([[0, 1, 0], [0, 0, 1], [0, 0, 0]], ("input", "conv3x3-bn-relu", "output"))
        task = tasks()["nasbench101_sample/cifar10"]
        found = look_up(task, task.space.canonicalize(jnp.asarray(arch)[None]))[0]
        np.testing.assert_allclose(found, runs.mean(), rtol=1e-6)

    @pytest.mark.slow
    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_a_study_may_take_some_tasks_of_a_suite(self):
        flags = ["--suite=reporting", f"--data_dir={DATA}", "--algorithms=random", "--num_seeds=2", "--budget=5"]
        made = list(tasks().values())
        with mock.patch.object(suite, "tasks", return_value=made):
            assert study.main([*flags, "--tasks=nasbench101_sample/cifar10", f"--workdir={self.folder}"]) == 0
            assert (self.folder / "nasbench101_sample_cifar10" / "study.json").is_file()
            error = io.StringIO()
            with contextlib.redirect_stderr(error):
                assert study.main([*flags, "--tasks=nasbench_macro"]) == 1
        assert "unknown task 'nasbench_macro'; choose one of nasbench201/cifar10_test, " in error.getvalue()
