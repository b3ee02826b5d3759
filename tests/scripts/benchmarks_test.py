"""Benchmarks on small cases: both sides compute the same, and counters and clocks by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from benchmarks import executors, kill_test, lanas_step, simulated_cluster
from common import types
from lanas_jax import config as configs
from nao_jax import model as models
from nao_jax import training
from tests.shared import troubled_evaluator as troubled


def separated(num_rows, *, seed=0):
    """Returns rows of continuous features, so that no prediction is on a threshold."""
    return np.random.default_rng(seed).normal(size=(num_rows, 6)).astype(np.float32)


class LanasStepTest(parameterized.TestCase):
    @parameterized.parameters(("parent", "greedy", 3), ("zero", "uniform", 3), ("parent", "uniform", 1))
    def test_both_sides_agree_on_the_leaves(self, prior, acquisition, height):
        problem = lanas_step.make_problem(separated(500), 120, seed=1)
        config = configs.Config(height=height, prior=prior, acquisition=acquisition)
        is_measured = jnp.ones(problem.values.shape, bool)
        ours = lanas_step.step(*map(jnp.asarray, problem[:2]), is_measured, jnp.asarray(problem.pool), config=config)
        reference = lanas_step.reference_step(*problem, config=config)
        np.testing.assert_array_equal(ours[0], reference[0])
        assert np.mean(np.asarray(ours[1]) == reference[1]) >= 0.99
        assert set(reference[1]) == set(range(2 ** (height - 1) - 1, 2**height - 1))

    def test_splits_of_the_reference_by_hand(self):
        # Ridge of (0, 2) on (-1, 1) with penalty 2: weight 2 / (2 + 2) = 0.5, intercept and threshold 1.
        features, values = np.array([[-1.0], [1.0]], np.float32), np.array([0.0, 2.0], np.float32)
        config = configs.Config(height=2, ridge=2.0)
        pool = np.array([[3.0], [0.0], [-0.5]], np.float32)
        leaves, pool_leaves = lanas_step.reference_step(features, values, pool, config=config)
        np.testing.assert_array_equal(leaves, [2, 1])
        np.testing.assert_array_equal(pool_leaves, [1, 1, 2])  # 0 is on the threshold: good

    @pytest.mark.slow
    def test_nodes_with_too_few_members_use_their_parents_model(self):
        problem = lanas_step.make_problem(separated(40), 6, seed=2)
        config = configs.Config(height=5, ridge=1.0)
        ours = lanas_step.step(
            *map(jnp.asarray, problem[:2]), jnp.ones((6,), bool), jnp.asarray(problem.pool), config=config
        )
        reference = lanas_step.reference_step(*problem, config=config)
        np.testing.assert_array_equal(ours[0], reference[0])
        assert np.mean(np.asarray(ours[1]) == reference[1]) >= 0.9

    def test_measurements_of_a_synthetic_problem(self):
        first, second, other = (lanas_step.make_problem(separated(200), 50, seed=seed) for seed in (3, 3, 5))
        np.testing.assert_array_equal(first.values, second.values)
        assert not np.array_equal(first.features, other.features)
        np.testing.assert_allclose(np.mean(first.values), 0.0, atol=0.05)
        result = lanas_step.measure(first, configs.Config(height=2), repeats=3)
        assert result.ours.shape == result.reference.shape == (3,)
        assert min(result.ours.min(), result.reference.min(), result.compile_seconds) > 0
        assert result.agreement >= 0.99
        with self.assertRaisesRegex(ValueError, "history_size is 51; the pool allows 1 to 50"):
            lanas_step.make_problem(separated(50), 51, seed=0)


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

    @pytest.mark.slow
    def test_an_epoch_reduces_both_losses(self):
        model, params, reference = self.both()
        config = dataclasses.replace(self.benchmark.CONFIG, batch_size=4)
        state = training.optimizer(config).init(params)
        data = self.benchmark.examples(self.problem)
        learned, _ = self.benchmark.train_epoch(model, params, state, jax.random.key(1), data, config=config)
        tokens, targets = self.torch.from_numpy(self.problem.tokens).long(), self.torch.from_numpy(self.problem.targets)
        before = self.loss(reference, tokens, targets).item()
        optimizer = self.torch.optim.Adam(reference.parameters(), lr=config.learning_rate)
        self.reference.train_epoch(reference.train(), optimizer, tokens, targets, config)
        assert self.loss(reference.eval(), tokens, targets).item() < before
        self.reference.copy_params(learned, reference)
        assert self.loss(reference, tokens, targets).item() < before

    @parameterized.parameters("measure_ascent", "measure_epoch")
    @pytest.mark.slow
    def test_measurements(self, name):
        times = getattr(self.benchmark, name)(self.problem, num_seeds=2, batch_size=4, repeats=3)
        assert times.ours.shape == times.reference.shape == (3,)
        assert min(times.ours.min(), times.reference.min(), times.compile_seconds) > 0

    def test_synthetic_architectures_are_legal(self):
        tokens, legal = self.problem.tokens, self.benchmark.legal_tokens()
        for at in range(self.benchmark.NUM_TOKENS):
            assert np.all(legal[at, 0, tokens[:, at]])
            assert not legal[at, :, 0].any()


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
        assert came == [(1, 1.0), (2, 2.0), (0, 3.0), (3, 4.0)]
        assert cluster.busy == 7.0
        assert cluster.finished == dict(came)


class KillTest(parameterized.TestCase):
    def test_errors_are_counted(self):
        first, second = b'{"event": "measured", "at": 0}\n', b'{"event": "measured", "at": 1}\n'
        for before, after, lost, twice in (
            ([first], [first, second], 0, 0),
            ([first, second], [first], 1, 0),
            ([first], [second], 1, 0),
            ([first], [first, first], 0, 1),
        ):
            counts = kill_test.Counts()
            kill_test._compare(before, after, counts)
            assert (counts["lost"], counts["measured twice"]) == (lost, twice)


class DriverTest(parameterized.TestCase):
    def test_candidates_are_timed_while_all_are_open(self):
        seconds = executors.driver_seconds(5, 12, None)
        assert seconds.shape == (7,)
        assert seconds.min() > 0
        with pytest.raises(ValueError, match="budget is 5; it must be more than num_open, 5"):
            executors.driver_seconds(5, 5, None)
