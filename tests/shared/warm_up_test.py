"""Searches that begin with the best architectures by a known cost."""

import pathlib
import tempfile

import jax
import numpy as np
from absl.testing import parameterized

from common import baselines, history, search, spaces, warm_up
from common.evaluators import tabular
from common.runs import search as runs
from common.spaces import factory

SPACE = factory.product("grid", (5, 5, 5))
ARCHS = SPACE.enumerate()
DIGITS = ARCHS @ np.array([25, 5, 1])  # 0 to 124, the place of each row


def _costs(score=lambda archs: archs[:, 0] * 100.0 - archs[:, 2]):
    return {"score": score}


def _evaluator():
    return tabular.from_arrays("grid/all", SPACE, ARCHS, DIGITS / 124)._replace(costs=_costs())


def _rows(found):
    return np.asarray(found.archs).tolist()


class WarmUpTest(parameterized.TestCase):
    def test_ranked(self):
        # The largest first decision, then the smallest last one, then lexicographic.
        best = [[4, b, 0] for b in range(5)] + [[4, b, 1] for b in range(5)]
        np.testing.assert_array_equal(warm_up.ranked(SPACE, _costs(), "score")[:10], best)
        smallest = warm_up.ranked(SPACE, _costs(), "-score")
        np.testing.assert_array_equal(smallest[:5], [[0, b, 4] for b in range(5)])
        partly = _costs(lambda archs: np.where(archs[:, 0] == 1, archs[:, 1] * 1.0, np.nan))
        np.testing.assert_array_equal(warm_up.ranked(SPACE, partly, "score")[4:7], [[1, 4, 4], [1, 3, 0], [1, 3, 1]])
        assert len(warm_up.ranked(SPACE, partly, "score")) == 125

    def test_the_mean_rank_of_several_costs(self):
        space = factory.product("line", (4,))
        values = np.array([3.0, 3.0, np.nan, 0.0])
        costs = {"a": lambda archs: archs[:, 0] * 1.0, "b": lambda archs: values[archs[:, 0]]}
        archs = space.enumerate()
        # Ranks by a: 0.5, 1.5, 2.5, 3.5; by b, where the first two are equal: 3, 3, 0.5, 1.5.
        np.testing.assert_array_equal(warm_up.mean_ranks(space, costs, ["a", "b"], archs), [1.75, 2.25, 1.5, 2.5])
        np.testing.assert_array_equal(warm_up.ranked(space, costs, "a,b")[:, 0], [3, 1, 0, 2])
        # By -a and b: (3.5 + 3, 2.5 + 3, 1.5 + 0.5, 0.5 + 1.5) / 2.
        np.testing.assert_array_equal(warm_up.ranked(space, costs, "-a,b")[:, 0], [0, 1, 2, 3])

    def test_a_sample_of_a_large_space(self):
        space = spaces.get("nao_small")
        costs = _costs(lambda archs: archs[:, 1] * 1.0)
        archs = warm_up.ranked(space, costs, "score", seed=3)
        assert 2048 < len(archs) <= warm_up.NUM_SAMPLED
        assert np.all(np.diff(archs[:, 1]) <= 0)
        assert np.all(space.is_valid(archs))
        np.testing.assert_array_equal(archs, warm_up.ranked(space, costs, "score", seed=3))

    def test_measurements_of_another_task(self):
        path = self.enter_context(tempfile.TemporaryDirectory()) + "/first.csv"
        pathlib.Path(path).write_text("arch,fitness\n1 2 3,0.5\n0 0 0,\n4 4 4,0.7\n2 0 1,0.5\n")
        best = [[4, 4, 4], [1, 2, 3], [2, 0, 1], [0, 0, 0]]
        np.testing.assert_array_equal(warm_up.ranked(SPACE, {}, path), best)
        with self.assertRaisesRegex(ValueError, "no-such.csv"):
            warm_up.ranked(SPACE, {}, "no-such.csv")

    def test_the_first_proposals_on_the_host_and_compiled(self):
        evaluator = _evaluator()
        inner = baselines.ALGORITHMS["random"].searcher(SPACE, baselines.ALGORITHMS["random"].config, name="random")
        searcher = warm_up.searcher(inner, SPACE, evaluator.costs, "score", num=12)
        found = search.run_search(jax.random.key(0), searcher, evaluator, budget=25)
        assert _rows(found)[:12] == warm_up.ranked(SPACE, evaluator.costs, "score")[:12].tolist()
        assert len(np.unique(np.asarray(found.archs), axis=0)) == 25
        jitted = jax.jit(lambda key: search.scan_search(key, searcher, evaluator, budget=25))
        np.testing.assert_array_equal(found.archs, jitted(jax.random.key(0)).archs)

    def test_rows_of_earlier_measurements_are_not_proposed_again(self):
        evaluator = _evaluator()
        inner = baselines.ALGORITHMS["random"].searcher(SPACE, baselines.ALGORITHMS["random"].config, name="random")
        best = warm_up.ranked(SPACE, evaluator.costs, "score")
        evaluation = evaluator.evaluate(jax.random.key(0), best[[1, 3]])
        begun = history.append(history.empty(30, 3), best[[1, 3]], evaluation)
        searcher = warm_up.searcher(inner, SPACE, evaluator.costs, "score", num=4)
        state = searcher.init(jax.random.key(0), begun)
        archs, state = searcher.propose(jax.random.key(1), state, begun, count=4)
        np.testing.assert_array_equal(archs, best[[0, 2, 4, 5]])

    def test_in_a_run_folder(self):
        folder = self.enter_context(tempfile.TemporaryDirectory())
        options = runs.Options(budget=10, workdir=folder, warm_up="-score", num_warm_up=3)
        inner = baselines.ALGORITHMS["random"].searcher(SPACE, baselines.ALGORITHMS["random"].config, name="random")
        told = {"command": "test", "algorithm": "random", "config": {}}
        runs.run(_evaluator()._replace(data=1), inner, options, **told)
        with self.assertRaisesRegex(ValueError, "have changed since it began"):
            runs.run(_evaluator()._replace(data=2), inner, options, **told)
        with self.assertRaisesRegex(ValueError, "warm_up"):
            runs.run(_evaluator(), inner, runs.Options(budget=12, workdir=folder), **told)

    @parameterized.parameters(
        ("params", 5, "warm_up must be one of score; got params|'params'"),
        ("score,-params", 5, "warm_up must be one of score; got params|'params'"),
        ("score", 200, "num_warm_up must be from 1 to 125; got 200"),
    )
    def test_refused(self, by, num, message):
        with self.assertRaisesRegex(ValueError, message):
            warm_up.searcher(None, SPACE, _costs(), by, num=num)

    def test_refused_without_costs(self):
        with self.assertRaisesRegex(ValueError, "no costs of grid are known from the row; leave warm_up out"):
            warm_up.ranked(SPACE, {}, "params")
        with self.assertRaisesRegex(ValueError, "no architecture of grid has a finite score"):
            warm_up.ranked(SPACE, _costs(lambda archs: archs[:, 0] * np.nan), "score")
