"""Division of the minutes of `search_images` among its stages."""

import dataclasses
import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from common.runs.halving import FACTOR, Row
from common.spaces import small_images as spaces

SEARCH_SHARE = 0.45  # of the time after compiling; the rest trains the networks of the table
_MARGIN = 1.1  # of the minutes that an error advises
LATE = 1.05  # of the minutes: no training continues beyond
_ENOUGH_EPOCHS = 50  # of the best network, before others take time from it; up to these its error is expected to fall
_ENOUGH_IMAGES, _LEAST_ENOUGH = 150_000, 10  # with many images up to so many seen; but at least so many epochs
_EXPONENT = 0.2  # the error falls with the epochs to the power of minus this: docs/experiments/supernet.md
_OWN_PROGRAM = 1.5  # speed of a network's own program, relative to that of all candidates
_TIMES_RESNET = 1.5  # as long as an epoch of the ResNet: a candidate that is not too slow with fewer epochs either
MIN_CANDIDATES = 4
_LEAST_CANDIDATES = {3: 12, 2: 6, 1: MIN_CANDIDATES}  # by the number of stages
_LEAST_STEPS = 100  # after which candidates are compared: earlier, accuracies say little
# Rough, for the check before anything is compiled: measured at 16x16 pixels on one core of 2.5 GHz.
_COMPILE_SECONDS, _SECONDS_PER_MAC = {"cpu": 110.0, "other": 60.0}, {"cpu": 1.4e-10, "other": 2e-12}
_LEAST_EPOCHS = 25  # of a network of mean cost: four candidates, and a finalist
_LEAST_SECONDS = 30.0  # of these: steps on tiny images take their time too


class Plan(NamedTuple):
    """Stages of the search."""

    num_candidates: int  # that are trained at all
    epochs: tuple[int, ...]  # after which candidates are compared; a third of them continues after each but the last
    search_seconds: float  # of the trainings of candidates
    final_seconds: float  # for the networks of the table
    scale: float = 1.0  # images of an epoch of the last training for one of a candidate's
    enough_epochs: float = _ENOUGH_EPOCHS  # of the last training, up to which the error is expected to fall

    @property
    def counts(self) -> tuple[int, ...]:
        """Candidates of each stage."""
        return tuple(math.ceil(self.num_candidates / FACTOR**stage) for stage in range(len(self.epochs)))

    @property
    def first_seconds(self) -> float:
        """Seconds after which no further candidates are proposed: the planned time of the first stage."""
        return self.search_seconds / _cost(len(self.epochs))

    def slowest(self, resnet_seconds: float) -> float:
        """Returns the seconds of an epoch above which a candidate is too slow to train, given those of the ResNet."""
        return max(self.final_seconds / (self.enough_epochs * self.scale), _TIMES_RESNET * resnet_seconds)

    def expected(self, accuracy: float, epochs: int, epoch_seconds: float) -> float:
        """Returns the accuracy that a candidate is expected to have after the last training.

        Candidates are compared after equally many epochs, but a slow one gets fewer in the end.

        Args:
          accuracy: after some epochs; 0 if the training diverged, and then so is the result.
          epochs: so far.
          epoch_seconds: of one of them.
        """
        if accuracy <= 0:
            return 0.0
        final = max(_OWN_PROGRAM * self.final_seconds / (epoch_seconds * self.scale), 1.0)
        final = min(final, self.enough_epochs)
        return max(0.0, 1 - (1 - accuracy) * (epochs / final) ** _EXPONENT)


def least_minutes(num_images: int, macs: float, *, batch_size: int, platform: str, num_threads: int) -> float:
    """Returns a rough lower bound of the minutes that a search takes, compiling included."""
    kind = "cpu" if platform == "cpu" else "other"
    num_epochs = min(_LEAST_EPOCHS, _enough_epochs(num_images))
    num_seen = max(num_epochs * num_images, MIN_CANDIDATES * _LEAST_STEPS * batch_size / SEARCH_SHARE)
    seconds = num_seen * macs * _SECONDS_PER_MAC[kind] / num_threads
    return math.ceil(10 * (_COMPILE_SECONDS[kind] + max(seconds, _LEAST_SECONDS)) / 60) / 10


def check_minutes(minutes: float, least: float, shape: Sequence[int]) -> None:
    """Raises a `ValueError` if a search on images of a shape takes more than the minutes given."""
    if not math.isfinite(minutes) or minutes <= 0:
        raise ValueError(f"minutes must be above 0; got {minutes:g}")
    if minutes < least:
        raise ValueError(
            f"minutes = {minutes:g} is too little for images of {'x'.join(map(str, shape))} on this machine: a search "
            f"needs about {least:g}; give more minutes, or smaller images"
        )


