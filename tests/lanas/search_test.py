"""LaNAS as a searcher, with every preset and sampler: proposals, diagnostics, statistics of the tree."""

import dataclasses
import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import config as common_config
from common import history as history_lib
from common import spaces, types
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import diagnostics, search
from lanas_jax import tree as trees

SPACES = {"convnet": spaces.get("convnet"), "grid": factory.search_space("grid", (3, 4, 2), size=24, describe=str)}
COUNT, CAPACITY = 4, 40
_SMALL = {"height": 2, "num_initial": 6, "adam_steps_first": 4, "adam_steps": 2}
_SAMPLED = {**_SMALL, "features": "one_hot", "num_candidates": 32, "max_batches": 3, "walk_steps": 3}
CASES = {
    **{name: dataclasses.replace(preset, **_SMALL) for name, preset in configs.PRESETS.items()},
    "walk": configs.Config(**{**_SAMPLED, "features": "integers"}, sampler="walk", acquisition="expected_improvement"),
    "one_by_one": configs.Config(
        **{**_SMALL, "height": 3},
        regressor="ridge",
        num_select=20,
        count=1,
        target="fitness",
        failures="none",
        acquisition="uniform",
    ),
}
CHOICES = {field.name: field.choices for field in common_config.fields(configs.Config)}
PRODUCT = {
    f"{sampler}_{acquisition}": configs.Config(**_SAMPLED, regressor="ridge", sampler=sampler, acquisition=acquisition)
    for sampler in CHOICES["sampler"]
    for acquisition in CHOICES["acquisition"]
}


def _fitness(archs):
    weights = jnp.arange(1.0, archs.shape[1] + 1.0)[None]
    return 0.5 + 0.4 * jnp.sin(jnp.sum(weights * archs, axis=1) / 7.0)


def _evaluation(archs, at=0):
    """Every fifth measurement fails."""
    ok = (at + jnp.arange(len(archs))) % 5 != 3
    return types.Evaluation(fitness=_fitness(archs), cost=jnp.ones(len(archs)), ok=ok)


_append = jax.jit(history_lib.append)


@functools.cache
def _program(name, space, capacity):
    """(init, propose, text of the compiled program): one program for all rounds of a search.

    No argument has a default: a call that leaves it out would not be found in the cache.
    """
    config = {**CASES, **PRODUCT}[name]
    searcher = search.searcher(SPACES[space], config, name=name)
    count = min(COUNT, config.count)

    def step(propose, key, state, history):
        return propose(key, state, history, count=count)

    history = history_lib.empty(capacity, len(SPACES[space].num_choices))
    init = jax.jit(lambda key, history: searcher.init(key, history))
    arguments = (searcher.propose, jax.random.key(0), init(jax.random.key(0), history), history)
    # Running is short here and compiling long.
    compiled = jax.jit(step).lower(*arguments).compile({"xla_backend_optimization_level": 0})
    return init, functools.partial(compiled, searcher.propose), compiled.as_text(), count


def _rounds(name, num_rounds, *, seed=0, space="convnet", capacity=CAPACITY, between=lambda state: state):
    """Yields (archs, state, history before) of each round."""
    init, propose, _, _ = _program(name, space, capacity)
    history = history_lib.empty(capacity, len(SPACES[space].num_choices))
    state = init(jax.random.key(seed), history)
    for round_ in range(num_rounds):
        archs, state = propose(jax.random.fold_in(jax.random.key(seed + 1), round_), between(state), history)
        yield archs, state, history
        history = _append(history, archs, _evaluation(archs, int(history.size)))


def _check_search(name):
    """Checks the leaves of proposals, and the diagnostics."""
    config = {**CASES, **PRODUCT}[name]
    diagnostics = jax.jit(search.searcher(SPACES["convnet"], config).diagnostics)
    for archs, state, history in _rounds(name, 9 if config.count > 1 else 30):
        size, is_fitted = int(history.size), int(history.size) >= 6
        drawn = np.asarray(state.leaves)[size : size + len(archs)]
        assert np.all(drawn >= trees.num_inner(state.tree) if is_fitted else drawn == -1)
        told = diagnostics(state, history)
        if is_fitted:
            np.testing.assert_array_equal(told["leaves"][size : size + len(archs)], drawn)
        assert np.all(np.isnan(told["leaves"][size + len(archs) :]))
    assert state.fitted_size > 6, "the tree was fitted again"
    if config.sampler == "pool":
        assert told.keys() == {"leaves", "leaf_kendall_tau"}
    else:
        assert told["acceptance_rate"] == state.accepted / state.tried <= 1
        assert told["num_fallbacks"] == state.fallbacks


def _check_no_lapack(name):
    text = _program(name, "convnet", CAPACITY)[2]
    assert not [call for call in re.findall(r'custom_call_target="([^"]*)"', text) if "lapack" in call]
    assert not re.findall(r" (cholesky|triangular-solve)\(", text)


