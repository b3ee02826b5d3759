"""The search loop by ask and tell: propose, evaluate, append to the history, repeat."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import jax
import numpy as np

from common import config as configs
from common import history as history_lib
from common import host_history, one_round, types
from common import objectives as objectives_lib
from common.executors import measuring
from common.records import journal as journal_lib
from common.records import measurements

MODES = ("synchronous", "asynchronous")


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
    the searcher, results are taken from the journal, each round with those that were known when it was proposed, and
    only the missing ones are requested.

    Attributes:
      num_rounds: rounds proposed so far.
      seconds: time of the latest result since the search began, earlier starts included.
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
        objectives: str | Sequence[str] | objectives_lib.Objectives | None = None,
    ):
        """Starts or resumes a search.

        Args:
          key: random key; decides everything random in the search.
          budget: evaluations, at least 1. A larger budget than that of the journal extends the search.
          count: architectures a round, by default `searcher.count`.
          earlier: warm-start measurements: the first rows of the history, not counted in the budget. They may be
            omitted if the journal has them.
          journal: record of every proposal and result, written before it is acted on; by default in memory.
          executor: evaluates the proposals (`common.executors`); by default the caller does, and calls `tell`.
          mode: with an executor, "synchronous": a round is proposed once all earlier ones are evaluated, and the
            history does not depend on the executor; "asynchronous": as soon as a worker is idle, from the results so
            far.
          evaluator: the source of fitness, if it may cover only a part of the space or knows costs.
          objectives: such as "fitness,-params", see `common.objectives.of`; by default those of the searcher, else the
            fitness. A cost that `evaluator` does not know from the row comes with the fitness, see `tell`.

        Raises:
          ValueError: `budget` or `count` is out of range, the searcher is made for other objectives, or the journal is
            of a search with a larger budget, another `count` or other warm-start measurements.
          OSError: the journal cannot be written.
        """
        configs.one_of("mode", mode, MODES)
        self._journal = journal_lib.Journal() if journal is None else journal
        earlier = self._journal.agree_on_earlier(earlier)
        num_earlier = 0 if earlier is None else len(earlier.archs)
        sizes = {"budget": budget, "count": count, "num_earlier": num_earlier}
        self._count = one_round.check_sizes(searcher, space, **sizes, evaluator=evaluator)
        self._journal.check_budget(budget)
        objectives = measuring.on_device(objectives_lib.of_search(objectives, searcher, evaluator))
        self._key, self._space, self._executor = key, space, executor
        # A round is due when fewer evaluations are open.
        self._limit = executor.num_workers if executor and mode == "asynchronous" else 1
        self._history = host_history.HostHistory(num_earlier + budget, len(space.num_choices), objectives)
        if earlier is not None:
            self._history.add_earlier(earlier)
        self._num_taken = 0  # results of the journal that are in the history
        self._num_open = 0  # rows without a result in the history, of which
        self._pending: dict[tuple[int, ...], int] = {}  # by architecture, have none in the journal either, and
        self._unsent: list[types.Candidate] = []  # were not submitted to the executor.
        self.num_rounds, self.seconds = 0, 0.0
        self._functions = one_round.functions(searcher)
        self._state = one_round.init(self._functions.init, jax.random.fold_in(key, one_round.INIT_ROUND), self.history)

    @property
    def history(self) -> history_lib.History:
        """A copy of the history."""
        return self._history.on_device()

    @property
    def best(self) -> tuple[np.ndarray, float]:
        """The best architecture int32[L] and its fitness, the first of tied ones; a `ValueError` if there is none."""
        row, fitness = history_lib.best(self.history)
        if not np.isfinite(fitness):
            raise ValueError("no architecture has been evaluated successfully yet")
        return self._history.arrays.archs[int(row)].copy(), float(fitness)

    @property
    def is_spent(self) -> bool:
        """Whether the whole budget has been proposed."""
        return self._history.is_full

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
        self._take()
        key = one_round.propose_key(self._key, self.num_rounds)
        proposed, self._state = one_round.propose(
            self._functions.propose, key, self._state, self.history, count=self._count
        )
        proposed = np.asarray(proposed)
        archs = self._journal.agree(self.num_rounds, proposed)
        if np.any(archs != proposed):
            is_in_range = np.all((archs >= 0) & (archs < np.array(self._space.num_choices)))
            if not is_in_range or not np.all(self._space.is_valid(archs)):
                raise ValueError(
                    f"round {self.num_rounds} of the journal has rows that are not architectures of "
                    f"{self._space.name}; restore the file or start in a fresh folder"
                )
        self.num_rounds += 1
        at = self._history.add_pending(archs)
        self._num_open += len(at)
        missing = [row for row in at.tolist() if row not in self._journal.measured]
        archs = self._history.arrays.archs[missing]
        self._pending |= dict(zip(map(tuple, archs.tolist()), missing))
        if self._executor is not None and missing:
            self._unsent += one_round.candidates(self._key, missing, archs)
        return archs

    def tell(
        self, archs: Any, fitness: Any, cost: Any = None, ok: Any = None, costs: Mapping[str, Any] | None = None
    ) -> None:
        """Records results of proposed architectures.

        Args:
          archs: int[B, L], any of the architectures that `ask` returned, in any order, each once.
          fitness: float[B], fractions in [0, 1], larger is better; NaN where the evaluation failed.
          cost: float[B], seconds of training; by default 0.
          ok: bool[B], False where the evaluation failed; by default where fitness is NaN.
          costs: name -> float[B], values of the objectives that are measured.

        Raises:
          ValueError: a shape or value is wrong, or an architecture was not proposed, or already has a result.
          OSError: the journal cannot be written.
        """
        self._record(
            host_history.outcomes(
                self._pending, len(self._space.num_choices), archs, fitness=fitness, cost=cost, ok=ok, costs=costs
            )
        )

    def wait(self) -> None:
        """Submits the proposals and collects results until the next round is due, at the end until none is pending.

        Raises:
          ValueError: architectures are pending and there is no executor, or no worker can build the evaluator.
          OSError: the journal cannot be written.
        """
        self._take()
        if self._is_replaying:
            return
        unsent, self._unsent = self._unsent, []
        if unsent:
            self._executor.submit(unsent)
        while self._num_open >= (1 if self.is_spent else self._limit):
            if self._executor is None:
                raise ValueError(f"{self._num_open} architectures are pending; record their results first (tell)")
            self._record(self._executor.collect())

    def diagnostics(self) -> dict[str, chex.Array]:
        """Returns `Searcher.diagnostics` of the last round."""
        return one_round.diagnose(self._functions.diagnose, self._state, self.history)

    @property
    def _is_replaying(self):
        """Whether the journal holds the next round."""
        return not self.is_spent and self.num_rounds in self._journal.proposed

    def _record(self, outcomes: Sequence[types.Outcome]):
        """Writes results of pending rows to the journal, then enters them into the history."""
        outcomes = self._history.checked(outcomes)
        self._journal.write_measured(outcomes)
        for outcome in outcomes:
            del self._pending[tuple(self._history.arrays.archs[outcome.at].tolist())]
        self._take()

    def _take(self):
        """Enters all results into the history; in a replay, those that were known when the next round was proposed."""
        known = self._journal.num_known[self.num_rounds] if self._is_replaying else len(self._journal.results)
        for at, result in self._journal.results[self._num_taken : known]:
            self._num_taken += 1
            self._history.take(at, result)
            self._num_open += 1 if result is None else -1
            self.seconds = max(self.seconds, 0.0 if result is None else result.seconds)
