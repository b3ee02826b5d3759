"""Searches on a table of which a part fails learn where, and are the same as before where nothing fails."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lanas_jax
import nao_jax
from common import search, types
from common.evaluators import benchmark

BUDGET, NUM_SEEDS = 60, 4
ALGORITHMS = {"lanas": lanas_jax.ALGORITHM, "nao": nao_jax.ALGORITHM}


@functools.cache
def histories(name, failures, has_failures):
    """Histories of some seeds; architectures with two or more layers that are wide with large kernels may fail."""
    table, algorithm = benchmark.evaluator("digits_convnet"), ALGORITHMS[name]

    def evaluate(key, archs):
        found = table.evaluate(key, archs)
        return found.replace(ok=found.ok & (jnp.sum(archs == 4, axis=1) < 2)) if has_failures else found

    config = dataclasses.replace(algorithm.config, failures=failures)
    searcher = algorithm.searcher(table.space, config)
    keys = jax.vmap(jax.random.key)(jnp.arange(NUM_SEEDS))
    evaluator = table._replace(evaluate=evaluate)
    with jax.debug_key_reuse(False):  # the checker rejects a loop over draws in a branch once it is vmapped
        return search.search_seeds(keys, searcher, evaluator, budget=BUDGET, seeds_at_once=NUM_SEEDS)[0]


def share(name, failures):
    """Returns the share of failures in the second half of the searches."""
    return np.mean(histories(name, failures, has_failures=True).status[:, BUDGET // 2 :] == types.INFEASIBLE)


def assert_same(name):
    before, after = (histories(name, failures, has_failures=False) for failures in ("none", "worst"))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.slow  # those of the contract of searchers are fitted to failed rows too
def test_fewer_proposals_of_lanas_fail():
    assert share("lanas", "worst") < 0.5 * share("lanas", "none")


@pytest.mark.slow  # `history.with_failures` has quick tests
def test_nothing_changes_in_lanas_where_nothing_fails():
    assert_same("lanas")


@pytest.mark.slow
def test_nao():
    assert share("nao", "worst") < 0.7 * share("nao", "none")
    assert_same("nao")
