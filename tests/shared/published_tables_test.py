import json
import os
import pathlib
import re

import numpy as np
import pytest
from absl.testing import parameterized

from common import tables
from common.spaces import nasbench201 as space201
from common.statistics import study
from common.tables import nasbench201, nasbench_macro, table
from tests.shared import folders

DATA_DIR = pathlib.Path(os.environ.get("NAS_DATA_DIR", pathlib.Path(__file__).parents[2] / ".." / "shared" / "data"))


class PublishedFilesTest(folders.FolderTest):
    """On published files, if available."""

    def load(self, name, *, file=None):
        if not (DATA_DIR / name).is_dir():
            self.skipTest(f"no folder {DATA_DIR / name}; set NAS_DATA_DIR to the folder that holds it")
        return tables.get(name).read(DATA_DIR / name / file) if file else tables.load_benchmark(name, DATA_DIR)

    @parameterized.parameters("nasbench201.npz", "nasbench201.csv.gz")
    def test_nasbench201(self, file):
        made = self.load("nasbench201", file=file)
        assert len(made.archs) == 15_625
        best = {  # percent, as published: the row "optimal" of the paper's results
            "cifar10": (91.6067, 94.3733),
            "cifar100": (73.4933, 73.5133),
            "imagenet16": (46.7333, 47.3111),
        }
        assert set(made.info.datasets) == set(best)
        for dataset, expected in best.items():
            got = [100 * table.mean(made, made.info.datasets[dataset][role]).max() for role in ("validation", "test")]
            np.testing.assert_allclose(got, expected, atol=1e-4)

    def test_the_runs_of_lanas_on_nasbench101(self):
        """41 runs, each [mean test accuracy of the best so far, networks trained] up to the optimum."""
        path = DATA_DIR / "lanas_traces" / "nasbench101_past_results.txt"
        if not path.is_file():
            self.skipTest(f"no file {path}")
        runs = [np.array(json.loads(line)) for line in path.read_text().splitlines()]
        best = np.array([run[np.searchsorted(run[:, 1], np.arange(1, 5001), side="right") - 1, 0] for run in runs])
        assert best.shape == (41, 5000)
        assert np.all(np.diff(best, axis=1) >= 0)
        # As `--protocol=test` sees it: the mean of three trainings, each tested on 9,984 images.
        np.testing.assert_allclose(best * 3 * 9984, np.round(best * 3 * 9984), atol=2e-3)
        needed = study.queries_to(best, best.max())
        found = [round(float(value)) for value in (needed.mean(), needed.std(ddof=1), needed.min(), needed.max())]
        head = (pathlib.Path(__file__).parents[2] / "launch" / "flagfiles" / "lanas_official.cfg").read_text()
        numbers = re.search(
            r"Published: (\d+) queries.*?(\d+) runs.*?deviation (\d+), fewest (\d+), most (\d+)", head, re.S
        )
        assert [int(number) for number in numbers.groups()] == [found[0], 41, *found[1:]]

    def test_nasbench201_means_over_seeds_are_the_published_means(self):
        made = self.load("nasbench201")
        with np.load(DATA_DIR / "nasbench201" / "nasbench201.npz") as file:
            order = np.lexsort(file["ops"].T[::-1])
            np.testing.assert_array_equal(made.archs, file["ops"][order])
            for metric, column in {
                "cifar10/validation": "c10_valid",
                "cifar100/validation_and_test": "c100_valtest",
                "imagenet16/validation_and_test": "in16_valtest",
                "imagenet16/test": "in16_test",
                "cifar100/validation": "c100_valid",
            }.items():
                np.testing.assert_allclose(table.mean(made, metric), file[column][order] / 100, atol=1e-7)
            num_runs = np.isfinite(made.metrics["cifar10/validation"]).sum(axis=1)
            np.testing.assert_array_equal(num_runs, file["n_seeds"][order])
        assert space201.to_string(made.archs[1]) == "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
        # It opens as a table without loss.
        path = self.folder / "nasbench201.table"
        table.save(path, made)
        loaded = tables.load_benchmark("nasbench201", path.parent)
        assert loaded.info == made.info
        for name, values in made.metrics.items():
            np.testing.assert_array_equal(loaded.metrics[name], values)

    def test_nasbench_macro(self):
        made = self.load("nasbench_macro")
        assert len(made.archs) == 6_561
        test = table.mean(made, "test")
        best = made.archs[test == test.max()].tolist()
        assert [2, 2, 2, 1, 2, 2, 2, 0] in best
        np.testing.assert_allclose(100 * test.max(), 93.127, atol=1e-3)
        assert made.info.datasets == {"cifar10": {"test": "test"}}

    def test_nasbench101_sample(self):
        made = self.load("nasbench101_sample")
        assert len(made.archs) == 292
        assert made.metrics["validation"].shape == (292, 3)  # more, were different networks taken for one
        images = made.metrics["validation"][np.isfinite(made.metrics["validation"])] * 9984  # of validation
        np.testing.assert_allclose(images, np.round(images), atol=2e-3)
        np.testing.assert_allclose(table.mean(made, "validation").max(), 0.9471, atol=1e-4)


