"""What every command promises: help, usage errors, a run that resumes, and errors of one line."""

import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from absl import flags as absl_flags
from absl.testing import parameterized

import lanas_jax
from benchmarks import shared_searches
from common import exit_codes
from common.records import locks
from launch import commands
from tests.shared import folders

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAINS = {
    path.stem: importlib.import_module(f"launch.{path.stem}")
    for path in sorted((ROOT / "launch").glob("*.py"))
    if "\ndef main(" in path.read_text()
}
_SMALL_NAO = (
    *("--num_initial=6", "--num_new=2", "--count=2", "--embedding_size=4", "--hidden_size=4", "--num_members=1"),
    *("--fit_first=2", "--fit_later=1", "--num_unlabelled=6", "--num_mutated=3", "--num_seeds=2", "--num_steps=2"),
    *("--num_climbs=1", "--nois_bidirectional", "--predictor=mlp", "--predictor_layers=0", "--decoder=plain"),
)
_SHARED = (
    *("--supernet_width=2", "--supernet_num_epochs=2", "--supernet_num_images=64", "--supernet_held_out=40"),
    *("--supernet_batch_size=32", "--budget=6"),
)
_ON_SHARED = ("--evaluator=supernet", *_SHARED)
_TEXT = (
    *("--corpus=text", "--data_dir={folder}", "--width=4", "--batch_size=4", "--valid_batch_size=2"),
    *("--test_batch_size=2", "--bptt=6", "--bptt_min=2", "--bptt_max=6", "--bptt_deviation=0", "--num_epochs=1"),
)
_IMAGES = ("--width=2", "--num_images=64", "--held_out=40", "--batch_size=32", "--num_epochs=1")
RUNS = {  # name of a run: command, its flags, a flag that makes it another run, the message
    "baselines": ("baselines", ("--budget=6",), "--seed=1", "seed was 0 and is now 1"),
    "lanas": ("lanas", ("--budget=15", "--height=3", "--regressor=ridge"), "--height=2", "height was 3 and is now 2;"),
    "nao": ("nao", ("--budget=10", "--batch_size=8", *_SMALL_NAO), "--hidden_size=8", "hidden_size was 4 and is now 8"),
    "study": (
        "study",
        ("--algorithms=random", "--budget=20", "--num_seeds=2", "--seeds_at_once=2"),
        "--budget=21",
        "another study: budget was 20 and is now 21;",
    ),
    "training": (
        "baselines",
        ("--evaluator=training", "--space=nao_small", "--budget=2", "--proxy_width=2", "--proxy_num_epochs=1"),
        "--proxy_num_epochs=2",
        "num_epochs=2",
    ),
    "supernet": (
        "baselines",
        (*_ON_SHARED, "--rerank=2", "--rerank_halving=2", "--proxy_width=2", "--proxy_num_epochs=2"),
        "--seed=1",
        "",
    ),
    "few_shot": (
        "lanas",
        (*_ON_SHARED, "--height=2", "--num_initial=4", "--few_shot_epochs=1", "--few_shot_measured=20"),
        "--seed=1",
        "seed was 0 and is now 1",
    ),
    "population": (
        "nao",
        (*_ON_SHARED[:-1], "--schedule=nao_v2", "--num_blocks=2", "--supernet_sampling=num_params", *_SMALL_NAO),
        "--seed=1",
        "seed",
    ),
    "shared_searches": (
        "shared_searches",
        (*_SHARED, "--proxy_num_epochs=1", "--algorithms=random", "--num_best=2", "--num_random=2"),
        "--seed=1",
        "seed",
    ),
    "search_recurrent": ("search_recurrent", (*_TEXT, "--budget=4", "--algorithm=random"), "--seed=1", "seed"),
    "train": (
        "train",
        ("--genotype=lanet", "--width=2", "--num_cells=3", "--batch_size=200", "--num_epochs=1"),
        "--seed=1",
        "seed was 0 and is now 1",
    ),
    "train_supernet": ("train_supernet", ("--space=lanas_oneshot", *_IMAGES), "--seed=1", "seed was 0 and is now 1"),
    "train_language": ("train_language", _TEXT, "--seed=1", "seed was 0 and is now 1"),
}
# Runs of more than 15 seconds of a processor, most of which is compiling.
SLOW = ("training", "supernet", "few_shot", "population", "shared_searches", "train", "train_supernet")


def stable(value):
    """A JSON value without the times that each run measures anew."""
    if isinstance(value, dict):
        return {name: stable(item) for name, item in value.items() if not re.search("second|rate|memory", name)}
    return [stable(item) for item in value] if isinstance(value, list) else value


