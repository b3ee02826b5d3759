"""What `benchmarks.kill_test` counts, on folders made by hand."""

import collections
import json
import random

import numpy as np
from absl.testing import parameterized

from benchmarks import kill_test, killed_folders
from tests.shared import folders


class KilledFoldersTest(folders.FolderTest):
    @parameterized.parameters(
        ([b"0"], [b"0", b"1"], 0, 0), ([b"0", b"1"], [b"0"], 1, 0), ([b"0"], [b"1"], 1, 0), ([b"0"], [b"0", b"0"], 0, 1)
    )
    def test_lost_and_repeated_lines(self, before, after, lost, twice):
        lines = [[b'{"event": "measured", "at": %b}\n' % at for at in side] for side in (before, after)]
        counts = killed_folders.faults({"a.jsonl": lines[0]}, {"a.jsonl": lines[1]})
        assert (counts["lost"], counts["measured twice"]) == (lost, twice)
        assert killed_folders.faults({"history_a.npz": [b"x", b"y"]}, {"history_a.npz": [b"x"]})["lost"] == 1

    def test_progress_and_damage_of_checkpoints(self):
        for step in (3, 7):
            (self.folder / "checkpoints" / f"{step:08}").mkdir(parents=True)
        assert not killed_folders.differences(self.folder / "checkpoints", self.folder / "checkpoints")
        assert len(killed_folders.progress(self.folder)["checkpoints"]) == 7
        for step in (3, 7):
            (self.folder / "checkpoints" / f"{step:08}" / "x").write_bytes(b"0123456789")
        assert killed_folders.tamper(self.folder, random.Random(0))
        assert (self.folder / "checkpoints" / "00000003" / "x").read_bytes() == b"0123456789"
        newest = self.folder / "checkpoints" / "00000007" / "x"
        assert not newest.exists() or newest.read_bytes() != b"0123456789"

    def test_differences_leave_times_out(self):
        folders = [self.folder / "a", self.folder / "b"]
        for at, folder in enumerate(folders):
            folder.mkdir()
            (folder / "result.json").write_text(json.dumps({"best": 1, "seconds": at}))
            (folder / "study.lock").write_text(str(at))
            (folder / f".x.{at}").write_text("left by a kill")
            np.savez(folder / "history_a.npz", archs=np.zeros(2), compile=at)
        assert killed_folders.differences(*folders) == []
        np.savez(folders[1] / "history_a.npz", archs=np.ones(2), compile=0)
        (folders[1] / "result.json").write_text(json.dumps({"best": 2}))
        assert killed_folders.differences(*folders) == ["history_a.npz", "result.json"]

    def test_description(self):
        counts = collections.Counter(runs=1, kills=4)
        expected = "1 runs, 4 kills, 0 kills while starting, 0 kills while working, 0 lost, 0 measured twice, "
        assert kill_test.describe(counts) == f"{expected}0 orphans, 0 different"
