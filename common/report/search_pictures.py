"""Pictures of one search, from its history and its rounds."""

import numpy as np
from matplotlib import ticker

from common import types
from common.report import canvas, run_files

# Sources of fitness that measure here -> what takes the time.
_MEASURING = {
    "supernet": "scoring time",
    "recurrent_supernet": "scoring time",
    "training": "training time",
    "recurrent_training": "training time",
}
_QUERIES = "queries (architectures measured)"
_UNITS = ((86_400 * 2, 86_400, "days"), (3_600 * 2, 3_600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))


@canvas.styled
def best_by_queries(run: run_files.Run) -> canvas.Picture | None:
    """Returns the picture of every measurement and of the best so far, against queries; None of a renewed pool."""
    if run.blocks:
        return None
    at = np.arange(1, len(run.history.status) + 1) - run.num_earlier
    caption = "Dots: every architecture measured. Line: the best so far."
    if run.num_earlier:
        caption += f" Queries up to 0 are the {run.num_earlier} measurements that the search began with."
    return _best(run, at, "best_by_queries", "Best so far, by queries", caption, _QUERIES)


@canvas.styled
def best_by_time(run: run_files.Run) -> canvas.Picture | None:
    """Returns the same against the training time of all measurements; None where the benchmark tells no time."""
    seconds = np.cumsum(np.asarray(run.history.cost, np.float64))
    if seconds[-1] <= 0:
        return None
    divisor, unit = time_unit(seconds[-1])
    what = cost_name(run)
    caption = (
        f"The same against the {what} of all measurements, one after another: what a search without the table would "
        "have cost on one device."
    )
    if measures_here(run):
        caption = f"The same against the {what} of all measurements, one after another, compiling included."
    return _best(run, seconds / divisor, "best_by_time", f"Best so far, by {what}", caption, f"{what} ({unit})")


@canvas.styled
def pools_by_block(run: run_files.Run) -> canvas.Picture | None:
    """Returns the scores of a pool after each block of training of its shared weights; None where there is no pool."""
    if not run.blocks:
        return None
    figure, axes = canvas.new()
    scores = [run.unit.of(block[np.isfinite(block)].astype(np.float64)) for block in run.blocks]
    at = np.concatenate([np.full(len(block), float(number)) for number, block in enumerate(scores, start=1)])
    spread = ((np.arange(len(at)) * 0.618034) % 1 - 0.5) * 0.5  # apart, but the same each time
    values = np.concatenate(scores)
    shown = canvas.some(len(values))
    axes.scatter((at + spread)[shown], values[shown], s=9, color=canvas.SERIES[5], lw=0, alpha=0.8).set_gid("pool")
    pick = np.min if run.unit.is_lower_better else np.max
    for order, (label, statistic) in enumerate((("best", pick), ("median", np.median))):
        line = [statistic(block) for block in scores]
        axes.plot(range(1, len(scores) + 1), line, label=label, marker=".", **canvas.series(order))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.set(xlabel="blocks of training", ylabel=f"{run.config['protocol']} {run.unit.label}")
    axes.legend(loc="upper right" if run.unit.is_lower_better else "lower right")
    caption = (
        "Dots: the architectures of the pool after each block of training of the shared weights; lines: the best and "
        "the median of them. Weights change from block to block, so scores of two blocks are no measure of the search."
    )
    tips = [f"block {block:.0f}: {run.unit.form.format(value)}" for block, value in zip(at[shown], values[shown])]
    return canvas.Picture("pools_by_block", "The pool, by block", caption, figure, {"pool": tips})


@canvas.styled
def predictor_by_round(run: run_files.Run) -> canvas.Picture | None:
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
def decoded_by_round(run: run_files.Run) -> canvas.Picture | None:
    """Returns what became of the architectures that climbs decoded, round by round; None where none is told of."""
    lines = {"new": "new", "known": "measured before", "repeated": "repeated", "invalid": "invalid"}
    caption = "What became of the architectures that the decoder wrote in a round, shares of all of them."
    return _rounds(run, lines, "decoded_by_round", "What climbs decoded, by round", caption)


