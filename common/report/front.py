"""The front of a search for several objectives: pictures and table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import axes as axes_lib
from matplotlib import patches, ticker

from common import drawing, fronts, spaces, types
from common import objectives as objectives_lib
from common.drawing import charts, palette
from common.genotypes import conversion
from common.report import architectures, canvas, page, units

_NUM_LISTED = 12  # architectures drawn below the table
_NUM_DRAWN = 5  # architectures drawn at points of the front
_INSET, _GAP = 0.19, 0.3  # width of a drawing, and the height of all of them, as shares of the frame


class Front(NamedTuple):
    """The architectures evaluated by a search, and which of them no other dominates."""

    names: tuple[str, ...]  # of the M objectives, the fitness first
    signs: np.ndarray  # 1 where larger is better, else -1
    values: np.ndarray  # float64[N, M], of those evaluated; the fitness as a fraction
    archs: np.ndarray  # int32[N, L]
    queries: np.ndarray  # int[N], the number of the query of each
    rows: np.ndarray  # int[F], those on the front, the best fitness first

    def texts(self, row: int) -> list[str]:
        """Returns the values of a row as texts."""
        fitness, *costs = self.values[row].tolist()
        return [units.percent(fitness), *map(number, costs)]


def of(run) -> Front | None:
    """Returns the front of a `search.Run`; None for a single objective."""
    texts, history = run.config.get("objectives", ()), run.history
    if len(texts) < 2 or history.others.shape[1] != len(texts) - 1:
        return None
    signs = np.array([-1 if text.startswith("-") else 1 for text in texts])
    signed = objectives_lib.values(history).astype(np.float64)
    rows = np.flatnonzero(fronts.non_dominated(signed))
    known = np.flatnonzero(np.all(np.isfinite(signed), axis=1))
    rows = np.searchsorted(known, rows[np.argsort(-signed[rows, 0], kind="stable")])
    values = signed[known] * signs[None]
    names = tuple(canvas.words(text.lstrip("+-")) for text in texts)
    return Front(names, signs, values, history.archs[known], run.queries[known], rows)


def number(value: float) -> str:
    """Returns a cost as text: counts in full, others to four digits."""
    return f"{value:,.0f}" if abs(value) >= 1e4 or value == round(value) else f"{value:.4g}"


def pictures(run) -> list[canvas.Picture]:
    """Returns the pictures of the front of a `search.Run`; none if it has none."""
    if (found := of(run)) is None or not len(found.rows):
        return []
    genotypes = {}
    if run.config["space"] in spaces.SPACES:
        genotypes = {row: _genotype(run, found, row) for row in found.rows.tolist()}
    made = [_scatter(found, at, genotypes, run.config["protocol"]) for at in range(1, len(found.names))]
    return [*made, _hypervolume(found, run.result)] if run.result.get("reference") else made


def is_of(picture: canvas.Picture) -> bool:
    """Returns whether a picture is one of `pictures`."""
    return picture.name.startswith("front_") or picture.name == "hypervolume"


def section(run, made: Sequence[canvas.Picture], space: types.SearchSpace | None) -> str:
    """Returns the part of the page on the front of a `search.Run`, HTML; empty if it has none."""
    if (found := of(run)) is None or not len(found.rows):
        return ""
    result = run.result
    facts = [("architectures on the front", len(found.rows))]
    if result.get("hypervolume") is not None:
        facts.append(("hypervolume", f"{result['hypervolume']:.4f}, from 0 (worst values) to 1 (best values)"))
    if result.get("hypervolume_gap") is not None:
        facts.append(("gap to the true front", f"{100 * result['hypervolume_gap']:.2f} % of its hypervolume"))
        facts.append(("share of the true front found", f"{100 * result['front_found']:.0f} %"))
    tests = {tuple(one["arch"]): one.get("test") for one in result.get("front", ())}
    drawn = []
    if run.config["space"] in spaces.SPACES:
        for row in found.rows[canvas.some(len(found.rows), _NUM_LISTED)].tolist():
            drawn.append(page.drawing(", ".join(_named(found, row)), drawing.svg(_genotype(run, found, row))))
    body = page.facts(facts) + page.pictures(one for one in made if is_of(one))
    return body + _table(found, run, tests, space) + page.folded(f"{len(drawn)} of the front, drawn", page.grid(drawn))


def _genotype(run, found, row):
    return conversion.from_valid_arch(run.config["space"], found.archs[row])


@canvas.styled
def _scatter(found, at, genotypes, protocol):
    """Draws the fitness against the objective `at`, with architectures drawn above the points that they are."""
    name, sign = found.names[at], found.signs[at]
    x, y = found.values[:, at], 100 * found.values[:, 0]
    x_ends, y_ends = _ends(x, found.rows, np.min(x[found.rows])), _ends(y, found.rows, low_end(y, found.rows))
    below = found.rows[y[found.rows] < y_ends[0]]
    rows = np.array([row for row in found.rows.tolist() if row in genotypes and row not in below], int)
    drawn = rows[fronts.spread(found.values[rows][:, [0, at]], _NUM_DRAWN)].tolist()
    drawn.sort(key=lambda row: found.values[row, at])
    figure, axes = canvas.new(canvas.WIDTH, 5.6 if drawn else 4.0)
    shown = np.setdiff1d(canvas.some(len(x)), found.rows)
    axes.scatter(x[shown], y[shown], s=10, color=canvas.SERIES[5], lw=0, alpha=0.8, label="evaluated").set_gid("all")
    order = found.rows[np.argsort(sign * x[found.rows])[::-1]]  # from the best cost to the best fitness
    style = {"color": canvas.SERIES[1], "zorder": 3}
    if len(found.names) == 2:
        axes.step(x[order], y[order], where="post", lw=1.5, **style)
    axes.scatter(x[order], y[order], s=26, ec=canvas.PAPER, lw=0.6, label="front", **style).set_gid("front")
    axes.set(xlim=x_ends, ylim=y_ends)
    cost_axis(axes, name, sign)
    axes.set(ylabel=f"{protocol} fitness (%)")
    kinds = _draw(axes, x, y, drawn, genotypes)
    marks, labels = axes.get_legend_handles_labels()
    marks += [patches.Patch(facecolor=kind.fill, edgecolor=canvas.FAINT, lw=0.5) for kind in kinds]
    labels += [kind.name for kind in kinds]
    canvas.legend(figure, marks, labels, loc="outside lower center", fontsize=9)
    figure.draw_without_rendering()  # the layout of drawings above the frame takes two passes
    caption = f"Dots: {len(x)} architectures evaluated; {len(found.rows)} are on the front: no other is as good in all "
    caption += "objectives. "
    caption += f"{len(below)} of these lie below the frame. " if len(below) else ""
    if len(found.names) == 2:
        caption += "The line bounds what the front dominates. "
    else:
        caption += "It has more objectives than the two shown. "
    caption += "Letters: some of the front, drawn above; colours tell their operations." if drawn else ""
    tips = {
        key: [f"query {found.queries[row]}: {', '.join(_named(found, row))}" for row in rows.tolist()]
        for key, rows in (("all", shown), ("front", order))
        if len(rows)
    }
    return canvas.Picture(f"front_{at}", f"Front: fitness and {name}", caption, figure, tips)


def _named(found, row):
    return [f"{name} {text}" for name, text in zip(found.names, found.texts(row), strict=True)]


def _draw(axes: axes_lib.Axes, x, y, rows, genotypes):
    """Draws architectures above the frame, with letters at them and their points; returns the kinds of operations."""
    kinds = set()
    for place, (letter, row) in enumerate(zip("ABCDE", rows)):
        middle = (place + 0.5) / len(rows)
        inset = axes.inset_axes((middle - _INSET / 2, 1.06, _INSET, _GAP))
        points = _INSET * 0.85 * 72 * axes.figure.get_size_inches()[0]
        kinds |= set(charts.draw_small(genotypes[row], inset, width=points))
        axes.text(middle, 1.05, letter, transform=axes.transAxes, ha="center", va="top", weight="bold")
        style = {"textcoords": "offset points", "ha": "right", "va": "bottom", "weight": "bold"}
        axes.annotate(letter, (x[row], y[row]), (-3, 3), **style)
    return palette.in_order(kinds)


def _ends(values, rows, least):
    """Returns the ends of an axis that leave out far tails, which would compress the front, but not from `least` on."""
    near = np.quantile(values, (0.1, 0.9))
    low, high = min(least, near[0]), max(np.max(values[rows]), near[1])
    margin = 0.06 * max(high - low, 1e-9)
    return low - margin, high + margin


def low_end(fitness: np.ndarray, rows: np.ndarray) -> float:
    """Returns the least fitness of a front that a picture shows: not far below the lowest tenth of all."""
    near, high = np.quantile(fitness, 0.1), np.max(fitness[rows])
    return max(np.min(fitness[rows]), near - (high - near))


def cost_axis(axes: axes_lib.Axes, name: str, sign: float) -> None:
    """Makes the x axis one of an objective; `sign` is 1 where larger is better."""
    axes.set(xlabel=f"{name} ({'less' if sign < 0 else 'more'} is better)")
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(tick))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6))


def tick(value: float, _: int | None = None) -> str:
    """Returns the text of a cost at an axis of matplotlib: 1.5M, 20k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, None)):
        if abs(value) >= size:
            return f"{value / size:g}{letter}" if letter else f"{value / 1e3:g}k"
    return f"{value:g}"


