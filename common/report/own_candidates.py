"""Candidates of a search on own images: table, accuracy against cost, importance of decisions."""

import numpy as np
from matplotlib import ticker

from common import fronts
from common.report import canvas, front, page, small_networks, units
from common.spaces import limits
from common.statistics import importance

NAMES = {"best": "best of the search", "three_convolutions": "three convolutions", "resnet": "ResNet"}
_LEAST = 10  # candidates for the importance of decisions


def pictures(found) -> list[canvas.Picture]:
    """Returns the pictures of the candidates of an `own_images.Found` for which there are results."""
    rows = [row for row, each in found.candidates.items() if _is_ok(each)]
    made = [_progress(found, rows)] if len(rows) > 1 else []
    if len(rows) > 1 and found.sizes is not None:
        made.append(_costs(found, rows))
    return made + ([_importance(found, rows)] if len(rows) >= _LEAST else [])


def table(found) -> str:
    """Returns the table of all candidates, those trained longest first, of these the best."""
    sizes, epochs = found.sizes, _epochs(found)
    order = sorted(
        enumerate(found.candidates.items(), start=1),
        key=lambda one: (-max(one[1][1], default=0), -found.expected.get(one[1][0], -1)),
    )
    header = ["candidate", *map(_after, epochs), "expected", "status", "epochs"]
    header += ["parameters", "multiply-adds"] if sizes else []
    header += ["stage 1", "stage 2", "stage 3", "row"]
    rows = []
    for number, (row, each) in order:
        costs = sizes.costs(np.array([row], np.int32)).values() if sizes else ()
        rows.append(
            (
                number,
                *(units.percent(each[stop]) if stop in each else "" for stop in epochs),
                units.percent(found.expected[row]) if row in found.expected else "",
                _status(found, row, each),
                max(each, default=0),
                *(f"{cost[0]:,}" for cost in costs),
                *small_networks.words(row, sizes),
                "".join(map(str, row)),
            )
        )
    words = ("status", "stage 1", "stage 2", "stage 3")
    note = (
        "Accuracy on images held out, and the one expected after the last training, in which slow networks get fewer "
        "epochs: by it candidates of a stage are compared. Those of later stages come first. Status: best; continued: "
        "among the best of a stage; trained: in the first stage only; stopped: there was no time; too slow: it would "
        "get too few epochs in the last training; diverged: the loss was not finite. "
        f"{small_networks.WORDS}"
    )
    return page.table(header, rows, words=words, has_filter=True) + (page.paragraph(note) if rows else "")


def _status(found, row, each):
    if not each:
        return "too slow" if row in found.slow else "in training"
    if not _is_ok(each):
        return "diverged"
    if row == found.best:
        return "best"
    if row in [tuple(one["arch"]) for one in found.events if one.get("event") == "stopped"]:
        return "stopped"
    return "continued" if len(each) > 1 else "trained"


def _is_ok(each):
    return bool(each) and min(each.values()) > 0


def _epochs(found):
    return sorted({stop for each in found.candidates.values() for stop in each})


def _after(stop):
    return f"after {stop} epoch{'s' * (stop > 1)}"


@canvas.styled
def _progress(found, rows):
    """Draws the accuracy of the candidates in the order proposed."""
    figure, axes = canvas.new()
    numbers = {row: number for number, row in enumerate(found.candidates, start=1)}
    tips = _dots(axes, found, rows, numbers)
    axes.set(xlabel="candidate, in the order proposed", ylabel="accuracy on images held out (%)")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    figure.legend(loc="outside upper left", ncols=3)
    caption = "Each dot is a candidate after so many epochs; at most the best third of each stage continues, by the "
    caption += "accuracy expected after the last training."
    return canvas.Picture("candidates", "Accuracy in the order proposed", caption, figure, tips)


