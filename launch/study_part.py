"""One algorithm on one task of a study: its searches, those of an earlier start among them."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import search, types
from common.records import run_dir
from common.statistics import study as studies
from common.statistics import summary

_NONE = search.Seconds(compile=0.0, run=0.0)


class Part(NamedTuple):
    """What is asked for.

    Attributes:
      searcher: proposes.
      evaluator: measures.
      path: of the histories.
      identity: what must be the same for a start to go on with the file of another.
      seeds: of the searches.
      budget: measurements of each.
    """

    searcher: types.Searcher
    evaluator: types.Evaluator
    path: pathlib.Path
    identity: Mapping[str, Any]
    seeds: range
    budget: int


class Done(NamedTuple):
    """Histories of a part, None where there are none, and the seconds of all its starts."""

    histories: history_lib.History | None
    seconds: search.Seconds

    @property
    def count(self) -> int:
        """Returns the number of searches."""
        return 0 if self.histories is None else len(self.histories.status)

    @property
    def seconds_each(self) -> float:
        """Returns the seconds of one search."""
        return self.seconds.run / max(1, self.count)


def stored(part: Part) -> Done:
    """Returns what an earlier start of the same study left, if it did.

    Raises:
      ValueError: the file is of another study.
    """
    if not part.path.exists():
        return Done(None, _NONE)
    histories, more = run_dir.read_history(part.path)
    was, asked = json.loads(str(more["study"])), part.identity
    differing = [name for name in asked if was.get(name) != asked[name]]
    if differing:
        was, now = ({name: side.get(name) for name in differing} for side in (was, asked))
        raise ValueError(f"{part.path} is of another study: it has {was}, now asked for {now}; name another --workdir")
    return Done(histories, search.Seconds(compile=float(more["compile"]), run=float(more["run"])))


def run(
    part: Part, *, seeds_at_once: int, on_chunk: Callable[[Done, float, float], None]
) -> tuple[dict[str, Any], summary.Curves]:
    """Runs the seeds that the file does not hold yet.

    Args:
      part: what is asked for.
      seeds_at_once: searches side by side.
      on_chunk: called with (what is done so far, of this start the seconds of a search and those of compiling), once
        it is in the file.

    Returns:
      (what study.json says of all the seeds, their curves).
    """
    before = stored(part)
    done = before
    parts = [] if before.histories is None else [before.histories]

    def keep(count, latest, seconds):
        nonlocal done
        parts.append(latest)
        done = Done(_concatenate(parts), search.Seconds(*np.add(before.seconds, seconds).tolist()))
        more = {"study": json.dumps(part.identity), **done.seconds._asdict()}
        run_dir.write_history(part.path, done.histories, **more)
        on_chunk(done, seconds.run / count, seconds.compile)

    if before.count < len(part.seeds):
        search.search_seeds(
            _keys(part.seeds[before.count :]),
            part.searcher,
            part.evaluator,
            budget=part.budget,
            seeds_at_once=seeds_at_once,
            on_chunk=keep,
        )
    histories = jax.tree.map(lambda rows: rows[: len(part.seeds)], done.histories)
    test_fitness = studies.test_fitness(_keys(part.seeds), part.evaluator, histories.archs)
    told = {
        **studies.statistics(histories, optimum=part.evaluator.optimum, test_fitness=test_fitness),
        "seconds_per_search": done.seconds_each,
        "compile_seconds": done.seconds.compile,
    }
    return told, summary.curves(histories, test_fitness)


def _keys(seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def _concatenate(parts):
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)
