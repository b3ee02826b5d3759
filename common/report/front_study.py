"""Fronts of a study for several objectives: hypervolume and attainment, pictures and table."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib import ticker

from common import fronts
from common import objectives as objectives_lib
from common.file_formats import npz
from common.records import run_dir
from common.report import canvas, front, study_pictures, units
from common.statistics import intervals

_HISTORY = "history_{}.npz"  # of a study, by algorithm: all searches
_CURVES = ("hypervolume", "front_found")


class Fronts(NamedTuple):
    """Progress of the searches of a study for several objectives.

    Attributes:
      names: of the M objectives, the fitness first.
      signs: float[M], 1 where larger is better, else -1.
      true: float64[F, M], the front that searches are compared with, in their units, the highest fitness first.
      is_known: whether that is the true front of a table, or the best of what was evaluated.
      most: the hypervolume of that front.
      curves: "hypervolume" and "front_found" -> float[S, N], by algorithm.
      values: float[S, N, M], values of all evaluations times signs, by algorithm.
    """

    names: tuple[str, ...]
    signs: np.ndarray
    true: np.ndarray
    is_known: bool
    most: float
    curves: Mapping[str, Mapping[str, np.ndarray]]
    values: Mapping[str, np.ndarray]


def read(folder: pathlib.Path, report: Mapping[str, Any]) -> Fronts | None:
    """Returns the fronts and their curves from the folder of a study; None for a single objective.

    Raises:
      ValueError: a file is damaged.
    """
    if not report.get("front_values"):
        return None
    texts = report["objectives"]
    names = tuple(text.lstrip("+-") for text in texts)
    signs = np.array([-1.0 if text.startswith("-") else 1.0 for text in texts])
    true = np.array([[point[name] for name in names] for point in report["front_values"]], np.float64)
    low, high = (signs * [report[end][name] for name in names] for end in ("reference", "ideal"))
    scaled = (true * signs[None] - low[None]) / np.where(high > low, high - low, 1.0)[None]
    most = float(fronts.hypervolume(scaled, np.zeros(len(names))))
    curves, values = {}, {}
    for name in report["algorithms"]:
        arrays = npz.read(folder / run_dir.CURVES.format(name))
        if missing := set(_CURVES) - arrays.keys():
            raise ValueError(f"{folder / run_dir.CURVES.format(name)} is damaged: it lacks the array {min(missing)}")
        curves[name] = {key: arrays[key] for key in _CURVES}
        if (path := folder / _HISTORY.format(name)).exists():
            values[name] = objectives_lib.values(run_dir.read_history(path)[0])
    return Fronts(names, signs, true, bool(report["front_is_known"]), most, curves, values)


def pictures(found: Fronts) -> list[canvas.Picture]:
    """Returns all pictures of fronts."""
    gap = {name: 100 * (1 - curves["hypervolume"] / found.most) for name, curves in found.curves.items()}
    share = {name: 100 * curves["front_found"] for name, curves in found.curves.items()}
    which = "true front of the table" if found.is_known else "best front that any search found"
    texts = (
        f"Hypervolume that is missing of the {which}, as a share of its hypervolume; lower is better.",
        f"Points of the {which} that were evaluated; higher is better.",
    )
    made = [
        _curves("hypervolume_gap", "Gap to the front", gap, "hypervolume missing (%)", texts[0], is_log=True),
        _curves("front_found", "Share of the front found", share, "points of the front found (%)", texts[1]),
    ]
    return made + ([_attainment(found, which)] if len(found.names) == 2 and found.values else [])


@canvas.styled
def _curves(name, title, found, label, text, *, is_log=False):
    """Draws means over seeds float[S, N] by algorithm against queries, with bands."""
    figure, axes = canvas.new(canvas.WIDTH, 3.8)
    least = np.inf
    for at, (algorithm, values) in enumerate(found.items()):
        places = study_pictures.columns(values.shape[1])
        band = intervals.mean(values[:, places])
        study_pictures.line(axes, places + 1, band, at=at, name=algorithm)
        least = min(least, *np.asarray(band.center)[np.asarray(band.center) > 1e-3], np.inf)
    study_pictures.by_queries(axes)
    axes.set(ylabel=label)
    if is_log and np.isfinite(least):
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7 * least)
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    figure.legend(loc="outside upper left", ncols=2)
    return canvas.Picture(name, title, f"{text} Means over seeds; bands: 95 % bootstrap intervals.", figure)


@canvas.styled
def _attainment(found, which):
    """Draws, for each cost, the fitness that half of the seeds reached at it or a better one."""
    figure, axes = canvas.new(canvas.WIDTH, 3.8)
    sign = found.signs[1]
    costs = np.unique(np.concatenate([values[..., 1].ravel() for values in found.values.values()]))
    costs = costs[np.isfinite(costs)]
    costs = costs[canvas.some(len(costs), 300)][::-1]  # the best first
    for at, (name, values) in enumerate(found.values.items()):
        reached = np.array([_reached(one, costs) for one in values])
        low, center, high = np.quantile(reached, (0.25, 0.5, 0.75), axis=0, method="nearest")
        shown = np.isfinite(center)
        axes.step(sign * costs[shown], 100 * center[shown], where="post", **canvas.series(at), label=canvas.words(name))
        shown = np.isfinite(low) & np.isfinite(high)
        style = {"step": "post", "color": canvas.SERIES[at % len(canvas.SERIES)], "alpha": 0.18, "lw": 0}
        axes.fill_between(sign * costs[shown], 100 * low[shown], 100 * high[shown], **style)
    order = np.argsort(sign * found.true[:, 1])[::-1]
    style = {"color": canvas.INK, "lw": 1, "ls": canvas.DASHES[2], "label": which}
    axes.step(*(found.true[order, ::-1] * [1, 100]).T, where="post", **style)
    fitness = 100 * found.true[:, 0]
    low, high = front.low_end(fitness, np.arange(len(fitness))), fitness.max()
    axes.set_ylim(low - 0.1 * (high - low) - 0.1, high + 0.05 * (high - low) + 0.1)
    front.cost_axis(axes, canvas.words(found.names[1]), sign)
    axes.set(ylabel="fitness (%)")
    figure.legend(loc="outside upper left", ncols=3)
    caption = (
        "Lines: the fitness that half of the searches reached at a cost or a better one, at the end; bands: the "
        f"quartiles. Dotted: the {which}. Higher and further to the better costs is better."
    )
    return canvas.Picture("attainment", "Attainment", caption, figure)


def _reached(values, costs):
    """Returns float[C], the best fitness of values float[N, 2] with each cost or a better one; -inf for none."""
    values = values[np.all(np.isfinite(values), axis=1)]
    values = values[np.argsort(-values[:, 1], kind="stable")]
    best = np.concatenate([[-np.inf], np.maximum.accumulate(values[:, 0])])
    return best[np.searchsorted(-values[:, 1], -costs, side="right")]


def table(report: Mapping[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    """Returns (caption, header, rows) of the progress after the checkpoints of a study.json."""
    rows = []
    for name, record in report["algorithms"].items():
        bands = record["front_intervals"]
        for queries in bands["hypervolume_gap"]:
            gap, share = (bands[key][queries]["mean"] for key in ("hypervolume_gap", "front_found"))
            rows.append([name, queries, units.interval(gap, ".3f"), units.interval(share, ".1f")])
    point = ", ".join(
        f"{name} {units.percent(value) if name == 'fitness' else front.number(value)}"
        for name, value in report["reference"].items()
    )
    which = "true front of the table" if report["front_is_known"] else "best front that any search found"
    caption = (
        f"Hypervolume missing of the {which}, reference point {point}, and share of its points that were evaluated: "
        f"means over {report['num_seeds']} seeds, in brackets 95 % bootstrap intervals."
    )
    return caption, ["algorithm", "queries", "hypervolume missing (%)", "front found (%)"], rows
