"""`launch.report` end to end, on the run of a search, and its error messages."""

import contextlib
import functools
import io
import json
import pathlib
import shutil
import tempfile

import pytest

from common.records import run_dir
from launch import lanas, report
from tests.shared import event_files, folders

BUDGET = 24


@functools.cache
def searched():
    """The folder of a small search on the table that ships with the package; it lives as long as the tests do."""
    folder = tempfile.TemporaryDirectory()
    workdir = pathlib.Path(folder.name) / "run"
    flags = (f"--workdir={workdir}", f"--budget={BUDGET}", "--height=3")
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        assert lanas.main(flags) == 0, output.getvalue()
    return folder, workdir


class ReportTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.workdir = self.folder / "run"

    def run_report(self, *arguments, code=0):
        workdir = [] if "--workdir=" in arguments else [f"--workdir={self.workdir}"]
        return self.run_main(report.main, *workdir, *arguments, code=code)

    def test_a_run(self):
        shutil.copytree(searched()[1], self.workdir)
        output, _ = self.run_report(f"--pictures={self.folder / 'pictures'}", "--format=png")
        assert output == f"{self.workdir / 'report.html'}: 4 pictures of run\n"
        text = (self.workdir / "report.html").read_text()
        result = json.loads((self.workdir / run_dir.RESULT).read_text())
        assert f"<dd>{100 * result['best']['fitness']:.2f} %</dd>" in text
        assert f"<dd>{BUDGET} of {BUDGET}</dd>" in text
        assert "Table of 7 nodes" in text
        names = ["best_by_queries", "best_by_time", "partition_leaves", "partition_tree"]
        assert sorted(path.name for path in (self.folder / "pictures").iterdir()) == [f"{name}.png" for name in names]

    def test_an_unfinished_run(self):
        shutil.copytree(searched()[1], self.workdir)
        journal = self.workdir / run_dir.JOURNAL
        journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:10]) + '{"ev')
        (self.workdir / run_dir.RESULT).unlink()
        output, _ = self.run_report(f"--output={self.folder / 'page.html'}")
        assert output == f"{self.folder / 'page.html'}: 2 pictures of run, which is unfinished\n"
        text = (self.folder / "page.html").read_text()
        assert "This search is unfinished" in text
        assert "Too few measurements to fit the model again." in text

    def test_bad_input(self):
        for arguments, message in (
            (["--format=png"], "--format has no effect without --pictures"),
            (["--format=gif", "--pictures=nowhere"], "unknown format 'gif'; choose one of svg, png, pdf"),
            (["--workdir="], "give the folder of a search, a training or a study (--workdir)"),
            ([], "run is not a folder; give the folder"),
        ):
            _, errors = self.run_report(*arguments, code=1)
            assert message in errors
            assert len(errors.splitlines()) == 1
        self.workdir.mkdir()
        (self.workdir / "notes.txt").write_text("mine")
        _, errors = self.run_report(code=1)
        assert "it is not the folder of a search, a training or a study; it holds notes.txt" in errors
        assert [path.name for path in self.workdir.iterdir()] == ["notes.txt"]
        shutil.rmtree(self.workdir)
        shutil.copytree(searched()[1], self.workdir)
        _, errors = self.run_report(f"--pictures={self.workdir / 'result.json'}", code=1)
        assert "result.json is not a folder; give one for the pictures (--pictures)" in errors
        _, errors = self.run_report(f"--output={self.workdir / 'result.json'}", code=1)
        assert "the page (--output) is a file that ends in .html; got " in errors
        _, errors = self.run_report(f"--output={self.folder / 'nowhere' / 'page.html'}", code=1)
        assert "does not exist; make it first" in errors

    def test_event_files_say_what_metrics_say(self):
        _, workdir = searched()
        lines = [json.loads(line) for line in (workdir / run_dir.METRICS).read_text().splitlines()]
        found = event_files.scalars(workdir / run_dir.EVENTS)
        assert found.pop((20, "rounds/leaf_kendall_tau")) == pytest.approx(lines[3]["leaf_kendall_tau"], rel=1e-6)
        names = ("best_fitness", "infeasible", "seconds")
        wanted = {(line["queries"], f"search/{name}"): line[name] for line in lines for name in names}
        assert found == pytest.approx(wanted, rel=1e-6)
