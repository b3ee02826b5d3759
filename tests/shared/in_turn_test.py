"""Search algorithms in turn on one history."""

import dataclasses
import functools

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common import history, in_turn, objectives, search
from common.evaluators import tabular
from common.spaces import factory
from launch import algorithms

SPACE = factory.product("grid", (5, 5, 5))
ARCHS = SPACE.enumerate()
EVALUATOR = tabular.from_arrays("grid/all", SPACE, ARCHS, (ARCHS @ np.array([25, 5, 1])) / 124)


def _searcher(name):
    return algorithms.factory(algorithms.get(name))(SPACE)


class InTurnTest(parameterized.TestCase):
    def test_each_round_is_that_of_the_searcher_whose_turn_it_is(self):
        each, count = [_searcher("random"), _searcher("random")], 2
        together = in_turn.searcher(each, name="all")
        assert (together.name, together.count) == ("all", each[0].count)
        found = history.empty(14, 3)
        state = together.init(jax.random.key(0), found)
        states = [one.init(key, found) for one, key in zip(each, jax.random.split(jax.random.key(0)))]
        together, *each = (jax.jit(functools.partial(one.propose, count=count)) for one in (together, *each))
        for round_ in range(7):
            key, at = jax.random.fold_in(jax.random.key(1), round_), round_ % 2
            archs, state = together(key, state, found)
            alone, states[at] = each[at](jax.random.clone(key), states[at], found)
            np.testing.assert_array_equal(archs, alone)
            chex.assert_trees_all_equal(state, tuple(states))
            found = history.append(found, archs, EVALUATOR.evaluate(jax.random.clone(key), archs))
        assert len(np.unique(np.asarray(found.archs), axis=0)) == 14

    def test_on_the_host_and_compiled(self):
        together = _searcher("random+random:count=3")
        assert together.name == "random+random:count=3"
        found = search.run_search(jax.random.key(0), together, EVALUATOR, budget=20)
        jitted = jax.jit(lambda key: search.scan_search(key, together, EVALUATOR, budget=20))
        np.testing.assert_array_equal(found.archs, jitted(jax.random.key(0)).archs)

    def test_diagnostics_have_the_names_of_the_searchers(self):
        first = _searcher("random")._replace(name="b", diagnostics=lambda state, found: {"size": found.size + 1})
        second = _searcher("random")._replace(name="a", diagnostics=lambda state, found: {"size": found.size + 2})
        together, found = in_turn.searcher([first, second], name="both"), history.empty(4, 3)
        state = together.init(jax.random.key(0), found)
        assert together.diagnostics(state, found) == {"b_size": 1, "a_size": 2}

    def test_settings_of_each(self):
        name = "lanas:height=7:exploration=1e+5+nao:num_steps=5"
        assert (algorithms.get(name).name, algorithms.get(name).max_objectives) == (name, objectives.MOST)
        assert algorithms.get("lanas+regularized_evolution").max_objectives == 1

    def test_settings_are_those_for_the_space_changed_in_each(self):
        algorithm, given = algorithms.get("lanas+regularized_evolution:population_size=7+random"), []

        def few(config):
            given.append(config)
            return dataclasses.replace(config, num_initial=4) if hasattr(config, "num_initial") else config

        found = history.empty(8, 3)
        together = in_turn.configured(algorithm, SPACE, few)
        assert together.name == algorithm.name
        assert [type(config) for config in given] == [type(one.config) for one in algorithm.parts]
        assert given[1].population_size == 7
        assert len(jax.eval_shape(together.init, jax.random.key(0), found)) == 3
        with self.assertRaisesRegex(ValueError, "budget is 8, below num_initial, 10"):
            in_turn.configured(algorithm, SPACE).init(jax.random.key(0), found)

    @parameterized.parameters(("lanas+no_such", "unknown algorithm"), ("random+lanas:height=0", "height must"))
    def test_refused(self, name, message):
        with self.assertRaisesRegex(ValueError, message):
            algorithms.get(name)

    def test_refused_with_different_objectives(self):
        two = _searcher("random")._replace(objectives=objectives.Objectives(("fitness", "-size"), (1.0, -1.0), (None,)))
        with self.assertRaisesRegex(ValueError, "need the same objectives"):
            in_turn.searcher([_searcher("random"), two], name="both")
        with self.assertRaisesRegex(ValueError, "at least one"):
            in_turn.searcher([], name="none")