@canvas.styled
def gains(run: run_files.Run) -> canvas.Picture | None:
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
    canvas.scale(dots, "queries when measured", ticks=ticker.MaxNLocator(integer=True))
    axes.axhline(0, color=canvas.FAINT, lw=1)
    axes.axvline(0, color=canvas.FAINT, lw=1)
    axes.set(xlabel="predicted gain (unit of the target)", ylabel="measured gain (points of fitness)")
    tips = [
        f"after {at:.0f} queries: predicted {value:+.2f}, measured {100 * gain:+.2f} points" for at, value, gain in told
    ]
    caption = (
        "Each decoded architecture against the best before it: what the predictor promised and what came. "
        "Upper right: improvements that were foreseen; lower right: promises not kept."
    )
    return canvas.Picture("gains", "Predicted against measured gain", caption, figure, {"gains": tips})


def cost_name(run: run_files.Run) -> str:
    """Returns what the cost of a measurement is: time of training, or of scoring on shared weights."""
    return _MEASURING.get(_source(run), "training time")


def measures_here(run: run_files.Run) -> bool:
    """Returns whether a search trains or scores architectures, and does not look them up."""
    return _source(run) in _MEASURING


def _source(run):
    """Where fitness comes from: the first part of the benchmark's name."""
    return str(run.config["benchmark"]).split("/")[0]


def time_unit(seconds: float) -> tuple[float, str]:
    """Returns (seconds in a unit, its name), of the unit in which a time is read best."""
    return next((divisor, unit) for least, divisor, unit in _UNITS if seconds >= least)


def _best(run, x, name, title, caption, label):
    """Dots and a step line over x float[N]."""
    history = run.history
    is_measured = np.asarray(history.status) == types.MEASURED
    fitness = np.where(is_measured, history.fitness, np.nan).astype(np.float64)
    unit, values, best = run.unit, run.unit.of(fitness), run.unit.of(np.fmax.accumulate(fitness))
    figure, axes = canvas.new()
    shown = np.flatnonzero(is_measured)
    shown = shown[canvas.some(len(shown))]
    if len(shown) < np.sum(is_measured):
        caption += f" {len(shown)} of {np.sum(is_measured)} dots are shown."
    dots = axes.scatter(x[shown], values[shown], s=9, color=canvas.SERIES[5], lw=0, alpha=0.8)
    dots.set_gid("measured")
    axes.step(x, best, where="post", **canvas.series(0), label="best so far")
    optimum = run.config.get("optimum")
    if optimum is not None:
        axes.axhline(
            unit.of(optimum), color=canvas.SERIES[1], lw=1.2, ls=canvas.DASHES[1], label="optimum of the benchmark"
        )
    _frame(axes, values[is_measured], best, is_lower_better=unit.is_lower_better)
    axes.set(xlabel=label, ylabel=f"{run.config['protocol']} {unit.label}")
    axes.legend(loc="upper right" if unit.is_lower_better else "lower right")
    queries = np.arange(1, len(x) + 1) - run.num_earlier
    tips = [f"query {at}: {unit.form.format(value)}" for at, value in zip(queries[shown], values[shown])]
    if run.is_finished is False:
        caption += " The search is unfinished."
    return canvas.Picture(name, title, caption, figure, {"measured": tips})


def _frame(axes, values, best, *, is_lower_better):
    """Leaves out the worst tail, which would press the rest into a line, where it is far away."""
    if not len(values):
        return
    sign = -1 if is_lower_better else 1
    values, best = sign * values, sign * best
    low, top = np.quantile(values, 0.2), np.nanmax(best)
    if top - np.min(values) > 4 * max(top - low, 0.5):
        ends = low - 0.5 * (top - low) - 0.1, top + 0.1 * (top - low) + 0.1
        axes.set_ylim(*sorted(sign * end for end in ends))
        where = "above" if is_lower_better else "below"
        axes.set_title(f"worst fifth {where} the frame", fontsize=8, color=canvas.FAINT, loc="left")


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
    axes.set(xlabel=_QUERIES, ylabel="share (%)", ylim=(-4, 104))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(ticker.MultipleLocator(25))
    figure.legend(loc="outside upper left", ncols=2)
    return canvas.Picture(name, title, caption, figure, tips)
