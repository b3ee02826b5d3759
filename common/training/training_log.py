"""Metrics of a training run: console, metrics.jsonl, TensorBoard."""

import os
import pathlib
from collections.abc import Mapping

from common.records import metrics_log, run_dir
from common.training import loop


class TrainingLog(metrics_log.MetricsLog):
    """Writes the metrics of chunks of steps. Use it in a `with` statement."""

    def __init__(self, folder: str | os.PathLike, *, total: int, start: int):
        """Opens the files of a run of `total` steps, of which `start` are done."""
        folder = pathlib.Path(folder)
        files = {"path": folder / run_dir.METRICS, "events": folder / run_dir.EVENTS}
        super().__init__(**files, title="training", total=total, unit="steps", start=start)
        self._scores = ""

    @property
    def seconds(self) -> float:
        """Seconds of all chunks, those of earlier starts included."""
        return self.lines[-1]["seconds"] if self.lines else 0.0

    @property
    def images_per_second(self) -> float:
        """The median of the chunks, so that the first ones, which compile, do not matter."""
        rates = sorted(line["images_per_second"] for line in self.lines)
        return rates[len(rates) // 2] if rates else 0.0

    def add_chunk(self, chunk: loop.Chunk, *, epoch: float, part: str, scores: Mapping[str, float] | None) -> None:
        """Writes the metrics of a chunk of steps and, if there was one, of the evaluation after it.

        Args:
          epoch: passes over the training images so far.
          part: name of the images of the evaluation.
          scores: its results, "top1" among them; None: no evaluation.
        """
        means = {name: float(chunk.metrics[name].mean()) for name in ("loss", "top1", "top5", "grad_norm")}
        means["learning_rate"] = float(chunk.metrics.learning_rate[-1])
        rate = round(chunk.num_images / chunk.seconds, 1)
        line = {"step": chunk.step, "epoch": round(epoch, 4), **means, "images_per_second": rate}
        line["seconds"] = round(self.seconds + chunk.seconds, 3)
        scalars = {f"train/{name}": value for name, value in means.items()} | {"images_per_second": rate}
        if scores is not None:
            line[part] = dict(scores)
            scalars |= {f"{part}/{name}": value for name, value in scores.items()}
            self._scores = f", {part} {100 * scores['top1']:.2f} %"
        note = f"epoch {epoch:.1f}, loss {means['loss']:.3f}{self._scores}, {rate:,.0f} images/s"
        self.add(line, scalars=scalars, note=note)
