"""Contracts of search spaces, evaluators, executors and searchers, and the letters of shapes.

Shape letters, the same in every docstring:

  B  batch             N  capacity of a history   L  decisions of an architecture
  T  tokens            V  vocabulary              H  hidden units
  F  features          I  inner nodes of a tree   M  all nodes of a tree
  P  rows of a pool    S  training runs (seeds) of one architecture

An architecture is a row of L small integers. Tokens, features, graphs, networks and text are functions of the row.

Every contract is a bundle of functions that take and return arrays. A function that needs large arrays
of its own (a table, a pool) is a `jax.tree_util.Partial` holding them: a `Partial` is a pytree, so the
drivers hand these arrays to compiled code as arguments. Captured as constants they would be folded into
the program, which is slow to compile and held twice in memory.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import chex
import numpy as np

# Status of a history row.
EMPTY, PENDING, MEASURED, INFEASIBLE = 0, 1, 2, 3


@chex.dataclass(frozen=True)
class Evaluation:
    """Results of evaluating a batch of architectures.

    Attributes:
      fitness: float32[B], a fraction in [0, 1], larger is better. Undefined where `ok` is False.
      cost: float32[B], seconds of training that the evaluation took (or would have taken).
      ok: bool[B], False where the training diverged, ran out of memory or the architecture is invalid.
      reasons: B texts, on the host: why each one failed, empty for those that did not; () if not reported.
      costs: name -> float[B], further numbers that were measured, such as "latency"; the names are
        `Evaluator.measured`. Undefined where `ok` is False.
      over_limit: bool[B], where `ok` is False because a cost exceeds a limit of the search; None: nowhere.
    """

    fitness: chex.Array
    cost: chex.Array
    ok: chex.Array
    reasons: tuple[str, ...] = ()
    costs: Mapping[str, chex.Array] = dataclasses.field(default_factory=dict)
    over_limit: chex.Array | None = None


class SearchSpace(NamedTuple):
    """A search space: a set of architectures, and functions of their rows.

    All functions on `archs` take `int32[B, L]`, are pure and traceable.

    Attributes:
      name: its key in `common.spaces.SPACES`.
      num_choices: options at each of the L decisions; row[l] is in [0, num_choices[l]).
      size: number of distinct networks.
      is_valid: archs -> bool[B].
      canonicalize: archs -> int32[B, L]; equal networks get equal rows. Undefined for invalid rows.
      features: archs -> float32[B, F], the inputs of regressors.
      tokens: archs -> int32[B, T] in [0, V), the input and output of sequence models. Token 0 is the start
        symbol, and the padding if a space has padding. Undefined for invalid rows.
      from_tokens: int32[B, T] -> archs, the inverse of `tokens` on canonical rows. Every legal sequence
        gives choices in range, which may be invalid and need not be canonical.
      legal_tokens: NumPy bool[T, V, V], whether token v (last axis) may follow token p (middle axis) at
        position t. At position 0 the previous token is the start symbol. The start symbol is legal only as
        padding. At every position at least one token is legal, whatever the previous one.
      symmetries: NumPy int32[K, T] arrays, one for each group (such as a cell). Each row is a permutation
        of token positions, such as the swap of a node's two branches: `tokens[:, row]` is another legal
        encoding of the same network. Permutations of different groups commute. Empty if there are none.
      sample: (key, count) -> int32[count, L], valid canonical rows, sampled independently.
      mutate: (key, archs) -> int32[B, L], valid canonical rows, one decision away and different.
      neighbors: archs -> (int32[B, K, L], bool[B, K]): every row one decision away, canonical, and
        which of them are valid.
      enumerate: () -> int32[P, L] NumPy array of all canonical valid rows in lexicographic order,
        or None if the space is too large to list.
      describe: one row (L,) -> human-readable text.
    """

    name: str
    num_choices: tuple[int, ...]
    size: int
    is_valid: Callable[[chex.Array], chex.Array]
    canonicalize: Callable[[chex.Array], chex.Array]
    features: Callable[[chex.Array], chex.Array]
    tokens: Callable[[chex.Array], chex.Array]
    from_tokens: Callable[[chex.Array], chex.Array]
    legal_tokens: np.ndarray
    symmetries: tuple[np.ndarray, ...]
    sample: Callable[[chex.PRNGKey, int], chex.Array]
    mutate: Callable[[chex.PRNGKey, chex.Array], chex.Array]
    neighbors: Callable[[chex.Array], tuple[chex.Array, chex.Array]]
    enumerate: Callable[[], np.ndarray] | None
    describe: Callable[[np.ndarray], str]


class Recipe(NamedTuple):
    """Instructions to build an evaluator in another process; functions that hold arrays cannot be sent there.

    Attributes:
      factory: the dotted path of a function, importable there: "common.evaluators.benchmark.evaluator".
      settings: its keyword arguments, of JSON types.
    """

    factory: str
    settings: Mapping[str, Any]


class Evaluator(NamedTuple):
    """A source of fitness.

    Attributes:
      name: "benchmark/dataset", for results: for example "nasbench201/cifar10".
      space: the space whose rows it takes.
      protocol: "validation", or "test" for the test-oracle protocol of the LaNAS paper.
      evaluate: (key, archs) -> `Evaluation`; the only information that a search sees.
      test: (key, archs) -> `Evaluation`; for reports, after the search. None if there is no test fitness.
      optimum: the best fitness that `evaluate` can return, if known, else None.
      num_archs: number of distinct architectures it can evaluate, if limited, else None.
      is_traceable: whether `evaluate` and `test` can be called inside `jit`.
      recipe: how a worker in another process builds it; None if it cannot.
      costs: name -> archs int[B, L] -> float[B], costs that are known without an evaluation, such as "params" and
        "macs", traceable; NumPy rows give a NumPy array.
      limits: texts of the limits on costs that `space` respects, such as "params<=3e+06"; () for none.
      measured: names of the costs that `evaluate` measures, see `Evaluation.costs`.
      data: checksum of its images or text, so that a search does not resume with others; None: not known.
    """

    name: str
    space: SearchSpace
    protocol: str
    evaluate: Callable[[chex.PRNGKey, chex.Array], Evaluation]
    test: Callable[[chex.PRNGKey, chex.Array], Evaluation] | None = None
    optimum: float | None = None
    num_archs: int | None = None
    is_traceable: bool = False
    recipe: Recipe | None = None
    costs: Mapping[str, Callable[[chex.Array], chex.Array]] = MappingProxyType({})
    limits: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    data: int | None = None


class Candidate(NamedTuple):
    """One architecture to evaluate, as plain data that can be sent to another process.

    Attributes:
      at: its row in the history.
      arch: the L decisions.
      key: the words of its key. They depend on the key of the search and the architecture only, so the
        result does not depend on where or when it is evaluated.
      impl: name of the random number generator of the key.
    """

    at: int
    arch: tuple[int, ...]
    key: tuple[int, ...]
    impl: str


class Outcome(NamedTuple):
    """Result of evaluating one candidate.

    Attributes:
      at: the candidate's row in the history.
      fitness: a fraction in [0, 1]; undefined unless `ok`.
      cost: seconds of training.
      ok: False where the candidate is infeasible.
      reason: why it is infeasible, one line; else empty.
      costs: further numbers that were measured, by name.
      error: type of the exception that the evaluation raised, such as "TypeError"; empty if it raised none, or ran out
        of memory.
      traceback: of that exception.
    """

    at: int
    fitness: float
    cost: float
    ok: bool
    reason: str = ""
    costs: Mapping[str, float] = {}
    error: str = ""
    traceback: str = ""


def check_fitness(fitness: Any) -> None:
    """Raises a `ValueError` unless all values of float[...] `fitness` are fractions in [0, 1]."""
    fitness = np.asarray(fitness)
    if (wrong := fitness[~((fitness >= 0) & (fitness <= 1))]).size:
        raise ValueError(f"fitness must be a fraction from 0 to 1 (divide a percentage by 100); got {wrong[0]:g}")


class Executor(NamedTuple):
    """Runs evaluations, in this process or in others.

    Attributes:
      num_workers: maximum number of evaluations at a time.
      submit: list of `Candidate`s -> None; appends them to the queue of the workers.
      collect: () -> list of `Outcome`s, at least one, as soon as there is one; empty only if no candidate
        is open. Every candidate has exactly one outcome, also if it failed.
    """

    num_workers: int
    submit: Callable[[Sequence[Candidate]], None]
    collect: Callable[[], list[Outcome]]


def no_diagnostics(state: Any, history: Any) -> dict[str, chex.Array]:
    """Returns no diagnostics."""
    del state, history
    return {}


class Searcher(NamedTuple):
    """A search algorithm on one space: proposes architectures from the history of all results.

    Attributes:
      name: its name in results.
      count: default number of architectures a round.
      init: (key, history) -> state, any pytree of arrays, opaque to the caller. The history, empty or not,
        determines the capacity.
      propose: (key, state, history, *, count) -> (int32[count, L], state). Pure; exactly `count` valid
        canonical rows, all different and none in the history. Shapes depend on `count` and on the
        capacity alone.
      diagnostics: (state, history) -> {name: float32[] or float32[N]}, numbers about the last round, whose
        results are in the history; NaN where undefined. For logs; no search depends on them.
      objectives: a `common.objectives.Objectives`, of which the history holds the values; None: the fitness alone.
    """

    name: str
    count: int
    init: Callable[[chex.PRNGKey, Any], Any]
    propose: Callable[..., tuple[chex.Array, Any]]
    diagnostics: Callable[[Any, Any], dict[str, chex.Array]] = no_diagnostics
    objectives: Any = None


def any_space(space: SearchSpace, config: Any) -> Any:
    """Returns `config`, for algorithms whose settings suit every space."""
    del space
    return config


class Algorithm(NamedTuple):
    """A search algorithm with its settings.

    Attributes:
      name: its name in results and on the command line.
      config: the default settings, a configuration dataclass (`common.config`).
      presets: settings by name, the defaults among them under `name`.
      searcher: (space, config, *, name) -> `Searcher`; of several `objectives`, see `common.objectives.searcher`.
      explain: for reports: (space, config, history, *, seed) -> a record of `common.explanations`, of the model fitted
        to the history, or None where too little is measured; None for algorithms that learn no model.
      for_space: (space, config) -> config, with the defaults that do not suit the space replaced.
      max_objectives: how many objectives it takes.
      parts: the algorithms that propose in turn, see `common.in_turn`.
    """

    name: str
    config: Any
    presets: Mapping[str, Any]
    searcher: Callable[..., Searcher]
    explain: Callable[..., Any] | None = None
    for_space: Callable[[SearchSpace, Any], Any] = any_space
    max_objectives: int = 1
    parts: tuple["Algorithm", ...] = ()
