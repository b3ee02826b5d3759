import bz2
import collections
import hashlib
import pickle
import sys
import types as python_types
import zipfile

import numpy as np
import pytest
from absl.testing import absltest, parameterized

from common.tables import nasbench201, table
from tests.shared import folders

# Architecture -> (dataset, evaluation set, seed) -> percent, of a made-up file of two architectures.
ARCHS_201 = (
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|",
)
SETS_201 = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}


def accuracy_201(arch, dataset, evaluated_on, seed, epochs):
    """Distinct percentages, so that no two can be mistaken for each other."""
    place = 10 * list(SETS_201).index(dataset) + 2 * ("x-valid", "x-test", "ori-test").index(evaluated_on)
    return 50 * arch + place + (seed - 777) / 222 + (0.25 if epochs == 12 else 0.0)


def result_201(arch, dataset, seed, epochs, number=float):
    """A `ResultsCount` state dictionary: earlier epochs are evaluated as well on the first evaluation set."""
    evaluated = {
        f"{name}@{epochs - 1}": number(accuracy_201(arch, dataset, name, seed, epochs)) for name in SETS_201[dataset]
    }
    evaluated[f"{SETS_201[dataset][0]}@{epochs - 2}"] = 99.0
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": {epochs - 1: 99.5},
        "train_times": collections.OrderedDict((i, number(arch + 2.0)) for i in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": ARCHS_201[arch], "class_num": 10},
        "params": number(0.5 + arch),
        "seed": str(seed),
        "epochs": epochs,
        "eval_names": list(SETS_201[dataset]),
        "eval_acc1es": evaluated,
    }


def schedule_201(arch, epochs, seeds_of, **kwargs):
    """An `ArchResults` state dictionary."""
    return {
        "arch_index": arch,
        "arch_str": ARCHS_201[arch],
        "all_results": {
            (dataset, seed): result_201(arch, dataset, seed, epochs, **kwargs)
            for dataset in SETS_201
            for seed in seeds_of(dataset)
        },
        "dataset_seed": {dataset: list(seeds_of(dataset)) for dataset in SETS_201},
    }


def results_201(arch, names=("12", "200"), **kwargs):
    """As published: the second architecture has two of three seeds; 12 epochs, two seeds of one dataset."""
    return collections.OrderedDict(
        {
            names[0]: schedule_201(arch, 12, lambda name: (777, 888)[: 1 + (name == "cifar10-valid")], **kwargs),
            names[1]: schedule_201(arch, 200, lambda _: (777, 999) if arch else (777, 888, 999), **kwargs),
        }
    )


def contents_201(**kwargs):
    return {
        "meta_archs": list(ARCHS_201),
        "total_archs": 2,
        "arch2infos": {arch: results_201(arch, **kwargs) for arch in (1, 0)},
        "evaluated_indexes": {0, 1},
    }


