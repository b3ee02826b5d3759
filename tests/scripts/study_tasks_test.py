"""A study of several tasks end to end, and the report over all of them."""

import functools
import json

import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.records import run_dir
from common.tables import table
from launch import report, study
from tests.shared import folders

TASKS = "nasbench_macro/first,nasbench_macro/second"


@functools.cache
def made_table():
    """Two datasets of one space, of which the second orders architectures the other way round."""
    archs = spaces.get("nasbench_macro").enumerate()
    noise = np.random.default_rng(0).uniform(0, 3, len(archs))
    rank = (np.argsort(np.argsort(archs.sum(axis=1) + noise)) / 8192).astype(np.float32)
    of = {"validation": "up", "test": "down", "cost": "time"}
    datasets = {"first": of, "second": {**of, "validation": "down", "test": "up"}}
    info = table.Info("nasbench_macro", "nasbench_macro", datasets, source="made up", licence="none")
    return table.from_rows(info, archs, {"up": rank, "down": 0.75 - rank / 2, "time": np.ones(len(archs))})


class StudyOfTasksTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        table.save(self.folder / "nasbench_macro.table", made_table())
        self.workdir = self.folder / "run"

    def run_command(self, main, *arguments, code=0):
        return self.run_main(main, *arguments, f"--workdir={self.workdir}", code=code)

    def run_study(self, *arguments, code=0):
        return self.run_command(study.main, f"--data_dir={self.folder}", "--num_seeds=2", *arguments, code=code)

    def test_each_task_has_a_folder_of_its_own(self):
        settings = ("--algorithms=random", "--budget=12")
        output, errors = self.run_study(f"--tasks={TASKS}", *settings)
        assert errors.splitlines()[-1].startswith("study: 4/4 searches, random on nasbench_macro/second (2 of 2), ")
        assert "nasbench_macro/first, 2 seeds" in output
        assert "nasbench_macro/second, 2 seeds" in output
        assert output.count("a search that did not find it counts as 12") == 2
        config = json.loads((self.workdir / run_dir.CONFIG).read_text())
        folders = {"nasbench_macro/first": "nasbench_macro_first", "nasbench_macro/second": "nasbench_macro_second"}
        assert config["tasks"] == folders
        histories = []
        for task, name in folders.items():
            record = json.loads((self.workdir / name / run_dir.STUDY).read_text())
            assert f"{record['benchmark']}/{record['dataset']}" == task
            of_task = json.loads((self.workdir / name / run_dir.CONFIG).read_text())["flags"]
            assert (of_task["benchmark"], of_task["dataset"], of_task["tasks"]) == (*task.split("/"), [])
            histories.append(run_dir.read_history(self.workdir / name / "history_random.npz")[0])
        np.testing.assert_array_equal(histories[0].archs, histories[1].archs)  # the same seeds
        assert not np.array_equal(histories[0].fitness, histories[1].fitness)

        for other in ("--tasks=nasbench_macro/first", "--benchmark=nasbench_macro"):
            more = () if other.startswith("--tasks") else ("--dataset=first",)
            _, errors = self.run_study(other, *more, *settings, code=1)
            assert "is of nasbench_macro/first, nasbench_macro/second; give all of that to resume" in errors

    @parameterized.parameters(
        ("first", "tasks must be different, and at least one; got nasbench_macro/first, nasbench_macro/first"),
        ("third", "third"),
    )
    def test_bad_tasks(self, second, message):
        tasks = f"--tasks=nasbench_macro/first,nasbench_macro/{second}"
        _, errors = self.run_study(tasks, "--algorithms=random", code=1)
        assert message in errors
        assert len(errors.splitlines()) == 1
        assert not self.workdir.exists()

    def test_several_folders_need_a_place_for_the_page(self):
        _, errors = self.run_command(report.main, f"--workdir={self.folder}", code=1)
        assert "several folders have one page: give its file (--output)" in errors
        _, errors = self.run_command(report.main, f"--workdir={self.folder}", "--output=page.html", code=1)
        assert f"{self.folder} has no config.json" in errors

    @pytest.mark.slow
    def test_report(self):
        self.run_study(f"--tasks={TASKS}", "--algorithms=random,local_search", "--budget=12")
        output, _ = self.run_command(report.main, f"--pictures={self.folder / 'pictures'}", "--queries=10")
        assert output == f"{self.workdir / 'report.html'}: 4 pictures of run\n"
        page = (self.workdir / "report.html").read_text()
        assert all(text in page for text in ("Study of 2 tasks", "mean after 10", "nasbench_macro/second (12)"))
        files = {path.name for path in (self.folder / "pictures").iterdir()}
        pictures = {f"{name}.svg" for name in ("across_regret", "across_profile", "across_found", "improvements")}
        assert files == pictures | {"tables.md", "tables.tex"}
        _, errors = self.run_command(report.main, "--queries=13", code=1)
        assert "must be 1 to 12, the smallest budget; got 13" in errors
