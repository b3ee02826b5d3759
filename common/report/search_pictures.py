"""Pictures of one search, from its history and its rounds."""

import numpy as np
from matplotlib import ticker

from common import types
from common.report import canvas, files

_UNITS = ((86_400 * 2, 86_400, "days"), (3_600 * 2, 3_600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


@canvas.styled
def best_by_queries(run: files.Run) -> canvas.Picture:
    """Returns the picture of every measurement and of the best so far, against queries."""
    at = np.arange(1, len(run.history.status) + 1) - run.num_earlier
    caption = "Dots: every architecture measured. Line: the best so far."
    if run.num_earlier:
        caption += f" Queries up to 0 are the {run.num_earlier} measurements that the search began with."
    return _best(run, at, "best_by_queries", "Best so far, by queries", caption, "queries (architectures measured)")


@canvas.styled
def best_by_time(run: files.Run) -> canvas.Picture | None:
    """Returns the same against the training time of all measurements; None where the benchmark tells no time."""
    seconds = np.cumsum(np.asarray(run.history.cost, np.float64))
    if seconds[-1] <= 0:
        return None
    divisor, unit = time_unit(seconds[-1])
    caption = (
        "The same against the time that training takes, one architecture after another: what a search without the "
        "table would have cost on one device."
    )
    label = f"training time of what was measured ({unit})"
    return _best(run, seconds / divisor, "best_by_time", "Best so far, by training time", caption, label)


@canvas.styled
def predictor_by_round(run: files.Run) -> canvas.Picture | None:
    """Returns how well a search's predictor ordered architectures, round by round; None where none is told of."""
    lines = {
        "held_out_pairwise_accuracy": "pairs in order, held out",
        "pairwise_accuracy": "pairs in order, proposals so far",
        "exact_reconstruction": "decoded exactly",
    }
    caption = (
        "Share of pairs that the predictor puts in the right order: of architectures measured after the fit "
        "(held out; few a round, so it jumps), and of all proposals of one fit, made before they were measured. 50 % "
        "is chance. Share of 64 random architectures that come back from encoder and decoder without a wrong token."
    )
    return _rounds(run, lines, "predictor_by_round", "Predictor and decoder, by round", caption, chance=50.0)


@canvas.styled
def decoded_by_round(run: files.Run) -> canvas.Picture | None:
    """Returns what became of the architectures that climbs decoded, round by round; None where none is told of."""
    lines = {"new": "new", "known": "measured before", "repeated": "repeated", "invalid": "invalid"}
    caption = "What became of the architectures that the decoder wrote in a round, shares of all of them."
    return _rounds(run, lines, "decoded_by_round", "What climbs decoded, by round", caption)


@canvas.styled
def gains(run: files.Run) -> canvas.Picture | None:
    """Returns the gain predicted for each decoded architecture against the one measured; None where none is told of."""
    told = [
        (line["queries"], predicted, realised)
        for line in run.rounds
        for predicted, realised in zip(line.get("predicted_gain") or (), line.get("realised_gain") or ())
    ]
    if not told:
        return None
    told = [told[at] for at in canvas.some(len(told))]
    queries, predicted, realised = np.array(told).T
    figure, axes = canvas.new()
    dots = axes.scatter(predicted, 100 * realised, c=queries, cmap=canvas.COLORMAP, s=18, lw=0.4, ec=canvas.INK)
    dots.set_gid("gains")
    canvas.scale(dots, "queries when measured")
    axes.axhline(0, color=canvas.FAINT, lw=1)
    axes.axvline(0, color=canvas.FAINT, lw=1)
    axes.set(xlabel="predicted gain (unit of the target)", ylabel="measured gain (points)")
    tips = [
        f"after {at:.0f} queries: predicted {value:+.2f}, measured {100 * gain:+.2f} points" for at, value, gain in told
    ]
    caption = (
        "Each decoded architecture against the best before it: what the predictor promised and what came. "
        "Upper right: improvements that were foreseen; lower right: promises not kept."
    )
    return canvas.Picture("gains", "Predicted against measured gain", caption, figure, {"gains": tips})


def time_unit(seconds: float) -> tuple[float, str]:
    """Returns (seconds in a unit, its name), of the unit in which a time is read best."""
    return next((divisor, unit) for least, divisor, unit in _UNITS if seconds >= least)


def _best(run, x, name, title, caption, label):
    """Dots and a step line over x float[N]."""
    history = run.history
    is_measured = np.asarray(history.status) == types.MEASURED
    percent = 100 * np.where(is_measured, history.fitness, np.nan).astype(np.float64)
    figure, axes = canvas.new()
    shown = np.flatnonzero(is_measured)
    shown = shown[canvas.some(len(shown))]
    if len(shown) < np.sum(is_measured):
        caption += f" {len(shown)} of {np.sum(is_measured)} dots are shown."
    dots = axes.scatter(x[shown], percent[shown], s=9, color=canvas.SERIES[5], lw=0, alpha=0.8)
    dots.set_gid("measured")
    best = np.fmax.accumulate(percent)
    axes.step(x, best, where="post", **canvas.series(0), label="best so far")
    optimum = run.config.get("optimum")
    if optimum is not None:
        axes.axhline(
            100 * optimum, color=canvas.SERIES[1], lw=1.2, ls=canvas.DASHES[1], label="optimum of the benchmark"
        )
    _frame(axes, percent[is_measured], best)
    axes.set(xlabel=label, ylabel=f"{run.config['protocol']} fitness (%)")
    axes.legend(loc="lower right")
    queries = np.arange(1, len(x) + 1) - run.num_earlier
    tips = [f"query {at}: {value:.2f} %" for at, value in zip(queries[shown], percent[shown])]
    if run.is_finished is False:
        caption += " The search is unfinished."
    return canvas.Picture(name, title, caption, figure, {"measured": tips})


def _frame(axes, percent, best):
    """Leaves out the worst tail, which would press the rest into a line, where it is far away."""
    if not len(percent):
        return
    low, top = np.quantile(percent, 0.2), np.nanmax(best)
    if top - np.min(percent) > 4 * max(top - low, 0.5):
        axes.set_ylim(low - 0.5 * (top - low) - 0.1, top + 0.1 * (top - low) + 0.1)
        axes.set_title("worst fifth below the frame", fontsize=8, color=canvas.FAINT, loc="left")


def _rounds(run, lines, name, title, caption, chance=None):
    found = {key: [(one["queries"], one[key]) for one in run.rounds if one.get(key) is not None] for key in lines}
    if not any(found.values()):
        return None
    figure, axes = canvas.new()
    tips = {}
    for at, (key, points) in enumerate(found.items()):
        if points:
            queries, values = np.array(points, float).T
            axes.plot(queries, 100 * values, **canvas.series(at), label=lines[key], marker="")
            axes.scatter(queries, 100 * values, s=10, color=canvas.SERIES[at]).set_gid(key)
            tips[key] = [f"{lines[key]}, after {x:.0f} queries: {100 * y:.0f} %" for x, y in points]
    if chance is not None:
        axes.axhline(chance, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
    axes.set(xlabel="queries (architectures measured)", ylabel="share (%)", ylim=(-4, 104))
    axes.yaxis.set_major_locator(ticker.MultipleLocator(25))
    figure.legend(loc="outside upper left", ncols=2)
    return canvas.Picture(name, title, caption, figure, tips)
