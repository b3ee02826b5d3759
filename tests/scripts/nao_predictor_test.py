import dataclasses
import os
import pathlib

import numpy as np
from absl.testing import parameterized

from benchmarks import nao_predictor
from common import spaces

CONFIG = dataclasses.replace(
    nao_predictor.PREDICTION,
    model=dataclasses.replace(nao_predictor.PREDICTION.model, embedding_size=8, hidden_size=8),
    fit_first=30,
    num_unlabelled=10,
    num_mutated=5,
)


def data_dir():
    default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
    return pathlib.Path(os.environ.get("NAS_DATA_DIR", default))


class NaoPredictorTest(parameterized.TestCase):
    def test_trained_cells_are_predicted_better_than_by_chance(self):
        if not (data_dir() / nao_predictor.TRACE).exists():
            self.skipTest(f"no {data_dir() / nao_predictor.TRACE}; set NAS_DATA_DIR to the folder that holds it")
        archs, accuracy = nao_predictor.read_trace(data_dir())
        assert archs.shape == (5402, 28)
        assert 0.93 < accuracy.max() < 0.94
        scores = nao_predictor.compare(archs[:400], accuracy[:400], draws=[0], num_measured=200, config=CONFIG)
        assert len(scores) == 7
        for name, rows in scores.items():
            assert rows.shape == (1, 3)
            assert rows[0, 0] > 0.55, name
            # Without ties accuracy and tau say the same.
            np.testing.assert_allclose(rows[0, 1], 2 * rows[0, 0] - 1, atol=0.03)

    def test_ridge_on_features_finds_a_linear_fitness(self):
        space = spaces.get("lanas_cell")
        archs = np.asarray(space.canonicalize(space.sample(nao_predictor.jax.random.key(0), 400)))
        features = np.asarray(space.features(archs))
        fitness = (features[:, -5] / 10).astype(np.float32)
        scores = nao_predictor.compare(archs, fitness, draws=[3], num_measured=300, config=CONFIG)
        assert scores["ridge, features"][0, 0] > 0.98
        assert scores["ridge, one-hot"][0, 0] < scores["ridge, features"][0, 0]

    @parameterized.parameters(None, "nowhere")
    def test_a_missing_trace_is_named(self, folder):
        with self.assertRaisesRegex(ValueError, "distributed_trace.npz: give --data_dir, or set NAS_DATA_DIR"):
            nao_predictor.read_trace(folder)

    def test_different_architectures(self):
        for name in ("nasbench201", "nao_small"):
            evaluator = nao_predictor.synthetic.evaluator(spaces.get(name))
            config = dataclasses.replace(nao_predictor.RECONSTRUCTION, fit_first=2)
            written = nao_predictor.write_back(evaluator, config, num_measured=10, num_unseen=20, seed=0)
            assert 0 <= written.exact <= 1
            assert 0 <= written.hamming_distance <= spaces.get(name).legal_tokens.shape[0]
