"""Pictures of one search, from its history and its rounds."""

import numpy as np
from matplotlib import ticker

from common import plugins, types
from common.report import canvas, units

# Source of fitness, the first part of the benchmark's name -> what takes the time; others are looked up in tables.
_MEASURING = dict.fromkeys(("supernet", "recurrent_supernet"), "scoring time")
_MEASURING |= dict.fromkeys(("training", "recurrent_training"), "training time")
_QUERIES = "queries (architectures evaluated)"


def pictures(run) -> list[canvas.Picture | None]:
    """Returns the pictures of a `search.Run`; None for those that its files do not suffice for."""
    predictor = {"held_out_pairwise_accuracy": "pairs in order, held out"}
    predictor |= {"pairwise_accuracy": "pairs in order, proposals so far", "exact_reconstruction": "decoded exactly"}
    predictor_caption = (
        "Share of pairs that the predictor ranks correctly: of architectures measured after the fit (held out; few per "
        "round, hence noisy), and of all proposals of one fit, predicted before they were measured. 50 % is chance. "
        "Decoded exactly: share of 64 random architectures that encoder and decoder reproduce."
    )
    decoded = {"new": "new", "known": "measured before", "repeated": "repeated", "invalid": "invalid"}
    decoded_caption = "Outcome of the architectures decoded in each round, as shares of all of them."
    return [
        best_by_queries(run),
        best_by_time(run),
        _by_round(run, predictor, "predictor_by_round", "Predictor and decoder by round", predictor_caption, 50.0),
        _by_round(run, decoded, "decoded_by_round", "Decoded architectures by round", decoded_caption),
        gains(run),
    ]


@canvas.styled
def best_by_queries(run) -> canvas.Picture | None:
    """Draws all measurements and the best so far against queries; None for a renewed pool."""
    if run.blocks:
        return None
    caption = "Dots: all architectures evaluated. Line: the best so far."
    if run.num_earlier:
        caption += f" Queries up to 0 are the {run.num_earlier} measurements that the search began with."
    return _best(run, run.queries, "best_by_queries", "Best so far by queries", caption, _QUERIES)


@canvas.styled
def best_by_time(run) -> canvas.Picture | None:
    """Draws the same against the training time of all measurements; None where times are unknown."""
    seconds = np.cumsum(np.asarray(run.history.cost, np.float64))
    if seconds[-1] <= 0:
        return None
    (divisor, unit), kind = units.time(seconds[-1]), cost_name(run)
    more = ", compilation included" if measures_here(run) else ": the cost of the search without the table"
    more = "" if _is_of_user(run) else more
    caption = f"The same against the {kind} of all evaluations, one after another{more}."
    return _best(run, seconds / divisor, "best_by_time", f"Best so far by {kind}", caption, f"{kind} ({unit})")


@canvas.styled
def gains(run) -> canvas.Picture | None:
    """Draws predicted against measured gains of decoded architectures; None where none are recorded."""
    found = [
        (line["queries"], *gain)
        for line in run.rounds
        for gain in zip(line.get("predicted_gain") or (), line.get("realised_gain") or ())
    ]
    if not found:
        return None
    found = [found[at] for at in canvas.some(len(found))]
    queries, predicted, realized = np.array(found).T
    figure, axes = canvas.new()
    dots = axes.scatter(predicted, 100 * realized, c=queries, cmap=canvas.COLORMAP, s=18, lw=0.4, ec=canvas.INK)
    dots.set_gid("gains")
    canvas.scale(dots, "queries when measured", ticks=ticker.MaxNLocator(integer=True))
    axes.axhline(0, color=canvas.FAINT, lw=1)
    axes.axvline(0, color=canvas.FAINT, lw=1)
    axes.set(xlabel="predicted gain (unit of the target)", ylabel="measured gain (points of fitness)")
    text = "after {:.0f} queries: predicted {:+.2f}, measured {:+.2f} points"
    tips = [text.format(*one) for one in zip(queries, predicted, 100 * realized)]
    caption = (
        "Predicted and measured gain of each decoded architecture over the best before it. Upper right: predicted "
        "improvements that came true; lower right: those that did not."
    )
    return canvas.Picture("gains", "Predicted against measured gain", caption, figure, {"gains": tips})


def cost_name(run) -> str:
    """Returns the meaning of an evaluation's cost: time of training, or of scoring on shared weights."""
    return _MEASURING.get(str(run.config["benchmark"]).split("/")[0], "training time")


def measures_here(run) -> bool:
    """Returns whether a search trains or scores architectures, rather than looking them up in a table."""
    return str(run.config["benchmark"]).split("/")[0] in _MEASURING or _is_of_user(run)


def _is_of_user(run):
    """Returns whether the evaluator is one of another package."""
    return plugins.is_path(run.config.get("flags", {}).get("evaluator", ""))


def _best(run, x, name, title, caption, label):
    """Draws dots and a step line over x float[N]."""
    history, unit = run.history, run.unit
    is_measured = np.asarray(history.status) == types.MEASURED
    fitness = np.where(is_measured, history.fitness, np.nan).astype(np.float64)
    values, best = unit.of(fitness), unit.of(np.fmax.accumulate(fitness))
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
        style = {"color": canvas.SERIES[1], "lw": 1.2, "ls": canvas.DASHES[1]}
        axes.axhline(unit.of(optimum), label="optimum of the benchmark", **style)
    _frame(axes, values[is_measured], best, is_lower_better=unit.is_lower_better)
    axes.set(xlabel=label, ylabel=f"{run.config['protocol']} {unit.label}")
    axes.legend(loc="upper right" if unit.is_lower_better else "lower right")
    tips = [f"query {at}: {unit.form.format(value)}" for at, value in zip(run.queries[shown], values[shown])]
    caption += "" if run.is_finished else " The search is unfinished."
    return canvas.Picture(name, title, caption, figure, {"measured": tips})


def _frame(axes, values, best, *, is_lower_better):
    """Leaves a far tail of bad values out of the frame, which would compress all others."""
    if not len(values):
        return
    sign = -1 if is_lower_better else 1
    values, best = sign * values, sign * best
    low, top = np.quantile(values, 0.2), np.nanmax(best)
    if top - np.min(values) > 4 * max(top - low, 0.5):
        ends = low - 0.5 * (top - low) - 0.1, top + 0.1 * (top - low) + 0.1
        axes.set_ylim(*sorted(sign * end for end in ends))
        where = "above" if is_lower_better else "below"
        axes.set_title(f"worst fifth {where} the frame", fontsize=9, color=canvas.FAINT, loc="left")


@canvas.styled
def _by_round(run, lines, name, title, caption, chance=None):
    """Draws shares by round, from name -> label; None where none are recorded."""
    found = {
        label: np.array([(one["queries"], 100 * one[key]) for one in run.rounds if one.get(key) is not None], float)
        for key, label in lines.items()
    }
    if not any(map(len, found.values())):
        return None
    figure, axes = canvas.new()
    tips = canvas.lines(axes, found, lambda label, x, y: f"{label}, after {x:.0f} queries: {y:.0f} %", chance)
    axes.set(xlabel=_QUERIES, ylabel="share (%)", ylim=(-4, 104))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(ticker.MultipleLocator(25))
    figure.legend(loc="outside upper left", ncols=2)
    return canvas.Picture(name, title, caption, figure, tips)
