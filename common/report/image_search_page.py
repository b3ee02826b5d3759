"""The page of searches on one set of shared weights, and of what they found, trained alone."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from common import drawing, spaces
from common.genotypes import conversion
from common.report import (
    canvas,
    checklist,
    image_search_files,
    image_search_table,
    latent_pictures,
    page,
    run_summary,
    training_page,
    training_pictures,
)

_RANDOM, _CHOSEN = image_search_files.RANDOM, image_search_files.CHOSEN


def pictures(found: image_search_files.ImageSearch) -> list[canvas.Picture]:
    """Returns all pictures that the files of a folder suffice for."""
    made = []
    known = [one for one in found.networks if np.isfinite(one.shared) and np.isfinite(one.accuracy)]
    if len(known) > 1:
        made.append(
            latent_pictures.agreement(
                np.array([one.shared for one in known]),
                np.array([one.accuracy for one in known]),
                names=[one.found_by for one in known],
                groups=[one.found_by for one in known],
            )
        )
    if found.shared is not None:
        made += training_pictures.pictures(found.shared)
    return made


def document(found: image_search_files.ImageSearch, made: Sequence[canvas.Picture], *, reports: str, name: str) -> str:
    """Returns the page, an HTML document.

    Args:
      found: what the folder holds.
      made: its pictures.
      reports: path of the folder, relative to that of the page.
      name: of the pages of the searches, in their folders.
    """
    agreement = [one for one in made if one.name == "agreement"]
    curves = [one for one in made if one.name != "agreement"]
    state = "finished" if found.is_finished else "unfinished"
    seed = found.result.get("seed", found.config.get("seed", found.about.get("seed")))
    sections = [
        page.Section("What came of it", _unfinished(found) + _table(found) + _facts(found)),
        page.Section("How well shared weights rank", page.pictures(agreement)),
        page.Section("The best of each search", _best(found)),
        page.Section("The searches", _links(found, reports, name)),
        page.Section("Training of the shared weights", page.pictures(curves)),
        page.Section("All networks that were trained alone", _networks(found)),
        page.Section("What a paper must state", checklist.body(_items(found))),
        page.Section(
            "Settings", page.folded("All flags, as a flagfile", page.listing(checklist.flagfile(found.config)))
        ),
    ]
    return page.document(f"Searches on {_what(found)}", f"{found.name}, seed {seed}, {state}", sections)


def _what(found):
    """The space and the images."""
    result, about = found.result, found.about
    space, dataset = (result.get(name, about.get(name)) for name in ("space", "dataset"))
    num_images = result.get("num_images", about.get("num_images")) or "all"
    where = pathlib.PurePath(str(dataset)).name
    return f"shared weights of {space}, {num_images} training images of {where}"


def _unfinished(found):
    if found.is_finished:
        return ""
    if found.shared is not None and not found.shared.is_finished:
        return training_page.unfinished(found.shared)
    done = [f"the search by {name} {'is done' if run.is_finished else 'goes on'}" for name, run in found.runs.items()]
    done += [f"the search by {name} {why}" for name, why in found.waiting.items()]
    done.append(f"{found.num_trained} trainings alone are done")
    return page.note(
        "This search is unfinished", f"{'; '.join(done)}. Start it again with the same --workdir to go on."
    )


def _table(found):
    header, rows = image_search_table.table(found.networks, found.candidates)
    return page.table(header, rows) + (page.paragraph(image_search_table.NOTE) if rows else "")


def _facts(found):
    """What was done, and how fast."""
    told, shared = [], found.shared
    if shared is not None and shared.lines:
        rates = [line["images_per_second"] for line in shared.lines if "images_per_second" in line]
        speed = f", {np.median(rates):,.0f} images a second" if rates else ""
        seconds = shared.lines[-1].get("seconds")
        took = f" in {seconds:.1f} s, compiling included" if isinstance(seconds, int | float) else ""
        told.append(("shared weights", f"{shared.epoch:g} of {shared.num_epochs} epochs{took}{speed}"))
    told.append(("trainings alone", found.num_trained))
    return page.facts(told)


def _best(found):
    """A drawing of the network that is best on shared weights, of each group but the random ones."""
    space, figures = found.result.get("space"), []
    for name, networks in image_search_table.groups(found.networks).items():
        if name == _RANDOM or space not in spaces.SPACES:
            continue
        best = max(networks, key=lambda one: one.shared if np.isfinite(one.shared) else -np.inf)
        told = [
            f"{_percent(value)} {where}"
            for value, where in ((best.shared, "on shared weights"), (best.accuracy, "trained alone"))
            if np.isfinite(value)
        ]
        caption = "Validation accuracy on shared weights; test accuracy trained alone."
        if len(networks) > 1:
            caption += f" Of {len(networks)} networks the best by the former."
        candidates = sum(one.found_by == name for one in found.candidates)
        if candidates > 1:
            among = f"{candidates} random ones" if name == _CHOSEN else f"the {candidates} best on shared weights"
            caption += f" Of {among} it was the best by validation when trained alone."
        svg = drawing.svg(conversion.from_arch(space, best.arch))
        figures.append(page.figure(f"{name}: {', '.join(told)}", svg, caption))
    return page.grid(figures)


def _links(found, reports, name):
    rows = []
    for algorithm, run in found.runs.items():
        path = pathlib.PurePath(os.path.normpath(os.path.join(reports, algorithm, name))).as_posix()
        rows.append((algorithm, path, run_summary.in_short(run)))
    return page.links(rows)


def _networks(found):
    """Tables of all that were trained alone, folded."""
    chosen = page.paragraph(
        "The best of each search on shared weights, and random ones, each trained alone; the one that is best on the "
        "images held out then is what was found. It was trained again, from other first weights, for the test."
    )
    text = page.folded(f"Tests: {len(found.networks)} networks", _listed(found, found.networks, "test"))
    candidates = _listed(found, found.candidates, "validation")
    return text + page.folded(f"Choice: {len(found.candidates)} networks", candidates and chosen + candidates)


def _listed(found, networks, part):
    """A table of networks, with accuracies on a part of the images."""
    space = spaces.SPACES.get(found.result.get("space"))
    rows = []
    for one in networks:
        each = ["failed" if np.isnan(accuracy) else _percent(accuracy) for accuracy in one.accuracies]
        told = space.describe(one.arch) if space is not None else " ".join(map(str, one.arch.tolist()))
        mean = [_percent(value) if np.isfinite(value) else "-" for value in (one.accuracy, one.shared)]
        rows.append((one.found_by, *mean, ", ".join(each), told))
    header = ("found by", f"{part}, trained alone", "validation on shared weights", "each training", "architecture")
    if all(len(one.accuracies) < 2 for one in networks):
        header, rows = (*header[:3], header[4]), [(*row[:3], row[4]) for row in rows]
    return page.table(header, rows)


def _items(found):
    result, groups = found.result, image_search_table.groups(found.networks)
    spent = [run.result.get("seconds") for run in found.runs.values()]
    if found.shared is not None and found.shared.lines:
        spent.append(found.shared.lines[-1].get("seconds"))
    is_known = found.is_finished and all(isinstance(value, int | float) for value in spent)
    seconds = (
        f"{sum(spent):.1f} s of shared weights and searches, trainings alone not counted" if is_known else "unknown"
    )
    others = [name for name in groups if name != _RANDOM]
    drawn = len(groups.get(_RANDOM, ()))
    baselines = f"{', '.join(others) or 'none'}, and {drawn} {_RANDOM}, which nothing chose"
    has_baselines = "random" in groups or _CHOSEN in groups
    if not has_baselines:
        baselines += "; random search is missing (--algorithms=...,random)"
    budget = result.get("budget", found.config.get("flags", {}).get("budget", "?"))
    seed = found.config.get("seed", found.about.get("seed"))
    return checklist.items(
        found.config,
        benchmark=_what(found),
        protocol=found.config.get("protocol", "validation"),
        budget=f"{budget} architectures on shared weights for each search; {found.num_trained} trainings alone",
        seeds=f"{seed} alone, which says nothing of spread; start it with other --seed too",
        has_spread=False,
        baselines=baselines,
        has_baselines=has_baselines,
        seconds=seconds,
        test="in the table; no network was chosen by it" if found.networks else "unknown",
    )


def _percent(fraction):
    return f"{100 * fraction:.2f} %"
