"""The folder of a training, read: of one network, of shared weights, or of a language model."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from common.records import run_dir
from common.report import json_files

KINDS = {"train": "network", "train_supernet": "shared weights", "train_language": "language model"}
_TOLD = {  # what a result.json holds at least
    "network": (("latest", "test", "top1"), ("best", "test", "top1")),
    "shared weights": (("validation", "mean"), ("validation", "best"), ("test", "mean"), ("test", "best")),
    "language model": (("best", "epoch"), ("best", "valid_perplexity"), ("best", "test_perplexity")),
}
SHARED = "supernet"  # folder, and first part of the file, of the shared weights of a search
_ABOUT = "about.json"  # of checkpoints


class Training(NamedTuple):
    """One training.

    Attributes:
      name: of its folder.
      kind: one of the values of `KINDS`, or "shared language model".
      config: config.json; of the shared weights of a search, what their checkpoints are of.
      result: result.json; empty while the training has not ended.
      lines: those of metrics.jsonl.
      num_epochs: asked for.
      is_finished: whether they are all done.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    lines: list[Mapping[str, Any]]
    num_epochs: int
    is_finished: bool

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return float(self.lines[-1]["epoch"]) if self.lines else 0.0

    @property
    def is_language(self) -> bool:
        """Whether words are learnt, not images."""
        return self.kind.endswith("language model")


def read(folder: pathlib.Path, config: Mapping[str, Any]) -> Training:
    """Returns the training in a folder whose config.json is `config`, of one of the commands of `KINDS`.

    Raises:
      ValueError: a file in it is damaged.
    """
    result = json_files.read(folder / run_dir.RESULT) or {}
    if result:
        _check(folder / run_dir.RESULT, result, _TOLD[KINDS[config["command"]]])
    lines, num_epochs = _lines(folder / run_dir.METRICS), _num_epochs(folder / run_dir.CONFIG, config)
    is_finished = bool(result) and (not lines or lines[-1]["epoch"] >= num_epochs)
    name = folder.resolve().name
    return Training(
        name, KINDS[config["command"]], config, result if is_finished else {}, lines, num_epochs, is_finished
    )


def read_shared(folder: pathlib.Path) -> Training | None:
    """Returns the training of the shared weights that the folder of a search holds, if it does.

    Raises:
      ValueError: a file in it is damaged.
    """
    where = folder / SHARED
    for kind, about, metrics in (
        ("shared weights", where / "checkpoints" / _ABOUT, where / run_dir.METRICS),
        ("shared language model", where / _ABOUT, folder / f"{SHARED}.jsonl"),
    ):
        config = (json_files.read(about) or {}).get("about")
        if isinstance(config, dict):
            lines, num_epochs = _lines(metrics), _num_epochs(about, config)
            is_finished = bool(lines) and lines[-1]["epoch"] >= num_epochs
            return Training(folder.resolve().name, kind, config, {}, lines, num_epochs, is_finished)
    return None


def _check(path, result, told):
    for names in told:
        found = result
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, int | float):
            raise ValueError(f"{path} is damaged: {found!r} is no number, in {'.'.join(names)}; restore it")


def _lines(path):
    return [line for line in json_files.read_lines(path) if isinstance(line.get("epoch"), int | float)]


def _num_epochs(path, config):
    """Of images the settings of the training are called so, of language models config."""
    for name in ("training", "config"):
        settings = config.get(name)
        if isinstance(settings, dict) and isinstance(settings.get("num_epochs"), int):
            return settings["num_epochs"]
    raise ValueError(f"{path} is damaged: it does not say for how many epochs is trained; restore it")
