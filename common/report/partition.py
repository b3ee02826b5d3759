"""Pictures and table of LaNAS' partition of the search space."""

import math

import numpy as np

from common import explanations
from common.report import canvas, page

_SIZES = (60.0, 420.0)  # of the circles of the least and the most visited node, in square points


def pictures(partition: explanations.Partition) -> list[canvas.Picture]:
    """Returns all pictures of a partition."""
    return [tree(partition), leaves(partition)]


@canvas.styled
def tree(partition: explanations.Partition) -> canvas.Picture:
    """Draws the tree: one circle per node, good children to the left, with the paths of the last selections."""
    num_nodes = len(partition.count)
    height = num_nodes.bit_length()
    depth = np.array([int(node + 1).bit_length() - 1 for node in range(num_nodes)])
    x = (np.arange(num_nodes) - (2**depth - 1) + 0.5) / 2**depth
    figure, axes = canvas.new(canvas.WIDTH, 0.9 + 0.72 * height)
    taken = np.zeros(num_nodes, int)  # selections that went through each node
    for node in map(int, partition.selected):
        while node > 0:
            taken[node] += 1
            node = (node - 1) // 2
    for node in range(1, num_nodes):
        parent = (node - 1) // 2
        style = {"color": canvas.SERIES[1], "lw": 1.2 + min(taken[node], 5)} if taken[node] else {"color": canvas.FAINT}
        axes.plot(x[[parent, node]], -depth[[parent, node]], zorder=1, **{"lw": 0.8, **style})
    size = _SIZES[0] + (_SIZES[1] - _SIZES[0]) * np.sqrt(partition.count / max(partition.count.max(), 1))
    size *= min(1.0, 16 / (num_nodes // 2 + 1))
    mean = 100 * partition.mean
    color = np.nan_to_num(mean, nan=np.nanmin(mean) if np.any(np.isfinite(mean)) else 0)
    dots = axes.scatter(x, -depth, s=size, c=color, cmap=canvas.COLORMAP, ec=canvas.INK, lw=0.8, zorder=2)
    dots.set_gid("nodes")
    canvas.scale(dots, "mean fitness (%)", shrink=0.8)
    axes.set(xticks=[], yticks=-np.arange(height), yticklabels=[f"level {at}" for at in range(height)], xlim=(0, 1))
    axes.set_ylim(-height + 0.5, 0.5)
    gone = _exhausted(partition)
    if len(gone):
        axes.scatter(
            x[gone],
            -depth[gone],
            marker="x",
            s=1.2 * size[gone] + 20,
            color=canvas.SERIES[1],
            lw=1.6,
            zorder=3,
            gid="exhausted",
        )
    style = {"xytext": (10, 2), "textcoords": "offset points", "ha": "left", "va": "bottom", "color": canvas.FAINT}
    for node in range(num_nodes if height <= 4 else 0):
        axes.annotate(f"{partition.count[node]:.0f}", (x[node], -depth[node]), fontsize=9, **style)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    caption = (
        "Circles: nodes, the good child of a split to the left; size (and number): measured architectures in the node; "
        "colour: their mean fitness. Thick lines: paths of the last selections. The tree is fitted again to all "
        f"measurements before the last round. {_about_exhausted(partition)}"
    )
    tips = [_tip(partition, node) for node in range(num_nodes)]
    return canvas.Picture("partition_tree", "LaNAS: partition", caption, figure, {"nodes": tips})


@canvas.styled
def leaves(partition: explanations.Partition) -> canvas.Picture:
    """Draws the fitness of the measured architectures of each leaf, from the best leaf (left) to the worst."""
    inner = len(partition.quality)
    numbers = np.arange(inner, len(partition.count))
    figure, axes = canvas.new()
    x, percent = partition.leaf - inner + canvas.jitter(len(partition.leaf), 0.6), 100 * partition.fitness
    dots = canvas.some(len(percent))
    axes.scatter(x[dots], percent[dots], s=9, color=canvas.SERIES[0], lw=0, alpha=0.7).set_gid("members")
    for at, node in enumerate(numbers):
        members = percent[partition.leaf == node]
        if len(members):
            axes.hlines(np.median(members), at - 0.4, at + 0.4, color=canvas.SERIES[1], lw=2.2)
    picked = np.unique(partition.selected) - inner
    low, high = (np.quantile(percent, 0.05), percent.max()) if len(percent) else (0.0, 1.0)
    margin = 0.08 * max(high - low, 0.5)
    axes.set_ylim(low - 2 * margin, high + margin)
    axes.scatter(picked, np.full(len(picked), low - margin), marker="^", color=canvas.SERIES[1], s=36, clip_on=False)
    gone = _exhausted(partition)
    gone = gone[gone >= inner] - inner
    axes.scatter(
        gone, np.full(len(gone), low - 0.2 * margin), marker="x", color=canvas.INK, s=30, clip_on=False, gid="exhausted"
    )
    step = max(1, len(numbers) // 16)
    axes.set_xticks(np.arange(0, len(numbers), step), [str(node) for node in numbers[::step]])
    axes.set(xlabel="leaf (node number), the best side of all splits to the left", ylabel="fitness (%)")
    caption = (
        "Dots: measured architectures, by leaf of the fitted splits; bars: medians; triangles: leaves of the last "
        "selections. A good partition decreases from left to right. The worst 5 % may lie below the frame. "
        f"{_about_exhausted(partition)}"
    )
    tips = [f"leaf {node}: {value:.2f} %" for node, value in zip(partition.leaf[dots], percent[dots])]
    return canvas.Picture("partition_leaves", "LaNAS: fitness by leaf", caption, figure, {"members": tips})


def nodes(partition: explanations.Partition) -> str:
    """Returns a table of the nodes, HTML."""
    header = ("node", "level", "measured", "unseen", "mean fitness (%)", "UCB", "good before bad (%)", "gap (points)")
    rows = []
    for node in range(len(partition.count)):
        level, count, of_split = (node + 1).bit_length() - 1, f"{partition.count[node]:.0f}", ("leaf", "leaf")
        if node < len(partition.quality):
            of_split = _number(100 * partition.quality[node], ".0f"), _number(100 * partition.gap[node], "+.2f")
        mean, bound = _number(100 * partition.mean[node], ".2f"), _number(partition.bound[node], ".3f")
        unseen = "-" if partition.num_unseen is None else f"{partition.num_unseen[node]:.0f}"
        rows.append((node, level, count, unseen, mean, bound, *of_split))
    text = page.paragraph(
        "Children of node i are 2i + 1 (good) and 2i + 2 (bad). Unseen: architectures not evaluated yet. UCB: upper "
        "confidence bound, in the unit of the target; for the root its mean. Good before bad: share of pairs in which "
        "the measured architecture of the good child is fitter; 50 % is chance. Gap: difference of the children's mean "
        "fitness."
    )
    return page.folded(f"Table of {len(rows)} nodes", text + page.table(header, rows))


def _exhausted(partition):
    """Returns the numbers of the nodes without an architecture left to evaluate; of none, if that is unknown."""
    return np.flatnonzero(partition.num_unseen == 0) if partition.num_unseen is not None else np.zeros(0, int)


def _about_exhausted(partition):
    if partition.num_unseen is None:
        return "How many architectures are left in a node is unknown, as the space is not listed."
    if not len(_exhausted(partition)):
        return "Every node has architectures left to evaluate."
    return "Crosses: exhausted nodes, with no architecture left to evaluate, which selections pass by to the sibling."


def _number(value, form):
    return format(value, form) if math.isfinite(value) else "-"


def _tip(partition, node):
    text = f"node {node}: {partition.count[node]:.0f} measured"
    if partition.num_unseen is not None:
        text += f", {partition.num_unseen[node]:.0f} left"
    if np.isfinite(partition.mean[node]):
        text += f", mean {100 * partition.mean[node]:.2f} %"
    if np.isfinite(partition.bound[node]):
        text += f", UCB {partition.bound[node]:.2f}"
    if node < len(partition.quality) and np.isfinite(partition.quality[node]):
        text += f"; good before bad in {100 * partition.quality[node]:.0f} % of pairs"
        text += f", {100 * partition.gap[node]:+.2f} points"
    return text
