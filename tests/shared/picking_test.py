"""One architecture from the front of a search, within limits."""

import json

import numpy as np
from absl.testing import parameterized

from common.genotypes import conversion, json_text
from common.runs import picking
from tests.shared import report_folders

POINTS = ((0.94, 900_000), (0.93, 500_000), (0.90, 80_000))  # fitness, params


class PickingTest(report_folders.FolderTest):
    def setUp(self):
        super().setUp()
        front = [
            {
                "arch": [at] * 6,
                "description": f"cell {at}",
                "fitness": fitness,
                "test": None,
                "costs": {"params": params},
            }
            for at, (fitness, params) in enumerate(POINTS)
        ]
        (self.folder / "config.json").write_text(json.dumps({"space": "nasbench201"}))
        (self.folder / "result.json").write_text(json.dumps({"front": front}))

    @parameterized.parameters(
        (["params<=6e5"], 1),
        (["params<=5e5"], 1),
        (["params<=1e6"], 0),
        (["params>=1e4", "params<=1e5"], 2),
        (["fitness<=0.92"], 2),
    )
    def test_the_fittest_within_the_limits(self, texts, expected):
        path = picking.pick(self.folder, texts)
        self.assertEqual(path, self.folder / "picked.json")
        made = json_text.from_text(path.read_text())
        np.testing.assert_array_equal(conversion.to_arch(made, "nasbench201"), [expected] * 6)

    @parameterized.parameters(
        (["params<=1e4"], r"no architecture .* respects params<=10000; the nearest has fitness 0.9, params 80000"),
        (["latency<=1"], "unknown cost 'latency'; choose one of fitness, params"),
        (["params"], "a limit is a cost, <= or >=, and a number"),
    )
    def test_wrong_limits(self, texts, message):
        with self.assertRaisesRegex(ValueError, message):
            picking.pick(self.folder, texts)

    def test_a_space_of_another_package(self):
        (self.folder / "config.json").write_text(json.dumps({"space": "forest"}))
        message = r"within the limits is cell 1 \(fitness 0.93, params 500000\); its space, forest, is of another"
        with self.assertRaisesRegex(ValueError, message):
            picking.pick(self.folder, ["params<=6e5"])

    def test_folders_without_a_front(self):
        (self.folder / "result.json").write_text("{}")
        with self.assertRaisesRegex(ValueError, "has no front: give that of a finished search with --objectives"):
            picking.pick(self.folder, ["params<=1"])
        with self.assertRaisesRegex(ValueError, "--pick needs the folder of a search, --genotype=FOLDER; got lanet"):
            picking.pick("lanet", ["params<=1"])
