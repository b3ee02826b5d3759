"""Searches that train, end to end: files, resuming after an interruption, error messages."""

import contextlib
import io
import json
import pathlib
import tempfile

import pytest
from absl.testing import parameterized

from launch import baselines, lanas

TINY = (
    "--evaluator=training",
    "--space=lanas_cell",
    "--proxy_width=2",
    "--proxy_num_epochs=1",
    "--proxy_num_images=64",
)


class TrainingSearchTest(parameterized.TestCase):
    def run_main(self, main, *flags):
        """Returns (exit code, standard output, standard error)."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(["--compilation_cache_dir=", *flags])
        return code, output.getvalue(), errors.getvalue()

    @pytest.mark.slow
    def test_a_search_that_goes_on(self):
        workdir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "run")
        flags = (*TINY, "--num_initial=2", "--height=2", f"--workdir={workdir}")
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=2")
        assert code == 0, errors
        journal = (workdir / "journal.jsonl").read_text().splitlines()
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=3")
        assert code == 0, errors
        assert (workdir / "journal.jsonl").read_text().splitlines()[: len(journal)] == journal
        result = json.loads((workdir / "result.json").read_text())
        assert result["queries"] == 3
        config = json.loads((workdir / "config.json").read_text())
        assert config["benchmark"] == "training/digits/preset=short,width=2,num_epochs=1,num_images=64"
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=3", "--proxy_width=3")
        assert code == 1
        assert "another search" in errors

    @parameterized.parameters(
        (("--evaluator=training",), "--evaluator=training needs --space"),
        (("--evaluator=training", "--space=nasbench201"), "has no network to train; choose one of nao_small"),
        (
            ("--evaluator=guess",),
            "unknown evaluator 'guess'; choose one of benchmark, training, supernet",
        ),
        (("--space=nao_small",), "benchmark digits_convnet is of the space convnet, not nao_small; leave"),
        (("--proxy_width=3",), "--proxy_width is not for --evaluator=benchmark; leave it out"),
        ((*TINY, "--benchmark=nasbench201"), "--benchmark is not for --evaluator=training; leave it out"),
        ((*TINY, "--proxy_preset=long"), "unknown preset 'long'"),
        ((*TINY, "--dataset=cifar10"), "dataset cifar10"),
    )
    def test_refused(self, flags, message):
        code, _, errors = self.run_main(baselines.main, "--budget=2", *flags)
        assert code == 1, errors
        assert message in errors, errors
