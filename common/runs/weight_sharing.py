"""The outer loop of NAO-WS (arXiv:1808.07233, section 3.3): search on shared weights that train in between.

A pool of architectures trains one network that holds them all. After a block of training the whole pool is scored on
its weights, a searcher proposes new architectures, and the pool is renewed. Scores of earlier blocks come from other
weights, so they are dropped: the searcher sees a history whose evaluated rows are those of the pool, with their newest
scores. Rows that left the pool stay in the history as infeasible, so that they are not proposed again; the released
programs forget them.

Every pool and its scores are written before they are used, one line each, and a search resumes in its last block:

  {"event": "pool", "block": 0, "archs": [[0, 1, 1, 4, 2, 2], ...]}
  {"event": "scored", "block": 0, "scores": [0.41, null, ...]}
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from common import config as configs
from common import one_round, types, unseen
from common.executors import measuring
from common.records import json_lines
from common.supernets import population as pools


@configs.dataclass
class Schedule:
    """Pool of a search on shared weights: its size and its renewal."""

    num_initial: Annotated[int, "random architectures of the first pool", configs.Range(at_least=1)] = 1000
    num_blocks: Annotated[int, "blocks of training, with a renewal between two", configs.Range(at_least=1)] = 5
    num_new: Annotated[int, "architectures that the searcher proposes at a renewal", configs.Range(at_least=1)] = 500
    num_random: Annotated[int, "random architectures at a renewal", configs.Range(at_least=0)] = 50
    keeps: Annotated[
        Literal["replace", "accumulate"], "which of the pool to keep: its best such that its size stays, or all"
    ] = "replace"
    trains_on: Annotated[Literal["pool", "newest"], "architectures to train on: the whole pool, or its newest"] = "pool"
    restarts: Annotated[bool, "whether the learning rate schedule restarts in each block"] = False

    def __post_init__(self):
        if self.keeps == "replace" and self.num_newest >= self.num_initial:
            raise ValueError(
                f"num_new + num_random = {self.num_newest} would replace all of a pool of {self.num_initial}; choose "
                f"{self.num_initial - 1} or less, a larger num_initial, or keeps = accumulate"
            )

    @property
    def num_newest(self) -> int:
        """Number of architectures that a renewal adds."""
        return self.num_new + self.num_random

    @property
    def num_archs(self) -> int:
        """Number of architectures that are ever in the pool."""
        return self.num_initial + (self.num_blocks - 1) * self.num_newest


SCHEDULES: dict[str, Schedule] = {
    "nao_ws": Schedule(),
    "nao_ws_rnn": Schedule(num_new=300),
    # As re-implemented by its authors, and their second version ("balanced" NAO).
    "nao_v1": Schedule(num_initial=600, num_new=300, num_random=0),
    "nao_v2": Schedule(num_blocks=4, num_new=300, num_random=0, keeps="accumulate", trains_on="newest", restarts=True),
    "topics": Schedule(num_initial=40, num_new=14, num_random=2),  # ours, for a search of minutes
}


class Round(NamedTuple):
    """A block of training.

    Attributes:
      block: its index.
      archs: int32[P, L], the pool: the architectures kept, best first, then the new ones.
      scores: float32[P], after the block.
    """

    block: int
    archs: np.ndarray
    scores: np.ndarray


class Result(NamedTuple):
    """Result of a search.

    Attributes:
      archs: int32[P, L], the last pool, best first.
      scores: float32[P], their scores on the last weights.
      state: of the shared weights.
      rounds: of every block.
    """

    archs: np.ndarray
    scores: np.ndarray
    state: Any
    rounds: tuple[Round, ...]


def run(
    key: chex.PRNGKey,
    space: types.SearchSpace,
    searcher: types.Searcher,
    train: Callable[[chex.PRNGKey, Any, np.ndarray, int], Any],
    score: Callable[[chex.PRNGKey, Any, np.ndarray], np.ndarray],
    state: Any,
    schedule: Schedule,
    folder: str | os.PathLike | None = None,
    *,
    report: Callable[[Round], None] | None = None,
) -> Result:
    """Trains, scores, proposes and renews the pool, block after block, or resumes; returns pool, state and rounds.

    Blocks that the folder holds are not trained again, but proposals are made again, which rebuilds the searcher's
    state.

    Args:
      key: determines all random numbers, with the block.
      searcher: proposes; its settings should be such that it fits its model at every renewal.
      train: (key, state, archs int32[P, L], block) -> the state of the shared weights after a block of training on
        `archs`. It gets the state at the end of the block before, or one from within the block, as in its own
        checkpoint, and may donate it.
      score: (key, state, archs int32[P, L]) -> float32[P], fitness in [0, 1], not finite where scoring failed.
      state: of the shared weights, the initial one or that of their latest checkpoint.
      folder: of the run, which exists; None: nothing is written.
      report: called after every block, those of earlier runs included.

    Raises:
      ValueError: the space is too small for the schedule, the folder belongs to another search or is damaged, scores
        are not in [0, 1], or none is finite.
      OSError: the folder cannot be written.
    """
    if schedule.num_archs > space.size:
        raise ValueError(
            f"the schedule takes {schedule.num_archs} architectures, of which {space.name} has {space.size}; lower "
            "num_initial, num_new, num_random or num_blocks"
        )
    header = {
        "space": space.name,
        "searcher": searcher.name,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        **dataclasses.asdict(schedule),
    }
    with contextlib.ExitStack() as stack:
        record = pools.Record()
        if folder is not None:
            record = stack.enter_context(json_lines.opened(pathlib.Path(folder) / pools.POOLS, header, pools.Record))
        return _run(key, space, searcher, train, score, state, schedule, record, report or (lambda _: None))


def _run(key, space, searcher, train, score, state, schedule, record, report):
    pool, rounds = pools.Pool(space, schedule.num_archs), []
    init_key = jax.random.fold_in(key, one_round.INIT_ROUND)
    searching = one_round.init(measuring.on_device(searcher.init), init_key, pool.history())
    propose = functools.partial(one_round.propose, measuring.on_device(searcher.propose), count=schedule.num_new)
    # Without its arrays a space can be a static argument: one program serves every search on it.
    draw = functools.partial(_draw, space._replace(legal_tokens=None, symmetries=()), unseen.pool_of(space))
    proposed = np.zeros((0, len(space.num_choices)), np.int32)
    for block in range(schedule.num_blocks):
        propose_key, draw_key, train_key, score_key = jax.random.split(jax.random.fold_in(key, block), 4)
        count = schedule.num_newest if block else schedule.num_initial
        history = pool.history()
        if block:
            proposed, searching = propose(propose_key, searching, history)
            if schedule.keeps == "replace":
                pool.keep(schedule.num_initial - count)
        new = np.asarray(draw(draw_key, history, proposed, count=count))
        pool.add(_agree(record, block, pool.archs, new))
        if block == len(record.scores):
            chosen = pool.archs if schedule.trains_on == "pool" else pool.archs[-count:]
            state = train(train_key, state, chosen, block)
            scores = np.asarray(score(score_key, state, pool.archs), np.float32)
            pools.check_scores(scores, len(pool.archs))
            record.write_scores(scores)
        pool.scores = record.scores[block]
        rounds.append(Round(block, pool.archs, pool.scores))
        report(rounds[-1])
    best = pool.best(len(pool.scores))
    return Result(pool.archs[best], pool.scores[best], state, tuple(rounds))


@functools.partial(jax.jit, static_argnames=("space", "count"))
def _draw(space, listed, key, history, proposed, *, count):
    """Returns int32[count, L]: the proposals, then new random architectures."""
    known = unseen.know(listed, unseen.empty_index(listed, history), history, count=history.status.shape[0])
    missing = count - proposed.shape[0]
    return unseen.complete(
        key, space, known, jnp.pad(proposed, ((0, missing), (0, 0))), jnp.arange(count) < proposed.shape[0]
    )


def _agree(record, block, kept, new):
    """Returns the new rows of a block's pool: the recorded ones, or `new`, which is recorded with the rows kept."""
    pool = np.concatenate([kept, new])
    if block == len(record.pools):
        record.write_pool(pool)
    recorded = record.pools[block]
    if recorded.shape != pool.shape or np.any(recorded[: len(kept)] != kept):
        raise ValueError(
            f"the pool of block {block} in {pools.POOLS} does not follow from the scores before it; restore the file, "
            "or start in a fresh folder"
        )
    if np.any(recorded != pool):
        # Other hardware or another version rounds differently. Recorded scores stay valid.
        logging.warning("Block %d would start from another pool now; the search resumes from the file.", block)
    return recorded[len(kept) :]
