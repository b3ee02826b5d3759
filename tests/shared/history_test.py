"""The history's invariants, row by row."""

import chex
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import types

ARCHS = jnp.array([[0, 1], [2, 0], [1, 1]], jnp.int32)


def _evaluation(fitness, ok=None, cost=None):
    fitness = jnp.asarray(fitness, jnp.float32)
    return types.Evaluation(
        fitness=fitness,
        cost=jnp.arange(1.0, 1.0 + fitness.shape[0]) if cost is None else jnp.asarray(cost),
        ok=jnp.ones(fitness.shape, bool) if ok is None else jnp.asarray(ok),
    )


def _assert_rows(history, *, archs, fitness, cost, status):
    np.testing.assert_array_equal(history.archs, archs)
    np.testing.assert_array_equal(history.fitness, np.array(fitness, np.float32))
    np.testing.assert_array_equal(history.cost, np.array(cost, np.float32))
    np.testing.assert_array_equal(history.status, status)


class HistoryTest(chex.TestCase):
    def test_empty_has_no_rows(self):
        history = history_lib.empty(2, 3)
        _assert_rows(history, archs=np.full((2, 3), -1), fitness=[np.nan] * 2, cost=[0, 0], status=[types.EMPTY] * 2)
        assert (history.size, history.archs.dtype) == (0, jnp.int32)

    @chex.variants(with_jit=True, without_jit=True)
    def test_append_pending_leaves_fitness_open(self):
        history = self.variant(history_lib.append_pending)(history_lib.empty(4, 2), ARCHS)
        _assert_rows(
            history,
            archs=[[0, 1], [2, 0], [1, 1], [-1, -1]],
            fitness=[np.nan] * 4,
            cost=[0] * 4,
            status=[types.PENDING] * 3 + [types.EMPTY],
        )
        assert history.size == 3

    @chex.variants(with_jit=True, without_jit=True)
    def test_append_keeps_the_order_and_marks_failures(self):
        append = self.variant(history_lib.append)
        history = append(history_lib.empty(4, 2), ARCHS[:1], _evaluation([0.5]))
        history = append(history, ARCHS[1:], _evaluation([0.9, 0.25], ok=[False, True], cost=[3.0, 4.0]))
        _assert_rows(
            history,
            archs=[[0, 1], [2, 0], [1, 1], [-1, -1]],
            fitness=[0.5, np.nan, 0.25, np.nan],
            cost=[1, 3, 4, 0],
            status=[types.MEASURED, types.INFEASIBLE, types.MEASURED, types.EMPTY],
        )
        assert history.size == 3

    def test_record_out_of_order(self):
        history = history_lib.append_pending(history_lib.empty(3, 2), ARCHS)
        history = history_lib.record(history, jnp.array([2, 0]), _evaluation([0.75, 0.5]))
        np.testing.assert_array_equal(history.status, [types.MEASURED, types.PENDING, types.MEASURED])
        np.testing.assert_array_equal(history.fitness, np.array([0.5, np.nan, 0.75], np.float32))
        assert history.size == 3

    def test_a_fitness_that_is_not_finite_is_infeasible(self):
        history = history_lib.append(history_lib.empty(3, 2), ARCHS, _evaluation([np.nan, np.inf, 0.5]))
        np.testing.assert_array_equal(history.status, [types.INFEASIBLE, types.INFEASIBLE, types.MEASURED])
        np.testing.assert_array_equal(history.fitness, np.array([np.nan, np.nan, 0.5], np.float32))

    def test_rows_beyond_the_capacity_are_dropped(self):
        history = history_lib.append(history_lib.empty(2, 2), ARCHS, _evaluation([0.1, 0.2, 0.3]))
        _assert_rows(history, archs=ARCHS[:2], fitness=[0.1, 0.2], cost=[1, 2], status=[types.MEASURED, types.MEASURED])
        assert history.size == 2
        full = history_lib.append(history, ARCHS[2:], _evaluation([0.3]))
        chex.assert_trees_all_equal(full, history)

    def test_best_is_the_first_of_equal_ones_and_measured(self):
        history = history_lib.append(
            history_lib.empty(4, 2), ARCHS, _evaluation([0.5, 0.9, 0.5], ok=[True, False, True])
        )
        index, fitness = history_lib.best(history)
        assert (int(index), float(fitness)) == (0, 0.5)

    def test_best_of_nothing(self):
        history = history_lib.append_pending(history_lib.empty(4, 2), ARCHS)
        index, fitness = history_lib.best(history)
        assert (int(index), float(fitness)) == (0, -np.inf)

    def test_contains_rows_of_any_status(self):
        history = history_lib.append_pending(history_lib.empty(4, 2), ARCHS[:2])
        history = history_lib.record(history, jnp.array([0]), _evaluation([np.nan]))
        np.testing.assert_array_equal(history_lib.contains(history, ARCHS), [True, True, False])

    @chex.variants(with_jit=True, without_jit=True)
    def test_failures_take_the_worst_values(self):
        history = history_lib.History(
            archs=jnp.arange(10).reshape(5, 2),
            fitness=jnp.array([0.5, jnp.nan, 0.25, jnp.nan, jnp.nan]),
            cost=jnp.ones(5),
            status=jnp.array([types.MEASURED, types.INFEASIBLE, types.MEASURED, types.PENDING, types.EMPTY]),
            size=jnp.int32(4),
            others=jnp.array([[-3.0], [jnp.nan], [-1.0], [jnp.nan], [jnp.nan]]),
        )
        got = self.variant(history_lib.with_failures)(history)
        np.testing.assert_array_equal(got.fitness, np.array([0.5, 0.25, 0.25, np.nan, np.nan], np.float32))
        np.testing.assert_array_equal(got.others[:, 0], [-3, -3, -1, np.nan, np.nan])
        np.testing.assert_array_equal(got.status, history.status.at[1].set(types.MEASURED))
        for status in (types.MEASURED, types.INFEASIBLE):  # nothing failed; nothing was measured
            same = history.replace(status=history.status.at[:3].set(status))
            chex.assert_trees_all_equal(self.variant(history_lib.with_failures)(same), same)
