"""The benchmark on an accelerator: its stages are independent, and a dry run has all of them."""

import json
import math
import subprocess
import sys

import pytest

from benchmarks import device
from tests.shared import folders

_PROGRAMS = {
    "good": "write({'rate': 2.5})",
    "broken": "write({'rate': 1.0}); raise ValueError('out of memory')",
    "slow": "import time; time.sleep(60)",
}


class DeviceTest(folders.FolderTest):
    def test_stages_by_hand(self):
        def command(stage, output, seconds):
            assert math.isclose(seconds, limits[stage], abs_tol=1)
            write = f"write = lambda found: pathlib.Path({str(output)!r}).write_text(json.dumps(found))"
            return [sys.executable, "-c", f"import json, pathlib; {write}; {_PROGRAMS[stage]}"]

        limits = {"broken": 20, "slow": 1.2, "good": 20}
        found = device.run({**limits, "late": 0.5}, self.folder, 60, command)
        assert found == json.loads((self.folder / "device.json").read_text())
        for stage in found.values():
            assert stage.pop("seconds") < 20
        assert found == {
            "broken": {"status": "failed with exit code 1: ValueError: out of memory", "rate": 1.0},
            "slow": {"status": "stopped after 1 seconds"},
            "good": {"status": "done", "rate": 2.5},
            "late": {"status": "not started: no time left"},
        }

    @pytest.mark.slow
    def test_dry_run(self):
        words = [sys.executable, "-m", "benchmarks.device", f"--output={self.folder}", "--dry_run"]
        subprocess.run(words, check=True)
        found = json.loads((self.folder / "device.json").read_text())
        assert {name: stage["status"] for name, stage in found.items()} == dict.fromkeys(device.LIMITS, "done")
        assert [error for name, error in found["values"].items() if name.endswith(", highest")] == [0.0] * 2
        assert found["nao_ws"]["queries"] == 8
