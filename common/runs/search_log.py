"""Metrics of a search, one line a round."""

import pathlib
from collections.abc import Mapping

import chex
import numpy as np

from common import history as history_lib
from common import types
from common.records import metrics_log, run_dir
from common.runs import fronts


class Log:
    """Metrics of a search: one line a round, which a search that resumes writes again from its first round.

    Attributes:
      files: to be open while lines are added.
      seconds: of the search, over all starts.
      diagnostics: of the last round.
    """

    def __init__(self, folder: pathlib.Path, name: str, budget: int, *, num_earlier: int):
        """Makes the log of a search in a folder, without the lines of earlier starts."""
        path = folder / run_dir.METRICS
        path.unlink(missing_ok=True)
        places = {"key": "queries", "events": folder / run_dir.EVENTS}
        self.files = metrics_log.MetricsLog(path, title=name, total=budget, unit="queries", **places)
        self.seconds, self.diagnostics, self._num_earlier = 0.0, {}, num_earlier

    def add(
        self, round_: int, history: history_lib.History, seconds: float, diagnostics: Mapping[str, chex.Array]
    ) -> None:
        """Adds the line of a round, see `common.search.run_search`."""
        self.seconds = max(self.seconds, seconds)
        self.diagnostics = {name: _plain(value) for name, value in diagnostics.items()}
        status = np.asarray(history.status)
        num_infeasible = int(np.sum(status == types.INFEASIBLE))
        measured = np.asarray(history.fitness)[status == types.MEASURED]
        searched = {
            "infeasible": num_infeasible,
            "best_fitness": float(measured.max()) if measured.size else None,
            "seconds": round(self.seconds, 3),
        }
        if history.others.shape[1]:
            searched["front"] = len(fronts.rows_of(history))
        line = {"round": round_, "queries": len(measured) + num_infeasible - self._num_earlier, **searched}
        scalars = {f"search/{name}": value for name, value in searched.items()}
        scalars |= {f"rounds/{name}": value for name, value in self.diagnostics.items()}
        scalars = {name: value for name, value in scalars.items() if isinstance(value, int | float)}
        note = f"best {100 * measured.max():.2f} %" if measured.size else "no evaluation succeeded yet"
        note += f", front of {searched['front']}" if "front" in searched else ""
        self.files.add({**line, **self.diagnostics}, scalars=scalars, note=note)


def _plain(value):
    """Returns a diagnostic in JSON types: a number, None where it is not finite; of an array the finite numbers."""
    value = np.asarray(value, float)
    if value.ndim:
        return value[np.isfinite(value)].tolist()
    return float(value) if np.isfinite(value) else None
