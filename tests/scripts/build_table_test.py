import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from absl.testing import absltest, parameterized

from common import tables
from common.runs import build_table as builder
from common.runs import digits_convnet
from common.tables import table
from launch import build_table
from tests.shared import folders

ROOT = pathlib.Path(__file__).parents[2]


def macro_entry(*accuracies):
    return {"test_acc": list(accuracies), "params": 2_000_000, "flops": 50_000_000}


class BuildTableTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "nas-bench-macro_cifar10.json"
        entries = {"22212220": macro_entry(93.0, 94.0, 92.0), "00000000": macro_entry(10.0, 20.0, 30.0)}
        self.source.write_text(json.dumps(entries))

    def test_the_command_writes_a_table_that_loads(self):
        path = self.folder / "new" / "nasbench_macro.table"
        arguments = ("--benchmark=nasbench_macro", f"--source={self.source}", f"--output={path}")
        command = [sys.executable, "-m", "launch.build_table", *arguments]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert "nasbench_macro: 2 architectures" in done.stdout
        assert "best test 93.000 %" in done.stdout
        made = tables.load_benchmark("nasbench_macro", path.parent)
        np.testing.assert_array_equal(made.archs, [[0] * 8, [2, 2, 2, 1, 2, 2, 2, 0]])
        np.testing.assert_allclose(made.metrics["test"], [[0.1, 0.2, 0.3], [0.93, 0.94, 0.92]], rtol=1e-6)
        assert [file.name for file in path.parent.iterdir()] == ["nasbench_macro.table"]

    def test_errors_are_one_line_and_status_1(self):
        path = self.source / "nasbench_macro.table"  # as if a file were a folder
        arguments = ("--benchmark=nasbench_macro", f"--source={self.source}")
        found = self.run_main(build_table.main, *arguments, f"--output={path}", code=1)
        assert found == ("", f"error: cannot write {path}: File exists\n")
        self.source.write_text("{")
        path = self.folder / "nasbench_macro.table"
        output, errors = self.run_main(build_table.main, *arguments, f"--output={path}", code=1)
        assert (output, errors.count("\n")) == ("", 1)
        assert errors.startswith(f"error: {self.source} is not JSON from line 1, column 2 on")
        assert not path.exists()

    @parameterized.parameters(
        ({"benchmark": None}, "give --benchmark, one of digits_convnet, "),
        ({"benchmark": "moon"}, "unknown benchmark 'moon'; choose one of digits_convnet, "),
        ({"source": None}, "give --source, the file or folder nas-bench-macro_cifar10.json from github.com/xiusu/"),
        ({"source": "nowhere"}, "no NAS-Bench-Macro file at nowhere"),
        ({"output": None}, "give --output, a file such as nasbench_macro.table; got None"),
        ({"output": "x.npz"}, "give --output, a file such as nasbench_macro.table; got 'x.npz'"),
        ({"benchmark": "digits_convnet"}, "digits_convnet is trained, not read; leave --source=.* out"),
    )
    def test_arguments(self, changes, message):
        output = str(self.folder / "made.table")
        arguments = {"benchmark": "nasbench_macro", "source": str(self.source), "output": output}
        with pytest.raises(ValueError, match=message):
            builder.build(**arguments | changes)
        assert [file.name for file in self.folder.iterdir()] == [self.source.name]

    def test_the_trained_benchmark_is_trained_and_its_parts_are_removed(self):
        info = table.Info("digits_convnet", "convnet", {"digits": {"validation": "validation"}}, "trained", "none")
        trained = table.from_rows(info, np.array([[1, 0, 0, 0, 0], [2, 0, 0, 0, 0]]), {"validation": [0.25, 0.5]})

        def train_table(chunk_dir):
            chunk_dir.mkdir(exist_ok=True)
            (chunk_dir / "depth1_0000.npz").touch()
            return trained

        output = self.folder / "digits_convnet.table"
        with absltest.mock.patch.object(digits_convnet, "train_table", train_table):
            output.mkdir()  # so that the table cannot be saved
            _, errors = self.run_main(build_table.main, "--benchmark=digits_convnet", f"--output={output}", code=1)
            assert errors == f"error: cannot write {output}: Is a directory\n"
            partial = output.with_suffix(".partial")
            assert [file.name for file in partial.iterdir()] == ["depth1_0000.npz"]
            output.rmdir()
            (partial / "mine.txt").touch()
            builder.build(benchmark="digits_convnet", source=None, output=str(output))
            assert [file.name for file in partial.iterdir()] == ["mine.txt"]
            (partial / "mine.txt").unlink()
            printed, errors = self.run_main(build_table.main, "--benchmark=digits_convnet", f"--output={output}")
        assert errors == ""
        assert printed.endswith("seconds, replaces the file there was\n")
        assert "digits: best validation 50.000 %" in printed
        np.testing.assert_array_equal(table.load(output).archs, trained.archs)
        assert sorted(file.name for file in self.folder.iterdir()) == [output.name, self.source.name]
