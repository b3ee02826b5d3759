"""The two drivers give the same history, compile once, resume, and reject invalid arguments."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import compiled_search as scan_loop
from common import history as history_lib
from common import one_round, search, types
from common.evaluators import tabular
from common.records import journal as journal_lib
from common.spaces import factory
from tests.shared import folders

SPACE = factory.search_space("toy", (3,) * 4, size=81, describe=lambda arch: "".join(map(str, arch)))
POOL = SPACE.enumerate()
HEADER = {"space": "toy", "seed": 3}


def _ignore(*_):
    pass


@functools.cache
def climber(count: int, on_trace=_ignore) -> types.Searcher:
    """Proposes new rows near the best so far; the state counts rounds and decides ties."""

    def init(pool, key, history):
        del history
        return {"rounds": jnp.zeros((), jnp.int32), "bias": jax.random.uniform(key, pool.shape[:1])}

    def propose(pool, key, state, history, *, count):
        on_trace()
        best, _ = history_lib.best(history)
        distance = jnp.sum(pool != history.archs[best][None], axis=1)
        scores = 0.3 * distance + jax.random.uniform(key, pool.shape[:1])
        scores = scores + state["bias"] * (state["rounds"] % 3)
        is_known = jnp.any(jnp.all(pool[:, None] == history.archs[None], axis=2), axis=1)
        scores = jnp.where(is_known, jnp.inf, scores)
        _, at = jax.lax.top_k(-scores, count)
        return pool[at], {**state, "rounds": state["rounds"] + 1}

    pool = np.array(POOL)
    return types.Searcher(
        name="climber",
        count=count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
    )


def evaluator(on_call=_ignore, is_traceable: bool = True) -> types.Evaluator:
    """A noisy table in which one architecture in five is infeasible. Its sums are exact, fused or not."""
    weights = np.array([27, 9, 3, 1], np.int32)
    table = np.random.default_rng(0).permutation(81).astype(np.float32) / 128

    def evaluate(table, key, archs):
        on_call(archs)
        at = archs @ weights
        fitness = jnp.asarray(table)[at] + jax.random.randint(key, at.shape, 0, 256) / 1024
        return types.Evaluation(fitness=fitness, cost=at.astype(jnp.float32) / 8, ok=at % 5 != 0)

    partial = jax.tree_util.Partial(evaluate, table)
    return types.Evaluator(
        name="toy",
        space=SPACE,
        protocol="validation",
        evaluate=partial,
        test=partial,
        num_archs=81,
        is_traceable=is_traceable,
    )


def assert_same(got: history_lib.History, wanted: history_lib.History) -> None:
    for field in ("archs", "fitness", "cost", "status", "size", "others"):
        np.testing.assert_array_equal(np.asarray(got[field]), np.asarray(wanted[field]), err_msg=field)


class DriversTest(chex.TestCase):
    @parameterized.parameters((1, 12), (7, 20), (30, 20))
    def test_scan_equals_run(self, count, budget):
        key = jax.random.key(5)
        scanned = search.scan_search(key, climber(count), evaluator(), budget=budget)
        ran = search.run_search(key, climber(count), evaluator(), budget=budget)
        assert_same(scanned, ran)
        assert int(scanned.size) == budget
        self.assertLen(np.unique(scanned.archs, axis=0), budget)

    def test_host_evaluator_gives_the_same_as_a_traced_one(self):
        key = jax.random.key(5)
        calls = []
        host = evaluator(on_call=lambda archs: calls.append(archs.shape), is_traceable=False)
        ran = search.run_search(key, climber(4), host, budget=18)
        assert_same(ran, search.scan_search(key, climber(4), evaluator(), budget=18))
        assert calls == [(1, 4)] * 18  # 4 + 4 + 4 + 4 + 2, one by one

    def test_seeds_do_not_depend_on_chunks(self):
        keys = jax.random.wrap_key_data(jax.vmap(lambda seed: jax.random.key_data(jax.random.key(seed)))(jnp.arange(7)))
        args = (climber(4), evaluator())
        done = []
        whole, _ = search.search_seeds(keys, *args, budget=20, seeds_at_once=7)
        parts, seconds = search.search_seeds(
            keys, *args, budget=20, seeds_at_once=3, on_chunk=lambda *args: done.append(args)
        )
        assert_same(parts, whole)
        assert ([part[0] for part in done], [len(part[1].status) for part in done]) == ([3, 6, 7], [3, 3, 1])
        assert done[-1][2] == seconds
        for seed in range(7):
            one = search.scan_search(jax.random.key(seed), *args, budget=20)
            assert_same(one, jax.tree.map(lambda values, seed=seed: values[seed], whole))

    def test_one_trace_a_search(self):
        traces = []
        searcher = climber(4, on_trace=lambda: traces.append(1))
        search.run_search(jax.random.key(0), searcher, evaluator(), budget=22)
        search.run_search(jax.random.key(1), searcher, evaluator(), budget=22)
        self.assertLen(traces, 1)
        traces.clear()
        keys = jax.random.split(jax.random.key(0), 5)
        search.search_seeds(keys, searcher, evaluator(), budget=22, seeds_at_once=2)
        self.assertLen(traces, 1)

    def test_evaluators_on_one_space_share_a_program(self):
        traces, counts, keys = [], [], jax.random.split(jax.random.key(0), 2)
        searcher = climber(3, on_trace=lambda: traces.append(1))
        for best in (0, 80):
            made = tabular.from_arrays("toy/one", SPACE, POOL, np.arange(81) == best)
            found, _ = search.search_seeds(keys, searcher, made, budget=81, seeds_at_once=2)
            at = np.argmax(found.fitness, axis=1)
            np.testing.assert_array_equal(found.archs[np.arange(2), at], POOL[[best, best]])
            counts.append(len(traces))
        assert counts[0] == counts[1] > 0

    def test_arrays_are_arguments_of_the_compiled_search(self):
        lowered = scan_loop.scan_seeds.lower(
            jax.random.split(jax.random.key(0), 2),
            scan_loop._functions(climber(4), evaluator()),
            mesh=scan_loop.mesh_of(1),
            num_decisions=4,
            budget=8,
            count=4,
        ).as_text()
        header = lowered[lowered.index("@main(") :].split("->")[0]
        assert "tensor<81x4xi32>" in header
        assert "tensor<81xf32>" in header

    def test_diagnostics_are_of_the_state_and_the_results_of_the_round(self):
        def diagnose(scale, state, history):
            traces.append(1)
            best = history_lib.best(history)[1]
            return {"rounds": scale[0] * state["rounds"], "best": best, "sizes": jnp.arange(3) + history.size}

        seen, traces = [], []
        scale = np.array([10])
        told = climber(4)._replace(diagnostics=jax.tree_util.Partial(diagnose, scale))
        history = search.run_search(
            jax.random.key(0), told, evaluator(), budget=10, on_round=lambda *args: seen.append(args)
        )
        self.assertLen(traces, 1)
        for at, size in enumerate((4, 8, 10)):
            told = seen[at][3]
            assert int(told["rounds"]) == 10 * (at + 1)
            np.testing.assert_array_equal(told["sizes"], [size, size + 1, size + 2])
            assert float(told["best"]) == np.nanmax(history.fitness[:size])
        assert_same(history, search.run_search(jax.random.key(0), climber(4), evaluator(), budget=10))

    @parameterized.parameters(
        ({"budget": 0}, "budget must be at least 1"),
        ({"budget": 82}, "at most 81.*got 82"),
        ({"budget": 5, "count": 0}, "count must be from 1 to 81 .*got 0"),
        ({"budget": 5, "count": 82}, "count must be from 1 to 81 .*got 82"),
        ({"budget": 81, "count": 4}, "lower the budget to 80"),
    )
    def test_bad_numbers(self, sizes, message):
        traces = []
        searcher = climber(4, on_trace=lambda: traces.append(1))
        for driver in (search.scan_search, search.run_search):
            with pytest.raises(ValueError, match=message):
                driver(jax.random.key(0), searcher, evaluator(), **sizes)
        self.assertEmpty(traces)

    def test_nothing_is_left_to_search(self):
        with pytest.raises(
            ValueError, match="has no architecture beside the 81 measured earlier; there is nothing left"
        ):
            one_round.check_sizes(climber(4), SPACE, budget=1, num_earlier=81)
        wider = evaluator()._replace(num_archs=99)  # SPACE may be the part of its space within limits
        with pytest.raises(ValueError, match="budget must be at most 81"):
            one_round.check_sizes(climber(1), SPACE, budget=82, evaluator=wider)

    def test_fitness_in_percent_is_refused(self):
        def measure(key, archs):
            del key
            fitness = jnp.full(archs.shape[:1], 93.5)
            return types.Evaluation(fitness=fitness, cost=fitness, ok=fitness > 0)

        percent, keys = evaluator()._replace(evaluate=measure), jax.random.split(jax.random.key(0), 1)
        message = r"fraction from 0 to 1 \(divide a percentage by 100\); got 93.5"
        with pytest.raises(ValueError, match=message):
            search.search_seeds(keys, climber(2), percent, budget=2, seeds_at_once=1)
        with pytest.raises(ValueError, match=message):
            search.run_search(keys[0], climber(2), percent, budget=2)

    def test_bad_seeds(self):
        keys = jax.random.split(jax.random.key(0), 2)
        with pytest.raises(ValueError, match="seeds_at_once must be at least 1"):
            search.search_seeds(keys, climber(4), evaluator(), budget=4, seeds_at_once=0)
        with pytest.raises(ValueError, match=r"is not traceable.*run_search"):
            search.search_seeds(keys, climber(4), evaluator(is_traceable=False), budget=4, seeds_at_once=2)


class ResumeTest(folders.FolderTest):
    """Resumed from every prefix of the journal, the search gives the same history and evaluates nothing twice."""

    def setUp(self):
        super().setUp()
        self.path = self.folder / "journal.jsonl"
        self.calls = []

    def run_on_journal(self, budget=10, count=4, seed=3, is_traceable=False):
        def on_call(archs):
            if not is_traceable:
                self.calls.extend(map(tuple, np.asarray(archs).tolist()))

        with journal_lib.open_journal(self.path, HEADER) as journal:
            return search.run_search(
                jax.random.key(seed),
                climber(count),
                evaluator(on_call, is_traceable=is_traceable),
                budget=budget,
                journal=journal,
            )

    def test_cut_after_every_line(self):
        wanted = self.run_on_journal()
        every_call = list(self.calls)
        lines = self.path.read_bytes().splitlines(keepends=True)
        self.assertLen(lines, 1 + 3 + 10)
        for kept in range(len(lines) + 1):
            for torn in (b"", b'{"event": "measured", "at"'):
                self.path.write_bytes(b"".join(lines[:kept]) + torn)
                num_measured = sum(b'"measured"' in line for line in lines[:kept])
                self.calls.clear()
                assert_same(self.run_on_journal(), wanted)
                assert self.calls == every_call[num_measured:]
                self.assertLen(self.path.read_bytes().splitlines(), len(lines))

    def test_cut_inside_a_round_of_a_traced_evaluator(self):
        wanted = self.run_on_journal(is_traceable=True)
        lines = self.path.read_bytes().splitlines(keepends=True)
        self.path.write_bytes(b"".join(lines[:4]))
        assert_same(self.run_on_journal(is_traceable=True), wanted)

    def test_larger_budget_extends(self):
        self.run_on_journal(budget=10)
        extended = self.run_on_journal(budget=20)
        self.assertLen(self.calls, 20)
        assert_same(extended, search.run_search(jax.random.key(3), climber(4), evaluator(), budget=20))

    def test_other_count_is_refused(self):
        self.run_on_journal()
        with pytest.raises(ValueError, match="search with 4 architectures a round; got count = 5"):
            self.run_on_journal(count=5)

    def test_journal_wins_over_another_proposal(self):
        self.run_on_journal(budget=4)
        recorded = [line for line in self.path.read_text().splitlines() if "proposed" in line]
        with self.assertLogs("absl", "WARNING") as logs:
            other = self.run_on_journal(budget=8, seed=4)
        assert "proposed differently" in logs.output[0]
        assert str(np.asarray(other.archs)[:4].tolist()) in recorded[0]
