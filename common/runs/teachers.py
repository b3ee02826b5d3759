"""Distillation: training that learns the outputs of a trained network, a teacher, besides the labels."""

import os
import pathlib

import jax
import jax.numpy as jnp

from common.records import run_dir
from common.runs import training_run
from common.training import checkpoints, export, losses
from common.training import state as states


def read(
    path: str, run: training_run.Run, data_dir: str | os.PathLike | None, *, weight: float, temperature: float
) -> training_run.Run:
    """Returns the run with a teacher, and the teacher in its record.

    Args:
      path: a file of `common.training.export`, or the folder of a training run, of which it is the last checkpoint.
      weight: see `losses.Teacher`, as `temperature`.

    Raises:
      ValueError: there is no such network, or it was trained for other images or classes.
    """
    network, variables, images = _of_run(path, data_dir) if pathlib.Path(path).is_dir() else _of_file(path)
    names = ("number of classes", "image shape", "mean of images", "std of images", "normalization of images")
    theirs = (network.config.num_classes, *images)
    ours = (run.network.config.num_classes, *_images(run))
    for name, found, wanted in zip(names, theirs, ours, strict=True):
        if found != wanted:
            raise ValueError(
                f"the teacher {path} does not fit: its {name} is {found}, here it is {wanted}; "
                "give a network trained on the same images"
            )

    def logits(variables, images):
        return network.apply(variables, images, train=False).main.astype(jnp.float32)

    teacher = losses.Teacher(jax.tree_util.Partial(logits, variables), weight, temperature)
    checksum = run_dir.checksum(jax.tree.leaves(variables))
    record = {"network": path, "checksum": checksum, "weight": weight, "temperature": temperature}
    return run._replace(about={**run.about, "teacher": record}, teacher=teacher)


def _of_file(path):
    """Returns (network, variables, `export.Images`)."""
    model = export.load(path)
    images = {name: tuple(value) if isinstance(value, list) else value for name, value in model.about["images"].items()}
    return model.network, model.variables, export.Images(**images)


def _of_run(path, data_dir):
    folder = pathlib.Path(path) / run_dir.CHECKPOINTS
    run = training_run.build(checkpoints.read_about(folder), data_dir)
    with checkpoints.Checkpoints(folder, run.about) as saved:
        state = saved.latest(run.template())
    if state is None:
        raise ValueError(f"the teacher {path} has no checkpoint yet")
    return run.network, states.averaged(state), _images(run)


def _images(run):
    return export.Images(run.images.shape, run.images.mean, run.images.std, run.normalization)
