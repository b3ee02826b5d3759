"""Limits on costs: spaces and tables hold exactly the rows that respect them."""

import jax
import numpy as np
from absl.testing import parameterized

from common import search, spaces
from common.baselines import random_search, regularized_evolution
from common.evaluators import benchmark, problem
from common.networks import costs
from common.spaces import factory, limits

SPACE = factory.product("sums", (10,) * 8)  # too many rows to list
PAIR = factory.product("pair", (2, 2))
COSTS = {"sum": lambda archs: archs.sum(axis=1), "first": lambda archs: archs[:, 0]}


class LimitsTest(parameterized.TestCase):
    def test_texts(self):
        found = limits.parse(["params<=3e6", " macs >= 5e8"])
        self.assertEqual(found, (limits.Limit("params", True, 3e6), limits.Limit("macs", False, 5e8)))
        self.assertEqual(limits.texts(["params<=3000000.0", "macs>=5e8"]), ("macs>=5e+08", "params<=3e+06"))

    @parameterized.parameters("params<3", "params", "params<=", "params<=many", "params<=nan", "<=3", "a<=1<=2")
    def test_texts_that_are_no_limit(self, text):
        with self.assertRaisesRegex(ValueError, "such as params<=3e6; got "):
            limits.parse([text])

    def test_limits_that_contradict_each_other(self):
        with self.assertRaisesRegex(ValueError, "no params is at least 9 and at most 7"):
            limits.parse(["params<=7", "params>=9"])

    def test_excess(self):
        found = limits.excess(limits.parse(["a<=10", "b>=2"]), {"a": lambda x: x[:, 0], "b": lambda x: x[:, 1]}, AB)
        np.testing.assert_allclose(found, [0, 0.5, 0.5, 1.0, np.inf])

    def test_part_of_a_space_that_can_be_listed(self):
        space, known = spaces.get("nasbench201"), costs.of_space("nasbench201")
        archs = space.enumerate()
        part = limits.part(space, limits.parse(["params<=3e5", "macs>=1e7"]), known)
        is_inside = (known["params"](archs) <= 3e5) & (known["macs"](archs) >= 1e7)
        np.testing.assert_array_equal(part.enumerate(), archs[is_inside])
        self.assertEqual(part.size, np.count_nonzero(is_inside))

    def test_part_of_a_space_that_cannot_be_listed(self):
        highest = 6  # about one row in 33,000
        part = limits.part(SPACE, limits.parse([f"sum<={highest}"]), COSTS)
        others = np.asarray(SPACE.sample(jax.random.key(2), 9))

        @jax.jit
        def run(key):
            drawn = part.sample(key, 128)
            return drawn, part.mutate(jax.random.key(1), drawn), *part.neighbors(drawn), part.is_valid(others)

        drawn, moved, around, is_valid, is_inside = map(np.asarray, run(jax.random.key(0)))
        self.assertLessEqual(drawn.sum(axis=1).max(), highest)
        self.assertLessEqual(moved.sum(axis=1).max(), highest)
        np.testing.assert_array_equal((drawn != moved).any(axis=1), True)
        self.assertGreater(len(np.unique(drawn, axis=0)), 100)
        np.testing.assert_array_equal(is_valid, around.sum(axis=2) <= highest)
        np.testing.assert_array_equal(is_inside, others.sum(axis=1) <= highest)

    @parameterized.parameters(
        (SPACE, "sum<=-1", "no network of .*: the smallest sum found is 0"),
        (SPACE, "sum>=73", "no network of .*: the largest sum found is 72"),
        (PAIR, "sum<=0", "only one network of .*: the nearest other one has sum 1"),
        (PAIR, "sum<=-1,first>=0", "no network of .*: the nearest one has sum 0, first 0"),
        (spaces.get("nasbench201"), "params<=7e4", "no network of .*: the smallest params found is 73306"),
    )
    def test_limits_that_no_row_respects_name_the_nearest(self, space, text, message):
        known = costs.of_space("nasbench201") if space.name == "nasbench201" else COSTS
        with self.assertRaisesRegex(ValueError, f"{message}; widen the limit"):
            limits.part(space, limits.parse(text.split(",")), known)

    def test_unknown_cost(self):
        with self.assertRaisesRegex(ValueError, "unknown cost 'watts'; choose one of sum, first"):
            limits.part(SPACE, limits.parse(["watts<=3"]), COSTS)

    def test_search_of_a_table_stays_within_limits(self):
        made = benchmark.evaluator("digits_convnet", limit=["parameters<=500", "train_seconds<=4"])
        self.assertEqual(made.limits, ("parameters<=500", "train_seconds<=4"))
        whole = benchmark.evaluator("digits_convnet")
        archs = whole.space.enumerate()
        is_inside = (whole.costs["parameters"](archs) <= 500) & (whole.costs["train_seconds"](archs) <= 4)
        np.testing.assert_array_equal(made.space.enumerate(), archs[is_inside])
        fitness = whole.evaluate(jax.random.key(0), archs).fitness
        self.assertEqual(made.optimum, fitness[is_inside].max())
        searcher = regularized_evolution.searcher(made.space)
        history = search.run_search(jax.random.key(0), searcher, made, budget=100)
        self.assertLessEqual(whole.costs["parameters"](np.asarray(history.archs)).max(), 500)

    def test_evaluators_without_a_table(self):
        whole = benchmark.evaluator("digits_convnet")._replace(space=SPACE, costs=COSTS)
        made = problem.limited(whole, ["sum<=20"])
        self.assertEqual((made.limits, made.optimum), (("sum<=20",), None))
        state = random_search.searcher(made.space)
        self.assertEqual(state.name, "random")
        self.assertIs(problem.limited(whole, []), whole)


AB = np.array([[10, 2], [15, 2], [10, 1], [15, 1], [np.nan, 2]])
