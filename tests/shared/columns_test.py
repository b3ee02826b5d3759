"""Benchmark files of a user: CSV and npz."""

import contextlib
import importlib
import io
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces, tables
from common.evaluators import benchmark, tabular
from common.spaces import factory, nasbench101, nasbench101_graphs
from common.tables import columns, table
from launch import baselines, build_table, report, study
from tests.shared import folders

TEXT = """\
x_depth,x_width,validation_0,validation_1,test,cost,cost_latency
1,2,0.75,0.25,0.4,30,7
0,0,0.125,,0.3,10,
1,0,0.5,0.25,0.6,20,8.5
"""


class Case(folders.FolderTest):
    def write(self, text, name="mine.csv"):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def save(self, **arrays):
        path = self.folder / "mine.npz"
        np.savez(path, **arrays)
        return path


class ReadTest(Case):
    def test_columns_of_numbers(self):
        made = columns.read(self.write(TEXT))
        np.testing.assert_array_equal(made.archs, [[0, 0], [1, 0], [1, 2]])
        expected = {
            "validation": [[0.125, np.nan], [0.5, 0.25], [0.75, 0.25]],
            "test": [[0.3], [0.6], [0.4]],
            "cost": [[10], [20], [30]],
            "cost_latency": [[np.nan], [8.5], [7]],
        }
        assert set(made.metrics) == set(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(made.metrics[name], np.float32(values))
        assert made.info.datasets == {"default": {"validation": "validation", "test": "test", "cost": "cost"}}
        assert (made.info.benchmark, made.info.space) == ("mine", "mine")
        assert made.info.source.startswith("mine.csv, sha256 ")

        space = table.space_of(made)
        assert (space.name, space.num_choices, space.size) == ("mine", (2, 3), 3)
        np.testing.assert_array_equal(space.enumerate(), [[0, 0], [1, 0], [1, 2]])
        assert space.describe(np.array([1, 2])) == "depth=1 width=2"

    def test_a_file_of_all_combinations_is_a_product_space(self):
        made = columns.read(self.write("arch,test\n0 0,0.1\n0 1,0.2\n1 0,0.3\n1 1,0.4\n"))
        assert not made.info.is_listed
        space = table.space_of(made)
        assert space.size == 4
        assert space.describe(np.array([1, 0])) == "1 0"

    def test_ways_to_write_the_same_file(self):
        for text in (
            'arch,test\n"[0, 1, 2]",0.5\n1 1 1,1\n',
            '\ufeffarch , test\r\n"0,1,2",0.5\r\n\r\n1 1 1,1.0\r\n',
            "x0,x1,x2,test\n0,1.0,2,0.5\n1,1,1,1\n",
            "x_a,x_b,x_c,test\n0,1,2,5e-1\n1,1,1,1\n",
        ):
            made = columns.read(self.write(text))
            np.testing.assert_array_equal(made.archs, [[0, 1, 2], [1, 1, 1]])
            np.testing.assert_array_equal(made.metrics["test"], [[0.5], [1]])

    def test_several_datasets_and_a_named_space(self):
        text = "arch,small/validation,small/test,large/test,large/cost,cost\n"
        path = self.write(text + "3 0 0 0 0 1,0.5,0.6,0.7,9,5\n0 0 0 0 0 0,0.1,0.2,0.3,8,4\n")
        made = columns.read(path, "nasbench201")
        assert made.info.datasets == {
            "small": {"validation": "small/validation", "test": "small/test", "cost": "cost"},
            "large": {"test": "large/test", "cost": "large/cost"},
        }
        space = table.space_of(made)
        assert (space.name, space.size, space.num_choices) == ("nasbench201", 2, (5,) * 6)
        assert space.describe(made.archs[0]) == spaces.get("nasbench201").describe(np.zeros(6, int))

    def test_rows_of_a_named_space_become_canonical(self):
        made = columns.read(self.write("arch,test\n0 1 0 2 0,0.5\n4 0 0 0 0,0.25\n"), "convnet")
        np.testing.assert_array_equal(made.archs, [[1, 2, 0, 0, 0], [4, 0, 0, 0, 0]])

    def test_arrays(self):
        arch, runs = np.array([[1, 0], [0, 1]]), np.array([[0.5, 0.25], [0.125, np.nan]])
        for decisions in ({"arch": arch}, {"x0": arch[:, 0], "x1": arch[:, 1]}):
            made = columns.read(self.save(**decisions, validation=runs, params=np.array([7, 8])))
            np.testing.assert_array_equal(made.archs, [[0, 1], [1, 0]])
            np.testing.assert_array_equal(made.metrics["validation"], np.float32([[0.125, np.nan], [0.5, 0.25]]))
            np.testing.assert_array_equal(made.metrics["params"], [[8], [7]])

    @parameterized.parameters(
        ("", "mine.csv is empty; its first line must name the columns"),
        ("0,1,0.5\n1,1,0.25\n", "mine.csv has no header; its first line must name the columns, such as arch,val"),
        ("arch,test\n", "mine.csv has a header, but no rows"),
        ("arch,test,test\n0,1,1\n", "mine.csv names the column 'test' twice"),
        ("Arch,Validation\n0,1\n", "mine.csv has the columns Arch, Validation; write their names in small letters"),
        ("arch,test\n0,0.5\n\n1,0.5,7\n", "mine.csv, line 4: 3 values, but the header names 2 columns"),
        ("arch,test\n0,0.5\n1,high\n", "mine.csv, line 3, column test: 'high' is not a number"),
        ("arch,test\n0,0.5\n1,-inf\n", "mine.csv, line 3, column test: '-inf' is not a number"),
        ("arch;test\n0 1;0,5\n", "mine.csv separates its columns by semicolons; want commas, and a point in decimal"),
        ("arch\ttest\n0 1\t0.5\n", "mine.csv separates its columns by tabs; want commas"),
        ("arch,test\n0 a,0.5\n", "mine.csv, line 2, column arch: '0 a' is not whole numbers from 0, such as 0 1 2"),
        ("arch,test\n0 1,0.5\n1,0.5\n", "mine.csv, line 3, column arch: 1 decisions, but 2 in line 2"),
        ("arch,test\n0 1,0.5\n0 -1,0.5\n", "mine.csv, line 3, column arch, decision 1: -1 is not a choice; choices"),
        ("x0,test\n0,0.5\n0.5,0.5\n", "mine.csv, line 3, column x0: 0.5 is not a choice; choices are whole numbers fr"),
        ("x_w,test\n0,0.5\n4096,0.5\n", "mine.csv, line 3, column x_w: 4096 is not a choice; .* number the options"),
        ("x_w,test\n0,0.5\n,0.5\n", "mine.csv, line 3, column x_w: nan is not a choice"),
        ("width,test\n0,0.5\n", "mine.csv must have either a column arch or columns x0, x1, .*; it has width, test"),
        ("arch,x0,test\n0,0,0.5\n", "mine.csv must have either a column arch or"),
        ("x0,x_b,test\n0,0,0.5\n", "mine.csv has the decisions x0, x_b; want x0, x1, ... in order, or x_NAME for all"),
        ("arch,cost\n0,1\n1,1\n", "mine.csv has no fitness; want a column validation or test .*; the columns are cost"),
        ("arch,test\n0 1,0.5\n", "mine.csv holds 1 architecture; a search needs at least two"),
        ("arch,test\n0,0.5\n1,0.5\n0,0.7\n", r"mine.csv, line 4: \[0\] is the architecture of line 2 again"),
        ("arch,test\n0,0.5\n1,93.5\n", "line 3, column test: 93.5 is not a fraction in .0, 1.; divide percentages by"),
        ("arch,test\n0,0.5\n1,-0.5\n", "mine.csv, line 3, column test: -0.5 is not a fraction"),
        ("arch,test,cost\n0,0.5,\n1,0.5,-2\n", "mine.csv, line 3, column cost: -2 is negative"),
        ("arch,test\n0,0.5\n1,\n", "mine.csv, line 3: no value of test"),
    )
    def test_errors_name_the_line_and_the_column(self, text, message):
        with pytest.raises(ValueError, match=message):
            columns.read(self.write(text))

    @parameterized.parameters(
        ("5 0 0 0 0", r"mine.csv, line 3: \[5, 0, 0, 0, 0\] is not an architecture of convnet"),
        ("0 0 0 0 0", r"mine.csv, line 3: \[0, 0, 0, 0, 0\] is not an architecture of convnet"),
        ("0 0 1 2 0", r"mine.csv, line 3: \[0, 0, 1, 2, 0\] is the architecture of line 2 again"),
    )
    def test_rows_outside_a_named_space(self, arch, message):
        with pytest.raises(ValueError, match=message):
            columns.read(self.write(f"arch,test\n1 2 0 0 0,0.5\n{arch},0.5\n"), "convnet")
        with pytest.raises(ValueError, match="its architectures have 2 decisions, those of convnet 5"):
            columns.read(self.write("arch,test\n1 2,0.5\n1 1,0.5\n"), "convnet")
        with pytest.raises(ValueError, match="unknown search space 'moon'; choose one of convnet, "):
            columns.read(self.write("arch,test\n1 2,0.5\n1 1,0.5\n"), "moon")

    @parameterized.parameters(
        ({}, "mine.npz is empty; want the arrays arch, validation and test"),
        ({"arch": np.zeros((2, 1)), "test": np.zeros(3)}, r"array test: want the shape \(2,\) or \(2, runs\)"),
        ({"arch": np.zeros(2)}, r"array arch: want the shape \(2, decisions\), rows first; got \(2,\)"),
        ({"arch": np.zeros((2, 1)), "test": np.array(["a", "b"])}, "array test: want numbers; got <U1"),
        ({"arch": np.zeros((2, 1)), "test": np.array([0.5, np.inf])}, "mine.npz, row 1, array test: infinite"),
        ({"arch": np.array([[0], [1]]), "test": np.array([0.5, np.nan])}, "mine.npz, row 1: no value of test"),
        ({"x0": np.zeros((2, 2)), "test": np.zeros(2)}, "the arrays x0 must have one value for each architecture"),
    )
    def test_errors_of_arrays(self, arrays, message):
        with pytest.raises(ValueError, match=message):
            columns.read(self.save(**arrays))

    def test_all_faults_at_once(self):
        path = self.write("x0,test\n0,a\n1\n0.5,b\n")
        message = (
            r"line 2, column test: 'a' is not a number; .*line 3: 1 values, but the header names 2 columns; "
            r".*line 4, column test: 'b' is not a number$"
        )
        with pytest.raises(ValueError, match=message):
            columns.read(path)

    @parameterized.parameters("mine.csv", "mine.npz")
    def test_missing_and_damaged_files(self, name):
        path = self.folder / name
        with pytest.raises(ValueError, match=f"no benchmark file at .*{name}"):
            columns.read(path)
        path.write_bytes(b"arch,test\xff\0\n")
        with pytest.raises(ValueError, match=f"{name} is (binary data|.*not an npz file)$"):
            columns.read(path)


class UseTest(Case):
    def test_a_table_file_is_the_same_benchmark(self):
        path = self.write(TEXT)
        code, output = run(build_table.main, f"--source={path}", f"--output={self.folder / 'b.table'}")
        assert code == 0, output
        assert "mine: 3 architectures of the space mine" in output
        read, loaded = columns.read(path), tables.load_benchmark("b.table", self.folder)
        assert loaded.info == read.info
        np.testing.assert_array_equal(loaded.archs, read.archs)
        np.testing.assert_array_equal(loaded.metrics["validation"], read.metrics["validation"])
        with pytest.raises(ValueError, match=r"b.table is of the space mine, not convnet"):
            tables.load_benchmark("b.table", self.folder, space="convnet")

    def test_the_evaluator(self):
        self.write(TEXT)
        made = benchmark.evaluator("mine.csv", data_dir=self.folder)
        assert (made.name, made.num_archs, made.optimum) == ("mine/default", 3, 0.5)
        found = made.evaluate(jax.random.key(0), np.array([[1, 2], [0, 0], [0, 1]]))
        np.testing.assert_array_equal(found.ok, [True, True, False])
        np.testing.assert_array_equal(found.fitness, [0.5, 0.125, 0])
        np.testing.assert_array_equal(found.cost, [30, 10, 0])
        assert made.recipe.settings["benchmark"] == str(self.folder / "mine.csv")
        message = r"mine publishes no test fitness of default, .*: it has validation, but no column test \(or test_0, "
        with pytest.raises(ValueError, match=message):
            benchmark.evaluator(str(self.write("arch,validation\n0,0.1\n1,0.2\n")), protocol="test")

    def test_a_named_space(self):
        path = str(self.write("arch,validation\n1 2 0 0 0,0.1\n3 0 0 0 0,0.2\n"))
        made = benchmark.evaluator(path, space="convnet")
        assert made.space.describe(np.array([3, 0, 0, 0, 0])) == "wide-small"
        assert made.recipe.settings["space"] == "convnet"
        with pytest.raises(ValueError, match="benchmark digits_convnet is of the space convnet, not nasbench201"):
            tables.load_benchmark("digits_convnet", space="nasbench201")

    def test_a_variant_of_a_space_has_other_features(self):
        folder, rows = self.folder, spaces.get("nasbench101").enumerate()[:5]
        info = table.Info("nasbench101", "nasbench101", {"cifar10": {"test": "test"}}, source="", licence="")
        table.save(folder / "nasbench101.table", table.from_rows(info, rows, {"test": np.linspace(0, 1, 5)}))
        space = table.space_of(tables.load_benchmark("nasbench101", folder, space="nasbench101_lanas"))
        assert jax.eval_shape(space.features, rows).shape == (5, 49)
        assert space.size == 423_624

    def test_codes_are_looked_up_by_their_network_and_invalid_ones_have_fitness_0(self):
        base = spaces.get("nasbench101")
        names = ("input", "conv3x3-bn-relu", "output")
        chain = nasbench101.from_matrix(np.eye(3, k=1, dtype=int), names)  # vertex 1 is its only inner one
        moved = np.zeros_like(chain)  # the same by vertex 4, and an operation on no path
        moved[[nasbench101_graphs.EDGES.index(edge) for edge in ((0, 4), (4, 6))]] = 1
        moved[nasbench101_graphs.NUM_EDGES + np.array([1, 3])] = 2, 1
        info = table.Info("nasbench101", "nasbench101_codes", {"cifar10": {"test": "t"}}, source="", licence="")
        row = np.asarray(jax.jit(base.canonicalize)(chain[None]))
        made = tabular.evaluator(table.from_rows(info, row, {"t": [[0.25, 0.75]]}), protocol="test")
        assert made.space.size == made.num_archs == 509_607_936 == 2**21 * 3**5
        archs = np.stack([chain, moved, np.zeros_like(chain), np.ones_like(chain)])
        found = jax.jit(lambda archs: made.evaluate(jax.random.key(0), archs))(archs)
        np.testing.assert_array_equal(found.fitness, [0.5, 0.5, 0, 0])
        np.testing.assert_array_equal(found.ok, [True] * 4)
        features = np.asarray(jax.jit(made.space.features)(archs))
        np.testing.assert_array_equal(features[0], features[1])
        np.testing.assert_array_equal(np.flatnonzero(features[0]), [1, 5, 42, 43, 44])
        assert np.all(np.isfinite(features))
        np.testing.assert_array_equal(made.space.canonicalize(archs), archs)

    def test_a_search_finds_the_best_row(self):
        path = self.write(TEXT)
        workdir = self.folder / "run"
        code, output = run(baselines.main, f"--benchmark={path}", "--budget=3", f"--workdir={workdir}")
        assert code == 0, output
        result = json.loads((workdir / "result.json").read_text())
        assert (result["benchmark"], result["queries"]) == ("mine", 3)
        assert result["best"]["arch"] == [1, 2]
        assert result["best"]["description"] == "depth=1 width=2"
        code, output = run(report.main, f"--workdir={workdir}")
        assert code == 0, output
        assert "depth=1 width=2" in (workdir / "report.html").read_text()

    def test_commands_take_a_named_space_and_several_files(self):
        path = self.write("arch,validation\n1 2 0 0 0,0.1\n3 0 0 0 0,0.2\n")
        arguments = ("--budget=2", f"--workdir={self.folder / 'run'}")
        code, output = run(baselines.main, "--algorithm=random", f"--benchmark={path}", "--space=convnet", *arguments)
        assert code == 0, output
        assert "wide-small" in output
        code, output = run(baselines.main, f"--benchmark={path}", "--space=nasbench201", *arguments)
        assert (code, output) == (1, f"error: {path}: its architectures have 5 decisions, those of nasbench201 6\n")
        tasks, workdir = f"--tasks={path},{self.write(TEXT, 'other.csv')}", f"--workdir={self.folder / 'study'}"
        code, output = run(study.main, tasks, "--algorithms=random", "--num_seeds=1", "--budget=2", workdir)
        assert code == 0, output
        names = sorted(file.name for file in (self.folder / "study").glob("*_default"))
        assert names == ["mine_default", "other_default"]


class DocumentTest(Case):
    @pytest.mark.slow  # its commands on files like it are above
    def test_the_example_of_the_page_on_data(self):
        page = (pathlib.Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
        self.write(re.search(r"```\n(x_depth.*?)```", page, re.DOTALL)[1], "mobile.csv")
        commands = re.findall(r"python -m launch.(\w+) (.*mobile.csv.*)", page)
        assert [command for command, _ in commands] == ["baselines", "study", "build_table"]
        with contextlib.chdir(self.folder):
            for command, arguments in commands:
                code, output = run(importlib.import_module(f"launch.{command}").main, *arguments.split())
                assert code == 0, output
            assert tables.load_benchmark("mobile.table").info == tables.load_benchmark("mobile.csv").info


def run(main, *arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        return main(arguments), output.getvalue()


class ListedTest(parameterized.TestCase):
    """Part of a space: NAS-Bench-201's rows whose choices add up to a multiple of 7."""

    def setUp(self):
        super().setUp()
        self.whole = spaces.get("nasbench201")
        rows = self.whole.enumerate()
        self.archs = rows[rows.sum(axis=1) % 7 == 0]
        self.space = factory.listed(self.whole, self.archs)

    def test_samples_are_rows_of_the_list(self):
        drawn = np.asarray(self.space.sample(jax.random.key(0), 60_000))
        found, counts = np.unique(drawn, axis=0, return_counts=True)
        assert np.asarray(self.space.is_valid(found)).all()
        assert len(found) == len(self.archs) == self.space.size
        assert counts.max() < 5 * len(drawn) / len(found)

    def test_validity_and_neighbours(self):
        rows = self.whole.enumerate()
        np.testing.assert_array_equal(self.space.is_valid(rows), rows.sum(axis=1) % 7 == 0)
        around, is_new = self.space.neighbors(self.archs[:50])
        np.testing.assert_array_equal(is_new, around.sum(axis=-1) % 7 == 0)
        assert not np.asarray(self.space.is_valid(-np.ones((1, 6), np.int32)))[0]

    def test_mutants_are_neighbours_or_any_other_row(self):
        pair = factory.listed(self.whole, np.array([[0] * 6, [1] * 6, [1] * 5 + [2]]))
        rows = np.repeat(pair.enumerate(), 200, axis=0)
        mutants = np.asarray(pair.mutate(jax.random.key(1), rows))
        assert {tuple(row) for row in mutants[:200]} == {(1,) * 6, (1, 1, 1, 1, 1, 2)}
        assert (mutants[200:400] == [1, 1, 1, 1, 1, 2]).all()
        assert (mutants[400:] == 1).all()

    def test_neighbours_may_be_the_nearest_rows(self):
        rows = np.array([[0, 0, 0], [0, 1, 1], [1, 1, 1], [2, 0, 2]])  # differ in 2, 3, 2; 1, 3; 3 decisions
        space = factory.listed(factory.product("triples", (3, 3, 3)), rows, num_nearest=2)
        around, is_new = space.neighbors(jnp.asarray([*rows, [2, 2, 2]]))
        np.testing.assert_array_equal(around[:4], rows[[[1, 3], [2, 0], [1, 0], [0, 1]]])
        np.testing.assert_array_equal(is_new, [[True] * 2] * 4 + [[False] * 2])
        mutants = np.asarray(space.mutate(jax.random.key(0), jnp.asarray(np.repeat(rows[3:], 100, axis=0))))
        assert {tuple(row) for row in mutants} == {(0, 0, 0), (0, 1, 1)}
        for number in (0, 4):
            with pytest.raises(ValueError, match=f"num_nearest must be from 1 to 3, the other rows; got {number}"):
                factory.listed(factory.product("triples", (3, 3, 3)), rows, num_nearest=number)


class CostsTest(Case):
    """Further costs of a benchmark's architectures."""

    def test_costs_become_those_of_the_evaluator(self):
        file = self.write(TEXT)
        costs = self.write("x_depth,x_width,energy\n1,0,5\n0,0,2.5\n", "costs.csv")
        made = benchmark.evaluator(str(file), costs=str(costs))
        np.testing.assert_array_equal(made.costs["energy"](np.array([[0, 0], [1, 0], [1, 2]])), [2.5, 5, np.nan])
        np.testing.assert_array_equal(made.costs["cost_latency"](np.array([[1, 0]])), [8.5])
        assert made.recipe.settings["costs"] == str(costs)
        limited = benchmark.evaluator(str(file), costs=str(costs), limit=("energy<=5",))
        assert limited.num_archs == 2

    @parameterized.parameters(
        ("x_depth,x_width,energy\n1,1,5\n", r"line 2: \[1, 1\] is no architecture of mine"),
        ("x_depth,x_width,energy\n0,9,5\n", r"line 2: \[0, 9\] is not an architecture of mine"),
        ("x_depth,x_width,test\n0,0,5\n", "mine has test already; choose another name"),
        ("x_depth,x_width,cost_latency\n0,0,5\n", "mine has cost_latency already"),
        ("x_depth,x_width\n0,0\n", "has no costs; want a column for each"),
        ("x_depth,energy\n0,0\n", "its architectures have 1 decisions, those of mine 2"),
        ("x_depth,x_width,energy\n0,0,a lot\n", "line 2, column energy: 'a lot' is not a number"),
    )
    def test_refused(self, text, message):
        file, costs = self.write(TEXT), self.write(text, "costs.csv")
        with self.assertRaisesRegex(ValueError, message):
            benchmark.evaluator(str(file), costs=str(costs))

    def test_refused_files(self):
        for name, message in (("none.csv", "no file of costs at"), ("costs.txt", "ends in .csv or .npz")):
            if name == "costs.txt":
                self.write("x", name)
            with self.assertRaisesRegex(ValueError, message):
                columns.read_costs(self.folder / name, columns.read(self.write(TEXT)))
