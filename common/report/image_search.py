"""The folder of `benchmarks.shared_searches`: searches on shared weights and networks trained from scratch."""

import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import drawing, spaces
from common.genotypes import conversion
from common.records import json_files, run_dir
from common.report import architectures, canvas, checklist, image_table, page, ranking, search, training, units

COMMAND = "search_images"  # in files, see `common.runs.shared_searches`
_RANDOM, _CHOSEN = image_table.RANDOM, image_table.CHOSEN
_TRAINED = "trained.json"


_CONFIG = {"flags": {"algorithms?": [str], "budget?": int}, "config?": {"shared_weights?": dict}}
_RESULT = {"budget?": int, "networks?": list, "choice?": list, "seed?": int, "num_best?": int}


class ImageSearch(NamedTuple):
    """Searches on one set of shared weights."""

    name: str  # of the folder
    config: Mapping[str, Any]  # config.json of the first search; empty if none has started
    result: Mapping[str, Any]  # result.json; empty while not all is done
    networks: tuple[image_table.Network, ...]  # found by searches and random ones, with test accuracies
    candidates: tuple[image_table.Network, ...]  # among which those were chosen, with validation accuracies
    runs: Mapping[str, search.Run]  # by name of the algorithm, in the order requested
    waiting: Mapping[str, str]  # name of an algorithm -> the state of its search, which cannot be shown yet
    num_trained: int  # number of trainings from scratch done
    shared: training.Training | None  # the training of the shared weights, if they were trained here
    is_finished: bool

    @property
    def about(self) -> Mapping[str, Any]:
        """The record of the shared weights; empty if unknown."""
        if self.shared is not None:
            return self.shared.config
        return (self.config.get("config") or {}).get("shared_weights") or {}

    def get(self, name: str) -> Any:
        """Returns a field of result.json, or of the record of the shared weights; None if unknown."""
        return self.result.get(name, self.about.get(name))


def is_one(folder: pathlib.Path, config: Mapping[str, Any] | None) -> bool:
    """Returns whether a folder with the config.json `config` is of such searches, rather than of one of them."""
    if config is not None:
        return config.get("command") == COMMAND and "algorithm" not in config
    result = json_files.read(folder / run_dir.RESULT) or {}
    return "networks" in result or (folder / _TRAINED).exists() or bool(_configs(folder))


def read(folder: pathlib.Path) -> ImageSearch:
    """Returns the contents of a folder for which `is_one` is true; ValueError if a file in it is damaged."""
    path, configs = folder / run_dir.RESULT, _configs(folder)
    result, runs, waiting = json_files.read(path) or {}, {}, {}
    json_files.check(path, result, _RESULT)
    for name, config in configs.items():
        json_files.check(folder / name / run_dir.CONFIG, config, _CONFIG)
    first = next(iter(configs.values()), {})
    requested = first.get("flags", {}).get("algorithms") or list(configs)
    for name in dict.fromkeys([*requested, *configs]):
        if name not in configs:
            waiting[name] = "has not started"
            continue
        try:
            runs[name] = search.read(folder / name, configs[name])
        except json_files.NothingYetError:
            waiting[name] = "has measured nothing yet"
    trained = json_files.read(folder / _TRAINED) or {}
    json_files.check(folder / _TRAINED, trained, {"trainings?": list})
    is_finished = "networks" in result and not waiting and all(run.is_finished for run in runs.values())
    is_finished &= not runs or result.get("budget") in (None, first["flags"].get("budget"))  # else of an earlier start
    return ImageSearch(
        name=folder.resolve().name,
        config=first,
        result=result if is_finished else {},
        networks=image_table.networks(result, "networks", "test", path=path) if is_finished else (),
        candidates=image_table.networks(result, "choice", "validation", path=path) if is_finished else (),
        runs=runs,
        waiting=waiting,
        num_trained=len(trained.get("trainings", ())),
        shared=training.read_shared(folder),
        is_finished=is_finished,
    )


def _configs(folder):
    """Returns name of a search -> its config.json, of all the searches in a folder."""
    found = {path.parent.name: json_files.read(path) for path in sorted(folder.glob(f"*/{run_dir.CONFIG}"))}
    return {name: one for name, one in found.items() if one.get("command") == COMMAND and "algorithm" in one}


def pictures(found: ImageSearch) -> list[canvas.Picture]:
    """Returns all pictures that the files of a folder suffice for."""
    values = np.array([(one.shared, one.accuracy) for one in found.networks]).reshape(-1, 2)
    is_known, made = np.isfinite(values).all(axis=1), []
    if np.sum(is_known) > 1:
        names = [one.found_by for one, known in zip(found.networks, is_known) if known]
        made.append(ranking.agreement(*values[is_known].T, names=names, groups=names))
    return made + ([] if found.shared is None else training.pictures(found.shared))


def document(found: ImageSearch, made: Sequence[canvas.Picture], *, reports: str, name: str) -> str:
    """Returns the page, an HTML document, of a folder and its pictures.

    Args:
      reports: path of the folder, relative to that of the page.
      name: file name of the pages of the searches, in their folders.
    """
    seed = found.result.get("seed", found.config.get("seed", found.about.get("seed")))
    folders = {algorithm: os.path.normpath(os.path.join(reports, algorithm)) for algorithm in found.runs}
    links = [
        (algorithm, (pathlib.PurePath(folders[algorithm]) / name).as_posix(), search.summary(run))
        for algorithm, run in found.runs.items()
    ]
    test = "in the table; no network was chosen by it" if found.networks else None
    sections = [
        page.Section("Results", _unfinished(found) + _results(found)),
        page.Section("How well shared weights rank", page.pictures(one for one in made if one.name == "agreement")),
        page.Section("Best network of each search", _best(found)),
        page.Section("Searches", page.links(links)),
        page.Section("Training of the shared weights", page.pictures(one for one in made if one.name != "agreement")),
        page.Section("All networks trained from scratch", _networks(found)),
        *checklist.sections(found.config, _stated(found), seconds=_seconds(found), test=test),
    ]
    title, subtitle = f"Searches on {_benchmark(found)}", f"{found.name}, seed {seed}"
    return page.document(title, subtitle, sections, is_finished=found.is_finished)


