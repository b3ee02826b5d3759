import os
import pathlib

import chex
import numpy as np
import pytest
from absl.testing import absltest, parameterized
from safetensors import numpy as safetensors_numpy

from common import spaces, tables
from common.file_formats import tensor_file
from common.tables import table
from tests.shared import folders


def make_table(metrics=None, archs=((0, 0, 0, 0, 0, 1), (4, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0)), **changes):
    info = {
        "benchmark": "nasbench201",
        "space": "nasbench201",
        "datasets": {"small": {"validation": "validation", "test": "test", "cost": "seconds"}},
        "source": "made up",
        "licence": "none",
    }
    if metrics is None:
        metrics = {
            "validation": [[0.5, 0.7, np.nan], [0.1, 0.2, 0.3], [0.9, np.nan, np.nan]],
            "test": [0.4, 0.3, 0.8],
            "seconds": [10.0, 20.0, 30.0],
        }
    return table.from_rows(table.Info(**(info | changes)), np.array(archs), metrics)


class TableTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "small.table"

    def test_rows_are_sorted_and_metrics_follow(self):
        made = make_table()
        np.testing.assert_array_equal(made.archs, [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [4, 0, 0, 0, 0, 0]])
        assert made.archs.dtype == np.int8
        np.testing.assert_array_equal(made.metrics["test"], np.float32([[0.8], [0.4], [0.3]]))
        np.testing.assert_array_equal(table.mean(made, "validation"), np.float32([0.9, 0.6, 0.2]))

        missing = {"validation": [1, 1, 1], "test": [1, 1, 1], "seconds": [[np.nan, 3], [np.nan] * 2, [1, 2]]}
        np.testing.assert_array_equal(table.mean(make_table(missing), "seconds"), np.float32([1.5, 3, np.nan]))

    def test_a_saved_table_is_a_safetensors_file_and_loaded_as_it_was(self):
        made = make_table(notes="of no use")
        table.save(self.path, made)
        loaded = table.load(self.path)
        assert loaded.info == made.info
        read = safetensors_numpy.load_file(self.path)
        expected = {"archs": made.archs} | {f"metrics/{name}": values for name, values in made.metrics.items()}
        chex.assert_trees_all_equal(read, expected)
        chex.assert_trees_all_equal((loaded.archs, loaded.metrics), (made.archs, made.metrics))

    def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(self):
        table.save(self.path, make_table())
        before = self.path.read_bytes()
        with pytest.raises(TypeError):
            tensor_file.write(self.path, {"archs": np.zeros(2, np.int8)}, {"a": object()})
        fail = absltest.mock.Mock(side_effect=OSError("disk full"))
        with absltest.mock.patch.object(os, "fsync", fail), pytest.raises(OSError, match="disk"):
            table.save(self.path, make_table(notes="other"))
        assert self.path.read_bytes() == before
        assert [file.name for file in self.path.parent.iterdir()] == ["small.table"]

    def test_a_missing_file_names_the_path_and_the_command(self):
        with pytest.raises(ValueError, match=r"small\.table.*python -m launch\.build_table"):
            table.load(self.path)

    def test_truncated_and_other_files_are_refused(self):
        table.save(self.path, make_table())
        contents = self.path.read_bytes()
        others = (b"not a table at all, but rather long all the same", b"\x02" + b"\0" * 7 + b"[]")
        for damaged in (*(contents[:size] for size in (0, 4, 60, -1)), *others):
            self.path.write_bytes(damaged)
            for verify in (True, False):
                with pytest.raises(ValueError, match=r"small\.table is cut short, damaged or not a safetensors file"):
                    table.load(self.path, verify=verify)
        tensor_file.write(self.path, {"archs": np.zeros((1, 6), np.int8)}, {"format": "weights"})
        with pytest.raises(ValueError, match=r"is not a table of this version.*'weights'"):
            table.load(self.path)

    def test_every_changed_byte_after_the_header_and_changed_names_are_noticed(self):
        table.save(self.path, make_table())
        contents = self.path.read_bytes()
        start = 8 + int.from_bytes(contents[:8], "little")
        changed = [contents[:at] + bytes([contents[at] ^ 1]) + contents[at + 1 :] for at in range(start, len(contents))]
        for old, new in ((b"made up", b"made UP"), (b'metrics/test"', b'metrics/tesu"')):
            assert old in contents
            changed.append(contents.replace(old, new))
        for one in changed:
            self.path.write_bytes(one)
            with pytest.raises(ValueError, match="SHA-256"):
                table.load(self.path)

    def test_a_file_whose_rows_the_space_writes_otherwise_is_refused(self):
        made = make_table(archs=((1, 0, 0, 0, 0), (1, 2, 0, 0, 0), (1, 3, 0, 0, 0)), space="convnet")
        made.archs[1] = (1, 0, 2, 0, 0)
        made = table.Table(info=made.info, archs=made.archs[[1, 0, 2]], metrics=made.metrics)
        with absltest.mock.patch.object(table, "check"):
            table.save(self.path, made)
        with pytest.raises(ValueError, match=r"\[1, 0, 2, 0, 0\], is not a valid canonical architecture of convnet"):
            table.load(self.path)

    def test_of_many_rows_some_are_compared_with_their_canonical_form(self):
        table.save(self.path, make_table())
        with (
            absltest.mock.patch.object(table, "_CHUNK", 2),
            absltest.mock.patch.object(table.factory, "check_rows") as check_rows,
        ):
            table.load(self.path)
        (rows, _), _ = check_rows.call_args
        np.testing.assert_array_equal(rows, [[0, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0]])


