import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.evaluators import synthetic, tabular
from common.spaces import factory
from common.tables import table

ARCHS = np.array([[1, 0, 0, 0, 0], [2, 1, 0, 0, 0], [4, 4, 4, 4, 4]])
NAN = np.nan
_measure = jax.jit(lambda function, key, archs: function(key, archs))  # op by op it takes seconds


def make_table(**datasets):
    info = table.Info(
        benchmark="digits_convnet",
        space="convnet",
        datasets=datasets or {"digits": {"validation": "v", "test": "t", "cost": "seconds"}, "other": {"test": "u"}},
        source="made up",
        licence="none",
    )
    metrics = {
        "v": [[0.5, NAN, 0.75], [0.125, 0.25, 0.375], [NAN, 0.5, NAN]],
        "t": [[0.25, 0.75], [0.875, NAN], [0.5, 0.25]],
        "u": [0.25, 0.5, 0.75],
        "seconds": [[10.0, 20.0], [NAN, NAN], [7.0, NAN]],
    }
    return table.from_rows(info, ARCHS, metrics)


class TabularTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_looks_up_means_and_costs_by_row(self):
        made = tabular.evaluator(make_table())
        archs = jnp.array([ARCHS[2], ARCHS[0], ARCHS[1], ARCHS[0]])
        got = self.variant(lambda evaluate, key, archs: evaluate(key, archs))(made.evaluate, jax.random.key(0), archs)
        np.testing.assert_array_equal(got.fitness, np.float32([0.5, 0.625, 0.25, 0.625]))
        np.testing.assert_array_equal(got.cost, np.float32([7, 15, 0, 15]))  # the table knows no cost of ARCHS[1]
        np.testing.assert_array_equal(got.ok, [True] * 4)
        test = _measure(made.test, jax.random.key(0), archs)
        np.testing.assert_array_equal(test.fitness, np.float32([0.375, 0.5, 0.875, 0.5]))
        assert (made.name, made.protocol) == ("digits_convnet/digits", "validation")
        assert (made.optimum, made.num_archs, made.is_traceable) == (0.625, 3, True)
        assert made.space is spaces.get("convnet")

    def test_samples_one_run_for_each_evaluation(self):
        made = tabular.evaluator(make_table(), runs="sample")
        archs = jnp.array([ARCHS[0], ARCHS[1], ARCHS[2], [0, 0, 0, 0, 1]])
        keys = jax.random.split(jax.random.key(0), 200)
        got = jax.jit(jax.vmap(lambda key: made.evaluate(key, archs)))(keys)
        np.testing.assert_array_equal(got.ok, [[True, True, True, False]] * 200)
        for at, runs in enumerate(([0.5, 0.75], [0.125, 0.25, 0.375], [0.5])):  # those that the table has
            values, counts = np.unique(got.fitness[:, at], return_counts=True)
            np.testing.assert_array_equal(values, np.float32(runs))
            assert counts.min() > 150 / len(runs)
        np.testing.assert_array_equal(got.cost[0], np.float32([15, 0, 7, 0]))  # known for other numbers of runs: means
        assert made.optimum is None
        np.testing.assert_array_equal(_measure(made.test, jax.random.key(1), archs[:1]).fitness, [0.5])
        with pytest.raises(ValueError, match="unknown runs 'best'; choose one of mean, sample"):
            tabular.evaluator(make_table(), runs="best")

    @chex.variants(with_jit=True, without_jit=True)
    def test_rows_that_are_not_in_the_table_are_not_ok(self):
        made = tabular.evaluator(make_table())
        others = [[0, 0, 0, 0, 1], [1, 1, 0, 0, 0], [-1] * 5, [0] * 5, [257, 0, 0, 0, 0], [4, 4, 4, 4, 5]]
        evaluate = self.variant(lambda evaluate, archs: evaluate(jax.random.key(0), archs))
        for function in (made.evaluate, made.test):
            got = evaluate(function, jnp.array([*others, ARCHS[0]]))
            np.testing.assert_array_equal(got.ok, [False] * 6 + [True])
            np.testing.assert_array_equal(got.cost, [0.0] * 6 + [15.0])
            assert np.all(np.isfinite(got.fitness))

    def test_another_dataset_without_validation_and_cost(self):
        with pytest.raises(ValueError, match=r"publishes no validation fitness of other.*--protocol=test"):
            tabular.evaluator(make_table(), dataset="other")
        made = tabular.evaluator(make_table(), dataset="other", protocol="test")
        got = _measure(made.evaluate, jax.random.key(0), jnp.asarray(ARCHS))
        np.testing.assert_array_equal(got.fitness, np.float32([0.25, 0.5, 0.75]))
        np.testing.assert_array_equal(got.cost, [0.0] * 3)
        assert made.name == "digits_convnet/other"

    def test_no_test_metric(self):
        made = tabular.evaluator(make_table(digits={"validation": "v"}))
        got = _measure(made.test, jax.random.key(0), jnp.asarray(ARCHS))
        np.testing.assert_array_equal(got.ok, [False] * 3)
        with pytest.raises(ValueError, match=r"publishes no test fitness of digits.*--protocol=validation"):
            tabular.evaluator(make_table(digits={"validation": "v"}), protocol="test")

    def test_unknown_arguments(self):
        with pytest.raises(ValueError, match="unknown dataset 'moon' of digits_convnet; choose one of digits, other"):
            tabular.evaluator(make_table(), dataset="moon")
        with pytest.raises(ValueError, match="unknown protocol 'valid'; choose one of validation, test"):
            tabular.evaluator(make_table(), protocol="valid")


