"""Pictures of latents and predictions: NAO's."""

import numpy as np
from scipy import stats

from common.report import canvas, records


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
def agreement(scores: np.ndarray, accuracies: np.ndarray, *, names: list[str] | None = None) -> canvas.Picture:
    """Returns scores on shared weights against accuracies of stand-alone training.

    Args:
      scores: float[R], fractions, of architectures on a supernet's weights.
      accuracies: float[R], fractions, of the same trained by themselves.
      names: R texts for the tips.

    Raises:
      ValueError: the arrays do not go together, or hold less than two architectures.
    """
    scores, accuracies = np.asarray(scores, float), np.asarray(accuracies, float)
    names = [f"architecture {at}" for at in range(len(scores))] if names is None else names
    if scores.shape != accuracies.shape or scores.ndim != 1 or len(scores) < 2 or len(names) != len(scores):
        raise ValueError(
            f"scores, accuracies and names must be of the same architectures, at least 2; got {scores.shape}, "
            f"{accuracies.shape} and {len(names)} names"
        )
    figure, axes = canvas.new()
    axes.scatter(100 * scores, 100 * accuracies, s=20, color=canvas.SERIES[0], lw=0).set_gid("architectures")
    axes.set(xlabel="score on shared weights (%)", ylabel="accuracy trained alone (%)")
    tau, rho = stats.kendalltau(scores, accuracies).statistic, stats.spearmanr(scores, accuracies).statistic
    caption = f"{len(scores)} architectures. Kendall's tau {tau:.2f}, Spearman's rho {rho:.2f}."
    tips = [f"{name}: {100 * x:.2f} %, alone {100 * y:.2f} %" for name, x, y in zip(names, scores, accuracies)]
    return canvas.Picture(
        "agreement", "Shared weights against training alone", caption, figure, {"architectures": tips}
    )


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
