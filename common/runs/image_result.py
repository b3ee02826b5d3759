"""Files of the result of `search_images`, and its texts."""

import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from common import fronts
from common.genotypes import conversion, json_text
from common.records import run_dir
from common.runs import halving, image_finals, image_run, image_trainings


def write(
    run: image_run.Run,
    stages: list[tuple[int, dict[halving.Row, float]]],
    found: list[dict[str, Any]],
    missing: list[str],
) -> dict[str, Any]:
    """Writes and returns the content of result.json, and the other files of the result."""
    best = tuple(found[0]["arch"])
    run_dir.write_text(run.folder / run_dir.BEST, json_text.to_text(conversion.from_arch(image_trainings.SPACE, best)))
    networks = [_described(run, one) for one in found]
    _, first = stages[0]
    archs, fitness = np.array(list(first), np.int32), np.array(list(first.values()))
    on_front = fronts.non_dominated(np.stack([fitness, -run.cost("macs", archs)], axis=1))
    front = [
        {
            "arch": arch.tolist(),
            "description": run.words(arch.tolist()),
            "fitness": float(value),
            "costs": _costs(run, arch),
        }
        for arch, value in sorted(zip(archs[on_front], fitness[on_front]), key=lambda one: -one[1])
    ]
    more = 3 * max(1, round(found[0]["epochs"]))
    recipe = image_trainings.augment(run.dataset, more * networks[0]["costs"]["macs"])
    result = {
        "protocol": "validation",
        "benchmark": image_trainings.SPACE,
        "dataset": run.about["dataset"],
        "class_names": list(run.dataset.class_names),
        "seed": run.about["seed"],
        "queries": len(archs),
        "seconds": round(run.spent, 1),
        "minutes": run.about["minutes"],
        "best": networks[0] | {"fitness": next(each[best] for _, each in reversed(stages) if best in each)},
        "baselines": networks[1:],
        "left_out": missing,
        "stages": [{"epochs": epochs, "candidates": len(each)} for epochs, each in stages],
        "front": front,
        "train_more": {"num_epochs": more}
        | {name: getattr(recipe, name) for name in ("crop_padding", "flip", "autoaugment")},
        "workdir": str(run.folder),
    }
    run_dir.write_json(run.folder / run_dir.RESULT, result)
    run.keep(())
    run.write_page(is_running=False)
    return result


def _described(run, one):
    """Returns the entry of a trained network in result.json."""
    of_network = {name: value for name, value in one.items() if name not in ("event", "seconds")}
    return {**of_network, "description": run.words(one["arch"]), "costs": _costs(run, one["arch"])}


def _costs(run, arch):
    return {name: float(run.cost(name, [arch])[0]) for name in ("params", "macs")}


def title(result: Mapping[str, Any]) -> str:
    """Returns the title of the table of a result.json."""
    return f"{result['queries']} candidates on {result['dataset']}, {result['seconds'] / 60:.1f} minutes"


def table(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (names of the columns, rows) of the table of a result.json."""
    rows = [
        (
            one["name"],
            f"{100 * one['test']:.2f} %",
            f"{one['costs']['params']:,.0f}",
            f"{one['costs']['macs']:,.0f}",
            f"{one['epochs']:.0f}",
        )
        for one in (result["best"], *result["baselines"])
    ]
    return ("network", "test accuracy", "parameters", "multiply-adds", "epochs"), rows


def next_steps(result: Mapping[str, Any], data_dir: str | None = None) -> str:
    """Returns the files of a result.json, and commands that continue from them; first, whether a baseline is better.

    Args:
      data_dir: folder of datasets that commands must name.
    """
    folder = pathlib.Path(result["workdir"])
    flags = [f"--dataset={shlex.quote(result['dataset'])}"]
    flags += [f"--data_dir={shlex.quote(data_dir)}"] if data_dir else []
    flags += [f"--{name}={str(value).lower()}" for name, value in result["train_more"].items()]
    better = [
        f"{one['name']} classifies more test images correctly than the best candidate; its weights: "
        f"{folder / one['name']}.safetensors. With more minutes more candidates are compared, after longer trainings."
        for one in result["baselines"]
        if one["test"] > result["best"]["test"]
    ]
    genotype, drawing = (shlex.quote(str(folder / name)) for name in (run_dir.BEST, "best.svg"))
    return "\n".join(
        [
            *better,
            f"best: {result['best']['description']}",
            f"genotype: {folder / run_dir.BEST}",
            f"weights: {folder / image_finals.MODEL} (common.training.export.load)",
            f"program: {folder / image_finals.PROGRAM} (jax.export.deserialize)",
            f"page: {folder / image_run.PAGE}",
            f"draw it:    python -m launch.genotype --genotype={genotype} --output={drawing}",
            f"train more: python -m launch.train --genotype={genotype} --preset=small_images {' '.join(flags)}",
        ]
    )