class FromArraysTest(parameterized.TestCase):
    space = factory.product("pairs", (2, 2))

    def test_rows_in_any_order_by_hand(self):
        archs, fitness = [[1, 1], [0, 1], [1, 0]], [0.5, 0.25, 1.0]
        made = tabular.from_arrays("mine/a", self.space, archs, fitness, test=[0.1, 0.2, 0.3], cost=[3, 2, 1])
        assert (made.name, made.protocol, made.optimum, made.num_archs) == ("mine/a", "validation", 1.0, 3)
        asked = jnp.array([[1, 0], [0, 0], [1, 1], [0, 1]])
        got, test = (_measure(function, jax.random.key(0), asked) for function in (made.evaluate, made.test))
        np.testing.assert_array_equal(got.ok, [True, False, True, True])  # [0, 0] is in no row
        np.testing.assert_allclose(got.fitness, [1.0, 0.0, 0.5, 0.25])
        np.testing.assert_allclose(got.cost, [1, 0, 3, 2])
        np.testing.assert_allclose(test.fitness, [0.3, 0.0, 0.1, 0.2])
        oracle = tabular.from_arrays("mine/a", self.space, archs, fitness)
        assert oracle.protocol == "test"
        np.testing.assert_array_equal(_measure(oracle.test, jax.random.key(0), asked).fitness, got.fitness)

    @parameterized.parameters(
        ([[0, 0], [0, 1]], [0.5, 93.0], r"must be a fraction from 0 to 1 \(divide a percentage by 100\); got 93"),
        ([[0, 0], [0, 1]], [0.5, NAN], "must be a fraction from 0 to 1 .*; got nan"),
        ([[0, 0], [0, 1]], [0.5], r"fitness of mine/a must have the shape \(2,\), as archs; got \(1,\)"),
        ([[0, 1], [0, 0], [0, 1]], [0.5, 0.5, 0.5], r"must be distinct rows .*; row 2, \[0, 1\], follows \[0, 1\]"),
        ([[0, 0], [0, 2]], [0.5, 0.5], r"row 1 of 2, \[0, 2\], is not a valid canonical architecture"),
    )
    def test_bad_arrays(self, archs, fitness, message):
        with pytest.raises(ValueError, match=message):
            tabular.from_arrays("mine/a", self.space, archs, fitness)


