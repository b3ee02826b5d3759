"""Pictures of NAO's latents and predictions."""

import numpy as np
from scipy import stats

from common import explanations
from common.report import canvas


def pictures(latents: explanations.LatentMap) -> list[canvas.Picture]:
    """Returns all pictures of latents."""
    return [latent_map(latents), predictions(latents)]


@canvas.styled
def latent_map(latents: explanations.LatentMap) -> canvas.Picture:
    """Draws the latents of measured architectures on a plane, with gradient steps and the architectures decoded."""
    latents = _thinned(latents)
    figure, axes = canvas.new(canvas.WIDTH, 4.2)
    percent = 100 * latents.fitness
    style = {"c": np.maximum(percent, np.quantile(percent, 0.1)), "cmap": canvas.COLORMAP, "ec": canvas.INK}
    dots = axes.scatter(*latents.points.T, s=22, lw=0.4, zorder=2, **style)
    dots.set_gid("latents")
    canvas.scale(dots, "fitness (%)", extend="min")
    for at, path in enumerate(latents.paths):
        label = {"label": "climb, by step size"} if at == 0 else {}
        axes.plot(*path.T, color=canvas.SERIES[1], lw=1.3, marker=".", ms=4, zorder=3, **label)
    is_valid = np.isfinite(latents.decoded).all(axis=-1)
    style = {"marker": "s", "s": 30, "fc": "none", "ec": canvas.SERIES[1], "lw": 1.2, "zorder": 4}
    axes.scatter(*latents.decoded[is_valid].T, label="decoded there", gid="decoded", **style)
    shares = 100 * latents.explained
    axes.set(xlabel=f"first component ({shares[0]:.0f} % of variance)", ylabel=f"second component ({shares[1]:.0f} %)")
    figure.legend(loc="outside upper left", ncols=2)
    more = ["" if is_learned else ", measured after the fit" for is_learned in latents.is_learned]
    texts = [text for row, valid in zip(latents.texts, is_valid) for text, ok in zip(row, valid, strict=True) if ok]
    tips = {"latents": [f"{value:.2f} %{text}" for value, text in zip(percent, more)], "decoded": texts}
    caption = (
        "Dots: latents of measured architectures on their first two principal components. Lines: gradient steps on the "
        "prediction from the best architectures, one point per step size; squares: the latents of the architectures "
        "decoded there. The networks are fitted again, to the first four fifths of the measurements."
    )
    return canvas.Picture("latent_map", "NAO: latents", caption, figure, tips)


@canvas.styled
def predictions(latents: explanations.LatentMap) -> canvas.Picture:
    """Draws predicted against measured fitness."""
    everything, latents = latents, _thinned(latents)
    figure, axes = canvas.new()
    percent = 100 * latents.fitness
    tips, taus = {}, []
    for gid, label, is_learned, style in (
        ("learned", "learned from", True, {"color": canvas.SERIES[5], "marker": "o", "s": 14}),
        ("held_out", "measured after the fit", False, {"color": canvas.SERIES[1], "marker": "D", "s": 20}),
    ):
        where = latents.is_learned == is_learned
        taus.append(f"{label} {_tau(everything, everything.is_learned == is_learned)}")
        if np.any(where):
            axes.scatter(latents.predicted[where], percent[where], lw=0, label=label, **style).set_gid(gid)
            pairs = zip(latents.predicted[where], percent[where])
            tips[gid] = [f"predicted {value:.2f}, measured {fitness:.2f} %" for value, fitness in pairs]
    low, high = np.quantile(percent, 0.05), percent.max()
    axes.set_ylim(low - 0.08 * (high - low) - 0.05, high + 0.08 * (high - low) + 0.05)
    axes.set(xlabel="predicted (unit of the target)", ylabel="measured fitness (%)")
    figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Kendall's tau: {'; '.join(taus)}. Only the second measures the quality of the predictor; late in a search "
        "all candidates are good, which makes ranking them harder. The worst 5 % may lie below the frame."
    )
    return canvas.Picture("predictions", "NAO: predicted against measured", caption, figure, tips)


def _thinned(latents):
    shown = canvas.some(len(latents.fitness))
    names = ("points", "fitness", "is_learned", "predicted")
    return latents.replace(**{name: getattr(latents, name)[shown] for name in names})


def _tau(latents, where):
    if np.sum(where) < 2 or np.ptp(latents.fitness[where]) == 0 or np.ptp(latents.predicted[where]) == 0:
        return "unknown"
    return f"{stats.kendalltau(latents.predicted[where], latents.fitness[where]).statistic:.2f} ({np.sum(where)})"
