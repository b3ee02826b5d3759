"""LaNAS and NAO with two and three objectives: valid new rows, and better fronts than their first random rows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

import lanas_jax
import nao_jax
from common import front_improvement, history, objectives, rows, search, spaces, types
from common.evaluators import benchmark
from lanas_jax import front_acquisition, tree

_NAO = dataclasses.replace(
    nao_jax.Config(),
    model=dataclasses.replace(nao_jax.Config().model, embedding_size=4, hidden_size=4),
    **{"num_initial": 10, "batch_size": 8, "fit_first": 4, "fit_later": 2},
    **{"num_unlabelled": 12, "num_mutated": 6, "num_seeds": 4, "num_steps": 1, "num_climbs": 1},
)
_SAMPLED = {"num_candidates": 16, "max_batches": 2, "walk_steps": 2}


class FrontSearchersTest(parameterized.TestCase):
    @parameterized.named_parameters(("lanas_3", lanas_jax, lanas_jax.Config(), "fitness,-params,-macs"))
    def test_proposals(self, method, config, texts):
        self._check(method, config, texts)

    @parameterized.named_parameters(
        ("lanas", lanas_jax, lanas_jax.Config(), "fitness,-params"),
        ("lanas_walk", lanas_jax, lanas_jax.Config(sampler="walk", **_SAMPLED), "fitness,-params"),
        ("lanas_reject", lanas_jax, lanas_jax.Config(sampler="reject", **_SAMPLED), "fitness,-params"),
        ("lanas_linear", lanas_jax, lanas_jax.PRESETS["lanas_linear"], "fitness,-params"),
        ("nao", nao_jax, _NAO, "fitness,-params"),
        ("nao_3", nao_jax, _NAO, "fitness,-params,-macs"),
    )
    @pytest.mark.slow
    def test_proposals_of_other_settings(self, method, config, texts):
        self._check(method, config, texts)

    def _check(self, method, config, texts):
        evaluator = benchmark.evaluator("digits_convnet")
        goal = objectives.of(texts, evaluator)
        searcher = objectives.searcher(method.ALGORITHM, evaluator.space, config, goal)
        found = search.scan_search(jax.random.key(0), searcher, evaluator, budget=30)
        self.assertEqual(found.others.shape, (30, len(goal) - 1))
        self.assertTrue(np.all(evaluator.space.is_valid(found.archs)))
        self.assertFalse(np.any(rows.is_repeat(found.archs)))
        np.testing.assert_array_equal(found.others, objectives.known(goal, np.asarray(found.archs)))
        self.assertTrue(np.all(jnp.isfinite(objectives.values(found))))
        if getattr(config, "sampler", "pool") == "pool":
            best = objectives.known(goal, evaluator.space.enumerate()).max(axis=0)
            np.testing.assert_array_equal(found.others[:10].max(axis=0), best)

    @parameterized.named_parameters(("lanas", lanas_jax, lanas_jax.Config()), ("nao", nao_jax, _NAO))
    @pytest.mark.slow
    def test_rows_without_a_value_of_an_objective_are_left(self, method, config):
        evaluator = benchmark.evaluator("digits_convnet")
        sparse = jax.tree_util.Partial(lambda archs: jnp.where(archs[:, 1] == 2, jnp.nan, archs.sum(axis=1)))
        evaluator = evaluator._replace(costs={"sparse": sparse})
        goal = objectives.of("fitness,-sparse", evaluator)
        searcher = objectives.searcher(method.ALGORITHM, evaluator.space, config, goal)
        found = search.scan_search(jax.random.key(0), searcher, evaluator, budget=40)
        is_measured = np.asarray(found.status) == types.MEASURED
        np.testing.assert_array_equal(is_measured, np.isfinite(found.others[:, 0]))
        self.assertTrue(np.all(is_measured[10:]))  # after the random ones
        self.assertGreater(np.unique(found.others[10:, 0]).size, 3)

    def test_nodes_have_the_hypervolume_of_their_rows(self):
        goal = front_improvement.goal(
            objectives.Objectives(("fitness", "x"), (1.0, 1.0), (None,)),
            spaces.get("nasbench201"),
            np.zeros((1, 6), np.int32),
        )
        found = jax.jit(history.append)(
            history.empty(4, 6, 2),
            np.arange(18, dtype=np.int32).reshape(3, 6) % 5,
            types.Evaluation(fitness=jnp.array([0.9, 0.5, 0.1]), cost=jnp.zeros(3), ok=jnp.ones(3, bool)),
            jnp.array([[5.0], [6.0], [4.0]]),
        )
        empty = tree.empty(2, 1)
        got = jax.jit(front_acquisition.with_hypervolumes)(goal, empty, found, jnp.array([1, 1, 2, -1]))
        # Scaled the first two rows are (0.8, 0.4) and (0.4, 0.8), the last one is the reference.
        of_points = front_improvement.scalarized(jnp.array([[0.8, 0.4], [0.4, 0.8]]))
        good = jnp.mean(jnp.max(of_points, axis=0))
        np.testing.assert_allclose(tree.means(got), [good, good, 0.0], rtol=1e-5)
        of_one = jnp.mean(of_points[0])  # of the hypervolume 0.32; that of both is 0.48
        np.testing.assert_allclose(good / of_one, 1.5, rtol=0.1)
