"""The page of one search."""

from collections.abc import Sequence

import numpy as np

from common import drawing, spaces, types
from common.genotypes import conversion
from common.report import (
    canvas,
    checklist,
    files,
    latent_pictures,
    page,
    partition_pictures,
    records,
    search_pictures,
)

_NUM_LISTED, _NUM_DRAWN = 10, 2


def pictures(
    run: files.Run, *, partition: records.Partition | None = None, latents: records.LatentMap | None = None
) -> list[canvas.Picture]:
    """Returns all pictures that the files of a run, and what its algorithm's package makes of them, suffice for."""
    if not np.any(run.history.status == types.MEASURED):
        return []
    made = [
        search_pictures.best_by_queries(run),
        search_pictures.best_by_time(run),
        search_pictures.predictor_by_round(run),
        search_pictures.decoded_by_round(run),
        search_pictures.gains(run),
    ]
    if partition is not None:
        made += [partition_pictures.tree(partition), partition_pictures.leaves(partition)]
    if latents is not None:
        made += [latent_pictures.latent_map(latents), latent_pictures.predictions(latents)]
    return [one for one in made if one is not None]


def document(
    run: files.Run,
    made: Sequence[canvas.Picture],
    *,
    partition: records.Partition | None = None,
    notes: Sequence[str] = (),
) -> str:
    """Returns the page, an HTML document.

    Args:
      run: the run.
      made: its pictures.
      partition: the tree of LaNAS, for the table of its nodes.
      notes: what could not be shown, and why.
    """
    config = run.config
    title = f"{config['algorithm']} on {config['benchmark']}"
    state = "finished" if run.is_finished else "unfinished"
    subtitle = f"run {run.name}, seed {config['seed']}, {config['protocol']} protocol, {state}"
    sections = [
        page.Section("What came of it", _summary(run) + "".join(map(page.paragraph, notes))),
        page.Section("The best architectures", _best(run)),
        page.Section("Pictures", page.pictures(made)),
        page.Section("The nodes of the partition", _nodes(partition)),
        page.Section("What a paper must state", checklist.body(_items(run))),
        page.Section("Settings", _settings(config)),
    ]
    return page.document(title, subtitle, sections)


def _summary(run):
    history, optimum = run.history, run.config.get("optimum")
    is_measured = history.status == types.MEASURED
    new = slice(run.num_earlier, None)
    num_done = int(np.sum((history.status[new] == types.MEASURED) | (history.status[new] == types.INFEASIBLE)))
    told = [
        ("queries", f"{num_done} of {run.budget}"),
        ("infeasible", int(np.sum(history.status == types.INFEASIBLE))),
    ]
    if run.num_earlier:
        told.append(("measured before", run.num_earlier))
    if np.any(is_measured):
        fitness = np.where(is_measured, history.fitness, -np.inf)
        best = int(np.argmax(fitness))
        told.append((f"best {run.config['protocol']} fitness", f"{100 * fitness[best]:.2f} %"))
        told.append(("found at query", best + 1 - run.num_earlier))
        if optimum is not None:
            told.append(("simple regret", f"{100 * (optimum - fitness[best]):.2f} points"))
        test = (run.result.get("best") or {}).get("test")
        told.append(("its test fitness", "not known" if test is None else f"{100 * test:.2f} %"))
    if run.result.get("seconds") is not None:
        told.append(("wall-clock time", f"{run.result['seconds']:.1f} s, compiling included"))
    cost = float(np.sum(history.cost))
    if cost > 0:
        divisor, unit = search_pictures.time_unit(cost)
        told.append(("training time", f"{cost / divisor:.3g} {unit}, of all that was measured"))
    note = ""
    if not run.is_finished:
        note = (
            '<p class="note"><strong>This search is unfinished:</strong> what stands here is what its journal holds '
            "so far. Start it again with the same --workdir to go on.</p>\n"
        )
    failures = [(reason, count) for reason, count in run.result.get("failures", {}).items()]
    return note + page.facts(told) + page.folded("Why architectures failed", page.table(("reason", "times"), failures))


def _best(run):
    """Drawings of the best and a table of the next."""
    history = run.history
    order = np.argsort(-np.where(history.status == types.MEASURED, history.fitness, -np.inf), kind="stable")
    order = [at for at in order[:_NUM_LISTED].tolist() if history.status[at] == types.MEASURED]
    name = run.config["space"]
    if not order or name not in spaces.SPACES:
        return ""
    space, drawn, rows = spaces.get(name), [], []
    for rank, at in enumerate(order, start=1):
        arch = history.archs[at]
        text = f"{100 * history.fitness[at]:.2f} %, query {at + 1 - run.num_earlier}"
        if rank <= _NUM_DRAWN:
            svg = drawing.svg(conversion.from_arch(name, arch))
            drawn.append(page.figure(f"No. {rank}: {text}", svg))
        rows.append((rank, text.split(",")[0], at + 1 - run.num_earlier, space.describe(arch)))
    header = ("rank", f"{run.config['protocol']} fitness", "query", "architecture")
    return page.grid(drawn) + page.folded(f"The {len(rows)} best", page.table(header, rows))


def _nodes(partition):
    if partition is None:
        return ""
    header = ("node", "level", "measured", "mean fitness (%)", "UCB", "good before bad (%)", "gap (points)")
    rows = []
    for node in range(len(partition.count)):
        inner = node < len(partition.quality)
        rows.append(
            (
                node,
                (node + 1).bit_length() - 1,
                f"{partition.count[node]:.0f}",
                _number(100 * partition.mean[node], ".2f"),
                _number(partition.bound[node], ".3f"),
                _number(100 * partition.quality[node], ".0f") if inner else "leaf",
                _number(100 * partition.gap[node], "+.2f") if inner else "leaf",
            )
        )
    text = page.paragraph(
        "Children of node i are 2i + 1 (good) and 2i + 2 (bad). UCB: upper confidence bound, in the unit of the "
        "target; of the root its mean. Good before bad: how often a measured architecture of the good child is fitter "
        "than one of the bad child; 50 % would be chance. Gap: difference of the children's mean fitness."
    )
    return page.folded(f"Table of {len(rows)} nodes", text + page.table(header, rows))


def _number(value, form):
    return format(value, form) if np.isfinite(value) else "-"


def _items(run):
    config, result = run.config, run.result
    best = result.get("best") or {}
    test = best.get("test")
    return checklist.items(
        config,
        benchmark=f"{config['benchmark']}, space {config['space']}",
        protocol=config["protocol"],
        budget=f"{run.budget} architectures"
        + (f", beside {run.num_earlier} measured earlier" if run.num_earlier else ""),
        seeds=f"{config['seed']} alone, which says nothing of spread; python -m launch.study runs many",
        has_spread=False,
        baselines="none in this run; python -m launch.study runs algorithms side by side",
        has_baselines=False,
        seconds=f"{result['seconds']:.1f} s, compiling included" if "seconds" in result else "unknown",
        test="unknown" if test is None else f"{100 * test:.2f} %, of the best by {config['protocol']} fitness alone",
    )


def _settings(config):
    nested = [(name, value) for name, value in config.get("config", {}).items()]
    algorithm = page.table(("setting of the algorithm", "value"), nested)
    return page.folded("Settings of the algorithm", algorithm) + page.folded(
        "All flags, as a flagfile", page.listing(checklist.flagfile(config))
    )