@canvas.styled
def _hypervolume(found, result):
    """Draws the hypervolume after each query, scaled as in result.json."""
    low, high = ([result[end][name] for name in found.names] for end in ("reference", "ideal"))
    scaled = (found.values - [low]) / np.where(np.equal(low, high), 1.0, np.subtract(high, low))[None]
    places = np.unique(np.geomspace(1, len(scaled), 120).astype(int))
    volume = [float(fronts.hypervolume(scaled[:place], np.zeros(len(low)))) for place in places]
    figure, axes = canvas.new(canvas.WIDTH, 3.0)
    axes.step(found.queries[places - 1], volume, where="post", **canvas.series(0))
    axes.set(xlabel="queries (architectures evaluated)", ylabel="hypervolume")
    point = ", ".join(map(" ".join, zip(found.names, [units.percent(low[0]), *map(number, low[1:])])))
    caption = (
        f"Volume between the reference point ({point}) and the front after each query; 1 is the best of everything."
    )
    return canvas.Picture("hypervolume", "Hypervolume by queries", caption, figure)


def _table(found, run, tests, space):
    known = {row: tests.get(tuple(found.archs[row].tolist())) for row in found.rows.tolist()}
    has_tests = any(value is not None for value in known.values())
    header = [f"{run.config['protocol']} fitness", *found.names[1:], *(["test fitness"] if has_tests else [])]
    rows = []
    for row, test in known.items():
        test = [units.percent(np.nan if test is None else test)] if has_tests else []
        text = architectures.described(found.archs[row], space, run.result)
        rows.append((*found.texts(row), *test, found.queries[row], text))
    return page.table([*header, "query", "architecture"], rows)
