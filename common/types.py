"""The contracts between the rooms of this project, and the letters of its shapes.

Shape letters, the same in every docstring:

  B  batch             N  capacity of a history   L  decisions of an architecture
  T  tokens            V  vocabulary              H  hidden units
  F  features          I  inner nodes of a tree   M  all nodes of a tree
  P  rows of a pool    S  training runs (seeds) of one architecture

An architecture is a row of L small integers, so a batch is `int32[B, L]`. Tokens, features, graphs,
networks and text are functions of the row.

Every contract is a bundle of functions that take and return arrays. A function that needs large arrays
of its own (a table, a pool) is a `jax.tree_util.Partial` holding them: a `Partial` is a pytree, so the
drivers hand these arrays to compiled code as arguments. Captured as constants they would be folded into
the program, which is slow to compile and held twice in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import numpy as np

# Status of a history row.
EMPTY, PENDING, MEASURED, INFEASIBLE = 0, 1, 2, 3


@chex.dataclass(frozen=True)
class Evaluation:
    """What measuring a batch of architectures gave.

    Attributes:
      fitness: float32[B], a fraction in [0, 1], larger is better. Meaningless where `ok` is False.
      cost: float32[B], seconds of training that the measurement took (or would have taken).
      ok: bool[B], False where the training diverged, ran out of memory or the architecture is invalid.
      reasons: B texts, on the host: why each is not ok, empty of those that are; () where nothing is told.
    """

    fitness: chex.Array
    cost: chex.Array
    ok: chex.Array
    reasons: tuple[str, ...] = ()


class SearchSpace(NamedTuple):
    """A set of architectures, and what can be done with its rows.

    All functions on `archs` take `int32[B, L]`, are pure and traceable.

    Attributes:
      name: its key in `common.spaces.SPACES`.
      num_choices: options at each of the L decisions; row[l] is in [0, num_choices[l]).
      size: number of distinct networks.
      is_valid: archs -> bool[B].
      canonicalize: archs -> int32[B, L]; equal networks get equal rows. Undefined for invalid rows.
      features: archs -> float32[B, F], what regressors fit.
      tokens: archs -> int32[B, T], what sequence models read and write, in [0, V). Token 0 is the start
        symbol, and the padding where a space has padding. Undefined for invalid rows.
      from_tokens: int32[B, T] -> archs, the inverse of `tokens` on canonical rows. Every legal sequence
        leads to choices in range, which may be invalid and need not be canonical.
      legal_tokens: NumPy bool[T, V, V], may token v (last axis) stand at position t after token p (middle
        axis)? At position 0 the previous token is the start symbol. The start symbol is legal nowhere
        except as padding. At every position at least one token is legal, whatever the previous one.
      symmetries: NumPy int32[K, T] arrays, one for each group (such as a cell). Each row is a permutation
        of token positions, such as the swap of a node's two branches: `tokens[:, row]` is another writing
        of the same network, also legal. Those of different groups commute. Empty where there are none.
      sample: (key, count) -> int32[count, L], valid canonical rows, drawn independently.
      mutate: (key, archs) -> int32[B, L], valid canonical rows, one decision away and different.
      neighbors: archs -> (int32[B, K, L], bool[B, K]): every row one decision away, canonical, and
        which of them are valid.
      enumerate: () -> int32[P, L] NumPy array of all canonical valid rows in lexicographic order,
        or None where the space is too large to list.
      describe: one row (L,) -> text for people.
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
    """How another process makes an evaluator again. Functions that hold arrays do not travel; this does.

    Attributes:
      factory: the dotted path of a function, importable there: "common.evaluators.benchmark.evaluator".
      settings: its keyword arguments, of JSON types.
    """

    factory: str
    settings: Mapping[str, Any]


class Evaluator(NamedTuple):
    """A source of fitness.

    Attributes:
      name: what is measured, for results: for example "nasbench201/cifar10".
      space: the space whose rows it takes.
      protocol: "validation", or "test" for the test-oracle protocol of the LaNAS paper.
      evaluate: (key, archs) -> `Evaluation`; all that a search may learn from.
      test: (key, archs) -> `Evaluation`; for reports, after the search.
      optimum: the best fitness that `evaluate` can give, where known, else None.
      num_archs: how many distinct architectures it can measure, where limited, else None.
      is_traceable: whether `evaluate` and `test` can live inside `jit`.
      recipe: how a worker in another process makes it; None where none can.
    """

    name: str
    space: SearchSpace
    protocol: str
    evaluate: Callable[[chex.PRNGKey, chex.Array], Evaluation]
    test: Callable[[chex.PRNGKey, chex.Array], Evaluation]
    optimum: float | None
    num_archs: int | None
    is_traceable: bool
    recipe: Recipe | None = None


class Candidate(NamedTuple):
    """One architecture to measure: plain data, so that it travels.

    Attributes:
      at: its row in the history.
      arch: the L decisions.
      key: the words of its key, and `impl` the name of their generator. They follow from the key of the
        search and the architecture, so what a measurement gives does not depend on where or when it runs.
    """

    at: int
    arch: tuple[int, ...]
    key: tuple[int, ...]
    impl: str


class Outcome(NamedTuple):
    """What measuring one candidate gave.

    Attributes:
      at: the candidate's row in the history.
      fitness: a fraction in [0, 1]; meaningless unless `ok`.
      cost: seconds of training.
      ok: False where the candidate is infeasible.
      reason: why it is infeasible, one line; else empty.
    """

    at: int
    fitness: float
    cost: float
    ok: bool
    reason: str = ""


class Executor(NamedTuple):
    """Where measurements run.

    Attributes:
      num_workers: how many measurements can run at a time.
      submit: list of `Candidate`s -> None; they wait for a free worker in the order given.
      collect: () -> list of `Outcome`s, at least one, as soon as there is one; empty only if nothing is
        open. Every candidate comes back once, whatever became of it.
    """

    num_workers: int
    submit: Callable[[Sequence[Candidate]], None]
    collect: Callable[[], list[Outcome]]


def no_diagnostics(state: Any, history: Any) -> dict[str, chex.Array]:
    """Tells nothing."""
    del state, history
    return {}


class Searcher(NamedTuple):
    """A way to propose architectures. There is no `tell`: telling is appending to the history.

    Attributes:
      name: its name in results.
      count: architectures that it proposes a round, unless the caller wants another number.
      init: (key, history) -> state, any pytree of arrays, opaque to the caller. The (empty or filled)
        history tells it the capacity.
      propose: (key, state, history, *, count) -> (int32[count, L], state). Pure; exactly `count` valid
        canonical rows, all different and none in the history. Shapes depend on `count` and on the
        capacity alone.
      diagnostics: (state, history) -> {name: float32[] or float32[N]}, what the searcher can tell of its
        last round, the results of which the history holds; NaN where there is nothing to tell. For people:
        no search depends on it.
    """

    name: str
    count: int
    init: Callable[[chex.PRNGKey, Any], Any]
    propose: Callable[..., tuple[chex.Array, Any]]
    diagnostics: Callable[[Any, Any], dict[str, chex.Array]] = no_diagnostics


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
      searcher: (space, config, *, name) -> `Searcher`.
      explain: for reports: (space, config, history, *, seed) -> a record of `common.explanations`, of the model fitted
        to the history, or None where too little is measured; None for algorithms that learn no model.
      for_space: (space, config) -> config, with the defaults that do not suit the space replaced.
    """

    name: str
    config: Any
    presets: Mapping[str, Any]
    searcher: Callable[..., Searcher]
    explain: Callable[..., Any] | None = None
    for_space: Callable[[SearchSpace, Any], Any] = any_space
