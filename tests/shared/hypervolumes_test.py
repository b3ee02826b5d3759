"""Statistics of several objectives on hand-made searches, and on a table in a study."""

import json
import tempfile

import numpy as np
from absl.testing import absltest

from common import objectives
from common.baselines import ALGORITHMS
from common.evaluators import benchmark
from common.records import run_dir
from common.runs import study
from common.statistics import hypervolumes

NAN = float("nan")
CHOSEN = objectives.Objectives(("fitness", "params"), (1.0, -1.0), (None,))
# The front is (0.9, -50), (0.7, -20), (0.1, -10): scaled (1, 0), (0.75, 0.75), (0, 1). Volume: 0.75 * 0.75.
POINTS = np.array([(0.9, -50), (0.7, -20), (0.5, -30), (0.1, -10), (NAN, NAN), (0.1, -50)])


class HypervolumesTest(absltest.TestCase):
    def test_scale(self):
        scale = hypervolumes.of_values(POINTS)
        np.testing.assert_array_equal((scale.reference, scale.ideal), [(0.1, -50), (0.9, -10)])
        np.testing.assert_allclose(scale.front, [(1, 0), (0.75, 0.75), (0, 1)])
        np.testing.assert_allclose(scale.hypervolume, 0.75**2)
        described = hypervolumes.describe(scale, CHOSEN)
        assert described["reference"] == {"fitness": 0.1, "params": 50}
        assert described["front_values"] == [
            {"fitness": 0.9, "params": 50},
            {"fitness": 0.7, "params": 20},
            {"fitness": 0.1, "params": 10},
        ]
        assert hypervolumes.of_values(POINTS[4:5]) is None

    def test_curves(self):
        # (0.5, -30) is scaled (0.5, 0.5).
        searches = np.stack([POINTS[[4, 0, 2, 2, 1]], POINTS[[3, 5, 2, 0, 4]]])
        found = hypervolumes.curves(searches, hypervolumes.of_values(POINTS))
        np.testing.assert_allclose(found.hypervolume, [[0, 0, 0.25, 0.25, 0.5625], [0, 0, 0.25, 0.25, 0.25]])
        np.testing.assert_allclose(3 * found.front_found, [[0, 1, 1, 1, 2], [1, 1, 1, 2, 2]])
        record = hypervolumes.of_algorithm(found, hypervolumes.of_values(POINTS), after=(2, 5))
        np.testing.assert_allclose(record["hypervolume_gap"]["2"], 1)
        np.testing.assert_allclose(record["hypervolume_gap"]["5"], (0 + 5 / 9) / 2)
        np.testing.assert_allclose(record["front_intervals"]["front_found"]["5"]["median"], [2 / 3] * 3)

    def test_study(self):
        evaluator = benchmark.evaluator("digits_convnet")
        algorithms = [ALGORITHMS["random"]._replace(name=name) for name in ("random", "again")]
        with tempfile.TemporaryDirectory() as workdir:
            options = study.Options(
                budget=60, num_seeds=3, objectives=("-parameters", "fitness"), checkpoints=(20,), workdir=workdir
            )
            report = study.run([evaluator], algorithms, options)["digits_convnet/digits"]
            histories, _ = run_dir.read_history(f"{workdir}/history_again.npz")
            with open(f"{workdir}/study.json") as file:
                assert json.load(file)["objectives"] == ["fitness", "-parameters"]
            curves = np.load(f"{workdir}/curves_again.npz")
        archs = evaluator.space.enumerate()
        fitness, params = evaluator.evaluate(None, archs).fitness, evaluator.costs["parameters"](archs)
        assert report["reference"] == {"fitness": float(fitness.min()), "parameters": params.max()}
        scale = hypervolumes.of_values(np.stack([fitness, -params], axis=1))
        points = np.stack(
            [histories.fitness, -evaluator.costs["parameters"](histories.archs.reshape(-1, 5)).reshape(3, 60)], axis=2
        )
        wanted = hypervolumes.curves(points, scale)
        np.testing.assert_allclose(curves["hypervolume"], wanted.hypervolume, rtol=1e-6)
        record = report["algorithms"]["again"]
        np.testing.assert_allclose(
            record["hypervolume_gap"]["20"], 1 - wanted.hypervolume[:, 19].mean() / scale.hypervolume
        )
        np.testing.assert_allclose(record["front_found"]["60"], wanted.front_found[:, -1].mean())
        assert [one["first"] for one in report["comparisons"] if one["of"] == "hypervolume"] == ["random"]