class TableCheckTest(parameterized.TestCase):
    @parameterized.parameters(
        ("moon", ((0, 0), (0, 1), (1, 0)), "unknown search space 'moon'"),
        ("nasbench201", ((0, 0), (0, 1), (1, 0)), r"archs of nasbench201 have shape \(any, 6\); got \(3, 2\)"),
        ("convnet", ((5, 0, 0, 0, 0), (1, 2, 0, 0, 0), (1, 0, 0, 0, 0)), "not a valid canonical architecture of conv"),
        ("convnet", ((1, 0, 0, 0, 0), (1, 2, 0, 0, 0), (1, 0, 2, 0, 0)), r"row 1 of 3, \[1, 0, 2, 0, 0\], is not a va"),
        ("convnet", ((1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (1, 2, 0, 0, 0)), r"distinct rows.*row 1, \[1, 0, 0, 0, 0\]"),
    )
    def test_rows(self, space, archs, message):
        with pytest.raises(ValueError, match=message):
            make_table(archs=archs, space=space)

    def test_rows_out_of_order(self):
        made = make_table()
        with pytest.raises(ValueError, match="lexicographic order"):
            table.check(table.Table(info=made.info, archs=made.archs[::-1].copy(), metrics=made.metrics))

    @parameterized.parameters(
        ([0.5, np.nan, 0.5], "'validation' has no run .* for row 0"),  # after sorting, the row without a run is 0
        ([0.5, 0.5, 1.5], r"'validation' must be fractions in \[0, 1\]; got 0.5 to 1.5"),
        ([0.5, 0.5, -0.5], r"'validation' must be fractions in \[0, 1\]; got -0.5 to 0.5"),
        ([0.5, 0.5, np.inf], "'validation' holds an infinite value"),
        ([0.5, 0.5, 1e300], "'validation' holds an infinite value"),
        ([0.5, 0.5], "'validation' must have 3 rows"),
    )
    def test_values(self, values, message):
        archs = ((0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0), (4, 0, 0, 0, 0, 0))
        with pytest.raises(ValueError, match=message):
            make_table({"validation": values}, archs, datasets={"small": {"validation": "validation"}})

    @parameterized.parameters(
        ({}, "info.datasets is empty"),
        ({"small": {"cost": "seconds"}}, "dataset 'small' must name metrics"),
        ({"small": {"test": "test", "training": "test"}}, "dataset 'small' must name metrics"),
        ({"small": {"test": "tset"}}, "dataset 'small' has 'tset' as its test; the metrics are validation, test"),
    )
    def test_datasets(self, datasets, message):
        with pytest.raises(ValueError, match=message):
            make_table(datasets=datasets)


class RegistryTest(folders.FolderTest):
    def test_spaces_exist(self):
        for benchmark in tables.BENCHMARKS.values():
            assert spaces.get(benchmark.space).name == benchmark.space

    def test_unknown_name_lists_the_known(self):
        with pytest.raises(
            ValueError, match=r"unknown benchmark 'moon'; choose one of digits_convnet, .*nasbench_macro"
        ):
            tables.load_benchmark("moon")

    def test_no_folder_and_no_file(self):
        with pytest.raises(ValueError, match=r"give --data_dir.*python -m launch\.build_table --benchmark=nasbench201"):
            tables.load_benchmark("nasbench201")
        with pytest.raises(
            ValueError, match=r"looked for .*here/nasbench201\.table, .*here/nasbench201/nasbench201\.npz.*build_table"
        ):
            tables.load_benchmark("nasbench201", "here")

    def test_a_table_file_comes_before_published_files(self):
        table.save(self.folder / "nasbench201" / "nasbench201.table", make_table())
        (self.folder / "nasbench201" / "nasbench201.npz").write_bytes(b"never read")
        assert tables.load_benchmark("nasbench201", self.folder).info.source == "made up"
        table.save(self.folder / "nasbench_macro.table", make_table())
        with pytest.raises(ValueError, match="holds the benchmark nasbench201, not nasbench_macro"):
            tables.load_benchmark("nasbench_macro", self.folder)

    def test_a_packaged_table_that_is_missing_names_the_command(self):
        with (
            absltest.mock.patch.object(tables, "_PACKAGED", pathlib.Path("gone")),
            pytest.raises(ValueError, match=r"no table at gone/digits_convnet\.table.*--benchmark=digits_convnet"),
        ):
            tables.load_benchmark("digits_convnet")
