"""`launch.train` end to end on digits with a tiny network: files, resuming after a kill, error messages."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import jax
import numpy as np
import pytest
import safetensors.numpy

from common.datasets import images
from common.genotypes import genotype, json_text
from common.training import export
from launch import train
from tests.shared import event_files, folders

ROOT = pathlib.Path(__file__).resolve().parents[2]
_CELL = genotype.Cell(nodes=((genotype.Branch("conv_1x1", 0), genotype.Branch("identity", 1)),), output=(2,))
TINY = genotype.CellGenotype(normal=_CELL, reduction=_CELL)
SMALL = ("--width=4", "--num_epochs=3", "--batch_size=64", "--seed=5")


class TrainTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.genotype = self.folder / "tiny.json"
        self.genotype.write_text(json_text.to_text(TINY))

    def run_train(self, *flags, code=0):
        return self.run_main(train.main, *SMALL, f"--genotype={self.genotype}", *flags, code=code)

    def start(self, name, *flags, **variables):
        """Starts a process in folder `name` and exports to `name`.safetensors."""
        settings = ("--steps_per_chunk=4", "--checkpoint_seconds=0", f"--export={self.folder / name}.safetensors")
        command = [sys.executable, "-m", "launch.train", *SMALL, f"--genotype={self.genotype}", *settings]
        command += [f"--workdir={self.folder / name}", *flags]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **variables}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)

    def finish(self, process):
        """Returns the standard output."""
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return output

    def read(self, *names):
        """Returns for each folder (lines of metrics, result, exported arrays)."""
        for name in names:
            folder, file = self.folder / name, self.folder / f"{name}.safetensors"
            lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            yield lines, json.loads((folder / "result.json").read_text()), safetensors.numpy.load_file(file)

    def check_same(self, first, second):
        losses = [[(line["step"], line["loss"]) for line in lines] for lines, _, _ in (first, second)]
        assert (losses[0], first[1]["latest"]) == (losses[1], second[1]["latest"])
        assert set(first[2]) == set(second[2])
        for name, array in first[2].items():
            np.testing.assert_array_equal(second[2][name], array, err_msg=name)

    @pytest.mark.slow
    def test_a_run_from_start_to_export(self):
        workdir, file = self.folder / "run", self.folder / "model.safetensors"
        output, _ = self.run_train(
            f"--workdir={workdir}", f"--export={file}", "--held_out=90", "--average_decay=0.9", "--evaluate_every=2"
        )
        result = json.loads((workdir / "result.json").read_text())
        assert result["protocol"] == "validation"
        assert result["latest"]["step"] == 45  # 1,000 images are 15 batches of 64
        assert set(result["latest"]) == {"step", "validation", "test"}
        assert "test top-1" in output
        lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines] == [15, 30, 45]
        assert ["validation" in line for line in lines] == [False, True, True]
        assert lines[-1]["validation"] == result["latest"]["validation"]
        scalars = event_files.scalars(workdir / "events")
        np.testing.assert_allclose(scalars[45, "train/loss"], lines[-1]["loss"], rtol=1e-6)
        assert json.loads((workdir / "config.json").read_text())["training"]["average_decay"] == 0.9

        model, data = export.load(file), images.load("digits")
        top1 = np.mean(np.argmax(model.logits(data.test.images), axis=1) == data.test.labels)
        np.testing.assert_allclose(top1, result["latest"]["test"]["top1"], atol=1e-6)
        assert model.about["is_averaged"]

        output, _ = self.run_train("--evaluate", f"--workdir={workdir}", "--checkpoint=best")
        assert f"{100 * result['best']['test']['top1']:.2f} %" in output

    @pytest.mark.slow
    def test_a_run_that_is_killed_resumes_bit_exactly(self):
        self.finish(self.start("whole"))
        killed, process = self.folder / "killed", self.start("killed")
        deadline = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < deadline:
            saved = [int(path.name) for path in killed.glob("checkpoints/*") if path.name.isdigit()]
            if max(saved, default=0) > 17:  # steps of an epoch; checkpoints come every 4 steps
                process.send_signal(signal.SIGKILL)
            time.sleep(0.005)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (killed / "result.json").exists()
        again = self.finish(self.start("killed"))
        step = int(again.split("resuming from step ")[1].split()[0])
        assert 17 < step < 51
        assert step % 17 != 0, "the checkpoint should be one of mid-epoch"
        self.check_same(*self.read("whole", "killed"))

    @pytest.mark.slow
    def test_two_processes_train_to_the_weights_of_one_with_two_devices(self):
        with socket.socket() as server:
            server.bind(("localhost", 0))
            coordinator = f"localhost:{server.getsockname()[1]}"
        two_devices = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
        flags = ("--num_epochs=1", f"--coordinator={coordinator}", "--num_processes=2")
        other_file = self.folder / "other.safetensors"
        pair = (
            self.start("pair", *flags, "--process_id=0"),
            self.start("pair", *flags, "--process_id=1", f"--export={other_file}"),
        )
        others = (
            self.start("alone", "--num_epochs=1", XLA_FLAGS=two_devices),
            self.start("one", "--num_epochs=1", "--num_devices=1"),
        )
        outputs = [self.finish(process) for process in (*pair, *others)]
        assert "test top-1" in outputs[0]
        assert "test top-1" not in outputs[1]  # only the first process prints and writes
        assert not other_file.exists()
        # Bit-exact: half of a batch each, and two halves have one sum.
        first, second, one = self.read("pair", "alone", "one")
        assert [line["step"] for line in first[0]] == [4, 8, 12, 16, 17]
        self.check_same(first, second)
        losses = [[line["loss"] for line in run[0]] for run in (first, one)]
        np.testing.assert_allclose(*losses, rtol=1e-3)

    @pytest.mark.slow
    def test_training_starts_from_given_weights(self):
        """As long as the learning rate is too small to change them; other networks are refused before anything."""
        first, second = (self.folder / name for name in ("first.safetensors", "second.safetensors"))
        self.run_train("--num_epochs=1", f"--export={first}", f"--workdir={self.folder / 'first'}")
        flags = (
            "--num_epochs=1",
            "--learning_rate=1e-12",
            f"--init_from={first}",
            f"--workdir={self.folder / 'second'}",
        )
        self.run_train(*flags, "--seed=6", f"--export={second}")
        arrays = [safetensors.numpy.load_file(path) for path in (first, second)]
        for name, array in arrays[0].items():
            if name.startswith("params"):
                np.testing.assert_allclose(arrays[1][name], array, rtol=1e-6, err_msg=name)
        _, errors = self.run_train(f"--init_from={first}", "--width=8", f"--workdir={self.folder / 'third'}", code=1)
        assert "first.safetensors is of another network: batch_stats." in errors
        assert "give the --genotype, --preset and sizes of its training" in errors
        assert not (self.folder / "third").exists()

    @pytest.mark.slow
    def test_a_finished_run_trains_longer(self):
        for name, lengths in (("once", (3,)), ("twice", (2, 3))):
            for num_epochs in lengths:
                flags = (f"--num_epochs={num_epochs}", "--schedule=constant", "--evaluate_every=1")
                file = f"--export={self.folder / name}.safetensors"
                output, _ = self.run_train(*flags, file, f"--workdir={self.folder / name}")
        assert "resuming from step 34 of 51" in output
        self.check_same(*self.read("once", "twice"))

    @pytest.mark.slow
    def test_training_learns_from_a_teacher(self):
        """From its file or its folder, on the images that it was trained on."""
        file, workdir = self.folder / "teacher.safetensors", self.folder / "teacher"
        self.run_train("--num_epochs=1", f"--export={file}", f"--workdir={workdir}")
        flags = ("--num_epochs=2", "--teacher_weight=1", "--steps_per_chunk=5", "--evaluate_every=1")
        for name, teacher in (("file", file), ("folder", workdir)):
            self.run_train(*flags, f"--teacher={teacher}", f"--workdir={self.folder / name}")
        lines, told = [], []
        for name in ("file", "folder"):
            folder = self.folder / name
            lines.append([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])
            told.append(json.loads((folder / "config.json").read_text())["teacher"])
        assert [line["loss"] for line in lines[0]] == [line["loss"] for line in lines[1]]
        assert lines[0][-1]["loss"] < lines[0][0]["loss"]
        assert told[0] == {**told[1], "network": str(file)}
        for flag, message in (
            (f"--teacher={self.folder / 'none'}", "there is no file"),
            ("--dataset=cluttered_digits", "does not fit: its image shape is (8, 8, 1), here it is"),
        ):
            _, errors = self.run_train(f"--teacher={file}", flag, f"--workdir={self.folder / 'third'}", code=1)
            assert message in errors, errors
            assert not (self.folder / "third").exists()

    def test_several_hosts_need_a_folder_and_all_devices(self):
        with mock.patch.object(jax, "process_count", return_value=2):
            _, errors = self.run_train(code=1)
            assert "--workdir" in errors
            _, errors = self.run_train("--num_devices=3", f"--workdir={self.folder / 'run'}", code=1)
        assert "several hosts train on all of their devices: leave --num_devices=3 out" in errors

    @pytest.mark.slow
    def test_a_run_that_diverges_keeps_its_last_good_checkpoint(self):
        workdir = self.folder / "run"
        flags = ("--learning_rate=1e18", "--clip_norm=0", "--steps_per_chunk=1", "--checkpoint_seconds=0")
        _, errors = self.run_train(f"--workdir={workdir}", *flags, code=1)
        assert "training diverged: step" in errors
        kept = [path.name for path in (workdir / "checkpoints").iterdir() if path.is_dir()]
        assert f"the checkpoint of step {int(max(kept))} is kept" in errors
