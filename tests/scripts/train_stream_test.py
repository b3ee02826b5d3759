"""`launch.train` on streamed images: a small folder in ImageNet's layout, resumed in the middle of an epoch."""

import contextlib
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from unittest import mock

import numpy as np
import PIL.Image
import pytest
import safetensors.numpy
from absl.testing import parameterized

from common.datasets import prepared
from common.genotypes import conversion, genotype, json_text
from common.training import stream
from launch import train

_CELL = genotype.Cell(nodes=((genotype.Branch("identity", 0), genotype.Branch("identity", 1)),), output=(2,))
_NUM_IMAGES, _NUM_CLASSES = 10, 2
ROOT = pathlib.Path(__file__).resolve().parents[2]


class StreamedTrainingTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        rng = np.random.default_rng(0)
        for split in ("train", "val"):
            for number in range(_NUM_IMAGES):
                folder = cls.folder / "raw" / split / f"n{number % _NUM_CLASSES}"
                folder.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(folder / f"{number}.JPEG")
        prepared.prepare("imagenet", str(cls.folder / "raw"), str(cls.folder / "data"))
        cell = genotype.CellGenotype(normal=_CELL, reduction=_CELL)
        (cls.folder / "tiny.json").write_text(json_text.to_text(cell))

    def run_main(self, *flags):
        """Returns (exit code, standard error)."""
        errors = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            code = train.main([*self.flags(), *flags])
        return code, errors.getvalue()

    def flags(self):
        always = ("--dataset=imagenet", "--stream=naonet", "--image_size=16", "--width=4", "--num_cells=1")
        files = (f"--data_dir={self.folder / 'data'}", f"--genotype={self.folder / 'tiny.json'}")
        return (*always, *files, "--batch_size=4", "--num_epochs=2")

    @pytest.mark.slow
    def test_a_run_resumes_bit_exactly(self):
        arrays = []
        for name in ("whole", "stopped"):
            flags = (f"--workdir={self.folder / name}", "--steps_per_chunk=1", "--checkpoint_seconds=0")
            if name == "stopped":
                self._stopped(*flags)
            file = self.folder / f"{name}.safetensors"
            code, errors = self.run_main(*flags, f"--export={file}")
            assert code == 0, errors
            arrays.append(safetensors.numpy.load_file(file))
        for name, array in arrays[0].items():
            np.testing.assert_array_equal(arrays[1][name], array, err_msg=name)
        result = json.loads((self.folder / "stopped" / "result.json").read_text())
        assert result["latest"]["step"] == 4  # 10 images are 2 whole batches of 4
        assert set(result["latest"]["test"]) == {"loss", "top1", "top5"}

    def _stopped(self, *flags):
        """Trains one of four steps."""
        original = stream.train

        def some(*arguments, **settings):
            for state, chunk in original(*arguments, **settings):
                if chunk.step == 2:
                    raise KeyboardInterrupt
                yield state, chunk

        with mock.patch.object(stream, "train", some):
            assert self.run_main(*flags)[0] == 130

    @pytest.mark.slow
    def test_two_hosts_share_out_the_batches(self):
        """The images of a batch are those of one host, in another order: the losses are equal up to rounding."""
        with socket.socket() as server:
            server.bind(("localhost", 0))
            coordinator = f"localhost:{server.getsockname()[1]}"
        pair = (f"--coordinator={coordinator}", "--num_processes=2")
        started = [
            self.start("pair", *pair, "--process_id=0"),
            self.start("pair", *pair, "--process_id=1"),
            self.start("alone"),
        ]
        for process in started:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
        lines = [(self.folder / name / "metrics.jsonl").read_text().splitlines() for name in ("pair", "alone")]
        losses = [[json.loads(line)["loss"] for line in each] for each in lines]
        assert len(losses[0]) == 4
        np.testing.assert_allclose(*losses, rtol=1e-3)

    def start(self, name, *flags):
        """Starts a process in folder `name`."""
        flags = (f"--workdir={self.folder / name}", "--steps_per_chunk=1", "--crop_padding=0", *flags)
        command = [sys.executable, "-m", "launch.train", *self.flags(), *flags]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)

    def test_images_have_the_resolution_of_the_genotype(self):
        chain = conversion.from_arch("ofa_mobile", np.array([8, *[0] * 45], np.int32))
        (path := self.folder / "chain.json").write_text(json_text.to_text(chain))
        flags = (f"--genotype={path}", "--preset=ofa_mobile_imagenet", "--stream=seminasnet")
        for given, sizes in (((), (160, 183)), (("--image_size=112",), (112, 128))):
            with mock.patch.object(train.training, "train", return_value={}) as called:
                assert train.main([*flags, *given]) == 0
            found = called.call_args.kwargs["stream"]
            assert (found.image_size, found.resized) == sizes

    def test_refused(self):
        for flag, message in (
            ("--held_out=2", "no images can be held out of a stream"),
            ("--stream=other", "unknown stream 'other'; choose one of naonet, seminasnet"),
            ("--stream= --decoding_threads=2", "--image_size, --decoding_threads needs --stream; choose one of naonet"),
        ):
            code, errors = self.run_main(*flag.split())
            assert code == 1
            assert message in errors
