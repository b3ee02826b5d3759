"""How long a whole study still takes: every algorithm on every task, those that have not begun by what others took."""

import dataclasses
import datetime
from collections.abc import Mapping

Key = tuple[str, str]  # (algorithm, task)


@dataclasses.dataclass
class _Part:
    left: int  # searches still to do
    seconds: float | None = None  # of one search; None while none is timed
    is_compiled: bool = False


class Clock:
    """What is left of a study, told as it goes on."""

    def __init__(self, left: Mapping[Key, int]):
        """Takes the searches still to do of each part."""
        self._parts = {key: _Part(count) for key, count in left.items()}
        self._timed: dict[str, tuple[float, float]] = {}  # the latest of each algorithm

    def tell(self, key: Key, *, seconds: float, compile_seconds: float, left: int, begun: bool = True) -> None:
        """Says what one search of a part took, what was compiled before, and how many searches are left.

        What an earlier start timed has not `begun`: it is still to be compiled.
        """
        self._timed[key[0]] = (seconds, compile_seconds)
        self._parts[key] = _Part(left, seconds, begun)

    def seconds_left(self) -> tuple[float | None, list[str]]:
        """Returns (seconds until all is done, algorithms of which no search is timed yet).

        A part that has not begun takes as long as the same algorithm on the task before; where there is none, as the
        mean of the algorithms that are timed. None while nothing is timed.
        """
        if not self._timed:
            return None, []
        mean = tuple(sum(values) / len(self._timed) for values in zip(*self._timed.values()))
        total, untimed = 0.0, []
        for (algorithm, _), part in self._parts.items():
            if not part.left:
                continue
            seconds, compile_seconds = self._timed.get(algorithm, mean)
            total += part.left * (seconds if part.seconds is None else part.seconds)
            total += 0.0 if part.is_compiled else compile_seconds
            if algorithm not in self._timed and algorithm not in untimed:
                untimed.append(algorithm)
        return total, untimed

    def text(self) -> str:
        """Returns the time left in words; empty while nothing is timed, or once nothing is left."""
        seconds, untimed = self.seconds_left()
        if seconds is None or not any(part.left for part in self._parts.values()):
            return ""
        left = f"{datetime.timedelta(seconds=round(seconds))} left"
        return f"about {left}, {', '.join(untimed)} not timed yet" if untimed else left
