"""LaNAS and NAO with two and three objectives: valid new rows, and better fronts than their first random rows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import absltest, parameterized

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
_WALK = lanas_jax.Config(sampler="walk", num_candidates=16, max_batches=2, walk_steps=2)


class FrontSearchersTest(parameterized.TestCase):
    @parameterized.named_parameters(
        ("lanas", lanas_jax, lanas_jax.Config(), "fitness,-params"),
        ("lanas_3", lanas_jax, lanas_jax.Config(), "fitness,-params,-macs"),
        ("lanas_walk", lanas_jax, _WALK, "fitness,-params"),
        ("lanas_linear", lanas_jax, lanas_jax.PRESETS["lanas_linear"], "fitness,-params"),
        ("nao", nao_jax, _NAO, "fitness,-params"),
        ("nao_3", nao_jax, _NAO, "fitness,-params,-macs"),
    )
    def test_proposals(self, method, config, texts):
        evaluator = benchmark.evaluator("digits_convnet")
        goal = objectives.of(texts, evaluator)
        searcher = objectives.searcher(method.ALGORITHM, evaluator.space, config, goal)
        found = search.scan_search(jax.random.key(0), searcher, evaluator, budget=30)
        self.assertEqual(found.others.shape, (30, len(goal) - 1))
        self.assertTrue(np.all(evaluator.space.is_valid(found.archs)))
        self.assertFalse(np.any(rows.is_repeat(found.archs)))
        np.testing.assert_array_equal(found.others, objectives.known(goal, np.asarray(found.archs)))
        self.assertTrue(np.all(jnp.isfinite(objectives.values(found))))

    def test_nodes_have_the_hypervolume_of_their_rows(self):
        goal = front_improvement.goal(
            objectives.Objectives(("fitness", "x"), (1.0, 1.0), (None,)),
            spaces.get("nasbench201"),
            np.zeros((1, 6), np.int32),
        )
        found = history.append(
            history.empty(4, 6, 2),
            jnp.arange(18).reshape(3, 6) % 5,
            types.Evaluation(fitness=jnp.array([0.9, 0.5, 0.1]), cost=jnp.zeros(3), ok=jnp.ones(3, bool)),
            jnp.array([[5.0], [6.0], [4.0]]),
        )
        empty = tree.empty(2, 1)
        got = front_acquisition.with_hypervolumes(goal, empty, found, jnp.array([1, 1, 2, -1]))
        points = jnp.array([[5 / 6, 3 / 6], [3 / 6, 5 / 6], [1 / 6, 1 / 6]])
        of_points = front_improvement.scalarized(points)
        good, bad = jnp.mean(jnp.max(of_points[:2], axis=0)), jnp.mean(of_points[2])
        np.testing.assert_allclose(tree.means(got), [good, good, bad], rtol=1e-6)
        # The hypervolumes are 15/36 + 15/36 - 9/36 and 1/36.
        np.testing.assert_allclose(bad / good, 1 / 21, rtol=0.1)


if __name__ == "__main__":
    absltest.main()
