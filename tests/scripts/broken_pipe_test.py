"""Commands end without a message when their output pipe is closed, as in `| head`."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys

import rich.console
from absl.testing import parameterized

from common import exit_codes
from launch import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]


class BrokenPipeTest(parameterized.TestCase):
    def run_main(self, run, *, out, errors):
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            return commands.run_main("try", "Tries.", lambda values: None, run, [])

    def test_a_command_of_its_own_process(self):
        process = subprocess.Popen(
            [sys.executable, "-m", "launch.prepare_data", "--help"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(timeout=60), errors) == (141, b"")

    @parameterized.named_parameters(
        ("at_its_end", lambda values: print("done")),
        ("in_between", lambda values: print("begun", flush=True)),
        ("in_a_table", lambda values: rich.console.Console().print("begun")),
    )
    def test_standard_output(self, run):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            errors = io.StringIO()
            assert self.run_main(run, out=out, errors=errors) == exit_codes.BROKEN_PIPE
            assert errors.getvalue() == ""
            print("more", file=out, flush=True)  # is discarded, as at the end of a process

    def test_an_exit_of_another_kind_is_one(self):
        with self.assertRaises(SystemExit) as raised:
            self.run_main(lambda values: sys.exit(3), out=io.StringIO(), errors=io.StringIO())
        assert raised.exception.code == 3
