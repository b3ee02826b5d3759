import dataclasses
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import threadpoolctl
from absl.testing import parameterized

from benchmarks import nao_predictor
from common import spaces
from common.evaluators import synthetic

SMALL = dataclasses.replace(nao_predictor.PREDICTION.model, embedding_size=8, hidden_size=8)
CONFIG = dataclasses.replace(
    nao_predictor.PREDICTION,
    model=SMALL,
    fit_first=30,
    num_unlabelled=10,
    num_mutated=5,
)


def data_dir():
    default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
    return pathlib.Path(os.environ.get("NAS_DATA_DIR", default))


@pytest.mark.slow
class NaoPredictorTest(parameterized.TestCase):
    def test_predictions_of_trained_cells_are_better_than_chance(self):
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
            # Without ties, tau is a linear function of accuracy.
            np.testing.assert_allclose(rows[0, 1], 2 * rows[0, 0] - 1, atol=0.03)

    def test_references_learn_a_linear_function(self):
        random = np.random.default_rng(0)
        inputs = random.normal(size=(300, 5))
        values = inputs[:, 1] - 2 * inputs[:, 3]
        for name, (kind, regressor) in nao_predictor.references(0).items():
            assert name.endswith(kind)
            with threadpoolctl.threadpool_limits(1):
                prediction = regressor.fit(inputs[:200], values[:200]).predict(inputs[200:])
            accuracy, tau = nao_predictor.orders(prediction, jnp.asarray(values[200:], jnp.float32))
            assert accuracy > (0.99 if name.startswith("ridge") else 0.85)
            np.testing.assert_allclose(tau, 2 * accuracy - 1, atol=1e-4)

    @parameterized.parameters(None, "nowhere")
    def test_a_missing_trace_raises(self, folder):
        with self.assertRaisesRegex(ValueError, "distributed_trace.npz: give --data_dir, or set NAS_DATA_DIR"):
            nao_predictor.read_trace(folder)

    def test_reconstruction_depends_on_the_seed(self):
        evaluator = synthetic.evaluator(spaces.get("nasbench201"))
        config = dataclasses.replace(nao_predictor.RECONSTRUCTION, model=SMALL, fit_first=2)
        written = nao_predictor.write_back(evaluator, config, draws=[0, 0, 1], num_measured=10, num_unseen=20)
        assert written.shape == (3, 3)
        assert np.all((written[:, :2] >= 0) & (written[:, :2] <= [1, 6]))
        np.testing.assert_array_equal(written[0, :2], written[1, :2])
        assert not np.array_equal(written[0, :2], written[2, :2])

    def test_sampled_architectures_are_canonical_and_distinct(self):
        for name in ("nasbench201", "nao_small"):
            evaluator = nao_predictor.evaluator_of("nao_small", None)
            assert evaluator.space.name == "nao_small"
            archs = np.asarray(nao_predictor.different(spaces.get(name), jax.random.key(0), 50))
            assert len(np.unique(archs, axis=0)) == 50
            np.testing.assert_array_equal(spaces.get(name).canonicalize(jnp.asarray(archs)), archs)
