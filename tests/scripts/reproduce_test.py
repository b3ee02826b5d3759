"""Headlines of the papers: plans, checks, command lines; dry runs of all stages."""

import dataclasses
import importlib
import json
import pathlib
from unittest import mock

import jax
import jax.numpy as jnp
import pytest
from absl import flags
from absl.testing import parameterized

from common import exit_codes
from common.genotypes import json_text, published
from common.runs import reproduce
from common.runs.reproduce_headlines import HEADLINES, Stage
from common.training import models
from common.training import step as step_lib
from launch import reproduce as command
from launch import train
from tests.shared import folders

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "reproduce.md"
STAGES = [(name, stage) for name, headline in HEADLINES.items() for stage in headline.stages]


def step_operations(stage):
    """Returns the operations of all steps of a training, from its step as lowered for a GPU."""
    values = flags.FlagValues()
    train.define(values)
    values(["train", f"--flagfile=launch/flagfiles/{stage.command.split('=')[1]}.cfg"])
    preset = train.preset(values)
    network = dataclasses.replace(preset.network, num_classes=10, dtype="bfloat16")
    network = models.network(published.get(values.genotype), network)
    inputs = models.inputs(preset.augmentation, mean=(0.5,) * 3, std=(0.2,) * 3)
    steps = step_lib.steps(network, preset.training, inputs, num_classes=10, num_images=50_000)
    state = jax.eval_shape(lambda key: steps.init(key, (32, 32, 3)), jax.random.key(0))
    images = jax.ShapeDtypeStruct((stage.batch, 32, 32, 3), jnp.uint8)
    labels = jax.ShapeDtypeStruct((stage.batch,), jnp.int32)
    traced = jax.jit(steps.train).trace(jax.random.key(0), state, images, labels)
    num_steps = preset.training.num_epochs * -(-50_000 // stage.batch)
    return traced.lower(lowering_platforms=("cuda",)).cost_analysis()["flops"] * num_steps


class ReproduceTest(folders.FolderTest):
    def errors(self, *words, code=1):
        return self.run_main(command.main, *words, code=code)[1]

    def test_names(self):
        output, _ = self.run_main(command.main)
        assert all(name in output for name in HEADLINES)
        output, errors = self.run_main(command.main, "--dry_run", code=2)
        assert [line.partition(": ")[0] for line in output.splitlines()] == list(HEADLINES)
        assert errors.startswith("error: --dry_run needs one of these names: python -m launch.reproduce NAME --dry_run")
        assert "unknown headline 'nao'; choose one of nao_cifar10, " in self.errors("nao")
        assert "unknown stage of nao_ptb 'tune'; choose one of train, search" in self.errors("nao_ptb", "--stages=tune")

    def test_data_that_is_absent(self):
        where = (f"--data_dir={self.folder}", f"--workdir={self.folder}/run")
        for name, advice in (
            (
                "nao_cifar10",
                f"launch.prepare_data --dataset=cifar10 --source=cifar-10-python.tar.gz --data_dir={self.folder}",
            ),
            ("nao_ptb", "the Penn Treebank as preprocessed by Mikolov: ptb.{train,valid,test}.txt"),
            ("nasbench101", "launch.build_table --benchmark=nasbench101 --source=FILE"),
        ):
            assert advice in self.errors(name, *where)
        assert list(self.folder.iterdir()) == []

    def test_too_little_disk_and_memory(self):
        with mock.patch.object(reproduce.shutil, "disk_usage", return_value=mock.Mock(free=2 * 2**30)):
            errors = self.errors("nao_cifar10", "--dry_run", f"--workdir={self.folder}/run")
        assert "/run needs 9 GiB for its runs, and its disk has 2.0 GiB left; make room" in errors
        stage = Stage("train", "train --flagfile=x", "", memory=20)
        reproduce.check_memory([stage], None)
        reproduce.check_memory([stage], 20 * 2**30)
        with pytest.raises(ValueError, match="stage train needs about 20 GiB of the device, which has 16 GiB: run"):
            reproduce.check_memory([stage], 16 * 2**30)

    def test_plan_by_hand(self):
        # An H200 does 989e12 operations a second; 40 % of them are 1.42e18 an hour. A step takes 10 ms at least.
        stage = Stage("train", "train --flagfile=x", "", operations=0.4 * 989e12 * 3600 * 16, steps=360_000, memory=3.2)
        assert [reproduce.hours(stage, num) for num in (1, 8, 32)] == [16, 2, 1]
        stages = (
            stage,
            dataclasses.replace(stage, is_divisible=True, steps=36_000_000),
            Stage("s", "nao", "", note="a day"),
        )
        assert reproduce.rows(dataclasses.replace(HEADLINES["nao_ptb"], stages=stages)) == [
            ("train", "launch.train --flagfile=x", "2.3e+19", "360,000", "16", "2.0", "3", "1"),
            ("train", "launch.train --flagfile=x", "2.3e+19", "36,000,000", "100", "12", "3", "1"),
            ("s", "launch.nao", "", "", "a day", "", "1", "1"),
        ]

    def test_command_lines_by_hand(self):
        stage = Stage("train_found", "train --flagfile=x --genotype={search}", "--num_epochs=1", "--width=4")
        options = reproduce.Options()
        with pytest.raises(ValueError, match="full_size needs dry_run"):
            reproduce.Options(full_size=True)
        with pytest.raises(ValueError, match="run/search holds no finished search with an architecture; run the stage"):
            reproduce.arguments(stage, options, self.folder / "run", None)
        (search := self.folder / "search").mkdir()
        arch = [0] * 40
        (search / "config.json").write_text(json.dumps({"space": "nao_large"}))
        (search / "result.json").write_text(json.dumps({"best": {"arch": arch}}))
        assert not reproduce.is_finished(Stage("search", "nao", ""), search)  # its best are not trained yet
        words = ["train", "--flagfile=x", f"--genotype={search}/best.json"]
        end = ["--data_dir=data", f"--workdir={self.folder}/train_found"]
        assert reproduce.arguments(stage, options, self.folder, "data") == [*words, *end]
        json_text.from_text((search / "best.json").read_text())
        assert reproduce.is_finished(Stage("search", "nao", ""), search)
        dry = dataclasses.replace(options, dry_run=True)
        assert reproduce.arguments(stage, dry, self.folder, "data") == [*words, "--num_epochs=1", "--width=4", *end]
        full = dataclasses.replace(dry, full_size=True)
        assert reproduce.arguments(stage, full, self.folder, "data") == [*words, "--num_epochs=1", *end]
        stage = Stage("search", "lanas --supernet={weights} --genotype={data_dir}/x", "")
        words = ["lanas", f"--supernet={self.folder}/weights", "--genotype=data/x", "--data_dir=data"]
        assert reproduce.arguments(stage, options, self.folder, "data") == [*words, f"--workdir={self.folder}/search"]

    @parameterized.parameters(*STAGES)
    def test_commands_accept_their_flags(self, name, stage):
        del name
        places = {"search": "lanet", "weights": "runs/weights", "data_dir": "data"}
        words = f"{stage.command} {stage.dry} {stage.small}".format(**places).split()
        self.run_main(importlib.import_module(f"launch.{words[0]}").main, *words[1:], "--help")

    def test_the_page_has_the_plan(self):
        page = PAGE.read_text()
        for name, headline in HEADLINES.items():
            assert f"### {name}\n" in page
            for row in reproduce.rows(headline):
                line = " | ".join((row[0], f"`{row[1]}`", *row[2:]))
                assert f"| {line} |" in page, line

    def test_dry_run_of_a_study(self):
        words = ("convnet", "--dry_run", f"--workdir={self.folder}/run")
        with jax.debug_key_reuse(False):  # the checker rejects a loop over draws in a branch once it is vmapped
            output, _ = self.run_main(command.main, *words)
        assert "dry run of convnet finished" in output
        assert "stage study: finished before" in self.run_main(command.main, *words)[0]

    def test_an_interrupted_stage_ends_the_command(self):
        options = reproduce.Options(dry_run=True, full_size=True, workdir=f"{self.folder}/run")
        with self.assertRaises(KeyboardInterrupt):
            reproduce.run("convnet", options, lambda module, words: exit_codes.INTERRUPTED)
        with self.assertRaisesRegex(ValueError, "stage study of convnet ended with exit code 1, see above"):
            reproduce.run("convnet", options, lambda module, words: 1)

    @parameterized.parameters("nao_cifar10", "nao_ws_ptb")
    @pytest.mark.slow
    def test_dry_runs(self, name):
        output, _ = self.run_main(command.main, name, "--dry_run", f"--workdir={self.folder}/run")
        assert f"dry run of {name} finished" in output

    @parameterized.parameters("nao_cifar10", "lanas_cifar10")
    @pytest.mark.slow
    def test_operations_of_trainings(self, name):
        stage = HEADLINES[name].stages[0]
        self.assertAlmostEqual(step_operations(stage) / stage.operations, 1, delta=0.01)
