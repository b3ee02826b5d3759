"""What a training run says while it goes on: a progress line, metrics.jsonl, and event files for TensorBoard."""

import contextlib
import json
import pathlib
from collections.abc import Mapping

from common.records import progress, run_dir
from common.training import event_files, loop


class TrainingLog:
    """Takes down chunks of steps. Use it in a `with` statement."""

    def __init__(self, folder: pathlib.Path, *, total: int, start: int):
        """Opens the files of a run.

        Args:
          folder: of the run.
          total: steps of the whole training.
          start: steps done; what the files say of later ones is dropped, as they are done again.
        """
        self._path = folder / run_dir.METRICS
        lines = [line for line in _read(self._path) if line["step"] <= start]
        self._earlier = lines[-1]["seconds"] if lines else 0.0
        run_dir.write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))
        self._rates = [line["images_per_second"] for line in lines]
        self._seconds = 0.0
        self._live = progress.Progress("training", total=total, unit="steps")
        self._start = start
        self._events = folder / run_dir.EVENTS
        self._scores = ""

    @property
    def seconds(self) -> float:
        """Seconds of all chunks, those of earlier starts included."""
        return self._earlier + self._seconds

    @property
    def images_per_second(self) -> float:
        """The median of the chunks, so that those that were compiled first do not matter."""
        rates = sorted(self._rates)
        return rates[len(rates) // 2] if rates else 0.0

    def add(self, chunk: loop.Chunk, *, epoch: float, part: str, scores: Mapping[str, float] | None) -> None:
        """Takes down a chunk, and what an evaluation after it gave.

        Args:
          chunk: what was done.
          epoch: passes over the training images done after it.
          part: what was evaluated on.
          scores: what came out, or None.
        """
        self._seconds += chunk.seconds
        metrics = {name: float(chunk.metrics[name].mean()) for name in ("loss", "top1", "top5", "grad_norm")} | {
            "learning_rate": float(chunk.metrics.learning_rate[-1])
        }
        rate = round(chunk.num_images / chunk.seconds, 1)
        self._rates.append(rate)
        line = {"step": chunk.step, "epoch": round(epoch, 4), **metrics, "images_per_second": rate}
        line["seconds"] = round(self.seconds, 3)
        scalars = {f"train/{name}": value for name, value in metrics.items()} | {"images_per_second": rate}
        if scores is not None:
            line[part] = dict(scores)
            scalars |= {f"{part}/{name}": value for name, value in scores.items()}
            self._scores = f", {part} {100 * scores['top1']:.2f} %"
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()
        self._writer.write(chunk.step, scalars)
        note = f"epoch {epoch:.1f}, loss {metrics['loss']:.3f}{self._scores}, {rate:,.0f} images/s"
        self._live.update(chunk.step, note)

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._metrics = stack.enter_context(self._path.open("a"))
            self._writer = stack.enter_context(event_files.EventFile(self._events, start=self._start))
            stack.enter_context(self._live)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


def _read(path):
    """Returns the whole lines of a metrics file; a kill may have torn the last one."""
    if not path.exists():
        return []
    lines = []
    for line in path.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
