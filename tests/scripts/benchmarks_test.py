"""Benchmarks on small cases: both sides compute the same, and counters and clocks by hand."""

import dataclasses
import functools
import pathlib
from types import SimpleNamespace
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from absl.testing import parameterized

from benchmarks import halving_tables, lanas_step, ranking_truth, simulated_cluster
from common import types
from lanas_jax import config as configs
from nao_jax import model as models
from nao_jax import training
from tests.shared import folders
from tests.shared import troubled_evaluator as troubled

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"


def separated(num_rows, *, seed=0):
    """Returns rows of continuous features, so that no prediction is on a threshold."""
    return np.random.default_rng(seed).normal(size=(num_rows, 6)).astype(np.float32)


class FlagsTest(parameterized.TestCase):
    @parameterized.parameters(
        path.stem for path in sorted(FOLDER.glob("*.py")) if "def _define_flags" in path.read_text()
    )
    def test_are_defined_with_defaults_that_they_allow(self, name):
        before = set(flags.FLAGS)
        module = pytest.importorskip(f"benchmarks.{name}", reason="needs the extra [bench]")
        try:
            module._define_flags()
        finally:
            for flag in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, flag)


class LanasStepTest(parameterized.TestCase):
    @parameterized.parameters(("parent", "greedy", 3), ("zero", "uniform", 3), ("parent", "uniform", 1))
    def test_both_sides_agree_on_the_leaves(self, prior, acquisition, height):
        problem = lanas_step.make_problem(separated(500), 120, seed=1)
        config = configs.Config(regressor="ridge", height=height, prior=prior, acquisition=acquisition)
        is_measured = jnp.ones(problem.values.shape, bool)
        step = jax.jit(functools.partial(lanas_step.step, config=config))
        ours = step(*map(jnp.asarray, problem[:2]), is_measured, jnp.asarray(problem.pool))
        reference = lanas_step.reference_step(*problem, config=config)
        np.testing.assert_array_equal(ours[0], reference[0])
        assert np.mean(np.asarray(ours[1]) == reference[1]) >= 0.99
        assert set(reference[1]) == set(range(2 ** (height - 1) - 1, 2**height - 1))


class RankingTruthTest(folders.FolderTest):
    def test_by_hand(self):
        """25 networks in their true order, but the score of the best is unknown, which counts as the worst."""
        accuracies = np.linspace(0.88, 0.94, 25)
        scores = {"score": np.where(np.arange(25) < 24, np.arange(25.0), np.nan), "reversed": -accuracies}
        found = ranking_truth.judge(scores, accuracies)
        self.assertAlmostEqual(found["score"]["tau"]["0"]["center"], (300 - 2 * 24) / 300)
        self.assertAlmostEqual(found["reversed"]["tau"]["0"]["center"], -1)
        self.assertEqual({least: tau["networks"] for least, tau in found["score"]["tau"].items()}, {"0": 25})
        self.assertEqual(found["score"]["top"]["10"], {"accuracy": accuracies[23], "rank": 2})
        self.assertEqual(found["reversed"]["top"]["20"]["rank"], 6)
        np.testing.assert_array_equal(
            ranking_truth.average_rank([np.array([3, 1, np.nan]), np.array([0, 5, 9])]), [1, 1, 1]
        )

    def test_known_scores_follow_the_architectures(self):
        path = self.folder / "scores.npz"
        archs = np.array([[2, 0], [0, 1], [1, 1]], np.int32)
        np.savez(path, arch=archs, score=[5.0, 6.0, 7.0])
        np.testing.assert_array_equal(ranking_truth.known(path, archs[[2, 0]])["score"], [7, 5])
        with self.assertRaisesRegex(ValueError, "lacks 1 of the 2 networks; leave it out or lower --num_archs"):
            ranking_truth.known(path, np.array([[1, 1], [1, 2]], np.int32))
        with self.assertRaisesRegex(ValueError, "is of another space, with 2 decisions; the networks have 8"):
            ranking_truth.known(path, np.zeros((3, 8), np.int32))

    def test_edges_without_a_path_are_none(self):
        archs = np.array([[3, 3, 0, 0, 0, 1], [3, 0, 0, 2, 0, 4], [1, 2, 3, 4, 1, 2]])
        np.testing.assert_array_equal(ranking_truth.live(archs)[:2], [[0, 3, 0, 0, 0, 1], [0, 0, 0, 2, 0, 0]])
        np.testing.assert_array_equal(ranking_truth.live(archs)[2], archs[2])


