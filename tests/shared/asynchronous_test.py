"""Searches whose results arrive late and out of order; warm starts; resuming both."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import history as history_lib
from common import search, types
from common.records import journal as journal_lib
from common.records import measurements
from tests.shared import folders
from tests.shared import search_test as toy
from tests.shared import troubled_evaluator as troubled

SPACE = troubled.SPACE
HEADER = {"space": "toy"}


def fitness_of(archs):
    """A fitness for all that is not NaN: in one of five architectures."""
    index = troubled.index(archs)
    return np.where(index % 5 == 0, np.nan, (index * 31 % 81) / 128).astype(np.float32)


class Shuffled:
    """Executor whose workers finish in random order, and which records the calls.

    Attributes:
      submitted: rows in the order in which they came.
      at_collect: each time that it was waited for, how many were open, and how many had come.
    """

    def __init__(self, num_workers, *, seed=0, max_group=1, is_fifo=False):
        self.num_workers, self.max_group, self.is_fifo = num_workers, max_group, is_fifo
        self.random = random.Random(seed)
        self.open, self.submitted, self.at_collect = [], [], []

    def executor(self):
        return types.Executor(num_workers=self.num_workers, submit=self.submit, collect=self.collect)

    def submit(self, candidates):
        self.open += candidates
        self.submitted += [candidate.at for candidate in candidates]

    def collect(self):
        self.at_collect.append((len(self.open), len(self.submitted)))
        outcomes = []
        for _ in range(self.random.randint(1, self.max_group)):
            at_work = min(self.num_workers, len(self.open))
            if at_work:
                candidate = self.open.pop(0 if self.is_fifo else self.random.randrange(at_work))
                value = float(fitness_of(candidate.arch))
                ok = bool(np.isfinite(value))
                outcomes.append(types.Outcome(candidate.at, value, 1.0, ok, "" if ok else "diverged"))
        return outcomes


@functools.cache
def learner(count: int) -> types.Searcher:
    """Proposes new rows far from the best so far; the state counts rounds and pending rows seen."""

    def init(pool, key, history):
        del pool, history
        return {"bias": jax.random.uniform(key, (81,)), "pending": jnp.zeros((), jnp.int32)}

    def propose(pool, key, state, history, *, count):
        best, _ = history_lib.best(history)
        scores = jnp.sum(pool != history.archs[best][None], axis=1) + state["bias"] + jax.random.uniform(key, (81,))
        is_known = jnp.any(jnp.all(pool[:, None] == history.archs[None], axis=2), axis=1)
        num_pending = jnp.sum(history.status == types.PENDING)
        scores = scores + 0.01 * num_pending * jnp.arange(81) % 3
        _, at = jax.lax.top_k(jnp.where(is_known, -jnp.inf, scores), count)
        return pool[at], {**state, "pending": state["pending"] + num_pending}

    pool = np.array(SPACE.enumerate())
    return types.Searcher(
        name="learner",
        count=count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
        diagnostics=lambda state, history: {"pending": state["pending"]},
    )


def run(shuffled, *, budget=30, count=4, mode="asynchronous", journal=None, seed=3, **more):
    return search.run_search(
        jax.random.key(seed),
        learner(count),
        troubled.evaluator(),
        budget=budget,
        mode=mode,
        executor=shuffled.executor(),
        journal=journal,
        **more,
    )


def assert_sound(history, budget):
    """Every architecture once, each with what it is worth."""
    archs = np.asarray(history.archs)
    assert archs.shape == (budget, 4)
    assert len(np.unique(archs, axis=0)) == budget
    np.testing.assert_array_equal(history.fitness, fitness_of(archs))
    expected = np.where(troubled.index(archs) % 5 == 0, types.INFEASIBLE, types.MEASURED)
    np.testing.assert_array_equal(history.status, expected)


class ModesTest(parameterized.TestCase):
    @parameterized.product(num_workers=[1, 8, 40], count=[1, 4], max_group=[1, 5])
    def test_asynchronous(self, num_workers, count, max_group):
        shuffled = Shuffled(num_workers, max_group=max_group)
        history = run(shuffled, count=count)
        assert_sound(history, 30)
        assert sorted(shuffled.submitted) == list(range(30))
        assert max(num_open for num_open, _ in shuffled.at_collect) <= num_workers + count - 1
        # As long as there is something to propose, no worker is idle.
        assert all(num_open >= num_workers for num_open, num_submitted in shuffled.at_collect if num_submitted < 30)

    @parameterized.parameters(1, 3, 8)
    def test_synchronous_does_not_depend_on_workers_or_order(self, num_workers):
        wanted = run(Shuffled(1, is_fifo=True), mode="synchronous")
        assert_sound(wanted, 30)
        for seed in range(3):
            shuffled = Shuffled(num_workers, seed=seed, max_group=3)
            toy.assert_same(run(shuffled, mode="synchronous"), wanted)
            assert max(shuffled.at_collect)[0] <= 4

    def test_asynchronous_with_one_worker_is_synchronous(self):
        toy.assert_same(run(Shuffled(1)), run(Shuffled(1, seed=1), mode="synchronous"))

    def test_the_searcher_sees_what_is_pending(self):
        told = []
        run(Shuffled(6), on_round=lambda *args: told.append(args))
        assert [round_ for round_, *_ in told] == list(range(8))
        done = [int(np.sum(np.asarray(history.status) > types.PENDING)) for _, history, _, _ in told]
        assert done == sorted(done)
        assert done[-1] == 30
        assert int(told[-1][3]["pending"]) > 10
        seconds = [seconds for _, _, seconds, _ in told]
        assert seconds == sorted(seconds)

    def test_unknown_mode(self):
        with pytest.raises(ValueError, match="unknown mode 'fast'; choose one of synchronous, asynchronous"):
            run(Shuffled(1), mode="fast")


class OnDiskTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "journal.jsonl"

    def go_on(self, shuffled, **more):
        with journal_lib.open_journal(self.path, HEADER) as journal:
            return run(shuffled, journal=journal, **more)


class JournalFollowedTest(OnDiskTest):
    def test_cut_after_every_line(self):
        wanted = self.go_on(Shuffled(7, is_fifo=True))
        lines = self.path.read_bytes().splitlines(keepends=True)
        assert len(lines) == 1 + 8 + 30
        for kept in range(len(lines) + 1):
            self.path.write_bytes(b"".join(lines[:kept]) + b'{"event": "mea')
            shuffled = Shuffled(7, is_fifo=True)
            toy.assert_same(self.go_on(shuffled), wanted)
            num_measured = sum(b'"measured"' in line for line in lines[:kept])
            assert len(shuffled.submitted) == 30 - num_measured, "what is in the journal is not measured again"
            assert len(self.path.read_bytes().splitlines()) == len(lines)

    def test_cut_anywhere_in_any_order_nothing_is_lost_or_measured_twice(self):
        self.go_on(Shuffled(6, seed=4, max_group=3))
        lines = self.path.read_bytes().splitlines(keepends=True)
        for kept in range(len(lines)):
            self.path.write_bytes(b"".join(lines[:kept]))
            assert_sound(self.go_on(Shuffled(5, seed=kept)), 30)
            assert self.path.read_bytes().startswith(b"".join(lines[:kept]))

    def test_modes_may_change_on_the_way(self):
        self.go_on(Shuffled(6, seed=4), budget=16)
        assert_sound(self.go_on(Shuffled(6, seed=5), budget=31, mode="synchronous"), 31)
        assert_sound(self.go_on(Shuffled(6, seed=5), budget=45), 45)
        before = self.path.read_bytes()
        message = (
            r"budget is 44, and the search has 45 evaluations already; resume it .* \(--budget=45\), or start in a"
        )
        with pytest.raises(ValueError, match=message):
            self.go_on(Shuffled(6, seed=5), budget=44)
        assert self.path.read_bytes() == before

    def test_rows_that_are_not_of_the_space_are_refused(self):
        self.go_on(Shuffled(1, is_fifo=True), budget=4, count=1)
        lines = self.path.read_bytes().splitlines(keepends=True)
        start = lines[1].index(b"[[")
        lines[1] = lines[1][:start] + b"[[0, 1, 2, 3" + lines[1][lines[1].index(b"]]") :]
        self.path.write_bytes(b"".join(lines))
        with (
            self.assertLogs("absl", "WARNING"),
            pytest.raises(ValueError, match="round 0 of the journal has rows that are not architectures of toy"),
        ):
            self.go_on(Shuffled(1), budget=4, count=1)
        lines[1] = lines[1].replace(b", 3]]", b"]]")
        self.path.write_bytes(b"".join(lines))
        with pytest.raises(
            ValueError, match=r"line 4 .* is damaged \(architectures of 4 decisions follow those of 3\)"
        ):
            self.go_on(Shuffled(1), budget=4, count=1)


def some(first, last):
    archs = np.array(SPACE.enumerate()[first:last])
    return measurements.Measurements(
        archs=archs, fitness=fitness_of(archs), cost=np.where(archs[:, 3] == 0, np.nan, 2.0).astype(np.float32)
    )


class EarlierTest(OnDiskTest):
    def test_earlier_measurements_begin_the_history_and_cost_nothing(self):
        earlier = some(20, 31)
        for mode in search.MODES:
            shuffled = Shuffled(3)
            history = run(shuffled, mode=mode, earlier=earlier)
            np.testing.assert_array_equal(history.archs[:11], earlier.archs)
            np.testing.assert_array_equal(history.cost[:11], earlier.cost)
            assert_sound(history, 41)
            assert sorted(shuffled.submitted) == list(range(11, 41))

    def test_the_journal_keeps_them(self):
        earlier = some(20, 31)
        wanted = self.go_on(Shuffled(3, is_fifo=True), earlier=earlier)
        lines = self.path.read_bytes().splitlines(keepends=True)
        for kept in (2, 3, 9, 20, len(lines)):
            for again in (earlier, None):
                self.path.write_bytes(b"".join(lines[:kept]))
                toy.assert_same(self.go_on(Shuffled(3, is_fifo=True), earlier=again), wanted)
        for other, began in ((some(20, 30), "11, of which some differ"), (some(21, 32), "11, of which some differ")):
            with pytest.raises(ValueError, match=f"started with other earlier measurements .{began}. than the"):
                self.go_on(Shuffled(3), earlier=other)

    def test_a_search_that_began_without_goes_on_without(self):
        self.go_on(Shuffled(3), budget=8)
        with pytest.raises(ValueError, match=r"other earlier measurements \(none\) than the 11 given"):
            self.go_on(Shuffled(3), budget=8, earlier=some(20, 31))

    def test_there_must_be_enough_others(self):
        with pytest.raises(ValueError, match="budget must be at most 70, all that troubled can measure beside the 11"):
            run(Shuffled(3), earlier=some(20, 31), budget=71)
        assert_sound(run(Shuffled(3), earlier=some(20, 31), budget=68), 79)
