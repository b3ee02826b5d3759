"""Searches for several objectives from the command line: the front, resuming, error messages."""

import json

import numpy as np
from absl.testing import parameterized

from common import fronts
from common.evaluators import benchmark
from common.records import run_dir
from common.runs import fronts as run_fronts
from launch import baselines, lanas, nao, study
from tests.shared import folders

BOTH = "--objectives=-parameters,fitness"


class ObjectivesTest(folders.FolderTest):
    def search(self, name, *flags):
        workdir = self.folder / name
        self.run_main(baselines.main, f"--workdir={workdir}", "--algorithm=random", BOTH, *flags)
        return json.loads((workdir / "result.json").read_text())

    def test_a_search_resumes_with_its_objectives_only(self):
        wanted = self.search("parts", "--budget=16")
        journal = self.folder / "parts" / run_dir.JOURNAL
        journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:12]))
        (self.folder / "parts" / run_dir.RESULT).unlink()
        _, errors = self.run_main(
            baselines.main, f"--workdir={self.folder / 'parts'}", "--algorithm=random", "--budget=16", code=1
        )
        assert "objectives was ['fitness', '-parameters'] and is now None" in errors
        flags = ["--algorithm=random", BOTH, "--budget=16", "--limit=parameters<=500"]
        _, errors = self.run_main(baselines.main, f"--workdir={self.folder / 'parts'}", *flags, code=1)
        assert "limits was None and is now ['parameters<=500']" in errors
        found = self.search("parts", "--budget=16")
        assert {name: found[name] for name in found if name != "seconds"} == {
            name: wanted[name] for name in wanted if name != "seconds"
        }
        history, _ = run_dir.read_history(self.folder / "parts" / "history.npz")
        table = benchmark.evaluator("digits_convnet")
        params = table.costs["parameters"](history.archs)
        rows = np.flatnonzero(fronts.non_dominated(np.stack([history.fitness, -params], axis=1)))
        rows = rows[np.argsort(-history.fitness[rows])]
        assert [one["arch"] for one in found["front"]] == history.archs[rows].tolist()
        assert [one["costs"] for one in found["front"]] == [{"parameters": params[row]} for row in rows]
        assert found["front"][0]["test"] == found["best"]["test"]
        archs, fitness = run_fronts.ranked(self.folder / "parts", 2)
        assert len(archs) == 2
        assert fitness[0] == history.fitness[rows[0]]
        np.testing.assert_array_equal(archs, history.archs[rows[[0, -1]]])  # the ends of the front

    @parameterized.parameters(
        (baselines, ["--objectives=fitness,-watts"], "unknown objective 'watts'; choose one of fitness, params, "),
        (baselines, ["--objectives=-parameters"], "fitness must be an objective, larger is better; got -parameters"),
        (baselines, [BOTH, "--algorithm=mcts"], "mcts takes 1 objective; got 2"),
        (nao, [BOTH + ",-train_seconds,a,b"], "at most 4 objectives are allowed; got 5"),
        (lanas, ["--objectives=fitness,-parameters,parameters"], "objective parameters is given twice"),
        (study, [BOTH, "--algorithms=random,mcts"], "mcts takes 1 objective; got 2"),
    )
    def test_bad_input(self, command, flags, message):
        workdir = self.folder / "none"
        _, errors = self.run_main(command.main, f"--workdir={workdir}", *flags, code=1)
        assert message in errors, errors
        assert not workdir.exists()
