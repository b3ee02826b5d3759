"""Commands end without a message when their output pipe is closed, as in `| head`, and at once when interrupted."""

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


_INTERRUPTED = """
import threading, time
from launch import commands

def run(values):
    threading.Thread(target=time.sleep, args=(1000,)).start()  # as XLA that compiles, for which Python would wait
    raise KeyboardInterrupt

commands.run_main("try", "Tries.", lambda values: None, run)
"""


class InterruptTest(parameterized.TestCase):
    def test_an_interrupted_process_ends_at_once(self):
        done = subprocess.run(
            [sys.executable, "-c", _INTERRUPTED], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == exit_codes.INTERRUPTED
        assert done.stderr.startswith("error: interrupted; resume it")
