"""Pictures of latents and predictions: NAO's."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from common import explanations as records
from common.report import canvas, units
from common.statistics import intervals as ranks

_MARKERS = ("o", "D", "^", "s", "v", "P", "X")  # so that no two groups depend on colour alone


@canvas.styled
def latent_map(latents: records.LatentMap) -> canvas.Picture:
    """Returns the measured architectures' latents on a plane, with climbs and what they decoded."""
    latents = _thinned(latents)
    figure, axes = canvas.new(5.6, 4.2)
    percent = 100 * latents.fitness
    low = np.quantile(percent, 0.1)
    dots = axes.scatter(
        *latents.points.T, c=np.maximum(percent, low), cmap=canvas.COLORMAP, s=22, ec=canvas.INK, lw=0.4, zorder=2
    )
    dots.set_gid("latents")
    canvas.scale(dots, "fitness (%)", extend="min")
    for at, path in enumerate(latents.paths):
        label = {"label": "climb, by step size"} if at == 0 else {}
        axes.plot(*path.T, color=canvas.SERIES[1], lw=1.3, marker=".", ms=4, zorder=3, **label)
    is_valid = np.isfinite(latents.decoded).all(axis=-1)
    decoded = axes.scatter(
        *latents.decoded[is_valid].T, marker="s", s=30, fc="none", ec=canvas.SERIES[1], lw=1.2, zorder=4
    )
    decoded.set_gid("decoded")
    decoded.set_label("decoded there")
    shares = 100 * latents.explained
    axes.set(xlabel=f"first component ({shares[0]:.0f} % of variance)", ylabel=f"second component ({shares[1]:.0f} %)")
    figure.legend(loc="outside upper left", ncols=2)
    learned = ["" if is_learned else ", measured after the fit" for is_learned in latents.is_learned]
    tips = {
        "latents": [f"{value:.2f} %{more}" for value, more in zip(percent, learned)],
        "decoded": [
            text for row, valid in zip(latents.texts, is_valid) for text, ok in zip(row, valid, strict=True) if ok
        ],
    }
    caption = (
        "Each dot is a measured architecture where the encoder puts it, on the two directions in which the latents "
        "vary most. Lines: climbs from the best along the gradient of the prediction, one point a step size; squares: "
        "where what was decoded there lies by itself. The networks are fitted again, to the first four fifths."
    )
    return canvas.Picture("latent_map", "NAO: the latents", caption, figure, tips)


@canvas.styled
def predictions(latents: records.LatentMap) -> canvas.Picture:
    """Returns what is predicted of each measured architecture against its fitness."""
    everything, latents = latents, _thinned(latents)
    figure, axes = canvas.new()
    percent = 100 * latents.fitness
    tips = {}
    groups = (
        ("learned", "learned from", latents.is_learned, {"color": canvas.SERIES[5], "marker": "o", "s": 14}),
        (
            "held_out",
            "measured after the fit",
            ~latents.is_learned,
            {"color": canvas.SERIES[1], "marker": "D", "s": 20},
        ),
    )
    for gid, label, where, style in groups:
        if np.any(where):
            axes.scatter(latents.predicted[where], percent[where], lw=0, label=label, **style).set_gid(gid)
            pairs = zip(latents.predicted[where], percent[where])
            tips[gid] = [f"predicted {value:.2f}, measured {fitness:.2f} %" for value, fitness in pairs]
    low, high = np.quantile(percent, 0.05), percent.max()
    axes.set_ylim(low - 0.08 * (high - low) - 0.05, high + 0.08 * (high - low) + 0.05)
    axes.set(xlabel="predicted (unit of the target)", ylabel="measured fitness (%)")
    figure.legend(loc="outside upper left", ncols=2)
    parts = everything.is_learned, ~everything.is_learned
    said = [f"{label} {_tau(everything, where)}" for (_, label, _, _), where in zip(groups, parts)]
    caption = (
        f"Kendall's tau: {'; '.join(said)}. Only the second says how good the predictor is; late in a search it is "
        "asked to order the best alone, which is harder. The worst twentieth may lie below the frame."
    )
    return canvas.Picture("predictions", "NAO: predicted against measured", caption, figure, tips)


@canvas.styled
def agreement(
    scores: np.ndarray,
    accuracies: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    unit: units.Unit = units.PERCENT,
) -> canvas.Picture:
    """Returns scores on shared weights against those of stand-alone training.

    Args:
      scores: float[R], fractions, of architectures on a supernet's weights.
      accuracies: float[R], fractions, of the same trained by themselves.
      names: R texts for the tips.
      groups: R texts, such as what found them; each has a mark and a colour of its own.
      unit: in which both are shown.

    Raises:
      ValueError: the arrays do not go together, or hold less than two architectures.
    """
    scores, accuracies = np.asarray(scores, float), np.asarray(accuracies, float)
    names = [f"architecture {at}" for at in range(len(scores))] if names is None else names
    groups = [""] * len(scores) if groups is None else groups
    lengths = {len(scores), len(names), len(groups)}
    if scores.shape != accuracies.shape or scores.ndim != 1 or len(scores) < 2 or len(lengths) > 1:
        raise ValueError(
            f"scores, accuracies, names and groups must be of the same architectures, at least 2; got {scores.shape}, "
            f"{accuracies.shape}, {len(names)} names and {len(groups)} groups"
        )
    figure, axes = canvas.new()
    kinds, tips = list(dict.fromkeys(groups)), {}
    for at, kind in enumerate(kinds):
        where = [place for place, group in enumerate(groups) if group == kind]
        style = {"color": canvas.SERIES[at % len(canvas.SERIES)], "marker": _MARKERS[at % len(_MARKERS)]}
        marks = axes.scatter(unit.of(scores[where]), unit.of(accuracies[where]), s=26, lw=0, alpha=0.85, **style)
        marks.set_gid(f"architectures-{at}")
        marks.set_label(canvas.words(kind))
        tips[f"architectures-{at}"] = [
            f"{names[one]}: {unit.text(scores[one])}, alone {unit.text(accuracies[one])}" for one in where
        ]
    what = "accuracy (%)" if unit is units.PERCENT else unit.label
    axes.set(xlabel=f"on shared weights: {what}", ylabel=f"trained alone: {what}")
    if len(kinds) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    tau = ranks.kendall_tau(scores, accuracies)
    said = "is not defined, as all are equal in one of them"
    if np.isfinite(tau.center):
        said = f"{tau.center:.2f} (95 %: {tau.low:.2f} to {tau.high:.2f}, resampling architectures)"
        said += f", Spearman's rho {stats.spearmanr(scores, accuracies).statistic:.2f}"
    caption = f"{len(scores)} architectures. Kendall's tau {said}."
    return canvas.Picture("agreement", "Shared weights against training alone", caption, figure, tips)


def _thinned(latents):
    """As many of the points as are drawn."""
    shown = canvas.some(len(latents.fitness))
    return latents.replace(
        points=latents.points[shown],
        fitness=latents.fitness[shown],
        is_learned=latents.is_learned[shown],
        predicted=latents.predicted[shown],
    )


def _tau(latents, where):
    if np.sum(where) < 2 or np.ptp(latents.fitness[where]) == 0 or np.ptp(latents.predicted[where]) == 0:
        return "unknown"
    return f"{stats.kendalltau(latents.predicted[where], latents.fitness[where]).statistic:.2f} ({np.sum(where)})"
