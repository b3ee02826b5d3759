"""Pictures of a study: curves with bands, targets reached, comparisons."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker

from common.report import canvas, units
from common.statistics import intervals
from common.statistics import study as statistics

_NUM_PLACES = 120  # of a curve at which its band is computed
_STATISTICS = {
    "mean": (intervals.mean, "mean over {} seeds; bands: 95 % bootstrap intervals"),
    "median": (intervals.median, "median over {} seeds; bands: quartiles, between which half of the seeds lie"),
    "interquartile_mean": (intervals.interquartile_mean, "mean of the middle half of {} seeds; bands: 95 % intervals"),
}


@canvas.styled
def curves(study, *, of: str = "best_fitness", statistic: str = "mean") -> canvas.Picture | None:
    """Draws `of` "best_fitness" or "test_of_best" against queries, a mean or median over seeds; None if unknown."""
    function, text = _STATISTICS[statistic]
    report, bands = study.report, {}
    figure, axes = canvas.new(canvas.WIDTH, 3.8)
    for at, (name, algorithm) in enumerate(study.curves.items()):
        values = 100 * getattr(algorithm, of).astype(np.float64)
        places = columns(values.shape[1])
        band = function(values[:, places])
        if np.any(np.isfinite(band.center)):
            bands[name] = band
            line(axes, places + 1, band, at=at, name=name)
    if not bands:
        return None
    _frame(axes, bands)
    caption = f"Lines: {text.format(report['num_seeds'])}."
    label = f"test fitness of the best by {report['protocol']}"
    if of == "best_fitness":
        label = f"best {report['protocol']} fitness so far"
        if report.get("optimum") is not None:
            axes.axhline(100 * report["optimum"], color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
            caption += " The upper dotted line is the optimum of the benchmark."
    axes.set(ylabel=f"{label} (%)")
    by_queries(axes)
    figure.legend(loc="outside upper left", ncols=2)
    title = f"{label[0].upper()}{label[1:]}, {statistic.replace('_', ' ')}"
    return canvas.Picture(f"{of}_{statistic}", title, caption, figure)


@canvas.styled
def reached(study, target: float, *, by: str = "queries") -> canvas.Picture | None:
    """Draws the share of seeds that reached a fitness, against queries or "seconds" of training; None if unknown."""
    figure, axes = canvas.new(canvas.WIDTH, 3.8)
    spent = {}
    for name, algorithm in study.curves.items():
        if by == "queries":
            spent[name] = statistics.queries_to(algorithm.best_fitness, target), algorithm.seconds.shape[1]
        else:
            spent[name] = statistics.seconds_to(algorithm, target), float(np.min(algorithm.seconds[:, -1]))
    if not any(np.any(values <= limit) for values, limit in spent.values() if limit > 0):
        return None
    divisor, unit = (1, "queries") if by == "queries" else units.time(max(x for _, x in spent.values()))
    for at, (name, (values, limit)) in enumerate(spent.items()):
        found = np.sort(values[np.isfinite(values) & (values <= limit)]) / divisor
        x = np.concatenate([[0], found, [limit / divisor]])
        y = np.concatenate([np.arange(len(found) + 1), [len(found)]]) / len(values)
        axes.step(x, 100 * y, where="post", **canvas.series(at), label=canvas.words(name))
    label = "queries (architectures evaluated)" if by == "queries" else f"training time ({unit})"
    axes.set(xlabel=label, ylabel="searches that reached it (%)", ylim=(-3, 103))
    figure.legend(loc="outside upper left", ncols=2)
    title = f"Searches that reached {100 * target:.2f} %, by {label.partition(' (')[0]}"
    caption = "Share of seeds that had found an architecture of this fitness. Higher and further left is better."
    return canvas.Picture(f"reached_{by}_{target:.6f}".replace(".", "_"), title, caption, figure)


def improvements(report: Mapping[str, Any]) -> canvas.Picture | None:
    """Draws the probabilities of improvement of all pairs of a study.json; None for a single algorithm."""
    compared = report.get("comparisons") or []
    volumes = [one for one in compared if one["of"] == "hypervolume"]
    if volumes:
        return pairs(
            volumes, "Probability, by hypervolume, that a search of the first algorithm does better than the second"
        )
    targets = [one["target"] for one in compared if one["of"] == "queries" and set(one["improvement"]) != {0.5}]
    by_queries = [one for one in compared if one["of"] == "queries"]
    if targets:
        shown = [one for one in by_queries if one["target"] == max(targets)]
    else:
        shown = [one for one in compared if one not in by_queries]
    if not shown:
        return None
    by = f"queries to {100 * max(targets):.2f} %" if targets else "final best fitness"
    text = f"Probability, by {by}, that a search of the first algorithm does better than one of the second"
    return pairs(shown, text)


@canvas.styled
def pairs(compared: Sequence[Mapping[str, Any]], text: str) -> canvas.Picture:
    """Draws probabilities of improvement of pairs as dots with their intervals; `text` starts the caption."""
    compared = [one for one in compared if None not in one["improvement"]]
    figure, axes = canvas.new(canvas.WIDTH, 1.1 + 0.27 * len(compared))
    labels, tips = [], []
    for at, one in enumerate(reversed(compared)):
        center, low, high = (100 * value for value in one["improvement"])
        axes.plot([low, high], [at, at], color=canvas.SERIES[0], lw=3, alpha=0.5, solid_capstyle="butt")
        labels.append(f"{canvas.words(one['first'])} / {canvas.words(one['second'])}")
        tips.append(f"{labels[-1]}: {center:.0f} % ({low:.0f} to {high:.0f})")
        if one.get("adjusted") is not None:
            tips[-1] += f", p {one['adjusted']:.2g} after Holm"
    centers = [100 * one["improvement"][0] for one in reversed(compared)]
    axes.scatter(centers, range(len(compared)), s=24, color=canvas.SERIES[0], zorder=3).set_gid("pairs")
    axes.axvline(50, color=canvas.SERIES[1], lw=1, ls=canvas.DASHES[1])
    axes.set_yticks(range(len(compared)), labels, fontsize=9)
    axes.set(xlabel="pairs of seeds in which the first does better (%)", xlim=(-3, 103))
    axes.set_ylim(-0.6, len(compared) - 0.4)
    caption = f"{text}, ties half; bars: 95 % bootstrap intervals. At 50 % (dashed) neither is better."
    return canvas.Picture("improvements", "Probability of improvement", caption, figure, {"pairs": tips})


def columns(num_queries: int) -> np.ndarray:
    """Returns int[at most 120], the columns of a curve at which its band is computed: denser at the start."""
    return np.unique(np.geomspace(1, num_queries, _NUM_PLACES).astype(int)) - 1


def line(axes, x: np.ndarray, band: intervals.Band, *, at: int, name: str, factor: float = 1.0) -> None:
    """Draws the band of series number `at`, times `factor`, and its center as a line."""
    center, low, high = (factor * np.asarray(values) for values in band)
    axes.plot(x, center, **canvas.series(at), label=canvas.words(name))
    axes.fill_between(x, low, high, color=canvas.SERIES[at % len(canvas.SERIES)], alpha=0.18, lw=0)


def by_queries(axes) -> None:
    """Makes the x axis one of queries, on a logarithmic scale."""
    axes.set(xlabel="queries (architectures evaluated)", xscale="log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())


def _frame(axes, bands):
    """Starts the y axis at the lower quartiles of the curves: the first queries would compress the rest."""
    top = max(np.nanmax(band.center) for band in bands.values())
    start = min(np.nanquantile(band.center, 0.25) for band in bands.values())
    if np.isfinite(start) and start < top:
        axes.set_ylim(start - 0.1 * (top - start), top + 0.1 * (top - start))
