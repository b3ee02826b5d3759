"""`Search` by ask and tell: the history of `run_search`, resumed from its journal, with validated results."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from absl.testing import parameterized

import common
from common import Search, run_search, types
from common.executors import inline
from common.records import journal as journal_lib
from tests.shared import folders
from tests.shared import search_test as toy

KEY = 5


def fitness_and_cost(archs):
    """Results of `toy.evaluator` for each architecture in a search with the key."""
    fitness, cost = np.full(len(archs), np.nan, np.float32), np.zeros(len(archs), np.float32)
    for at, arch in enumerate(np.asarray(archs)):
        found = WANTED[tuple(arch.tolist())]
        fitness[at], cost[at] = found
    return fitness, cost


def run(**more):
    return run_search(jax.random.key(KEY), toy.climber(4), toy.evaluator(), budget=18, **more)


def made(**more):
    return Search(jax.random.key(KEY), toy.climber(4), toy.SPACE, **{"budget": 18, **more})


def _by_arch(history):
    rows = zip(np.asarray(history.archs).tolist(), np.asarray(history.fitness), np.asarray(history.cost))
    return {tuple(arch): (fitness, cost) for arch, fitness, cost in rows}


WANTED = _by_arch(run_search(jax.random.key(KEY), toy.climber(4), toy.evaluator(), budget=81, count=1))


class AskTellTest(folders.FolderTest):
    def test_the_documented_loop_equals_run_search(self):
        search, sizes = made(), []
        for archs in search:
            fitness, cost = fitness_and_cost(archs)
            search.tell(archs, fitness=fitness, cost=cost)
            sizes.append((archs.shape, archs.dtype))
        assert sizes == [((4, 4), np.int32)] * 4 + [((2, 4), np.int32)]
        toy.assert_same(search.history, run())
        at = int(np.nanargmax(search.history.fitness))
        arch, fitness = search.best
        np.testing.assert_array_equal(arch, search.history.archs[at])
        assert fitness == search.history.fitness[at]
        assert isinstance(fitness, float)

    def test_results_may_come_in_parts_and_as_lists_and_nan_is_a_failure(self):
        search = made()
        for archs in search:
            fitness, cost = fitness_and_cost(archs)
            order = np.arange(len(archs))[::-1]
            search.tell(archs[order[:1]].tolist(), fitness[order[:1]].tolist(), list(cost[order[:1]]), [True])
            search.tell(jax.numpy.array(archs)[order[1:]], fitness[order[1:]].astype(float), cost[order[1:]])
        toy.assert_same(search.history, run())
        assert set(np.asarray(search.history.status).tolist()) == {types.MEASURED, types.INFEASIBLE}

    def test_an_executor_evaluates_what_is_asked(self):
        executor = inline.make(toy.evaluator())
        search = made(executor=executor)
        assert np.concatenate(list(search)).shape == (18, 4)
        toy.assert_same(search.history, run())

    def test_rounds_asked_for_ahead_see_pending_rows(self):
        search = made()
        first, second = search.ask(), search.ask()
        assert int(np.sum(search.history.status == types.PENDING)) == 8
        assert len(np.unique(np.concatenate([first, second]), axis=0)) == 8
        with pytest.raises(ValueError, match="8 architectures are pending; record their results first"):
            next(search)
        search.tell(second, np.full(4, 0.5))
        assert search.best[1] == 0.5
        assert np.asarray(search.history.status[:8]).tolist() == [types.PENDING] * 4 + [types.MEASURED] * 4

    def test_it_resumes_from_its_journal(self):
        path = self.folder / "journal.jsonl"
        with journal_lib.open_journal(path, {}) as journal:
            search = made(journal=journal)
            for _ in range(2):
                archs = next(search)
                search.tell(archs, *fitness_and_cost(archs))
            archs = next(search)
            search.tell(archs[2:], *fitness_and_cost(archs[2:]))
        with journal_lib.open_journal(path, {}) as journal:
            search, asked = made(journal=journal), []
            for archs in search:
                search.tell(archs, *fitness_and_cost(archs))
                asked.append(len(archs))
        assert asked == [2, 4, 2]
        toy.assert_same(search.history, run())

    @parameterized.parameters(
        ({"archs": [0, 0, 0, 0]}, r"archs must be int\[B, 4\]; got int64\[4\]"),
        ({"archs": [[0, 0]]}, r"archs must be int\[B, 4\]; got int64\[1, 2\]"),
        ({"archs": [[0.0, 0, 0, 0]]}, r"archs must be int\[B, 4\]; got float64\[1, 4\]"),
        ({"fitness": 0.5}, r"fitness must have the shape \[4\], as archs do; got \[\]"),
        ({"fitness": [0.5] * 3}, r"fitness must have the shape \[4\], as archs do; got \[3\]"),
        ({"fitness": [0.5, 0.5, 91.2, 0.5]}, "fraction from 0 to 1 .divide a percentage by 100.; got 91.2"),
        ({"fitness": [0.5, -np.inf, 0.5, 0.5]}, "fraction from 0 to 1 .*; got -inf"),
        ({"cost": [[1.0] * 4]}, r"cost must have the shape \[4\], as archs do; got \[1, 4\]"),
        ({"cost": [1.0, -1.0, 1.0, 1.0]}, "cost must be seconds, not negative; got -1"),
        ({"ok": True}, r"ok must have the shape \[4\], as archs do; got \[\]"),
    )
    def test_bad_results(self, changed, message):
        search = made()
        told = {"archs": search.ask(), "fitness": [0.5] * 4, **changed}
        with pytest.raises(ValueError, match=message):
            search.tell(**told)
        assert not np.any(search.history.status == types.MEASURED)

    def test_each_architecture_is_told_once(self):
        search = made()
        archs = search.ask()
        for wrong in ((archs + 1) % 3, archs[[0, 0]]):
            with pytest.raises(ValueError, match="is not pending; call tell once for each"):
                search.tell(wrong, [0.5] * len(wrong))
        with pytest.raises(ValueError, match="no architecture has been evaluated successfully yet"):
            _ = search.best
        search.tell(archs, [0.5] * 4)
        with pytest.raises(ValueError, match="is not pending"):
            search.tell(archs[:1], [0.5])
        while not search.is_spent:
            search.ask()
        with pytest.raises(ValueError, match="the whole budget has been proposed"):
            search.ask()

    def test_bad_arguments(self):
        with pytest.raises(ValueError, match="budget must be at most 81, all that toy can measure; got 82"):
            made(budget=82)
        with pytest.raises(ValueError, match="budget must be an integer; got 2"):
            made(budget=2.0)
        with pytest.raises(AttributeError, match="module 'common' has no attribute 'sreach'"):
            _ = common.sreach

    def test_configurations_are_light_to_import(self):
        program = "import sys, common.config; sys.exit('jax' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
