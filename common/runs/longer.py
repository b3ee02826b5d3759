"""Longer training of a run in its folder: for more epochs than its record says."""

import pathlib

from common.records import run_dir
from common.runs import training_run
from common.training import checkpoints


def extend(folder: pathlib.Path, run: training_run.Run) -> None:
    """Raises the number of epochs in the record of a run, if its steps so far do not depend on that number.

    Args:
      folder: of its checkpoints.
      run: the training, with more epochs; of another number nothing is changed.

    Raises:
      ValueError: the learning rate or the drop path depends on the number of epochs, or other settings differ too.
    """
    epochs = run.config.num_epochs
    if not (folder / checkpoints.ABOUT).exists():
        return
    training = checkpoints.read_about(folder).get("training")
    before = training.get("num_epochs") if isinstance(training, dict) else None
    if not isinstance(before, int) or before >= epochs:
        return
    about, data = {**run.about, "training": {**run.about["training"], "num_epochs": before}}, run.images.checksum
    checkpoints.check_about(folder, about, data)
    if reason := dependence(run):
        raise ValueError(
            f"{folder.parent} is a training of {before} epochs and cannot become one of {epochs}, as {reason} depends "
            "on their number; export its network (--evaluate --export) and train that in a fresh folder (--init_from)"
        )
    run_dir.write_json(folder / checkpoints.ABOUT, {"format": checkpoints.FORMAT, "about": run.about, "data": data})


def dependence(run: training_run.Run) -> str:
    """Returns the part of a training that depends on its number of epochs, or an empty text."""
    schedule = run.config.optimizer.schedule
    if schedule.schedule == "cosine" and not schedule.period_epochs:
        return "the cosine of the learning rate (--schedule, --period_epochs)"
    if getattr(run.network.config, "drop_path_keep", 1.0) < 1 and not run.config.progress_epochs:
        return "the ramp of drop path (--drop_path_keep, --progress_epochs)"
    return ""
