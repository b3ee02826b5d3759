"""The training of shared weights in a folder: what `launch.train_supernet` and searches on shared weights do.

metrics.jsonl (a line a chunk of steps)   checkpoints/   events/ (for TensorBoard)
"""

import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import jax
import numpy as np

from common.datasets import images
from common.records import locks
from common.supernets import presets as supernet_presets
from common.supernets import scoring as scores
from common.supernets import training as supernet
from common.training import checkpoints, loop, training_log
from common.training import state as states

NUM_WATCHED = 8  # architectures that are scored while training goes on
_LOCK = "lock"


@dataclasses.dataclass(frozen=True)
class Pace:
    """How often something is looked at or saved."""

    evaluate_every: int = 0  # epochs; 0: a tenth of all
    steps_per_chunk: int = 0  # 0: an epoch
    checkpoint_seconds: float = 60.0


class Training:
    """The training of a run in its folder. Use it in a `with` statement.

    Attributes:
      state: as of the latest checkpoint, then as last trained.
    """

    def __init__(self, run: supernet.Run, folder: pathlib.Path, pace: Pace | None = None, *, first: Any | None = None):
        """Names what is trained, and where.

        Args:
          run: what is trained.
          folder: of the training, made if it is not there.
          pace: how often something is looked at or saved.
          first: parameters to begin with; None: random ones.
        """
        self._run, self._folder, self._pace, self._first = run, folder, pace or Pace(), first
        self.state: states.State | None = None

    @property
    def seconds(self) -> float:
        """Seconds of training, those of earlier starts included."""
        return self._log.seconds

    @property
    def images_per_second(self) -> float:
        """The median of the chunks."""
        return self._log.images_per_second

    def train(self, draw: jax.tree_util.Partial, stop: int) -> states.State:
        """Trains up to step `stop` on architectures that `draw` draws, and saves; returns the state.

        Raises:
          ValueError: training diverged.
        """
        run = self._run
        if int(self.state.step) >= stop:
            return self.state
        every = self._pace.evaluate_every or max(1, run.config.num_epochs // 10)
        chunks = loop.train(
            run.steps,
            self.state,
            run.keys,
            self._data,
            run.config,
            stop=stop,
            most=self._pace.steps_per_chunk,
            draw=draw,
        )
        saved_at = time.monotonic()
        try:
            for self.state, chunk in chunks:
                epoch, within = divmod(chunk.step, run.steps_per_epoch)
                is_last = chunk.step == stop
                is_watched = is_last or (not within and epoch % every == 0)
                self._log.add_chunk(
                    chunk,
                    epoch=chunk.step / run.steps_per_epoch,
                    part="validation",
                    scores={"top1": self.watch()} if is_watched else None,
                )
                if is_last or time.monotonic() - saved_at >= self._pace.checkpoint_seconds:
                    self._saved.save(self.state)
                    saved_at = time.monotonic()
        except loop.DivergedError as error:
            self._saved.wait()
            kept = f"; the checkpoint of step {self._saved.steps()[-1]} is kept" if self._saved.steps() else ""
            raise ValueError(f"{error}{kept}") from error
        self._saved.wait()
        return self.state

    def watch(self) -> float:
        """Returns the mean accuracy of a few random architectures, always the same."""
        key = jax.random.key(self._run.about["seed"])
        evaluator = scores.of(self._run, states.averaged(self.state)["params"])
        found = evaluator.evaluate(key, self._run.space.sample(jax.random.key(0), NUM_WATCHED))
        return float(np.mean(found.fitness))

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            # Refused before anything is made, if it is of another run.
            checkpoints.check_about(self._folder / supernet.CHECKPOINTS, self._run.about)
            self._folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.hold(self._folder / _LOCK, what=str(self._folder)))
            self._saved = stack.enter_context(
                checkpoints.Checkpoints(self._folder / supernet.CHECKPOINTS, self._run.about)
            )
            self.state = self._saved.latest(self._run.template())
            if self.state is None:
                self.state = self._run.init(self._first)
            start, total = int(self.state.step), self._run.num_steps
            if start:
                print(f"shared weights: going on from step {start} of {total}", flush=True)
            self._log = stack.enter_context(training_log.TrainingLog(self._folder, total=total, start=start))
            self._data = self._run.data("train")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


def settings(space: str, preset: str, dataset: images.Dataset, **network: Any) -> supernet_presets.Preset:
    """Returns a preset for a space and a dataset, with some settings of its network replaced.

    Raises:
      ValueError: the space has no such network, or a setting makes no sense.
    """
    found = supernet_presets.PRESETS[preset]
    made = dataclasses.replace(supernet_presets.network(found, space), num_classes=dataset.num_classes, **network)
    return found._replace(network=made)
