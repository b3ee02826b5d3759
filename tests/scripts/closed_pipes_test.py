"""Commands whose output nobody reads any more, as of `| head`: they end without a word."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys

import rich.console
from absl.testing import parameterized

from launch import closed_pipes
from launch import flags as launch_flags

ROOT = pathlib.Path(__file__).resolve().parents[2]


def nobody_reads():
    """A text file like standard output in a pipe, whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


class ClosedPipesTest(parameterized.TestCase):
    def run_main(self, run, *, out, errors):
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            return launch_flags.run_main("try", "Tries.", lambda values: None, run, [])

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
        ("in_much_text", lambda values: print("x" * 100_000)),
        ("in_a_table", lambda values: rich.console.Console().print("begun")),
    )
    def test_standard_output(self, run):
        with nobody_reads() as out:
            errors = io.StringIO()
            assert self.run_main(run, out=out, errors=errors) == closed_pipes.CODE
            assert errors.getvalue() == ""
            print("more", file=out, flush=True)  # goes nowhere, as at the end of a process

    def test_standard_error(self):
        with nobody_reads() as errors:
            out = io.StringIO()
            code = self.run_main(lambda values: print("at work", file=sys.stderr, flush=True), out=out, errors=errors)
            assert (code, out.getvalue()) == (closed_pipes.CODE, "")

    def test_another_pipe_is_an_error_as_before(self):
        def run(values):
            with nobody_reads() as worker:
                os.write(worker.fileno(), b"a candidate")

        errors = io.StringIO()
        assert self.run_main(run, out=io.StringIO(), errors=errors) == 1
        assert errors.getvalue() == "error: Broken pipe\n"

    def test_an_exit_of_another_kind_goes_on(self):
        with self.assertRaises(SystemExit) as raised:
            self.run_main(lambda values: sys.exit(3), out=io.StringIO(), errors=io.StringIO())
        assert raised.exception.code == 3

    def test_a_command_that_is_read_to_the_end(self):
        out = io.StringIO()
        assert self.run_main(lambda values: print("done"), out=out, errors=io.StringIO()) == 0
        assert out.getvalue() == "done\n"
