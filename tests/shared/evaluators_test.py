import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.evaluators import synthetic, tabular
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

    def test_arrays_enter_compiled_code_as_arguments(self):
        @jax.jit
        @chex.assert_max_traces(1)
        def measure(evaluate, archs):
            return evaluate(jax.random.key(0), archs).fitness

        # Two tables of one shape share the compiled code.
        for protocol, fitness in (("validation", [0.625, 0.25, 0.5]), ("test", [0.5, 0.875, 0.375])):
            made = tabular.evaluator(make_table(), protocol=protocol)
            assert (made.protocol, made.optimum) == (protocol, max(fitness))
            assert not jax.make_jaxpr(measure)(made.evaluate, jnp.asarray(ARCHS)).consts
            assert measure(made.evaluate, jnp.asarray(ARCHS)).tolist() == fitness

    def test_unknown_arguments(self):
        with pytest.raises(ValueError, match="unknown dataset 'moon' of digits_convnet; choose one of digits, other"):
            tabular.evaluator(make_table(), dataset="moon")
        with pytest.raises(ValueError, match="unknown protocol 'valid'; choose one of validation, test"):
            tabular.evaluator(make_table(), protocol="valid")


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

    def test_decisions_interact(self):
        """The effect of one decision depends on another, unless the interaction is 0."""
        space = spaces.get("nasbench201")
        corners = jnp.array([[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]])
        for interaction, is_additive in ((0.0, True), (1.0, False)):
            made = synthetic.evaluator(space, seed=2, interaction=interaction)
            squashed = 2 * _measure(made.evaluate, jax.random.key(0), corners).fitness - 1
            score = squashed / (1 - jnp.abs(squashed))
            assert bool(jnp.abs(score[0] + score[3] - score[1] - score[2]) < 1e-5) == is_additive

    def test_invalid_rows_are_not_ok(self):
        made = synthetic.evaluator(spaces.get("convnet"))
        got = _measure(made.evaluate, jax.random.key(0), jnp.array([[0] * 5, [5, 0, 0, 0, 0], [1, 0, 0, 0, 0]]))
        np.testing.assert_array_equal(got.ok, [False, False, True])
        np.testing.assert_array_equal(got.cost, [0.0, 0.0, 1.0])

    def test_seeds_differ_and_large_spaces_have_no_known_optimum(self):
        space = spaces.get("nasbench101")
        archs = jax.jit(space.sample, static_argnums=1)(jax.random.key(0), 8)
        made = [synthetic.evaluator(space, seed=seed) for seed in (0, 0, 1)]
        first, again, other = (_measure(one.evaluate, jax.random.key(0), archs).fitness for one in made)
        np.testing.assert_array_equal(first, again)
        assert np.all(first != other)
        assert made[0].optimum is None

    def test_arguments(self):
        with pytest.raises(ValueError, match="must not be negative; got -1"):
            synthetic.evaluator(spaces.get("convnet"), seed=-1)
