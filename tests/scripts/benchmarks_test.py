import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from benchmarks import lanas_step
from lanas_jax import config as configs


def separated(num_rows, *, seed=0):
    """Rows of continuous features, so that no prediction lies on a threshold."""
    return np.random.default_rng(seed).normal(size=(num_rows, 6)).astype(np.float32)


class LanasStepTest(parameterized.TestCase):
    @parameterized.product(prior=["parent", "zero"], acquisition=["greedy", "uniform"], height=[1, 3])
    def test_reference_and_ours_agree_on_the_leaves(self, prior, acquisition, height):
        problem = lanas_step.make_problem(separated(500), 120, seed=1)
        config = configs.Config(height=height, prior=prior, acquisition=acquisition)
        is_measured = jnp.ones(problem.values.shape, bool)
        ours = lanas_step.step(*map(jnp.asarray, problem[:2]), is_measured, jnp.asarray(problem.pool), config=config)
        reference = lanas_step.reference_step(*problem, config=config)
        np.testing.assert_array_equal(ours[0], reference[0])
        assert np.mean(np.asarray(ours[1]) == reference[1]) >= 0.99
        assert set(reference[1]) == set(range(2 ** (height - 1) - 1, 2**height - 1))

    def test_the_reference_splits_by_hand(self):
        # Ridge of (0, 2) on (-1, 1) with penalty 2: weight 2 / (2 + 2) = 0.5, intercept and threshold 1.
        features, values = np.array([[-1.0], [1.0]], np.float32), np.array([0.0, 2.0], np.float32)
        config = configs.Config(height=2, ridge=2.0)
        pool = np.array([[3.0], [0.0], [-0.5]], np.float32)
        leaves, pool_leaves = lanas_step.reference_step(features, values, pool, config=config)
        np.testing.assert_array_equal(leaves, [2, 1])
        np.testing.assert_array_equal(pool_leaves, [1, 1, 2])  # 0 lies on the threshold: good

    def test_nodes_with_too_few_members_go_by_their_parents_model(self):
        problem = lanas_step.make_problem(separated(40), 6, seed=2)
        config = configs.Config(height=5, ridge=1.0)
        ours = lanas_step.step(
            *map(jnp.asarray, problem[:2]), jnp.ones((6,), bool), jnp.asarray(problem.pool), config=config
        )
        reference = lanas_step.reference_step(*problem, config=config)
        np.testing.assert_array_equal(ours[0], reference[0])
        assert np.mean(np.asarray(ours[1]) == reference[1]) >= 0.9

    def test_measure_reports_every_repetition(self):
        problem = lanas_step.make_problem(separated(200), 50, seed=3)
        result = lanas_step.measure(problem, configs.Config(height=2), repeats=3)
        assert result.ours.shape == result.reference.shape == (3,)
        assert min(result.ours.min(), result.reference.min(), result.compile_seconds) > 0
        assert result.agreement >= 0.99

    def test_the_made_up_problem_is_the_same_for_the_same_seed(self):
        first, second, other = (lanas_step.make_problem(separated(50), 20, seed=seed) for seed in (4, 4, 5))
        np.testing.assert_array_equal(first.values, second.values)
        assert not np.array_equal(first.features, other.features)
        np.testing.assert_allclose(np.mean(first.values), 0.0, atol=0.05)

    def test_a_history_larger_than_the_pool_is_refused(self):
        with self.assertRaisesRegex(ValueError, "history_size is 51; the pool allows 1 to 50"):
            lanas_step.make_problem(separated(50), 51, seed=0)