class Nasbench201PickleTest(folders.FolderTest):
    def check_table(self, made):
        np.testing.assert_array_equal(made.archs, [[0, 0, 0, 0, 0, 1], [3, 0, 0, 0, 0, 0]])
        nan = np.nan
        expected = {  # the rows are architectures 1 and 0; seeds 777, 888, 999 are 0, 0.5 and 1 percent more
            "cifar10/validation": [[50, nan, 51], [0, 0.5, 1]],
            "cifar10/test": [[64, nan, 65], [14, 14.5, 15]],
            "cifar100/validation": [[70, nan, 71], [20, 20.5, 21]],
            "cifar100/test": [[72, nan, 73], [22, 22.5, 23]],
            "cifar100/validation_and_test": [[74, nan, 75], [24, 24.5, 25]],
            "imagenet16/validation": [[80, nan, 81], [30, 30.5, 31]],
            "imagenet16/test": [[82, nan, 83], [32, 32.5, 33]],
            "cifar10/validation_12_epochs": [[50.25, 50.75], [0.25, 0.75]],
            "cifar10/test_12_epochs": [[64.25], [14.25]],
            "imagenet16/test_12_epochs": [[82.25], [32.25]],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(made.metrics[name], np.array(values) / 100, rtol=1e-6, err_msg=name)
        np.testing.assert_array_equal(made.metrics["cifar10/training_seconds"], [[600, nan, 600], [400, 400, 400]])
        np.testing.assert_array_equal(table.mean(made, "imagenet16/million_parameters"), [1.5, 0.5])
        assert "Only 2 of 15625" in made.info.notes

    @parameterized.product(protocol=(2, 4), number=(float, np.float64))
    def test_nats_bench_single_file(self, protocol, number):
        path = self.folder / "NATS-tss-v1_0-3ffb9.pickle.pbz2"
        path.write_bytes(bz2.compress(pickle.dumps(contents_201(number=number), protocol)))
        made = nasbench201.read(path)
        self.check_table(made)
        assert hashlib.sha256(path.read_bytes()).hexdigest() in made.info.source

    def test_nats_bench_folder(self):
        folder = self.folder / "NATS-tss-v1_0-3ffb9-simple"
        folder.mkdir()
        for arch in (0, 1):
            contents = pickle.dumps(results_201(arch), 4)
            (folder / f"{arch:06d}.pickle.pbz2").write_bytes(bz2.compress(contents))
        (folder / "meta.pickle.pbz2").write_bytes(bz2.compress(pickle.dumps({"meta_archs": ARCHS_201}, 4)))
        self.check_table(nasbench201.read(folder))

    def test_torch_files(self):
        path = self.folder / "NAS-Bench-201-v1_1-096897.pth"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(contents_201(names=("less", "full")), 2))
            archive.writestr("archive/version", "3\n")
        self.check_table(nasbench201.read(path))
        with path.open("wb") as file:  # as written before PyTorch 1.6
            facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
            for part in (0x1950A86A20F9469CFC6C, 1001, facts, contents_201(names=("less", "full")), []):
                pickle.dump(part, file, 2)
        self.check_table(nasbench201.read(path))

    def test_instances_of_the_benchmarks_own_classes(self):
        module = python_types.ModuleType("nas_201_api.api_utils")
        for name in ("ArchResults", "ResultsCount"):
            setattr(module, name, type(name, (), {"__module__": module.__name__}))
        contents = contents_201()
        for schedules in contents["arch2infos"].values():
            for key, state in schedules.items():
                runs = {run: instance(module.ResultsCount, fields) for run, fields in state["all_results"].items()}
                schedules[key] = instance(module.ArchResults, state | {"all_results": runs})
        path = self.folder / "objects.pth"
        with absltest.mock.patch.dict(sys.modules, {"nas_201_api": module, module.__name__: module}):
            path.write_bytes(pickle.dumps(contents, 2))
        self.check_table(nasbench201.read(path))

    def test_other_pickles_are_refused(self):
        partial = contents_201()
        for seed in (777, 999):
            del partial["arch2infos"][1]["200"]["all_results"]["cifar100", seed]
        unknown = {"200": {"arch_str": "|skip|", "all_results": {}}}
        path = self.folder / "other.pickle"
        for contents, message in (
            ([1, 2], "no dictionary called arch2infos"),
            ({"arch2infos": {0: {"200": {"arch_str": ARCHS_201[0]}}}}, "architecture 0 has no field 'all_results'"),
            ({"arch2infos": {0: unknown}}, "not a NAS-Bench-201 architecture"),
            (partial, r"'cifar100/validation' has no run .* for row 0"),
        ):
            path.write_bytes(pickle.dumps(contents))
            with pytest.raises(ValueError, match=message):
                nasbench201.read(path)

    def test_missing_and_empty_folder(self):
        with pytest.raises(ValueError, match=r"no NAS-Bench-201 file or folder at .*nowhere"):
            nasbench201.read(self.folder / "nowhere")
        with pytest.raises(ValueError, match=r"no files 000000\.pickle\.pbz2"):
            nasbench201.read(self.folder)


def instance(kind, fields):
    made = kind()
    vars(made).update(fields)
    return made
