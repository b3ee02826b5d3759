"""Pictures of one training, from the lines of its metrics."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import ticker

from common.report import canvas, training_files

PARTS = ("validation", "test")
_FAST = 5.0  # a perplexity that falls to less than one part in so many is on a scale of logarithms


def pictures(training: training_files.Training) -> list[canvas.Picture]:
    """Returns all pictures that the lines of a training suffice for."""
    made = [one for one in (_of_language if training.is_language else _of_images)(training) if one is not None]
    if training.kind.startswith("shared"):
        return [one._replace(title=f"Shared weights: {one.title.lower()}") for one in made]
    return made


def _of_language(training):
    lines = training.lines
    series = {"training": _series(lines, "train_perplexity"), "validation": _series(lines, "valid_perplexity")}
    values = np.concatenate(list(series.values()))[:, 1]
    caption = (
        "Perplexity, the exponential of the mean loss a word; lower is better. Of the training text with dropout, "
        "while its words were learnt."
    )
    if training.kind != "language model":
        caption += " Each step trains the weights of one cell, drawn at random."
    single = (training.result.get("unigram_perplexity") or {}).get("valid")
    if single is not None:
        caption += " Dotted: the validation text without any model of what follows what, each word by its frequency."
    averaged = [line["epoch"] for line in lines if line.get("is_averaging")]
    if averaged:
        caption += f" From epoch {averaged[0]} on, steps are averaged."
    return [
        _picture(
            "perplexity",
            "Perplexity",
            caption,
            "perplexity (lower is better)",
            series,
            form="{:.2f}",
            level=single,
            is_logarithmic=len(values) > 0 and values.max() > _FAST * values.min(),
        ),
        _picture(
            "words_per_second",
            "Speed",
            "Words read a second, epoch by epoch, compiling and validation included.",
            "words a second",
            {"training": _series(lines, "words_per_second")},
            form="{:,.0f} words a second",
            starts_at_0=True,
        ),
    ]


def _of_images(training):
    lines = training.lines
    parts = {part: _within(lines, part) for part in PARTS}
    shared = "Each step trains the weights of one architecture, drawn at random. " if training.kind != "network" else ""
    evaluated = "validation and test" if all(parts.values()) else "validation" if parts["validation"] else "test"
    few = "the mean of a few architectures, always the same" if shared else f"of all {evaluated} images"
    yield _picture(
        "loss",
        "Loss",
        f"{shared}Training loss: the mean since the point before, of augmented images and with what regularises.",
        "loss (nats)",
        {"training": _series(lines, "loss")} | {part: _series(found, "loss") for part, found in parts.items()},
        form="{:.3f}",
    )
    yield _picture(
        "accuracy",
        "Accuracy",
        f"{shared}Top-1 accuracy; {evaluated}: {few}. Training: of augmented images, while they were learnt.",
        "top-1 accuracy (%)",
        {"training": _series(lines, "top1", 100)}
        | {part: _series(found, "top1", 100) for part, found in parts.items()},
        form="{:.2f} %",
    )
    yield _picture(
        "learning_rate",
        "Learning rate",
        "Of the last step before each point.",
        "learning rate",
        {"training": _series(lines, "learning_rate")},
        form="{:.3g}",
        starts_at_0=True,
    )
    yield _picture(
        "gradient_norm",
        "Size of the gradient",
        "Its norm over all parameters before it is clipped, the mean since the point before.",
        "norm of the gradient",
        {"training": _series(lines, "grad_norm")},
        form="{:.3g}",
        starts_at_0=True,
    )
    yield _picture(
        "images_per_second",
        "Speed",
        "Training images a second. Of the first point after a start a part was spent on compiling.",
        "images a second",
        {"training": _series(lines, "images_per_second")},
        form="{:,.0f} images a second",
        starts_at_0=True,
    )


def _within(lines, part):
    """What lines say of an evaluated part, each with its epoch."""
    return [{"epoch": line["epoch"], **line[part]} for line in lines if isinstance(line.get(part), dict)]


def _series(lines: Sequence[Mapping], name: str, factor: float = 1.0) -> np.ndarray:
    """Returns float[N, 2], epochs and values, of the lines that have a finite one."""
    found = [(line["epoch"], line[name]) for line in lines if isinstance(line.get(name), int | float)]
    points = np.array(found, np.float64).reshape(-1, 2) * (1.0, factor)
    return points[np.isfinite(points).all(axis=1)]


@canvas.styled
def _picture(name, title, caption, label, series, *, form, level=None, is_logarithmic=False, starts_at_0=False):
    """A line and marks for each of the series that has points; None where none has."""
    series = {key: points for key, points in series.items() if len(points)}
    if not series:
        return None
    figure, axes = canvas.new()
    tips = {}
    for at, (key, points) in enumerate(series.items()):
        axes.plot(*points.T, **canvas.series(at), label=key)
        shown = points[canvas.some(len(points), 300)]
        axes.scatter(*shown.T, s=12, color=canvas.SERIES[at]).set_gid(key)
        tips[key] = [f"{key}, epoch {epoch:g}: {form.format(value)}" for epoch, value in shown]
    if level is not None:
        axes.axhline(level, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
    axes.set(xlabel="epochs", ylabel=label)
    if np.ptp(np.concatenate(list(series.values()))[:, 0]) >= 2:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
    if is_logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if starts_at_0:
        axes.set_ylim(bottom=0)
    if len(series) > 1:
        figure.legend(loc="outside upper left", ncols=3)
    return canvas.Picture(name, title, caption, figure, tips)
