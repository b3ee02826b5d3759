"""The search loop: propose, evaluate, append to the history, repeat.

`Search` is the loop by ask and tell; `run_search` drives it with an executor, for any evaluator, and resumes after a
kill. `scan_search` is a whole search as one compiled program, for traceable evaluators; `search_seeds` runs it for
many keys. For the same key on the same table all give the same history.
"""

from collections.abc import Callable
from typing import Any

import chex

from common import ask_tell, compiled_search, one_round, types
from common import history as history_lib
from common.executors import inline

MODES, Search = ask_tell.MODES, ask_tell.Search
TEST_ROUND = one_round.TEST_ROUND
Seconds, scan_search, search_seeds = (
    compiled_search.Seconds,
    compiled_search.scan_search,
    compiled_search.search_seeds,
)
OnRound = Callable[[int, history_lib.History, float, dict[str, chex.Array]], None]


def run_search(
    key: chex.PRNGKey,
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    executor: types.Executor | None = None,
    on_round: OnRound | None = None,
    **settings: Any,
) -> history_lib.History:
    """Runs a search on the host, for any evaluator, and returns its whole history.

    Args:
      key: random key; decides everything random in the search.
      evaluator: the source of fitness.
      budget: evaluations, at least 1.
      executor: where evaluations run, see `common.executors`; by default in this process.
      on_round: called with (round, history, `Search.seconds`, diagnostics of the searcher) before the next round is
        proposed, and at the end.
      **settings: `count`, `mode`, `journal`, `earlier` and `objectives` of `Search`.

    Raises:
      ValueError: as `Search`; or no worker can build the evaluator.
      OSError: the journal cannot be written.
    """
    search = Search(
        key,
        searcher,
        evaluator.space,
        budget=budget,
        executor=executor or inline.make(evaluator),
        evaluator=evaluator,
        **settings,
    )
    while True:
        search.wait()
        if on_round is not None and search.num_rounds:
            on_round(search.num_rounds - 1, search.history, search.seconds, search.diagnostics())
        if search.is_spent:
            return search.history
        search.ask()