def make(
    seconds: float,
    epoch_seconds: float,
    *,
    minutes: float,
    steps_per_epoch: int,
    num_threads: int,
    num_images: int,
    batch_size: int,
) -> Plan:
    """Returns the plan for the seconds left.

    The more time, the more candidates, and the more epochs of each; as many stages as leave several candidates to the
    last one.

    Args:
      seconds: left; below 0 if compiling took longer than the minutes.
      epoch_seconds: of candidates, on the average.
      minutes: given, of which compiling has taken the rest.
      steps_per_epoch: of candidates.
      num_threads: trainings at a time.
      num_images: of an epoch of the last training.
      batch_size: of candidates.

    Raises:
      ValueError: not even a few candidates can be trained.
    """
    search = SEARCH_SHARE * max(seconds, 0.0)
    num_epochs = search * num_threads / epoch_seconds
    least = _LEAST_STEPS / steps_per_epoch
    scale = num_images / (steps_per_epoch * batch_size)
    for num_stages, least_num in _LEAST_CANDIDATES.items():
        each = num_epochs / _cost(num_stages)
        first = max(1, round(max(least, math.sqrt(each * least / 16))))
        if (num := int(each / first)) >= least_num:
            epochs = tuple(first * FACTOR**stage for stage in range(num_stages))
            return Plan(num, epochs, search, seconds - search, scale, _enough_epochs(num_images))
    needed = MIN_CANDIDATES * max(1, round(least)) * epoch_seconds / num_threads / SEARCH_SHARE
    taken = 60 * minutes - seconds
    enough = math.ceil(_MARGIN * (taken + needed) / 60)
    raise ValueError(
        f"minutes = {minutes:g} is too little on this machine, which is busy or slower than assumed: compiling took "
        f"{taken:.0f} s, and {MIN_CANDIDATES} candidates and a finalist need {needed:.0f} s; give minutes = {enough}, "
        "with a fresh workdir"
    )


def _enough_epochs(num_images):
    """Returns the epochs of the last training up to which the error is expected to fall."""
    return min(max(_ENOUGH_IMAGES / num_images, _LEAST_ENOUGH), _ENOUGH_EPOCHS)


def _cost(num_stages):
    """Returns the epochs of all stages, relative to those of the first."""
    return 1 + (num_stages - 1) * (1 - 1 / FACTOR)


def num_in_time(each_seconds: Sequence[float], seconds: float, *, num_threads: int) -> int:
    """Returns how many trainings, in their order, end within the seconds; 0 if fewer than two do."""
    ends = [0.0] * num_threads
    for num, taken in enumerate(each_seconds):
        heapq.heapreplace(ends, ends[0] + taken)
        if max(ends) > seconds:
            return num if num > 1 else 0
    return len(each_seconds)


def for_few(config: Any, num_candidates: int) -> Any:
    """Returns the settings of a search algorithm for so few candidates.

    At most a third of them (four where that is less) is random at the start, and a tree has at most as many leaves as
    there are candidates.
    """
    third = max(MIN_CANDIDATES, num_candidates // 3)
    most = {"num_initial": third, "population_size": third, "height": num_candidates.bit_length()}
    most = {name: limit for name, limit in most.items() if hasattr(config, name)}
    return dataclasses.replace(config, **{name: min(getattr(config, name), limit) for name, limit in most.items()})


def chosen(expected: Mapping[Row, float], num_images: int) -> Row:
    """Returns the network to train to the end: the best one, or the best published one that is no worse for sure.

    The best of many is so partly by luck, while the published networks have been good on many images. So one of them is
    taken if it is worse by at most a standard error of an accuracy (the rule of Breiman et al., Classification and
    Regression Trees, 1984).

    Args:
      expected: {row: accuracy expected after the last training} of the last stage.
      num_images: on which accuracies are measured.
    """
    best = max(expected, key=expected.get)
    least = expected[best] - math.sqrt(expected[best] * (1 - expected[best]) / num_images)
    published = [row for row in spaces.PUBLISHED if row in expected and expected[row] >= least]
    return max(published, key=expected.get, default=best)


def finals(seconds: float, epoch_seconds: Mapping[str, float], *, num_threads: int) -> tuple[int, tuple[str, ...]]:
    """Returns (epochs, names of the networks that are trained so many), the first of `epoch_seconds` always.

    The others are left out, the last one first, where they would leave the first one fewer than `_ENOUGH_EPOCHS`.
    """
    names = list(epoch_seconds)

    def num_epochs():
        each = [epoch_seconds[name] for name in names]
        needed = max(each[0], sum(each) / num_threads, sum(each[1:]) if num_threads > 1 else 0)
        return max(int(seconds / needed), 0)

    alone = int(seconds / epoch_seconds[names[0]])
    while len(names) > 1 and num_epochs() < max(1, min(_ENOUGH_EPOCHS, alone)):
        names.pop()
    return num_epochs(), tuple(names)
