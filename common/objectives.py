"""Objectives of a search: fitness, and costs that are known from the row or measured with the fitness.

The text of an objective is the name of a cost, "-" before it if smaller is better: "fitness,-params". Inside a search
the values of all objectives are times their signs, so that larger is better.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, types
from common import config as configs
from common import history as history_lib

MOST = 4  # objectives; hypervolumes of more take long
_SEARCHERS: dict[Hashable, tuple[types.SearchSpace, types.Searcher]] = {}  # the latest; a space lives as long as its id
_MOST_SEARCHERS = 32


@functools.partial(jax.tree_util.register_dataclass, data_fields=["known"], meta_fields=["names", "signs"])
@dataclasses.dataclass(frozen=True)
class Objectives:
    """M objectives of a search, an argument of compiled programs.

    Attributes:
      names: M names, "fitness" first.
      signs: 1 where larger is better, else -1.
      known: for each but the fitness: archs int[B, L] -> float[B], or None if its value is measured.
    """

    names: tuple[str, ...] = ("fitness",)
    signs: tuple[float, ...] = (1.0,)
    known: tuple[jax.tree_util.Partial | None, ...] = ()

    def __len__(self):
        return len(self.names)

    @property
    def texts(self) -> tuple[str, ...]:
        """The objectives in their text form, which identifies them."""
        return tuple(("-" if sign < 0 else "") + name for name, sign in zip(self.names, self.signs))

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the costs that come with the fitness, see `types.Evaluation.costs`."""
        return tuple(name for name, known in zip(self.names[1:], self.known) if known is None)


FITNESS = Objectives()


def parse(texts: str | Sequence[str]) -> dict[str, float]:
    """Returns the sign of each objective by name, the fitness first, from texts such as ("fitness", "-params").

    Raises:
      ValueError: a name is empty or given twice, the fitness is missing or to be minimized, or there are too many.
    """
    if isinstance(texts, str):
        texts = texts.split(",")
    signs: dict[str, float] = {}
    for text in map(str.strip, texts):
        if not (name := text.lstrip("+-")) or len(text) - len(name) > 1:
            raise ValueError(f"an objective is a name, - before it if smaller is better: -params; got {text!r}")
        if name in signs:
            raise ValueError(f"objective {name} is given twice in {','.join(texts)}; leave one out")
        signs[name] = -1.0 if text.startswith("-") else 1.0
    if signs.get("fitness") != 1.0:
        raise ValueError(f"fitness must be an objective, larger is better; got {','.join(texts)}; add fitness")
    if len(signs) > MOST:
        raise ValueError(f"at most {MOST} objectives are allowed; got {len(signs)}: {','.join(texts)}")
    return {"fitness": 1.0, **signs}


def of(texts: str | Sequence[str] | Objectives, evaluator: types.Evaluator | None = None) -> Objectives:
    """Returns objectives from texts such as "fitness,-params".

    Args:
      texts: the objectives, in one text or several; or an `Objectives`, which is returned.
      evaluator: the source of fitness, whose `costs` are known from the row and whose `measured` come with the fitness;
        by default all are measured.

    Raises:
      ValueError: the texts are wrong (`parse`), or the evaluator has no cost of a name.
    """
    if isinstance(texts, Objectives):
        return texts
    if evaluator is None:
        return among(texts, {}, list(parse(texts)))
    return among(texts, evaluator.costs, evaluator.measured)


def among(
    texts: str | Sequence[str], costs: Mapping[str, Callable[[chex.Array], chex.Array]], measured: Sequence[str]
) -> Objectives:
    """Returns objectives that are the fitness and some of `costs`, by name functions of the rows, and `measured`.

    Raises:
      ValueError: as `of`.
    """
    signs = parse(texts)
    for name in signs:
        configs.one_of("objective", name, dict.fromkeys(("fitness", *costs, *measured)))
    known = [costs.get(name) for name in list(signs)[1:]]
    is_ready = [one is None or isinstance(one, jax.tree_util.Partial) for one in known]
    known = [one if ready else jax.tree_util.Partial(one) for one, ready in zip(known, is_ready)]
    return Objectives(tuple(signs), tuple(signs.values()), tuple(known))