@canvas.styled
def _costs(found, rows):
    """Draws accuracy against multiply-adds."""
    sizes, (figure, axes) = found.sizes, canvas.new(height=4.0)
    macs = dict(zip(rows, sizes.costs(np.array(rows, np.int32))["macs"].tolist()))
    first = _epochs(found)[0]
    compared = [row for row in rows if first in found.candidates[row]]
    values = np.array([(100 * found.candidates[row][first], -macs[row]) for row in compared])
    best = values[fronts.non_dominated(values)]
    best = best[np.argsort(-best[:, 1])]
    axes.step(-best[:, 1], best[:, 0], where="post", color=canvas.SERIES[0], lw=1.4, label=f"front {_after(first)}")
    tips = _dots(axes, found, rows, macs)
    if networks := found.finals:
        places = sizes.costs(np.array([one["arch"] for one in networks.values()], np.int32))["macs"].tolist()
        tests = [100 * one["test"] for one in networks.values()]
        style = {"marker": "D", "s": 34, "color": canvas.SERIES[2], "lw": 0, "zorder": 3}
        axes.scatter(places, tests, **style, label="trained to the end, test images").set_gid("ends")
        tips["ends"] = [f"{NAMES[name]}: {test:.2f} %" for name, test in zip(networks, tests)]
        for name, place, test in zip(networks, places, tests):
            is_right = place > np.sqrt(min(macs.values()) * max(macs.values()))
            is_above = test == max(tests)  # another network is often close to the best one
            style = {"ha": "right" if is_right else "left", "va": "bottom" if is_above else "top", "fontsize": 9}
            axes.annotate(NAMES[name], (place, test), (0, 5 if is_above else -5), textcoords="offset points", **style)
    for limit in limits.parse(found.config.get("limit", ())):
        if limit.cost == "macs":
            axes.axvline(limit.value, color=canvas.SERIES[6], lw=1.2, ls=canvas.DASHES[1], label=f"limit {limit}")
    axes.set(xscale="log", xlabel="multiply-adds for one image (less is better)", ylabel="accuracy (%)")
    axes.margins(y=0.1)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(front.tick))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    figure.legend(loc="outside lower center", ncols=2)
    caption = f"Dots: accuracy on images held out. Front: no other candidate is as good {_after(first)} at fewer "
    caption += "multiply-adds."
    if networks:
        caption += " Diamonds: accuracy on test images of the networks trained to the end on all training images."
    return canvas.Picture("costs", "Accuracy against cost", caption, figure, tips)


def _dots(axes, found, rows, places):
    """Draws accuracies at places, a colour for each stage; returns the tips."""
    tips = {}
    for at, stop in enumerate(_epochs(found)):
        shown = [row for row in rows if stop in found.candidates[row]]
        values = [100 * found.candidates[row][stop] for row in shown]
        color = canvas.SERIES[(5, 0, 1)[min(at, 2)]]
        marks = axes.scatter([places[row] for row in shown], values, s=24, color=color, lw=0, label=_after(stop))
        marks.set_gid(f"epochs-{at}")
        tips[f"epochs-{at}"] = [
            f"{value:.2f} %: {' | '.join(small_networks.words(row, found.sizes))}" for value, row in zip(values, shown)
        ]
    return tips


def _importances(found, rows):
    """Returns [(name, choices, `Importance`)] of the decisions that can be judged, the most important first."""
    first = _epochs(found)[0]
    rows = [row for row in rows if first in found.candidates[row]]
    archs, fitness = np.array(rows, np.int32), np.array([found.candidates[row][first] for row in rows])
    each = importance.of_decisions(archs, fitness, small_networks.is_active(archs))
    known = [one for one in zip(small_networks.DECISIONS, small_networks.CHOICES, each) if np.isfinite(one[2].share)]
    return sorted(known, key=lambda one: -one[2].share)


@canvas.styled
def _importance(found, rows):
    """Draws the importance of decisions, with what chance reaches."""
    each = _importances(found, rows)
    figure, axes = canvas.new(height=1.2 + 0.24 * len(each))
    places = np.arange(len(each))
    shares, chances = (100 * np.array([getattr(one[2], name) for one in each]) for name in ("share", "chance"))
    axes.barh(places, np.maximum(shares, 0), color=canvas.SERIES[0], height=0.62, label="explained")
    axes.plot(chances, places, ls="", marker="|", ms=11, mew=2, color=canvas.SERIES[1], label="chance reaches this")
    axes.set_yticks(places, [one[0] for one in each])
    axes.set(xlabel="variance of accuracy explained (%)", xlim=(0, None))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside lower center", ncols=2)
    clear = [one[0] for one in each if one[2].share > one[2].chance]
    text = f"Here {', '.join(clear)} {'does' if len(clear) == 1 else 'do'}." if clear else "Here none does."
    caption = (
        f"From {len(rows)} candidates {_after(_epochs(found)[0])}. Marks: if accuracies were shuffled among them, "
        f"some bar would pass its mark in at most {100 * importance.LEVEL:.0f} of 100 cases, so only a bar beyond its "
        f"mark shows more than chance. {text} Decisions are judged one by one, among candidates that the search chose: "
        "such a bar is no proof of a cause. Fewer candidates, higher marks."
    )
    return canvas.Picture("importance", "Variance of accuracy explained by each decision", caption, figure)


def choices(found) -> str:
    """Returns the table of the mean accuracies by the choices of each decision; empty with few candidates."""
    rows = [row for row, each in found.candidates.items() if _is_ok(each)]
    if len(rows) < _LEAST:
        return ""
    lines = []
    for name, texts, one in _importances(found, rows):
        means = zip(one.choices.tolist(), one.means, one.counts)
        text = ", ".join(f"{texts[choice]}: {units.percent(mean)} ({count})" for choice, mean, count in means)
        lines.append((name, f"{100 * max(one.share, 0):.0f} %", f"{100 * one.chance:.0f} %", text))
    header = ("decision", "explained", "chance reaches", "mean accuracy of its choices (candidates)")
    return page.folded("Mean accuracy by decision", page.table(header, lines))
