"""Checkpoints of a training run: the latest ones and the best one.

Orbax writes them asynchronously and atomically. Shapes and checksums of the arrays reveal a damaged checkpoint, the
record of the run another run, before anything is compiled.

  about.json    record of the run
  00000390/     the state after 390 steps
"""

import dataclasses
import json
import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from common.file_formats import json_values
from common.records import json_files, run_dir
from common.training import state as states

ABOUT = "about.json"
FORMAT = 1
_DAMAGED = "damaged-"
_ABOUT = {"dataset?": str, "space?": str, "corpus?": str, "seed?": int, "held_out?": int, "num_images?": int}
_NUM_LATEST = 2  # in case one is damaged
_READ_ERRORS = (ValueError, TypeError, KeyError, AttributeError, OSError)  # of Orbax, depending on what is damaged


class Checkpoints:
    """Checkpoints in a folder. Use it in a `with` statement, which waits until the last one is on disk."""

    def __init__(self, folder: str | os.PathLike, about: Mapping[str, Any], data: int | None = None):
        """Opens a folder, or creates it.

        Args:
          about: record of the run, of JSON types; only a run with the same record can resume here.
          data: checksum of its images or text, likewise; None: not checked.

        Raises:
          ValueError: the folder belongs to another run.
        """
        self._folder = pathlib.Path(folder).absolute()
        check_about(self._folder, about, data)
        self._folder.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0 and not (self._folder / ABOUT).exists():
            run_dir.write_json(self._folder / ABOUT, {"format": FORMAT, "about": about, "data": data})
        self._scores: dict[int, float | None] = {}
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_LatestAndBest(self._scores),
            step_format_fixed_length=8,
            cleanup_tmp_directories=True,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(self._folder, options=options)
        self._scores.update({step: self._read_score(step) for step in self._manager.all_steps()})

    def save(self, state: states.State, *, score: float | None = None) -> None:
        """Starts to write a checkpoint, and returns when `state` may be donated.

        The checkpoint with the largest score is kept; one without a score cannot be the best.
        """
        arrays = _named(state)
        step, score = int(state.step), None if score is None else float(score)
        self._scores[step] = score
        told = {"score": score, "arrays": _record(arrays, checksums=True)}
        self._manager.save(
            step, args=ocp.args.Composite(state=ocp.args.StandardSave(arrays), told=ocp.args.JsonSave(told))
        )

    def latest(self, template: states.State) -> states.State | None:
        """Returns the latest state that can be read, or None if there is none yet.

        A damaged checkpoint is set aside with a warning, and the one before it is used.

        Args:
          template: a state of arrays or `jax.ShapeDtypeStruct`s; the returned state has their shardings.

        Raises:
          ValueError: the checkpoints belong to another network, or all are damaged.
        """
        found = sorted(self._manager.all_steps(), reverse=True)
        for step in found:
            try:
                return self._read(step, template)
            except DamagedError as error:
                logging.warning("%s; it is set aside, and training resumes from the checkpoint before it", error)
                if jax.process_index() == 0:
                    (self._folder / f"{step:08}").rename(self._folder / f"{_DAMAGED}{step:08}")
                self._manager.reload()
        if found:
            raise ValueError(f"all {len(found)} checkpoints in {self._folder} are damaged; start in a fresh folder")
        return None

    def best(self, template: states.State) -> states.State | None:
        """Returns the state with the largest score, or None if none has a score.

        Raises:
          ValueError: it belongs to another network, or is damaged.
        """
        step = _best(self.steps(), self._scores)
        return None if step is None else self._read(step, template)

    def steps(self) -> list[int]:
        """Returns the steps with a checkpoint."""
        return sorted(self._manager.all_steps())

    def wait(self) -> None:
        """Waits until all checkpoints are on disk."""
        self._manager.wait_until_finished()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._manager.close()

    def _read(self, step, template):
        arrays = _named(template)
        where = self._folder / f"{step:08}"
        try:
            shapes = self._told(step)["arrays"]
            if difference := _array_difference(shapes, _record(arrays)):
                raise ForeignError(
                    f"the checkpoint {where} is of another network: {difference}; "
                    "build the network that was trained, or start in a fresh folder"
                )
            targets = {
                name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=getattr(array, "sharding", None))
                for name, array in arrays.items()
            }
            read = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(targets))).state
        except (ForeignError, PermissionError):
            raise
        except _READ_ERRORS as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0][:200]
            raise DamagedError(f"the checkpoint {where} is damaged: {reason}") from error
        wrong = [name for name, told in _record(read, checksums=True).items() if shapes[name] != told]
        if wrong:
            raise DamagedError(f"the checkpoint {where} is damaged: {wrong[0]} differs from what was saved")
        return jax.tree.unflatten(jax.tree.structure(template), [read[name] for name in arrays])

    def _told(self, step):
        return self._manager.restore(step, args=ocp.args.Composite(told=ocp.args.JsonRestore())).told

    def _read_score(self, step):
        try:
            return self._told(step)["score"]
        except _READ_ERRORS:
            return None  # a damaged checkpoint is never the best one; `latest` sets it aside