class LandscapeTest(parameterized.TestCase):
    def test_contributions_by_hand(self):
        """Two decisions, each depending on the other: tables t0[s0, s1] and t1[s1, s0], drawn in this order."""
        first, second = np.random.default_rng(5).uniform(size=(2, 2, 2))
        made = synthetic.nk_landscape("nk/two", factory.product("pairs", (2, 2)), interactions=1, seed=5)
        archs = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        expected = [(first[a, b] + second[b, a]) / 2 for a, b in archs.tolist()]
        np.testing.assert_allclose(_measure(made.evaluate, jax.random.key(0), archs).fitness, expected, rtol=1e-6)
        assert made.optimum == np.float32(max(expected))

    @parameterized.parameters((0, True), (1, False))
    def test_decisions_interact(self, interactions, is_additive):
        states = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
        corners = synthetic.nk_fitness(states, (2, 2, 2), interactions=interactions, seed=3)
        assert (abs(corners[0] + corners[3] - corners[1] - corners[2]) < 1e-12) == is_additive

    def test_sequences_by_hand(self):
        """Lengths 1 and 2 of two choices: six rows; places beyond the length have the state 0."""
        space = synthetic.variable_length_space("short", (1, 2), 2)
        listed = [[0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]]
        np.testing.assert_array_equal(space.enumerate(), listed)
        np.testing.assert_array_equal(space.canonicalize(jnp.array([[0, 1, 1], [1, 0, 1]])), [[0, 1, 0], [1, 0, 1]])
        assert (space.describe(np.array([0, 1, 0])), space.describe(np.array([1, 1, 0]))) == ("1", "1 0")
        states = synthetic.sequence_states(np.array(listed), (1, 2))
        np.testing.assert_array_equal(states, [[1, 0], [2, 0], [1, 1], [1, 2], [2, 1], [2, 2]])

    def test_arguments(self):
        with pytest.raises(ValueError, match="interactions must be from 0 to 1, one less than the states; got 2"):
            synthetic.nk_fitness(np.zeros((1, 2), int), (2, 2), interactions=2, seed=0)
        with pytest.raises(ValueError, match="nao_small cannot be listed"):
            synthetic.nk_landscape("nk/large", spaces.get("nao_small"), interactions=1, seed=0)


class SyntheticTest(chex.TestCase):
    def test_fitness_by_hand_without_interaction(self):
        space = spaces.get("convnet")
        made = synthetic.evaluator(space, seed=4, interaction=0.0)
        weights = np.random.default_rng(4).standard_normal(25) / np.sqrt(5)
        weights = np.round(weights * 1024) / 1024
        for arch in ARCHS:
            score = sum(weights[5 * at + choice] for at, choice in enumerate(arch))
            got = _measure(made.evaluate, jax.random.key(0), jnp.asarray(arch[None]))
            np.testing.assert_allclose(got.fitness[0], 0.5 + 0.5 * score / (1 + abs(score)), rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters("convnet", "nasbench201")
    def test_the_optimum_is_met_whatever_is_measured_beside_it(self, name):
        space = spaces.get(name)
        made = synthetic.evaluator(space, seed=1)
        archs = jnp.asarray(space.enumerate())
        evaluate = self.variant(lambda evaluate, archs: evaluate(jax.random.key(0), archs).fitness)
        together = np.asarray(evaluate(made.evaluate, archs))
        assert together.max() == np.float32(made.optimum)
        assert 0 < together.min() < together.max() < 1
        assert np.std(together) > 0.1
        some = np.argsort(together)[-5:]
        alone = [float(evaluate(made.evaluate, archs[at : at + 1])[0]) for at in some]
        np.testing.assert_array_equal(alone, together[some])

    def test_invalid_rows_are_not_ok(self):
        made = synthetic.evaluator(spaces.get("convnet"))
        got = _measure(made.evaluate, jax.random.key(0), jnp.array([[0] * 5, [5, 0, 0, 0, 0], [1, 0, 0, 0, 0]]))
        np.testing.assert_array_equal(got.ok, [False, False, True])
        np.testing.assert_array_equal(got.cost, [0.0, 0.0, 1.0])

    def test_arguments(self):
        with pytest.raises(ValueError, match="must not be negative; got -1"):
            synthetic.evaluator(spaces.get("convnet"), seed=-1)
