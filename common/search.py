"""The search loop: propose, evaluate, append to the history, repeat.

`Search` is the loop by ask and tell; `run_search` drives it with an executor, for any evaluator, and resumes after a
kill. `scan_search` is a whole search as one compiled program, for traceable evaluators; `search_seeds` runs it for
many keys. For the same key on the same table all give the same history.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import numpy as np

from common import compiled_search, host_history, one_round, types
from common import config as configs
from common import history as history_lib
from common.executors import inline
from common.records import journal as journal_lib
from common.records import measurements

MODES = ("synchronous", "asynchronous")
TEST_ROUND = one_round.TEST_ROUND
Seconds, scan_search, search_seeds = (
    compiled_search.Seconds,
    compiled_search.scan_search,
    compiled_search.search_seeds,
)
OnRound = Callable[[int, history_lib.History, float, dict[str, chex.Array]], None]


class Search:
    """A search by ask and tell.

        search = Search(jax.random.key(0), searcher, space, budget=60)
        for archs in search:
            search.tell(archs, fitness=measure(archs))
        arch, fitness = search.best

    Iterating proposes a round once the results of all earlier ones are recorded. For results that arrive late or out of
    order, call `ask` whenever there is room for another round and `tell` whenever there are results; the searcher sees
    the other architectures as pending. With an `executor` the search evaluates by itself: iterating submits each round
    and waits until the next one is due.

    With the journal of an earlier run the search resumes: its rounds are proposed again, which rebuilds the state of
    the searcher, results are taken from the journal, and only the missing ones are requested.
    """

    def __init__(
        self,
        key: chex.PRNGKey,
        searcher: types.Searcher,
        space: types.SearchSpace,
        *,
        budget: int,
        count: int | None = None,
        earlier: measurements.Measurements | None = None,
        journal: journal_lib.Journal | None = None,
        executor: types.Executor | None = None,
        mode: str = "synchronous",
        evaluator: types.Evaluator | None = None,
    ):
        """Starts or resumes a search.

        Args:
          key: random key; decides everything random in the search.
          searcher: the search algorithm.
          space: the search space.
          budget: evaluations, at least 1. A larger budget than that of the journal extends the search.
          count: architectures a round, by default `searcher.count`.
          earlier: warm-start measurements: the first rows of the history, not counted in the budget. They may be
            omitted if the journal has them.
          journal: record of every proposal and result, written before it is acted on; by default in memory.
          executor: evaluates the proposals (`common.executors`); by default the caller does, and calls `tell`.
          mode: with an executor, "synchronous": a round is proposed once all earlier ones are evaluated, and the
            history does not depend on the executor; "asynchronous": as soon as a worker is idle, from the results so
            far.
          evaluator: the source of fitness, if it may cover only a part of the space.

        Raises:
          ValueError: `budget` or `count` is out of range, or the journal is of a search with a larger budget, another
            `count` or other warm-start measurements.
          OSError: the journal cannot be written.
        """
        configs.one_of("mode", mode, MODES)
        journal = journal_lib.in_memory() if journal is None else journal
        earlier = journal.agree_on_earlier(earlier)
        num_earlier = 0 if earlier is None else len(earlier.archs)
        sizes = {"budget": budget, "count": count, "num_earlier": num_earlier}
        self._count = one_round.check(searcher, space, **sizes, evaluator=evaluator)
        self._key, self._impl = key, str(jax.random.key_impl(key))
        self._executor, self._unsent = executor, []
        # A round is due when fewer evaluations are open.
        self._limit = executor.num_workers if executor and mode == "asynchronous" else 1
        self._rows = host_history.HostHistory(journal, space, budget=budget)
        self._functions = one_round.functions(searcher)
        self._state = one_round.init(self._functions.init, jax.random.fold_in(key, one_round.INIT_ROUND), self.history)

    @property
    def history(self) -> history_lib.History:
        """A copy of the history."""
        return self._rows.arrays()

    @property
    def best(self) -> tuple[np.ndarray, float]:
        """The best architecture int32[L] and its fitness, the first of tied ones; a `ValueError` if there is none."""
        row, fitness = history_lib.best(self.history)
        if not np.isfinite(fitness):
            raise ValueError("no architecture has been evaluated successfully yet")
        return self._rows.arch(int(row)), float(fitness)

    @property
    def is_spent(self) -> bool:
        """Whether the whole budget has been proposed."""
        return self._rows.is_full

    @property
    def num_rounds(self) -> int:
        """Rounds proposed so far."""
        return self._rows.num_rounds

    @property
    def seconds(self) -> float:
        """Time of the latest result since the search began, earlier starts included."""
        return self._rows.seconds

    def __iter__(self):
        return self

    def __next__(self) -> np.ndarray:
        while True:
            self.wait()
            if self.is_spent:
                raise StopIteration
            if len(archs := self.ask()):
                return archs

    def ask(self) -> np.ndarray:
        """Proposes a round from the results so far.

        Returns:
          int32[B, L], the architectures to evaluate: B = `count`, fewer at the end of the budget, without those whose
          results are in the journal.

        Raises:
          ValueError: the budget is spent, or the journal is of another search.
          OSError: the journal cannot be written.
        """
        if self.is_spent:
            raise ValueError("the whole budget has been proposed")
        self._rows.take()
        is_new = not self._rows.is_replaying
        key = one_round.propose_key(self._key, self.num_rounds)
        archs, self._state = one_round.propose(
            self._functions.propose, key, self._state, self.history, count=self._count
        )
        archs = self._rows.add_round(np.asarray(archs))
        if self._executor is not None and len(archs):
            words = np.asarray(one_round.key_words(self._key, archs)).tolist()
            for arch, word in zip(map(tuple, archs.tolist()), words):
                self._unsent.append(types.Candidate(self._rows.pending[arch], arch, tuple(word), self._impl))
            if is_new:
                self._send()
        return archs

    def tell(self, archs: Any, fitness: Any, cost: Any = None, ok: Any = None) -> None:
        """Records results of proposed architectures.

        Args:
          archs: int[B, L], any of the architectures that `ask` returned, in any order, each once.
          fitness: float[B], fractions in [0, 1], larger is better; NaN where the evaluation failed.
          cost: float[B], seconds of training; by default 0.
          ok: bool[B], False where the evaluation failed; by default where fitness is NaN.

        Raises:
          ValueError: a shape or value is wrong, or an architecture was not proposed, or already has a result.
          OSError: the journal cannot be written.
        """
        self._rows.tell(archs, fitness, cost, ok)

    def wait(self) -> None:
        """Collects results until the next round is due; after the last round, until nothing is pending.

        Raises:
          ValueError: architectures are pending and there is no executor, or no worker can build the evaluator.
          OSError: the journal cannot be written.
        """
        self._rows.take()
        if self._rows.is_replaying:
            return
        while self._rows.num_open >= (1 if self.is_spent else self._limit):
            if self._executor is None:
                raise ValueError(f"{self._rows.num_open} architectures are pending; record their results first (tell)")
            self._send()
            self._rows.record(self._executor.collect())
        self._send()

    def diagnostics(self) -> dict[str, chex.Array]:
        """Returns `Searcher.diagnostics` of the last round."""
        return one_round.diagnose(self._functions.diagnose, self._state, self.history)

    def _send(self):
        unsent, self._unsent = self._unsent, []
        if unsent:
            self._executor.submit(unsent)


def run_search(
    key: chex.PRNGKey,
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    count: int | None = None,
    mode: str = "synchronous",
    executor: types.Executor | None = None,
    journal: journal_lib.Journal | None = None,
    earlier: measurements.Measurements | None = None,
    on_round: OnRound | None = None,
) -> history_lib.History:
    """Runs a search on the host, for any evaluator.

    Args:
      key: random key; decides everything random in the search.
      searcher: the search algorithm.
      evaluator: the source of fitness.
      budget: evaluations, at least 1.
      count: architectures a round, by default `searcher.count`.
      mode: "synchronous" or "asynchronous", see `Search`.
      executor: where evaluations run, see `common.executors`; by default in this process.
      journal: record of every proposal and result, from which a search resumes; by default in memory.
      earlier: warm-start measurements, not counted in the budget.
      on_round: called with (round, history, `Search.seconds`, diagnostics of the searcher) before the next round is
        proposed, and at the end.

    Returns:
      The history of the whole search.

    Raises:
      ValueError: as `Search`; or no worker can build the evaluator.
      OSError: the journal cannot be written.
    """
    search = Search(
        key,
        searcher,
        evaluator.space,
        budget=budget,
        count=count,
        earlier=earlier,
        journal=journal,
        executor=executor or inline.make(evaluator),
        mode=mode,
        evaluator=evaluator,
    )

    def report():
        if on_round is not None and search.num_rounds:
            on_round(search.num_rounds - 1, search.history, search.seconds, search.diagnostics())

    while not search.is_spent:
        search.wait()
        report()
        search.ask()
    search.wait()
    report()
    return search.history