class DamagedError(ValueError):
    """A checkpoint cannot be read, or differs from what was saved."""


class ForeignError(ValueError):
    """A checkpoint belongs to another network or run."""


def check_about(folder: str | os.PathLike, about: Mapping[str, Any], data: int | None = None) -> None:
    """Raises a `ValueError` if `folder` has checkpoints of a run with another record, or on other data."""
    if not (pathlib.Path(folder) / ABOUT).exists():
        return
    found = _read(folder)
    if differences := _differences(found["about"], json.loads(json.dumps(about))):
        raise ForeignError(
            f"the checkpoints in {folder} are of another run: {'; '.join(differences)}; "
            "start in a fresh folder or with the old settings"
        )
    run_dir.check_data(folder, found.get("data"), data)  # last, as settings choose the images


def read_about(folder: str | os.PathLike) -> dict[str, Any]:
    """Returns the record of the run whose checkpoints are in `folder`.

    Raises:
      ValueError: there are none, or the file is invalid.
    """
    return _read(folder)["about"]


def _read(folder):
    path = pathlib.Path(folder) / ABOUT
    if not path.exists():
        raise ValueError(f"{folder} has no checkpoints: there is no {path}")
    try:
        found = json_values.read(path)
        json_files.check(path, found, {"format": int, "about": _ABOUT, "data?": int})
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}; this version reads {FORMAT}")
        return found
    except ValueError as error:
        raise ValueError(f"{path} does not describe checkpoints: {error}") from error


@dataclasses.dataclass(frozen=True)
class _LatestAndBest(checkpoint_managers.PreservationPolicy):
    """Tells Orbax which checkpoints to keep; `save` fills `scores`."""

    scores: Mapping[int, float | None]

    def should_preserve(self, checkpoints, *, context):
        steps = sorted(checkpoint.step for checkpoint in checkpoints)
        kept = {*steps[-_NUM_LATEST:], _best(steps, self.scores)}
        return [checkpoint.step in kept for checkpoint in checkpoints]


def _best(steps, scores):
    """Returns the first step with the largest score; None if none has a score."""
    scored = [step for step in steps if scores.get(step) is not None]
    return max(scored, key=scores.get, default=None)


def _named(state):
    """Returns name -> array of a state, in the order of its leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _record(arrays, *, checksums=False):
    """Returns name -> [shape and type as text, checksum or None]."""
    found = {name: [f"{array.dtype}{list(array.shape)}", None] for name, array in arrays.items()}
    for name, array in arrays.items() if checksums else ():
        found[name][1] = zlib.crc32(np.ascontiguousarray(np.asarray(array)).view(np.uint8).data)
    return found


def _array_difference(got, wanted):
    """Returns the first difference in shape or type between two records, or an empty text."""
    for name in sorted(got.keys() | wanted.keys()):
        old, new = (record.get(name, ["absent"])[0] for record in (got, wanted))
        if old != new:
            return f"{name} is {old} there and {new} here"
    return ""


def _differences(old, new, prefix=""):
    """Returns one text per value that differs."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{prefix} was {old!r} and is now {new!r}"]
    names = [*old, *(name for name in new if name not in old)]
    prefix = f"{prefix}." if prefix else ""
    return [text for name in names for text in _differences(old.get(name), new.get(name), f"{prefix}{name}")]