class HalvingTablesTest(parameterized.TestCase):
    def test_the_best_of_those_trained_in_full_is_returned(self):
        """Row 3 has the best result after 12 epochs, 0 the best of the two best after 200, 1 is not proposed."""
        short, full = np.array([0.6, 0.9, 0.1, 0.7, 0.5]), np.array([0.92, 0.99, 0.95, 0.91, 0.94])
        proposals = np.array([4, 2, 3, 0])
        self.assertEqual(halving_tables.returned(short, full, proposals, 2), 0)
        self.assertEqual(halving_tables.returned(short, full, proposals, 1), 3)
        self.assertEqual(halving_tables.returned(short, full, proposals, 4), 2)

    @parameterized.parameters(
        ({"budgets": ["x"]}, "--budgets: invalid literal for int.*; give whole numbers"),
        ({"factors": ["3", "y"]}, "--factors: could not convert.*; give numbers"),
        ({"ranked": ["a=1=nwot=/nowhere.npz"]}, "--ranked: there is no file /nowhere.npz"),
        ({"ranked": [f"a=b=nwot={__file__}"]}, "--ranked: could not convert.*; give numbers"),
    )
    def test_flags_that_are_wrong(self, changes, message):
        values = {"budgets": ["60"], "factors": ["3"], "datasets": [], "ranked": [], "num_full": 3, **changes}
        self.enterContext(mock.patch.object(flags, "FLAGS", SimpleNamespace(**values)))
        with self.assertRaisesRegex(ValueError, message):
            halving_tables.main([])


class NaoControllerTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.torch = pytest.importorskip("torch", reason="needs the extra [bench]")
        from benchmarks import nao_controller, nao_torch

        self.benchmark, self.reference = nao_controller, nao_torch
        self.problem = nao_controller.make_problem(12, seed=0)

    def both(self):
        """Returns our model and parameters, and the reference with the same parameters."""
        params = jax.tree.map(lambda leaf: leaf[0], jax.jit(self.benchmark.first, static_argnums=0)(1)[0])
        reference = self.reference.Model(self.benchmark.CONFIG.model, self.benchmark.VOCABULARY_SIZE).eval()
        self.reference.copy_params(params, reference)
        return self.benchmark.make_model(), params, reference

    def loss(self, reference, tokens, targets):
        return self.reference.loss(reference, tokens, targets, mse_weight=self.benchmark.CONFIG.mse_weight)

    def test_loss_and_gradient_of_both_sides(self):
        model, params, reference = self.both()
        tokens, targets = self.torch.from_numpy(self.problem.tokens).long(), self.torch.from_numpy(self.problem.targets)
        expected = self.loss(reference, tokens, targets)
        expected.backward()
        still = dataclasses.replace(model.config, encoder_dropout=0.0, predictor_dropout=0.0, decoder_dropout=0.0)
        still = models.Model(still, model.num_tokens, model.vocabulary_size)

        @jax.jit
        def differentiate(params, *rest):
            differentiated = jax.value_and_grad(training.loss)
            return differentiated(params, still, *rest, mse_weight=self.benchmark.CONFIG.mse_weight)

        found, gradient = differentiate(
            params, jax.random.key(0), self.benchmark.examples(self.problem), jnp.ones((12,), bool)
        )
        np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
        for leaf, parameter in (
            (gradient["params"]["encoder"]["embeddings"], reference.embeddings.weight),
            (gradient["params"]["encoder"]["output_weights"].T, reference.project.weight),
            (gradient["params"]["predictor"]["layer0_weights"].T, reference.layers[0].weight),
            (gradient["params"]["decoder"]["query_weights"].T, reference.query.weight),
            (gradient["params"]["decoder"]["mix_weights"].T, reference.mix.weight),
        ):
            np.testing.assert_allclose(leaf, parameter.grad, atol=1e-5, rtol=1e-4)

    def test_gradient_ascent_of_both_sides_decodes_the_same(self):
        model, params, reference = self.both()
        legal = self.benchmark.legal_tokens()
        climb = jax.jit(functools.partial(self.benchmark.encode_and_climb, model))
        found = climb(params, jnp.asarray(self.problem.tokens), jnp.asarray(legal))
        tokens = self.torch.from_numpy(self.problem.tokens).long()
        expected = self.reference.encode_and_climb(
            reference, tokens, self.torch.from_numpy(legal), step_size=self.benchmark.CONFIG.step_size
        )
        assert np.mean(np.asarray(found) == expected.numpy()) > 0.95  # ties may be resolved differently


class ClusterTest(parameterized.TestCase):
    def test_a_clock_by_hand(self):
        def evaluate(key, archs):
            del key
            return types.Evaluation(
                fitness=jnp.zeros(len(archs)), cost=archs[:, 0] + 1.0, ok=jnp.ones(len(archs), bool)
            )

        evaluator = troubled.evaluator()._replace(evaluate=evaluate, is_traceable=True)
        cluster = simulated_cluster.Cluster(evaluator, 2)
        executor = cluster.executor()
        # They take 3, 1, 1 and 2 seconds, two at a time: the first worker ends at 3, the second at 1, 2 and 4.
        executor.submit(
            [types.Candidate(at, (first, 0, 0, 0), (0, at), "threefry2x32") for at, first in enumerate((2, 0, 0, 1))]
        )
        came = [(executor.collect()[0].at, cluster.now) for _ in range(4)]
        assert (came, cluster.busy) == ([(1, 1.0), (2, 2.0), (0, 3.0), (3, 4.0)], 7.0)
        assert cluster.finished == dict(came)