def _benchmark(found):
    dataset = pathlib.PurePath(str(found.get("dataset"))).name
    return f"shared weights of {found.get('space')}, {found.get('num_images') or 'all'} training images of {dataset}"


def _unfinished(found):
    if found.is_finished:
        return ""
    if found.shared is not None and not found.shared.is_finished:
        return training.unfinished(found.shared)
    states = {name: "is done" if run.is_finished else "is unfinished" for name, run in found.runs.items()}
    parts = [f"the search by {name} {state}" for name, state in {**states, **found.waiting}.items()]
    parts.append(f"{found.num_trained} trainings from scratch are done")
    return page.unfinished("search", f"{'; '.join(parts)}.")


def _results(found):
    header, rows = image_table.table(found.networks, found.candidates)
    facts, shared = [], found.shared
    if shared is not None and shared.lines:
        rates = [line["images_per_second"] for line in shared.lines if "images_per_second" in line]
        speed = f", {np.median(rates):,.0f} images per second" if rates else ""
        seconds = shared.lines[-1].get("seconds")
        took = f" in {seconds:.1f} s, compilation included" if isinstance(seconds, int | float) else ""
        facts.append(("shared weights", f"{shared.epoch:g} of {shared.num_epochs} epochs{took}{speed}"))
    facts.append(("trainings from scratch", found.num_trained))
    return page.table(header, rows) + (page.paragraph(image_table.NOTE) if rows else "") + page.facts(facts)


def _best(found):
    """Drawings of the best network on shared weights of each group but the random ones."""
    space, figures = found.result.get("space"), []
    for name, networks in image_table.groups(found.networks).items():
        if name == _RANDOM or space not in spaces.SPACES:
            continue
        best = max(networks, key=lambda one: one.shared if math.isfinite(one.shared) else -math.inf)
        values = ((best.shared, "on shared weights"), (best.accuracy, "trained from scratch"))
        values = [f"{units.percent(value)} {where}" for value, where in values if math.isfinite(value)]
        caption = "Validation accuracy on shared weights; test accuracy after training from scratch."
        if len(networks) > 1:
            caption += f" The best of {len(networks)} networks on shared weights."
        num = sum(one.found_by == name for one in found.candidates)
        if num > 1:
            among = f"{num} random ones" if name == _CHOSEN else f"the {num} best on shared weights"
            caption += f" Chosen among {among} by validation accuracy after training from scratch."
        svg = drawing.svg(conversion.from_arch(space, best.arch))
        figures.append(page.drawing(f"{name}: {', '.join(values)}", svg, caption))
    return page.grid(figures)


def _networks(found):
    """Tables of all networks that were trained from scratch, folded."""
    text = page.paragraph(
        "The best of each search on shared weights, and random ones, each trained from scratch; the best by validation "
        "accuracy is the result of the search. It was trained again, from other initial parameters, for the test."
    )
    tests = page.folded(f"Tests: {len(found.networks)} networks", _listed(found, found.networks, "test"))
    candidates = _listed(found, found.candidates, "validation")
    return tests + page.folded(f"Choice: {len(found.candidates)} networks", candidates and text + candidates)


def _listed(found, networks, part):
    space = spaces.SPACES.get(found.result.get("space"))
    rows = []
    for one in networks:
        each = ", ".join("failed" if math.isnan(accuracy) else units.percent(accuracy) for accuracy in one.accuracies)
        text = architectures.described(one.arch, space)
        rows.append((one.found_by, units.percent(one.accuracy), units.percent(one.shared), each, text))
    header = ("found by", f"{part}, trained from scratch", "validation on shared weights")
    header += ("each training", "architecture")
    shown = (0, 1, 2, 4) if all(len(one.accuracies) < 2 for one in networks) else range(5)
    return page.table([header[at] for at in shown], [[row[at] for at in shown] for row in rows])


def _seconds(found):
    spent = [run.result.get("seconds") for run in found.runs.values()]
    if found.shared is not None and found.shared.lines:
        spent.append(found.shared.lines[-1].get("seconds"))
    if found.is_finished and all(isinstance(value, int | float) for value in spent):
        return f"{sum(spent):.1f} s for shared weights and searches, without trainings from scratch"
    return None


def _stated(found):
    groups = image_table.groups(found.networks)
    others = ", ".join(name for name in groups if name != _RANDOM) or "none"
    has_baselines = "random" in groups or _CHOSEN in groups
    baselines = f"{others}, and {len(groups.get(_RANDOM, ()))} {_RANDOM} without selection"
    baselines += "" if has_baselines else "; random search is missing (--algorithms=...,random)"
    budget = found.result.get("budget", found.config.get("flags", {}).get("budget", "?"))
    budget = f"{budget} architectures on shared weights per search; {found.num_trained} trainings from scratch"
    seeds = f"{found.config.get('seed', found.about.get('seed'))} only, which says nothing about variance; "
    seeds, baselines = (f"{seeds}run it with other values of --seed", False), (baselines, has_baselines)
    protocol = found.config.get("protocol", "validation")
    return checklist.of_searches(_benchmark(found), protocol, budget, seeds=seeds, baselines=baselines)
