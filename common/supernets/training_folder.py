"""Training of shared weights in a folder, which resumes an interrupted start.

metrics.jsonl (a line per chunk of steps)   checkpoints/   events/ (for TensorBoard)
"""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common.records import locks, run_dir
from common.supernets import config as configs
from common.supernets import scoring, training
from common.training import checkpoints, loop, sharding, training_log
from common.training import config as training_config
from common.training import state as states

NUM_WATCHED = 8  # architectures that are scored during training


@dataclasses.dataclass
class Training:
    """A training in its folder.

    Attributes:
      run: the training.
      state: that of the latest checkpoint, then the last trained one.
    """

    run: training.Run
    state: states.State
    _pace: configs.Pace
    _saved: checkpoints.Checkpoints
    _log: training_log.TrainingLog
    _batches: jax.sharding.NamedSharding | None

    @property
    def seconds(self) -> float:
        """Seconds of training, those of earlier starts included."""
        return self._log.seconds

    @property
    def images_per_second(self) -> float:
        """Images per second, the median of the chunks."""
        return self._log.images_per_second

    def train(self, draw: jax.tree_util.Partial, stop: int | None = None) -> states.State:
        """Trains up to step `stop`, by default the last one, and saves a checkpoint; returns the state.

        Raises:
          ValueError: training diverged.
        """
        run, stop = self.run, self.run.num_steps if stop is None else stop
        if int(self.state.step) >= stop:
            return self.state
        every = self._pace.evaluate_every or max(1, run.config.num_epochs // 10)
        most = self._pace.steps_per_chunk
        placed = self.state, run.keys, run.data("train"), draw
        if self._batches is not None:
            placed = sharding.replicate(placed, self._batches.mesh)
        state, keys, data, draw = placed
        settings = {"stop": stop, "most": most, "draw": draw, "sharding": self._batches}
        chunks = loop.train(run.steps, state, keys, data, run.config, **settings)
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
                    scores={"top1": self._watch()} if is_watched else None,
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

    def skip(self) -> states.State:
        """Saves the current parameters as those of a finished training; returns its state."""
        self.state = self.state.replace(step=jnp.full_like(self.state.step, self.run.num_steps))
        self._saved.save(self.state)
        self._saved.wait()
        return self.state

    def _watch(self):
        """Returns the mean accuracy of a few random architectures, always the same."""
        key = jax.random.key(self.run.about["seed"])
        evaluator = scoring.of(self.run, states.averaged(self.state)["params"])
        found = evaluator.evaluate(key, self.run.space.sample(jax.random.key(0), NUM_WATCHED))
        return float(np.mean(found.fitness))


@contextlib.contextmanager
def opened(
    run: training.Run, folder: pathlib.Path, pace: configs.Pace | None = None, *, first: Any | None = None
) -> Iterator[Training]:
    """Yields the training in a folder, at its latest checkpoint.

    Args:
      folder: made if it does not exist.
      pace: intervals of evaluations and checkpoints.
      first: initial parameters; None: random ones.

    Raises:
      ValueError: the folder belongs to another training, or is in use; or there are fewer devices, or a batch cannot be
        split evenly.
    """
    pace, where = pace or configs.Pace(), folder / run_dir.CHECKPOINTS
    batches = sharding.over(pace.num_devices)
    if batches is not None:
        last_size = training_config.last_batch_size(run.config, len(run.parts["train"].labels))
        sharding.check_batches(run.config.batch_size, last_size, batches.mesh)
    checkpoints.check_about(where, run.about, run.checksum)  # before anything is made
    folder.mkdir(parents=True, exist_ok=True)
    with (
        locks.hold(folder / run_dir.LOCK, what=str(folder)),
        checkpoints.Checkpoints(where, run.about, run.checksum) as saved,
    ):
        state = saved.latest(run.template(batches))
        start, total = 0 if state is None else int(state.step), run.num_steps
        if start:
            print(f"shared weights: resuming from step {start} of {total}", flush=True)
        with training_log.TrainingLog(folder, total=total, start=start) as log:
            state = run.init(first) if state is None else state
            yield Training(run, state, pace, saved, log, batches)
