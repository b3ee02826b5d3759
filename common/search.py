"""The two drivers of the one loop: propose, measure, append to the history, repeat.

`run_search` drives it on the host, for any evaluator, and goes on after a kill. `scan_search` is the whole
search as one compiled program, for evaluators that can be traced; `search_seeds` runs it for many keys.
For the same key on the same table all three give the same history.

The key of a proposal is folded from the search's key and the round, that of a measurement from the search's
key and the architecture. So a search that goes on after a kill needs no saved key, and no measurement depends
on those that happen to run beside it, on when it runs, or where.
"""

import functools
from collections.abc import Callable

import chex
import jax

from common import compiled_search as scan_loop
from common import history as history_lib
from common import host_loop, types
from common.executors import inline, measuring
from common.records import journal as journal_lib
from common.records import measurements

MODES = ("synchronous", "asynchronous")
TEST_ROUND = 2**31 - 2  # folded into the key of a search in place of a round, for test fitness in reports
Seconds = scan_loop.Seconds


def scan_search(
    key: chex.PRNGKey,
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    count: int | None = None,
) -> history_lib.History:
    """Runs a whole search as one `lax.scan` over its rounds. Traceable.

    Args:
      key: decides everything random in the search.
      searcher: what proposes.
      evaluator: what measures; must be traceable.
      budget: measurements, at least 1; the capacity of the history. What the last round proposes beyond
        it is dropped.
      count: architectures a round, by default `searcher.count`.

    Raises:
      ValueError: the evaluator is not traceable, or the numbers do not suit each other.
    """
    sizes = _sizes(searcher, evaluator, budget=budget, count=count, is_traced=True)
    return scan_loop.scan(key, _functions(searcher, evaluator), **sizes)


def search_seeds(
    keys: chex.Array,
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    seeds_at_once: int,
    count: int | None = None,
    on_chunk: Callable[[int, history_lib.History, Seconds], None] | None = None,
) -> tuple[history_lib.History, Seconds]:
    """Runs `scan_search` for each of S keys, in equal chunks, the searches of one side by side. Compiles once.

    The devices of this process share the searches of a chunk evenly. Processor cores count as devices where
    JAX is told so (`jax_num_cpu_devices`); LaNAS' searches then take half the time on two cores.

    Args:
      keys: key[S].
      searcher: what proposes.
      evaluator: what measures; must be traceable.
      budget: measurements of each search.
      seeds_at_once: searches of a chunk at most; memory grows with it.
      count: architectures a round, by default `searcher.count`.
      on_chunk: called with (seeds done so far, histories of the latest of them, seconds so far).

    Returns:
      The histories as NumPy arrays with a leading axis of seeds, and the seconds it took.

    Raises:
      ValueError: as `scan_search`; or no key, or `seeds_at_once` below 1.
    """
    num_seeds = keys.shape[0]
    if num_seeds < 1 or seeds_at_once < 1:
        raise ValueError(f"keys and seeds_at_once must be at least 1; got {num_seeds} keys, {seeds_at_once} at once")
    sizes = _sizes(searcher, evaluator, budget=budget, count=count, is_traced=True)
    functions = _functions(searcher, evaluator)
    return scan_loop.run_seeds(keys, functions, seeds_at_once=seeds_at_once, on_chunk=on_chunk, **sizes)


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
    on_round: host_loop.OnRound | None = None,
) -> history_lib.History:
    """Runs a search on the host, for any evaluator.

    Every proposal and every result is written to the journal before it is acted on. Given the journal of
    an earlier start, the search proposes again (which rebuilds the searcher's state), takes results from
    the journal, and measures only what it does not hold. A larger budget than before extends the search.

    In synchronous mode a round is proposed once all before it are measured, and the history does not depend
    on the executor. In asynchronous mode it is proposed as soon as a worker has nothing to do, on the
    results that have come by then; so the history depends on their order, which the journal holds.

    Args:
      key: decides everything random in the search.
      searcher: what proposes.
      evaluator: what measures.
      budget: measurements, at least 1.
      count: architectures a round, by default `searcher.count`.
      mode: one of `MODES`.
      executor: where to measure, see `common.executors`; by default here.
      journal: where events go, by default into memory.
      earlier: measurements to begin with: the first rows of the history, which count nothing of the budget.
        A journal that has them needs not be told again.
      on_round: called with (round, history, seconds since the search began, those of earlier starts
        included, what `searcher.diagnostics` tells): before the next round is proposed, and in the end.

    Raises:
      ValueError: the numbers do not suit each other, the journal is of a search with another `count` or
        other earlier measurements, or no worker can make the evaluator.
      OSError: the journal cannot be written.
    """
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    journal = journal_lib.in_memory() if journal is None else journal
    earlier = journal.agree_on_earlier(earlier)
    num_earlier = 0 if earlier is None else len(earlier.archs)
    sizes = _sizes(searcher, evaluator, budget=budget, count=count, num_earlier=num_earlier)
    init, propose, _ = _functions(searcher, evaluator)
    return host_loop.run(
        key,
        host_loop.Functions(init, propose, measuring.on_device(searcher.diagnostics)),
        executor or inline.make(evaluator),
        journal,
        space=evaluator.space,
        budget=budget,
        count=sizes["count"],
        is_asynchronous=mode == "asynchronous",
        on_round=on_round,
    )


