"""Folders of unfinished runs that an earlier version wrote (commit d81b399) are resumed, with its results."""

import json
import pathlib
import tarfile

import numpy as np
import pytest

from launch import lanas, train
from tests.shared import folders

ARCHIVE = pathlib.Path(__file__).parent / "data" / "runs_of_version_0_1.tar.xz"
LINEAR = ["--regressor=ridge", "--target=exponential_scores", "--acquisition=greedy"]  # the defaults then
SUPERNET = [
    *("--evaluator=supernet", "--space=nao_small", "--supernet_num_cells=3", "--supernet_width=2"),
    *("--supernet_num_epochs=8", "--supernet_batch_size=64", "--supernet_num_images=256", "--supernet_held_out=100"),
    *("--score_num_images=100", "--budget=12", "--height=2", "--num_initial=5", *LINEAR),
]


class OlderRunsTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(self.folder, filter="data")

    def resume(self, command, name, *flags):
        """Returns (result.json of the resumed run, that of the earlier version)."""
        workdir = self.folder / name
        assert command.main([f"--workdir={workdir}", *flags]) == 0
        paths = workdir / "result.json", self.folder / f"{name}_expected.json"
        return (json.loads(path.read_text()) for path in paths)

    def test_table_search(self):
        kept = (self.folder / "table_search" / "journal.jsonl").read_text()
        result, expected = self.resume(lanas, "table_search", "--budget=30", *LINEAR)
        assert (self.folder / "table_search" / "journal.jsonl").read_text().startswith(kept)
        for name in ("queries", "infeasible", "best", "protocol", "seed"):
            assert result[name] == expected[name], name

    @pytest.mark.slow
    def test_training_from_its_checkpoint(self):
        flags = ["--num_cells=3", "--width=2", "--num_epochs=40", "--evaluate_every=1"]
        result, expected = self.resume(train, "training", *flags)
        lines = (self.folder / "training" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 41))
        assert result["parameters"] == expected["parameters"]
        # Compiled programs may differ in rounding; 22 of the 40 epochs are trained here.
        np.testing.assert_allclose(result["latest"]["test"]["top1"], expected["latest"]["test"]["top1"], atol=0.02)

    @pytest.mark.slow
    def test_search_on_shared_weights_whose_training_was_interrupted(self):
        result, expected = self.resume(lanas, "supernet_search", *SUPERNET)
        assert (self.folder / "supernet_search" / "best.json").exists()
        lines = (self.folder / "supernet_search" / "supernet" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(4, 33, 4))
        assert result["queries"] == expected["queries"]
        np.testing.assert_allclose(result["best"]["fitness"], expected["best"]["fitness"], atol=0.06)
