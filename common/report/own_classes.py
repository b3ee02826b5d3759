"""Classes of own images: confusion, the worst mistakes as images, and what the network sees in training."""

import numpy as np

from common.file_formats import npz
from common.report import canvas, page, units

EXAMPLES, MISTAKES = "examples.npz", "mistakes.npz"
_MAX_WRITTEN = 12  # classes for which numbers are written into the picture
_MAX_NAMED = 30  # classes whose names are at the axes


def pictures(found) -> list[canvas.Picture]:
    """Returns the picture of the confusion of the best network of an `own_images.Found`, once it is tested."""
    return [_confusion(found, found.tested)] if found.tested else []


def table(found) -> str:
    """Returns the table of accuracies by class."""
    if not found.tested:
        return ""
    confusion, rows = np.array(found.tested["confusion"]), []
    for at, row in enumerate(confusion):
        wrong = np.where(np.arange(len(row)) == at, 0, row)
        worst = f"{_name(found, int(wrong.argmax()))} ({wrong.max()})" if wrong.max() else ""
        share = units.percent(row[at] / row.sum()) if row.sum() else "-"
        rows.append((_name(found, at), f"{row.sum():,}", share, worst))
    header = ("class", "test images", "classified correctly", "most often mistaken for (images)")
    return page.table(header, rows, words=header[3:])


def mistakes(found) -> str:
    """Returns test images of the most frequent confusions."""
    if not (found.folder / MISTAKES).exists() or not found.tested:
        return ""
    read = npz.read(found.folder / MISTAKES)
    confusion, parts = np.array(found.tested["confusion"]), []
    pairs = list(zip(read["labels"].tolist(), read["predicted"].tolist()))
    for label, predicted in dict.fromkeys(pairs):
        shown = [(read["images"][at], "") for at, pair in enumerate(pairs) if pair == (label, predicted)]
        count, total = confusion[label, predicted], confusion[label].sum()
        text = f"{_name(found, label)} classified as {_name(found, predicted)}: {count} of {total} test images"
        parts.append(page.paragraph(text) + page.images(shown))
    return page.folded("The most frequent mistakes, as images", "".join(parts))


def examples(found) -> str:
    """Returns training images as they are, and as the network sees them."""
    if not (found.folder / EXAMPLES).exists():
        return ""
    read = npz.read(found.folder / EXAMPLES)
    given = page.images((image, _name(found, label)) for image, label in zip(read["images"], read["labels"].tolist()))
    seen = "".join(page.images((image, "") for image in row) for row in read["augmented"])
    text = f"In each step of the training an image is {found.config['augmentation']}. The same images, twice:"
    return given + page.paragraph(text) + seen


def _name(found, label):
    names = found.config.get("class_names")
    return names[label] if names else str(label)


@canvas.styled
def _confusion(found, one):
    table = np.array(one["confusion"], float)
    size = 3.4 + 0.1 * min(len(table), 16)
    figure, axes = canvas.new(min(size + 0.6, canvas.WIDTH), size)
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    mesh = axes.pcolormesh(shares, cmap=canvas.COLORMAP, vmin=0, vmax=100)
    canvas.scale(mesh, "share of the images of the class (%)")
    ticks = np.arange(len(table))[:: -(-len(table) // _MAX_NAMED)]
    names = [canvas.words(_name(found, at)) for at in ticks.tolist()]
    has_words = max(map(len, names)) > 3
    axes.set_xticks(ticks + 0.5, names, rotation=90 if has_words else 0)
    axes.set_yticks(ticks + 0.5, names)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    if len(table) <= _MAX_WRITTEN:
        for (row, column), share in np.ndenumerate(np.round(shares)):
            if share:
                ink = "#ffffff" if share < 55 else "#000000"
                style = {"ha": "center", "va": "center", "fontsize": 9, "color": ink}
                axes.text(column + 0.5, row + 0.5, f"{share:.0f}", **style)
    caption = "Rows: test images of a class; numbers: how many of 100 the best network gives to each class."
    return canvas.Picture("confusion", "Confusion of classes", caption, figure)