def of_searcher(searcher: types.Searcher) -> Objectives:
    """Returns the objectives of a searcher, the fitness by default."""
    return searcher.objectives or FITNESS


def of_search(
    texts: str | Sequence[str] | Objectives | None, searcher: types.Searcher, evaluator: types.Evaluator | None = None
) -> Objectives:
    """Returns the objectives of a search: those given (see `of`), by default those of the searcher.

    Raises:
      ValueError: the searcher was made for others, or the texts are wrong.
    """
    if texts is None:
        return of_searcher(searcher)
    found = of(texts, evaluator)
    if searcher.objectives is not None and searcher.objectives.texts != found.texts:
        raise ValueError(
            f"the searcher {searcher.name} was made for {','.join(searcher.objectives.texts)}; got "
            f"{','.join(found.texts)}; give both the same objectives"
        )
    return found


def searcher(
    algorithm: types.Algorithm, space: types.SearchSpace, config: Any, objectives: Objectives = FITNESS
) -> types.Searcher:
    """Returns the searcher of an algorithm for objectives: the same one again, whose programs are compiled already.

    Raises:
      ValueError: the algorithm takes fewer objectives, or a setting does not suit them.
    """
    if len(objectives) > algorithm.max_objectives:
        raise ValueError(
            f"{algorithm.name} takes at most {algorithm.max_objectives} objectives; got {len(objectives)}: "
            f"{','.join(objectives.texts)}"
        )
    key = algorithm.searcher, algorithm.name, id(space), config or None, objectives
    if key not in _SEARCHERS:
        more = {"objectives": objectives} if len(objectives) > 1 else {}
        _SEARCHERS[key] = space, algorithm.searcher(space, config, name=algorithm.name, **more)
        if len(_SEARCHERS) > _MOST_SEARCHERS:
            del _SEARCHERS[next(iter(_SEARCHERS))]
    return _SEARCHERS[key][1]


def others(objectives: Objectives, archs: chex.Array, measured: Mapping[str, chex.Array]) -> chex.Array:
    """Returns float32[B, M - 1], the values of the objectives after the fitness, times their signs. Traceable.

    Args:
      objectives: M objectives.
      archs: int32[B, L].
      measured: name -> float[B], see `types.Evaluation.costs`; NaN for a name that it lacks.
    """
    unknown = jnp.full(archs.shape[:1], jnp.nan)
    columns = [
        sign * jnp.asarray(measured.get(name, unknown) if known is None else known(archs), jnp.float32)
        for name, sign, known in zip(objectives.names[1:], objectives.signs[1:], objectives.known)
    ]
    return jnp.stack(columns, axis=1) if columns else jnp.zeros((archs.shape[0], 0), jnp.float32)


def known(objectives: Objectives, archs: np.ndarray) -> np.ndarray:
    """Returns `others` on the host, NaN where measured."""
    return np.asarray(_known(objectives, np.asarray(archs, np.int32)))


@compilation.in_32_bits
@jax.jit
def _known(objectives, archs):
    return others(objectives, archs, {})


def of_row(objectives: Objectives, known: np.ndarray, costs: Mapping[str, float]) -> np.ndarray:
    """Returns float32[M - 1], the values of a row as `others` has them, from those `known` and the measured costs."""
    columns = zip(known, objectives.names[1:], objectives.signs[1:], objectives.known)
    return np.array([sign * costs[name] if one is None else value for value, name, sign, one in columns], np.float32)


def values(history: history_lib.History) -> chex.Array:
    """Returns float32[..., N, M], the values of all objectives times their signs; NaN unless measured."""
    xp = np if isinstance(history.fitness, np.ndarray) else jnp
    return xp.concatenate([history.fitness[..., None], history.others], axis=-1)
