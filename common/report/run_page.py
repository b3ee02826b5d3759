"""The page of one search."""

from collections.abc import Mapping, Sequence

import numpy as np

from common import explanations as records
from common import types
from common.report import (
    canvas,
    checklist,
    finalists_page,
    latent_pictures,
    page,
    partition_pictures,
    run_files,
    run_summary,
    search_pictures,
    training_pictures,
)


def pictures(
    run: run_files.Run, *, partition: records.Partition | None = None, latents: records.LatentMap | None = None
) -> list[canvas.Picture]:
    """Returns all pictures that the files of a run, and what its algorithm's package makes of them, suffice for."""
    shared = [] if run.shared is None else training_pictures.pictures(run.shared)
    if not np.any(run.history.status == types.MEASURED):
        return shared
    made = [
        search_pictures.best_by_queries(run),
        search_pictures.best_by_time(run),
        search_pictures.pools_by_block(run),
        search_pictures.predictor_by_round(run),
        search_pictures.decoded_by_round(run),
        search_pictures.gains(run),
    ]
    if partition is not None:
        made += [partition_pictures.tree(partition), partition_pictures.leaves(partition)]
    if latents is not None:
        made += [latent_pictures.latent_map(latents), latent_pictures.predictions(latents)]
    made.append(finalists_page.agreement(run))
    return [one for one in made if one is not None] + shared


def document(
    run: run_files.Run,
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
    title = f"{config['algorithm']} on {'/'.join(str(config['benchmark']).split('/')[:2])}"  # the rest are settings
    state = "finished" if run.is_finished else "unfinished"
    subtitle = f"run {run.name}, seed {config['seed']}, {config['protocol']} protocol, {state}"
    sections = [
        page.Section("What came of it", run_summary.body(run) + "".join(map(page.paragraph, notes))),
        page.Section("The best architectures", run_summary.best(run)),
        page.Section("The best few, trained alone", finalists_page.table(run)),
        page.Section("Pictures", page.pictures(made)),
        page.Section("The nodes of the partition", _nodes(partition)),
        page.Section("What a paper must state", checklist.body(_items(run))),
        page.Section("Settings", _settings(config)),
    ]
    return page.document(title, subtitle, sections)


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
    baselines, seeds = "python -m launch.study runs algorithms side by side", "python -m launch.study runs many"
    if search_pictures.measures_here(run):
        baselines, seeds = "random search with the same budget belongs beside it", "start it with other --seed too"
    return checklist.items(
        config,
        benchmark=f"{config['benchmark']}, space {config['space']}",
        protocol=config["protocol"],
        budget=f"{run.budget} {'blocks of training' if run.blocks else 'architectures'}"
        + (f", beside {run.num_earlier} measured earlier" if run.num_earlier else ""),
        seeds=f"{config['seed']} alone, which says nothing of spread; {seeds}",
        has_spread=False,
        baselines=f"none in this run; {baselines}",
        has_baselines=False,
        seconds=f"{result['seconds']:.1f} s, compiling included" if "seconds" in result else "unknown",
        test="unknown"
        if test is None
        else f"{run.unit.name} {run.unit.text(test)}, of the best by {config['protocol']} fitness alone",
    )


def _settings(config):
    algorithm = page.table(("setting of the algorithm", "value"), _flat("", config.get("config", {})))
    return page.folded("Settings of the algorithm", algorithm) + page.folded(
        "All flags, as a flagfile", page.listing(checklist.flagfile(config))
    )


def _flat(prefix, settings):
    """(name, value) of all settings, those within others too."""
    pairs = []
    for name, value in settings.items():
        inner = isinstance(value, Mapping) and value
        pairs += _flat(f"{prefix}{name}.", value) if inner else [(f"{prefix}{name}", value)]
    return pairs