def proposer(searcher: types.Searcher, *, count: int | None = None) -> Callable[..., tuple[chex.Array, chex.ArrayTree]]:
    """Returns (key, state, history) -> (archs, state), compiled, for a loop of your own.

    Args:
      searcher: what proposes.
      count: architectures a round, by default `searcher.count`.
    """
    propose = measuring.on_device(searcher.propose)
    return functools.partial(host_loop.propose, propose, count=searcher.count if count is None else count)


def check(
    searcher: types.Searcher,
    evaluator: types.Evaluator,
    *,
    budget: int,
    count: int | None = None,
    num_earlier: int = 0,
) -> None:
    """Raises a `ValueError` if a search with these arguments cannot run. Compiles nothing."""
    _sizes(searcher, evaluator, budget=budget, count=count, num_earlier=num_earlier)


def _sizes(searcher, evaluator, *, budget, count, num_earlier=0, is_traced=False):
    """The static arguments of a search, checked."""
    if is_traced and not evaluator.is_traceable:
        raise ValueError(f"{evaluator.name} cannot be measured in a compiled program; search it with `run_search`")
    count = searcher.count if count is None else count
    if budget < 1:
        raise ValueError(f"budget must be at least 1 measurement; got {budget}")
    limit = evaluator.space.size if evaluator.num_archs is None else evaluator.num_archs
    limit -= num_earlier
    more = f" beside the {num_earlier} measured earlier" if num_earlier else ""
    if not 1 <= count <= limit:
        raise ValueError(f"count must be from 1 to {limit} architectures a round; got {count}")
    if budget > limit:
        raise ValueError(f"budget must be at most {limit}, all that {evaluator.name} can measure{more}; got {budget}")
    num_rounds = -(-budget // count)
    if num_rounds * count > limit:
        raise ValueError(
            f"a budget of {budget} takes {num_rounds} rounds of {count} different architectures, but "
            f"{evaluator.name} has only {limit}{more}; lower the budget to {limit // count * count} or change count"
        )
    num_decisions = len(evaluator.space.num_choices)
    # The searcher's own checks of the capacity are in its `init`.
    jax.eval_shape(
        lambda key: searcher.init(key, history_lib.empty(num_earlier + budget, num_decisions)), jax.random.key(0)
    )
    return {"num_decisions": num_decisions, "budget": budget, "count": count}


def _functions(searcher, evaluator):
    """What a search calls, as partials with their arrays on the device: arguments of the compiled program."""
    evaluate = measuring.on_device(evaluator.evaluate) if evaluator.is_traceable else evaluator.evaluate
    return measuring.on_device(searcher.init), measuring.on_device(searcher.propose), evaluate
