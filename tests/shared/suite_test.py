"""The suites of tasks, where their files are at hand."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common import tables
from common.evaluators import suite
from tests.shared import folders

DATA = os.environ.get("NAS_DATA_DIR")


def read(name, *arrays):
    with np.load(pathlib.Path(DATA, name, f"{name}.npz")) as file:
        return {array: file[array] for array in arrays}


class SuiteTest(folders.FolderTest):
    def test_missing_files_are_named(self):
        with pytest.raises(ValueError, match="no file of benchmark nasbench201; looked for"):
            suite.tasks("choosing", self.folder)
        with pytest.raises(ValueError, match="unknown suite 'tuning'; choose one of choosing, reporting"):
            suite.tasks("tuning", self.folder)

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_missing_attacks_are_named(self):
        source = pathlib.Path(DATA, "nasbench201")
        (self.folder / "nasbench201").symlink_to(source)
        with pytest.raises(ValueError, match=r"no file nasbench201_robustness\.npz for the suite; looked for"):
            suite.tasks("choosing", self.folder)

    @pytest.mark.skipif(not DATA, reason="needs NAS_DATA_DIR")
    def test_tasks_by_their_files(self):
        made = {one.name: one for name in suite.SUITES for one in suite.tasks(name, DATA)}
        assert len(made) == 18 + 19  # no task is in both
        table = tables.load_benchmark("nasbench201", DATA)
        attacks = read("nasbench201_robustness", "ops", "accuracy")
        devices = read("nasbench201_costs", "hw_columns", "hw_cifar10")
        row = int(np.flatnonzero(np.all(attacks["ops"] < 4, axis=1))[1000])
        arch = attacks["ops"][row]
        at = int(np.flatnonzero(np.all(table.archs == arch, axis=1))[0])
        seconds = devices["hw_cifar10"][:, devices["hw_columns"].tolist().index("edgegpu_latency")]
        expected = {
            "nasbench201/cifar10_test": table.metrics["cifar10/test"][at, 0],
            "nasbench201_one_hot/imagenet16_test": table.metrics["imagenet16/test"][at, 0],
            "nasbench201_one_hot/cifar100_12_epochs": table.metrics["cifar100/validation_12_epochs"][at, 0],
            "nasbench201_one_hot/square_eps3p0": attacks["accuracy"][row][5] / 100,
            "nasbench201_4ops/pgd_eps2p0": attacks["accuracy"][row][10] / 100,
            "nasbench201_4ops/cifar10_edgegpu_latency": (seconds.max() - seconds[row]) / np.ptp(seconds),
        }
        for name, fitness in expected.items():
            got = made[name].evaluate(jax.random.key(0), jnp.asarray(arch, jnp.int32)[None])
            np.testing.assert_allclose(got.fitness[0], fitness, rtol=1e-6)
        features = {
            made[f"{name}/cifar10_test"].space.features(jnp.zeros((1, 6), int)).shape[1]
            for name in ("nasbench201", "nasbench201_one_hot", "nasbench201_4ops")
        }
        assert features == {60, 30, 24}
        assert made["nasbench201_4ops/cifar10_test"].space is made["nk_6x4/k1_seed0"].space  # so they share programs
