"""The best few of a search on shared weights, each trained for a short time, and the one that is best then."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import rich.console
import rich.table
from absl import flags

from common import types
from common.evaluators import training, training_config
from common.genotypes import conversion, json_text
from common.records import progress, run_dir
from launch import proxy

FINALISTS, BEST = "finalists.json", "best.json"


def run(
    values: flags.FlagValues,
    about: Mapping[str, Any],
    folder: pathlib.Path,
    space: types.SearchSpace,
    archs: np.ndarray,
    fitness: np.ndarray,
) -> np.ndarray:
    """Trains the best --rerank of a search, writes the best of them as a genotype, and returns it, int32[L].

    The programs of NAO train the best five so before they are trained to the end. What was trained in an earlier
    start is not trained again.

    Args:
      values: the flags; those of --proxy_... say how long, and how small.
      about: of the shared weights, from which the images and how they are split are taken.
      folder: of the run.
      space: that was searched.
      archs: int32[R, L], best first.
      fitness: float32[R], on shared weights.

    Raises:
      ValueError: a setting makes no sense, or the folder has finalists of other settings.
    """
    best = archs[0]
    if values.rerank:
        found = _trained(values, about, folder, space, archs[: values.rerank], fitness[: values.rerank])
        best = np.array(max(found, key=lambda one: -1.0 if one["trained"] is None else one["trained"])["arch"])
        _print(found, space)
    path = folder / BEST
    run_dir.write_text(path, json_text.to_text(conversion.from_arch(space.name, best)))
    print(f"best architecture: {path}; train it with launch.train --genotype={path}", flush=True)
    return best


def _trained(values, about, folder, space, archs, fitness):
    """Returns what finalists.json says of each architecture."""
    settings = {
        field.name: values[proxy.PREFIX + field.name].value for field in dataclasses.fields(training_config.Config)
    }
    for name in ("held_out", "num_images"):  # else the images that chose them would train them
        settings[name] = about[name] if settings[name] is None else settings[name]
    evaluator = training.evaluator(space.name, dataset=about["dataset"], data_dir=values.data_dir, **settings)
    path, found = folder / FINALISTS, []
    if path.exists():
        record = json.loads(path.read_text())
        if record["trained_as"] != evaluator.name:
            raise ValueError(
                f"the finalists in {path} were trained as {record['trained_as']}, and now it is {evaluator.name}; "
                "remove the file, or set --proxy_... as before"
            )
        found = record["finalists"]
    done = {tuple(one["arch"]): one for one in found}
    key = jax.random.key(values.seed)
    with progress.Progress("finalists", total=len(archs), unit="architectures") as live:
        for number, (arch, score) in enumerate(zip(archs, fitness.tolist(), strict=True), start=1):
            if tuple(arch.tolist()) not in done:
                evaluation = evaluator.evaluate(key, arch[None])
                accuracy = float(evaluation.fitness[0]) if evaluation.ok[0] else None
                one = {"arch": arch.tolist(), "shared_weights": score, "trained": accuracy}
                done[tuple(one["arch"])] = one
                run_dir.write_json(path, {"trained_as": evaluator.name, "finalists": list(done.values())})
            accuracy = done[tuple(arch.tolist())]["trained"]
            live.update(number, "infeasible" if accuracy is None else f"accuracy {100 * accuracy:.2f} %")
    return [done[tuple(arch.tolist())] for arch in archs]


def _print(found, space):
    table = rich.table.Table(title="the best on shared weights, trained for a short time")
    for name in ("shared weights", "trained", "architecture"):
        table.add_column(name, overflow="fold")
    for one in sorted(found, key=lambda one: -(one["trained"] or 0.0)):
        trained = "infeasible" if one["trained"] is None else f"{100 * one['trained']:.2f} %"
        table.add_row(f"{100 * one['shared_weights']:.2f} %", trained, space.describe(np.array(one["arch"])))
    rich.console.Console().print(table)