class CommandContractTest(folders.FolderTest):
    @parameterized.named_parameters((name, module) for name, module in MAINS.items())
    def test_help_names_every_flag_in_a_group(self, module):
        output, errors = self.run_main(module.main, "--help")
        assert output.startswith(f"python -m launch.{module.__name__.split('.')[1]} ")
        assert errors == ""
        values = absl_flags.FlagValues()
        module.define(values)
        for flag in values:
            assert f"\n  --{flag}: " in output or f"\n  --{flag}:\n" in output, flag
        titles = re.findall(r"^(\S.*):$", output, re.MULTILINE)
        assert "Flags of the command" in titles

    def test_help_of_a_setting_of_several_algorithms(self):
        output, _ = self.run_main(MAINS["baselines"].main, "--help")
        output = " ".join(output.split())
        for text in (
            "--num_initial: random architectures at the start (bayesian_optimization, bananas, lamcts, weaknas) ",
            "--num_best: architectures with the best predictions, of which a round is sampled (weaknas) (default: 100)",
            "--num_layers: hidden layers of a network (bananas, weaknas) (default: 2)",
            "--num_members: networks of the ensemble (bananas, weaknas: 1 by default) (default: 5)",
        ):
            assert text in output, text

    @parameterized.named_parameters((name, module) for name, module in MAINS.items())
    def test_usage_errors_are_one_line(self, module):
        for flag, message in (
            ("--no_such_flag=1", "Unknown command line flag 'no_such_flag'"),
            ("now", "unexpected argument 'now'; flags are written --name=value"),
            ("--flagfile=/nowhere.cfg", "/nowhere.cfg"),
        ):
            output, errors = self.run_main(module.main, "--traceback", flag, code=2)  # a first word may be a name
            assert output == ""
            assert re.fullmatch(f"error: .*{message}.*\n", errors), errors

    @parameterized.named_parameters((path.stem, path) for path in (ROOT / "launch" / "flagfiles").glob("*.cfg"))
    def test_a_flagfile_names_a_command_that_accepts_it(self, path):
        head = rf"^#   python -m launch\.(\w+) --flagfile=launch/flagfiles/{path.name} "
        (name,) = re.findall(head, path.read_text(), re.MULTILINE)
        flags = (f"--flagfile={path}", "--data_dir=/nowhere")
        _, errors = self.run_main(MAINS[name].main, *flags, code=1)
        assert "/nowhere" in errors

    def test_numbers(self):
        for flag, message in (("--budget=1e3", "a whole number"), ("--candidate_timeout=long", "a number")):
            _, errors = self.run_main(MAINS["lanas"].main, flag, code=2)
            assert errors == f"error: flag {flag}: must be {message} (--help lists all flags)\n"

    @parameterized.parameters(*MAINS.values())
    def test_an_interrupted_process_ends_at_once(self, module):
        self.enterContext(mock.patch.object(sys, "argv", ["command"]))
        self.enterContext(mock.patch.object(commands, "_run_main", return_value=exit_codes.INTERRUPTED))
        end = self.enterContext(mock.patch.object(exit_codes.os, "_exit"))
        module.main()
        assert end.call_args_list == [mock.call(exit_codes.INTERRUPTED)]

    def test_help_of_the_algorithms_for_images(self):
        output, _ = self.run_main(importlib.import_module("launch.search_images").main, "--help")
        text = "--algorithm: proposes the candidates: lanas, nao, random, "
        assert text in " ".join(output.split())
        assert "nao_rnn" not in output

    def test_help_without_docstrings(self):
        """As with python -OO."""
        lanas = MAINS["lanas"]
        with mock.patch.object(lanas, "__doc__", None), mock.patch.object(lanas_jax.Config, "__doc__", None):
            output, _ = self.run_main(lanas.main, "--help")
        assert "\nSettings of lanas_jax.config.Config:\n  --height: levels of the tree" in output

    @pytest.mark.slow
    def test_help_of_a_process_without_docstrings(self):
        command = [sys.executable, "-OO", "-m", "launch.lanas", "--help"]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert "\nSettings of lanas_jax.config.Config:\n  --height: levels of the tree" in done.stdout

    @parameterized.named_parameters((name, *case) for name, case in RUNS.items())
    def test_runs_resume_and_refuse_another_run(self, command, flags, changed, message):
        random = np.random.default_rng(0)
        for split in ("train", "valid", "test"):
            lines = [" ".join(f"w{word}" for word in line) for line in random.integers(0, 7, (24, 10))]
            (self.folder / f"{split}.txt").write_text("\n".join(lines))
        workdir, main = self.folder / "run", {**MAINS, "shared_searches": shared_searches}[command].main
        flags = [flag.format(folder=self.folder) for flag in flags]
        flags = [f"--workdir={workdir}", *flags]
        output, _ = self.run_main(main, *flags)
        assert output.startswith(f"workdir: {workdir}\n")
        assert "\x1b" not in output
        (result,) = (workdir / name for name in ("result.json", "study.json") if (workdir / name).exists())
        first = json.loads(result.read_text())
        result.unlink()
        self.run_main(main, *flags)
        assert stable(json.loads(result.read_text())) == stable(first)
        kept = {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()}
        _, errors = self.run_main(main, *flags, changed, code=1)
        assert message in errors.splitlines()[-1]
        assert {path: path.read_bytes() for path in workdir.rglob("*") if path.is_file()} == kept
        for lock in workdir.rglob("*lock"):
            with locks.hold(lock, what="it"):
                _, errors = self.run_main(main, *flags, code=1)
            assert f"is in use by pid {os.getpid()} on " in errors.splitlines()[-1]


for _name, _test in list(vars(CommandContractTest).items()):
    if any(_name == f"test_runs_resume_and_refuse_another_run_{name}" for name in SLOW):
        pytest.mark.slow(_test)