class SearchTest(parameterized.TestCase):
    @parameterized.named_parameters((name, name) for name in CASES)
    def test_proposals_leaves_and_diagnostics(self, name):
        _check_search(name)

    @parameterized.named_parameters((name, name) for name in PRODUCT)
    @pytest.mark.slow
    def test_every_sampler_with_every_acquisition(self, name):
        _check_search(name)
        _check_no_lapack(name)

    @parameterized.named_parameters((name, name) for name in CASES)
    def test_no_lapack_in_the_compiled_step(self, name):
        _check_no_lapack(name)

    @parameterized.parameters("lanas_official", "walk")
    def test_a_state_survives_a_file(self, name):
        def through_numpy(state):
            leaves, structure = jax.tree.flatten(state)
            return jax.tree.unflatten(structure, [np.array(leaf) for leaf in leaves])

        plain = list(_rounds(name, 6))
        stored = list(_rounds(name, 6, between=through_numpy))
        chex.assert_trees_all_equal([row[:2] for row in stored], [row[:2] for row in plain])

    def test_rank_correlation_of_leaves_with_new_results(self):
        *_, (archs, state, history) = _rounds("lanas_linear", 3)
        size = 4
        leaves, fitness = np.array([2, 2, 1, 2]), np.array([0.1, 0.3, 0.2, 0.9], np.float32)
        state = state.replace(leaves=state.leaves.at[:size].set(leaves), fitted_size=jnp.int32(1))
        history = history_lib.empty(CAPACITY, archs.shape[1])
        evaluation = types.Evaluation(fitness=fitness, cost=np.zeros(size), ok=np.array([True] * 3 + [False]))
        history = _append(history, archs[:size], evaluation)
        # Of the rows since the fit, the second and third count: the better one is in the worse leaf.
        assert diagnostics.of_round(state, history)["leaf_kendall_tau"] == -1

    def test_a_pool_of_some_rows_is_all_that_is_drawn(self):
        pool = SPACES["grid"].enumerate()[[3, 20, 7, 3, 11, 5, 2, 9, 14]]  # one row twice
        config = configs.Config(height=1, num_initial=4, regressor="ridge")
        searcher = search.searcher(SPACES["grid"], config, pool=pool)
        history = history_lib.empty(8, 3)
        state = jax.jit(searcher.init)(jax.random.key(0), history)
        propose = jax.jit(lambda propose, key, state, history: propose(key, state, history, count=4))
        for round_ in range(2):
            archs, state = propose(searcher.propose, jax.random.key(round_), state, history)
            history = _append(history, archs, _evaluation(archs))
        np.testing.assert_array_equal(np.unique(history.archs, axis=0), np.unique(pool, axis=0))


class StatisticsTest(parameterized.TestCase):
    def test_draws_back_propagate_between_fits(self):
        """One sample a round, 20 between fits: counts and sums of every node, recomputed from scratch each round."""
        fits = set()
        for _, state, history in _rounds("one_by_one", 30):
            size, fitted = int(history.size), int(state.fitted_size)
            if size < 6:
                continue
            fits.add(fitted)
            leaves, fitness = np.asarray(state.leaves), np.nan_to_num(np.asarray(history.fitness))
            is_measured = np.asarray(history_lib.is_measured(history))
            routed = np.asarray(trees.route(state.tree, SPACES["convnet"].features(jnp.maximum(history.archs, 0))))
            at_fit = np.flatnonzero(is_measured[:fitted])
            np.testing.assert_array_equal(leaves[at_fit], routed[at_fit])
            np.testing.assert_array_equal(leaves[fitted:size], routed[fitted:size], err_msg="sampled from their leaves")
            visits, total, num_valued = (np.zeros(7) for _ in range(3))
            for row in range(size + 1):  # failed ones too, and the last, drawn now, its value unknown
                for node in np.asarray(trees.path(jnp.int32(leaves[row]), 3)):
                    visits[node] += 1
                    total[node] += fitness[row] if is_measured[row] else 0.0
                    num_valued[node] += is_measured[row]
            np.testing.assert_array_equal(state.tree.visits, visits)
            np.testing.assert_array_equal(state.tree.num_valued, num_valued)
            np.testing.assert_allclose(state.tree.total, total, rtol=1e-5)
        assert fits == {6, 26}

    def test_the_leaves_of_the_pool_are_all_of_it(self):
        for _, state, history in _rounds("lanas_linear", 5):
            if int(history.size) >= 6:
                pool = jnp.asarray(SPACES["convnet"].enumerate())
                np.testing.assert_array_equal(
                    state.pool_leaves, trees.route(state.tree, SPACES["convnet"].features(pool))
                )
                assert np.bincount(state.pool_leaves).sum() == 1364
