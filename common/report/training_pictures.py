"""Pictures of one training, from the lines of its metrics."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker

from common.report import canvas

PARTS = ("validation", "test")
_LOGARITHMIC = 5.0  # ratio of the largest to the smallest perplexity from which on the scale is logarithmic


def of_images(training) -> list[canvas.Picture | None]:
    """Returns the pictures of a training on images; None for those without points."""
    lines = training.lines
    parts = {
        part: [{"epoch": one["epoch"], **one[part]} for one in lines if isinstance(one.get(part), dict)]
        for part in PARTS
    }
    shared = "" if training.kind == "network" else "Each step trains the weights of one random architecture. "
    evaluated = "validation and test" if all(parts.values()) else "validation" if parts["validation"] else "test"
    few = "the mean of a few fixed architectures" if shared else f"all {evaluated} images"

    def draw(name, title, label, key, form, caption, factor=1.0):
        found = {part: series(of_part, key, factor) for part, of_part in {"training": lines, **parts}.items()}
        return _picture(name, title, caption, label, found, form)

    loss_caption = f"{shared}Training loss: mean since the point before, on augmented images, regularization included."
    top1_caption = f"{shared}Top-1 accuracy; {evaluated}: {few}. Training: of augmented images, during the steps."
    norm_caption = "Norm over all parameters before clipping, mean since the point before."
    speed_caption = "Training images per second. The first point after each start includes compilation."
    speed, rate_caption = "images_per_second", "Of the last step before each point."
    return [
        draw("loss", "Loss", "loss (nats)", "loss", "{:.3f}", loss_caption),
        draw("accuracy", "Accuracy", "top-1 accuracy (%)", "top1", "{:.2f} %", top1_caption, 100),
        draw("learning_rate", "Learning rate", "learning rate", "learning_rate", "{:.3g}", rate_caption),
        draw("gradient_norm", "Gradient norm", "gradient norm", "grad_norm", "{:.3g}", norm_caption),
        draw(speed, "Speed", "images per second", speed, "{:,.0f} images per second", speed_caption),
    ]


def of_language(training) -> list[canvas.Picture | None]:
    """Returns the pictures of a training on text; None for those without points."""
    lines = training.lines
    perplexity = {"training": series(lines, "train_perplexity"), "validation": series(lines, "valid_perplexity")}
    caption = (
        "Perplexity, the exponential of the mean loss per word; lower is better. Training: with dropout, during the "
        "steps of an epoch."
    )
    if training.kind != "language model":
        caption += " Each step trains the weights of one random cell."
    unigram = (training.result.get("unigram_perplexity") or {}).get("valid")
    if unigram is not None:
        caption += " Dotted: unigram perplexity of the validation text."
    averaged = [line["epoch"] for line in lines if line.get("is_averaging")]
    if averaged:
        caption += f" Parameters are averaged from epoch {averaged[0]}."
    speed = {"training": series(lines, "words_per_second")}
    speed_caption = "Words per second by epoch, compilation and validation included."
    return [
        _picture("perplexity", "Perplexity", caption, "perplexity (lower is better)", perplexity, "{:.2f}", unigram),
        _picture("words_per_second", "Speed", speed_caption, "words per second", speed, "{:,.0f} words per second"),
    ]


def series(lines: Sequence[Mapping], name: str, factor: float = 1.0) -> np.ndarray:
    """Returns float64[N, 2], epochs and values, of the lines that have a finite value."""
    found = [(line["epoch"], line[name]) for line in lines if isinstance(line.get(name), int | float)]
    points = np.array(found, np.float64).reshape(-1, 2) * (1.0, factor)
    return points[np.isfinite(points).all(axis=1)]


@canvas.styled
def _picture(name, title, caption, label, lines, form, level=None):
    """Draws a line with marks for each series that has points; None where none has."""
    lines = {key: points for key, points in lines.items() if len(points)}
    if not lines:
        return None
    figure, axes = canvas.new()
    tips = canvas.lines(axes, lines, lambda label, x, y: f"{label}, epoch {x:g}: {form.format(y)}", level)
    axes.set(xlabel="epochs", ylabel=label)
    epochs, values = np.concatenate(list(lines.values())).T
    if np.ptp(epochs) >= 2:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if name == "perplexity" and values.max() > _LOGARITHMIC * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if name not in ("perplexity", "loss", "accuracy"):
        axes.set_ylim(bottom=0)
    if len(lines) > 1:
        figure.legend(loc="outside upper left", ncols=3)
    return canvas.Picture(name, title, caption, figure, tips)
