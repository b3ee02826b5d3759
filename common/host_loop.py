"""The loop of a search on the host: `common.search.run_search` without its checks.

Both modes are one loop. It proposes a round as soon as that is due: in synchronous mode when nothing is open
any more, in asynchronous mode when fewer measurements are open than there are workers. What the searcher sees then is
all that has come in; the rest is pending in the history. An earlier start is followed through its journal: each of its
rounds is proposed again, which rebuilds the searcher's state, on the results that were known then.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import types
from common.records import journal as journal_lib

# Folded into the key of a search in place of a round: for `Searcher.init`, and for the keys of measurements.
INIT_ROUND, MEASURE_ROUND = 2**31 - 1, 2**31 - 3

OnRound = Callable[[int, history_lib.History, float, dict[str, chex.Array]], None]


class Functions(NamedTuple):
    """What a searcher's functions are as arguments of compiled programs."""

    init: jax.tree_util.Partial
    propose: jax.tree_util.Partial
    diagnose: jax.tree_util.Partial


def run(
    key: chex.PRNGKey,
    functions: Functions,
    executor: types.Executor,
    journal: journal_lib.Journal,
    *,
    space: types.SearchSpace,
    budget: int,
    count: int,
    is_asynchronous: bool,
    on_round: OnRound | None,
) -> history_lib.History:
    """Runs a search, or the rest of it; see `common.search.run_search`."""
    loop = _Loop(key, executor, journal, space=space, budget=budget, count=count, is_asynchronous=is_asynchronous)
    state = init(functions.init, jax.random.fold_in(key, INIT_ROUND), loop.history())
    for round_ in range(-(-budget // count)):
        loop.wait_until_due(round_)
        history = loop.history()
        if round_ and on_round is not None:
            on_round(round_ - 1, history, loop.seconds, diagnose(functions.diagnose, state, history))
        archs, state = propose(functions.propose, propose_key(key, round_), state, history, count=count)
        loop.add_round(round_, np.asarray(archs))
    loop.wait_for_all()
    history = loop.history()
    if on_round is not None:
        on_round(round_, history, loop.seconds, diagnose(functions.diagnose, state, history))
    return history


def propose_key(key: chex.PRNGKey, round_: chex.Array | int) -> chex.PRNGKey:
    """Returns the key of a round's proposal. Only the first of two is in use."""
    return jax.random.split(jax.random.fold_in(key, round_))[0]


def candidate_keys(key: chex.PRNGKey, archs: chex.Array) -> chex.Array:
    """Returns key[B] with which a search whose key is `key` measures int32[B, L] `archs`. Traceable.

    It follows from the architecture alone, not from the round, the order or the worker that measures it.
    """

    def one(arch):
        def fold(at, key):
            return jax.random.fold_in(key, arch[at])

        return jax.lax.fori_loop(0, arch.shape[0], fold, jax.random.fold_in(key, MEASURE_ROUND))

    return jax.vmap(one)(jnp.asarray(archs))


@jax.jit
def init(init, key, history):
    """Calls `Searcher.init`, compiled."""
    return init(key, history)


@functools.partial(jax.jit, static_argnames="count")
def propose(propose, key, state, history, *, count):
    """Calls `Searcher.propose`, compiled."""
    return propose(key, state, history, count=count)


@jax.jit
def diagnose(diagnose, state, history):
    """Calls `Searcher.diagnostics`, compiled."""
    return diagnose(state, history)


@jax.jit
def _key_words(key, archs):
    return jax.random.key_data(candidate_keys(key, archs))


class _Loop:
    """The history so far, and which of its rows are open. It alone talks to the journal and the executor."""

    def __init__(self, key, executor, journal, *, space, budget, count, is_asynchronous):
        earlier = journal.earlier
        self._first = 0 if earlier is None else len(earlier.archs)
        self._key, self._impl = key, str(jax.random.key_impl(key))
        self._executor, self._journal, self._space, self._count = executor, journal, space, count
        self._limit = executor.num_workers if is_asynchronous else 1  # propose when fewer are open
        self._recorded = list(journal.measured)  # rows in the order of the journal, of which
        self._num_taken = 0  # have entered the history.
        self._unsent: list[types.Candidate] = []
        self._num_open = 0
        self._rows = _empty_rows(self._first + budget, len(space.num_choices))
        self._size = 0
        self.seconds = 0.0  # when the last result came, since the search began
        if earlier is not None:
            self._begin_with(earlier)

    def history(self) -> history_lib.History:
        """Returns a copy of the history as it is now."""
        rows = {name: jnp.array(values) for name, values in self._rows.items()}
        return history_lib.History(**rows, size=jnp.array(self._size, jnp.int32))

    def wait_until_due(self, round_: int) -> None:
        """Takes up results until it is time to propose `round_`: as many as were known then, or all there are."""
        if round_ in self._journal.proposed:
            self._take(self._journal.num_known[round_])
            return
        self._take(len(self._recorded))
        while self._num_open >= self._limit:
            self._collect()
        self._send()

    def add_round(self, round_: int, archs: np.ndarray) -> None:
        """Records a proposal and sends off its measurements."""
        is_new = round_ not in self._journal.proposed
        agreed = self._journal.agree(round_, archs)
        if np.any(agreed != archs):
            self._check(round_, agreed)
        capacity = len(self._rows["status"])
        at = np.arange(self._size, min(self._size + self._count, capacity))
        agreed = agreed[: len(at)]
        self._rows["archs"][at] = agreed
        self._rows["status"][at] = types.PENDING
        self._size += len(at)
        self._num_open += len(at)
        is_missing = np.array([row not in self._journal.measured for row in at.tolist()])
        if np.any(is_missing):
            words = np.asarray(_key_words(self._key, agreed))
            self._unsent += [
                types.Candidate(at=row, arch=tuple(arch), key=tuple(key), impl=self._impl)
                for row, arch, key, is_missing in zip(at.tolist(), agreed.tolist(), words.tolist(), is_missing)
                if is_missing
            ]
        if is_new:
            self._send()

    def wait_for_all(self) -> None:
        """Takes up results until nothing is open."""
        self._take(len(self._recorded))
        while self._num_open:
            self._collect()

    def _begin_with(self, earlier):
        is_measured = np.isfinite(earlier.fitness)
        rows = slice(0, self._first)
        self._rows["archs"][rows] = earlier.archs
        self._rows["fitness"][rows] = earlier.fitness
        self._rows["cost"][rows] = earlier.cost
        self._rows["status"][rows] = np.where(is_measured, types.MEASURED, types.INFEASIBLE)
        self._size = self._first

    def _send(self):
        unsent, self._unsent = self._unsent, []
        if unsent:
            self._executor.submit(unsent)

    def _collect(self):
        """Waits for results, records all that have come, and takes them up."""
        self._send()
        outcomes = self._executor.collect()
        self._journal.write_measured(outcomes)
        self._recorded += [outcome.at for outcome in outcomes]
        self._take(len(self._recorded))

    def _take(self, num_known):
        """Enters results into the history until `num_known` of the journal's have."""
        for at in self._recorded[self._num_taken : num_known]:
            self._num_taken += 1
            if at >= len(self._rows["status"]):
                continue  # of an earlier start with a larger budget
            result = self._journal.measured[at]
            self._rows["fitness"][at] = result.fitness
            self._rows["cost"][at] = result.cost
            self._rows["status"][at] = types.MEASURED if result.ok else types.INFEASIBLE
            self._num_open -= 1
            self.seconds = max(self.seconds, result.seconds)

    def _check(self, round_, archs):
        """Raises a `ValueError` unless `archs` of the journal are of the space."""
        is_in_range = np.all((archs >= 0) & (archs < np.array(self._space.num_choices)))
        if not is_in_range or not np.all(self._space.is_valid(archs)):
            raise ValueError(
                f"round {round_} of the journal holds rows that are no architectures of {self._space.name}; restore "
                "the file or start in a fresh folder"
            )


def _empty_rows(capacity, num_decisions):
    """The arrays of an empty history, to write in."""
    empty = history_lib.empty(capacity, num_decisions)
    return {name: np.array(empty[name]) for name in ("archs", "fitness", "cost", "status")}
