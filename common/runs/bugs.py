"""Bugs of evaluators: a search whose first evaluations all raise the same exception stops."""

import pathlib

from common import types
from common.records import journal as journal_lib

TRACEBACKS = "tracebacks.txt"  # in the folder of a run: the first exception of each type since the last start


def watched(
    executor: types.Executor, journal: journal_lib.Journal, folder: pathlib.Path, *, max_errors: int
) -> types.Executor:
    """Returns an executor that calls `check` before it waits for results, and writes `TRACEBACKS`."""
    seen: set[str] = set()

    def collect():
        check(journal, folder, max_errors=max_errors)
        outcomes = executor.collect()
        for outcome in outcomes:
            if outcome.error and outcome.error not in seen:
                with (folder / TRACEBACKS).open("a" if seen else "w") as file:
                    file.write(f"Evaluation of row {outcome.at}:\n{outcome.traceback}\n")
                seen.add(outcome.error)
        return outcomes

    return executor._replace(collect=collect)


def check(journal: journal_lib.Journal, folder: pathlib.Path, *, max_errors: int) -> None:
    """Raises a `ValueError` if at least `max_errors` (0: never) evaluations raised one exception, and none else ended.

    An evaluator that raises for some architectures makes them infeasible; one that raises for all has a bug, and a
    search that continues would spend its budget on it.
    """
    results = iter(journal.measured.values())
    first = next(results, None)
    if not max_errors or len(journal.measured) < max_errors or not first.error:
        return
    if all(result.error == first.error for result in results):
        raise ValueError(
            f"all {len(journal.measured)} evaluations so far raised {first.reason}; the traceback is in "
            f"{folder / TRACEBACKS}. Mend the evaluator and resume with --retry_failed, or, if these architectures are "
            "infeasible, with --max_errors=0"
        )