class ReadersTest(folders.FolderTest):
    def test_an_unpacked_csv_is_read_as_the_packed_one(self):
        names = [*(f"ops_{edge}" for edge in range(6)), *(name for _, name in nasbench201._COLUMNS)]
        names += [
            f"{name}_{seed}"
            for name in ("c10_valid_seeds", "c100_valtest_seeds", "in16_valtest_seeds")
            for seed in range(3)
        ]
        names += [
            f"{name}_{dataset}" for name in ("params_m", "train_time_200e_s") for dataset in ("c10", "c100", "in16")
        ]
        names = list(dict.fromkeys(names))
        ops = np.stack(np.unravel_index(np.arange(5**6), (5,) * 6), axis=1)
        rows = [",".join([*map(str, row), *["50.5"] * (len(names) - 6)]) for row in ops.tolist()]
        text = "\n".join([",".join(names), *rows]).encode()
        (self.folder / "nasbench201.csv").write_bytes(b"\xef\xbb\xbf" + text + b"\r\n")
        made = nasbench201.read(self.folder / "nasbench201.csv")
        np.testing.assert_array_equal(made.archs, ops)
        np.testing.assert_allclose(table.mean(made, "cifar10/validation"), 0.505)
        (self.folder / "nasbench201.csv").write_bytes(text.replace(b"50.5", b"a lot"))
        with pytest.raises(ValueError, match=r"a column is missing, or a cell is no number$"):
            nasbench201.read(self.folder / "nasbench201.csv")

    def test_a_broken_file_is_refused(self):
        for file, name in (
            *(("nasbench201.npz", "nasbench201"), ("nasbench201.csv.gz", "nasbench201")),
            *(("nas-bench-macro_cifar10.json", "nasbench_macro"), ("nasbench101_500.npz", "nasbench101_sample")),
        ):
            (self.folder / file).write_bytes(b"\x1f\x8b{")
            with pytest.raises(ValueError, match=file):
                tables.get(name).read(self.folder / file)

    def test_macro_entries_are_checked(self):
        path = self.folder / "nas-bench-macro_cifar10.json"
        entry = {"test_acc": [90.0, 91.0, 92.0], "params": 2_000_000, "flops": 50_000_000}
        path.write_text(json.dumps({"01201201": entry, "00000000": entry | {"test_acc": [10.0, 10.0, 13.0]}}))
        made = nasbench_macro.read(path)
        np.testing.assert_array_equal(made.archs, [[0] * 8, [0, 1, 2, 0, 1, 2, 0, 1]])
        np.testing.assert_allclose(table.mean(made, "test"), [0.11, 0.91], rtol=1e-6)
        np.testing.assert_array_equal(made.metrics["million_parameters"], [[2], [2]])
        path.write_text(json.dumps({"0120": entry}))
        with pytest.raises(ValueError, match="eight digits"):
            nasbench_macro.read(path)
