"""The page of a search for a network for one's own images, which can be opened while the search runs."""

import datetime
import os
import pathlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import drawing
from common.drawing import lettering
from common.genotypes import conversion
from common.records import journal as journals
from common.records import json_files, json_lines, run_dir
from common.report import canvas, own_candidates, own_classes, page, small_networks, units
from common.spaces import small_images

TRAININGS = "trainings.jsonl"
RELOAD_SECONDS = 15
_TITLE = "A network for your images"


class Found(NamedTuple):
    """Files of a search."""

    folder: pathlib.Path
    config: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]  # of trainings.jsonl
    candidates: Mapping[tuple[int, ...], dict[int, float]]  # row -> {epochs: accuracy}, in the order proposed
    slow: Collection[tuple[int, ...]]  # rows that were too slow to be trained
    result: Mapping[str, Any]  # empty while the search runs
    expected: Mapping[tuple[int, ...], float] = {}  # row -> accuracy expected after the last training

    def last(self, *names: str) -> Mapping[str, Any] | None:
        """Returns the last event of one of some names; None if there is none."""
        return next((one for one in reversed(self.events) if one.get("event") in names), None)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    @property
    def is_finished(self) -> bool:
        """Whether there is a result."""
        return bool(self.result)

    @property
    def best(self) -> tuple[int, ...] | None:
        """The row of the best candidate; None before it is chosen."""
        arch = (self.last("finals") or {}).get("best") or (self.result.get("best") or {}).get("arch")
        return tuple(arch) if arch else None

    @property
    def sizes(self) -> small_networks.Sizes | None:
        """What channels and costs of the networks depend on; None of a search of an older version."""
        return small_networks.sizes_of(self.config)

    @property
    def finals(self) -> dict[str, Mapping[str, Any]]:
        """The events of the networks that are trained and tested, by name."""
        return {one["name"]: one for one in self.events if one.get("event") == "final"}

    @property
    def tested(self) -> Mapping[str, Any] | None:
        """The event of the best network, trained and tested; None before."""
        return self.finals.get("best")


def is_one(config: Mapping[str, Any] | None) -> bool:
    """Returns whether a config.json is of such a search."""
    return config is not None and config.get("command") == "search_images" and "minutes" in config


def read(folder: pathlib.Path) -> Found:
    """Returns the contents of a folder, also while the search runs; ValueError if a file in it is damaged."""
    events = (
        json_lines.read(folder / TRAININGS, lambda file, lines: list(lines)) if (folder / TRAININGS).exists() else []
    )
    candidates: dict[tuple[int, ...], dict[int, float]] = {}
    slow, expected = set(), {}
    plan = next((one for one in events if one.get("event") == "plan"), None)
    if plan and (folder / run_dir.JOURNAL).exists():
        journal = journals.read(folder / run_dir.JOURNAL)
        rows = [tuple(row) for number in sorted(journal.proposed) for row in journal.proposed[number].tolist()]
        candidates = {row: {} for row in rows}
        for at, outcome in journal.measured.items():
            if outcome.ok:
                candidates[rows[at]] = {plan["epochs"][0]: outcome.fitness}
                expected[rows[at]] = outcome.fitness
            else:
                slow.add(rows[at])
    for one in events:
        if one.get("event") == "trained":
            row = tuple(one["arch"])
            candidates.setdefault(row, {})[one["epochs"]] = one["fitness"]
            expected[row] = one.get("expected", one["fitness"])
    config = json_files.read(folder / run_dir.CONFIG) or {}
    result = json_files.read(folder / run_dir.RESULT) or {}
    return Found(folder, config, events, candidates, slow, result, expected)


def write(
    folder: pathlib.Path,
    path: str | os.PathLike,
    *,
    seconds_left: float | None = None,
    epochs: Mapping[str, float] | None = None,
) -> None:
    """Writes the page of a folder; of a search that runs, with `document`'s `seconds_left` and `epochs`."""
    found = read(folder)
    run_dir.write_text(path, document(found, pictures(found), seconds_left=seconds_left, epochs=epochs))


def pictures(found: Found) -> list[canvas.Picture]:
    """Returns the pictures for which there are results."""
    return own_candidates.pictures(found) + own_classes.pictures(found)


def document(
    found: Found,
    made: Sequence[canvas.Picture],
    *,
    seconds_left: float | None = None,
    epochs: Mapping[str, float] | None = None,
) -> str:
    """Returns the page, an HTML document.

    Args:
      seconds_left: of a search that runs, whose page loads itself again.
      epochs: done so far by each network that trains to the end, by name.
    """
    shown = {one.name: page.pictures([one]) for one in made}
    both = page.pictures(one for one in made if one.name in ("candidates", "costs"))
    depends = shown.get("importance", "") and shown["importance"] + own_candidates.choices(found)
    state = "" if found.is_finished else _unfinished(found, seconds_left, epochs or {})
    sections = [
        page.Section("Search", state + page.facts(_facts(found))),
        page.Section("Networks trained to the end", _finals(found)),
        page.Section("The best network", _best(found)),
        page.Section("Candidates", both),
        page.Section("What the accuracy depends on", depends),
        page.Section("Classes", shown.get("confusion", "") + own_classes.table(found) + own_classes.mistakes(found)),
        page.Section("What the network sees in training", own_classes.examples(found)),
        page.Section("All candidates", own_candidates.table(found)),
    ]
    subtitle = f"{found.name}, seed {found.config.get('seed')}"
    reload = None if seconds_left is None or found.is_finished else RELOAD_SECONDS
    return page.document(_TITLE, subtitle, sections, is_finished=found.is_finished, reload_seconds=reload)


def _facts(found):
    config, result = found.config, found.result
    counts = config.get("num_images")
    images = f"{config.get('dataset')}"
    if counts:
        size = lettering.TIMES.join(map(str, config["image_shape"]))
        images += f": {counts['train']:,} for training and {counts['test']:,} for the test, {size}"
    yield "images", images
    yield "classes", config.get("classes")
    yield "time given", f"{config.get('minutes')} minutes"
    if result:
        yield "time taken", f"{result['seconds'] / 60:.1f} minutes, compiling included"
    yield "limits", ", ".join(config.get("limit", ())) or "none"
    yield "search algorithm", config.get("algorithm")
    measured = [each for each in found.candidates.values() if each]
    yield "candidates trained", len(measured)
    for epochs in sorted({stop for each in measured for stop in each})[1:]:
        yield f"of these to epoch {epochs}", sum(epochs in each for each in measured)
    if "device" in config:
        yield "device", f"{config['device']['count']} {config['device']['kind']}"
    yield "page written", datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _unfinished(found, seconds_left, epochs):
    """Returns the note on the stage of a search without a result."""
    event = found.last("plan", "stage", "finals", "failed")
    if seconds_left is None and event and event["event"] == "failed":
        return page.note(event["message"], "This search ended without a result")
    if event is None or event["event"] == "failed":  # the latter if it was started again
        text = "The program that trains all candidates compiles."
    elif event["event"] == "plan":
        done = sum(map(bool, found.candidates.values()))
        text = f"Stage 1: candidates train to epoch {event['epochs'][0]}; {done} of {event['num_candidates']} are done."
    elif event["event"] == "stage":
        done = sum(event["epochs"] in each for each in found.candidates.values())
        text = f"Stage {event['stage'] + 1}: the best candidates continue to epoch {event['epochs']}; "
        text += f"{done} of {event['num']} are done."
    else:
        done = found.finals
        names = ", ".join(own_candidates.NAMES[name] for name in event["names"])
        text = f"Last stage: {names} train from scratch to epoch {event['epochs']}; {len(done)} of "
        text += f"{len(event['names'])} are done."
        for name in [name for name in event["names"] if name in epochs and name not in done]:
            text += f" {own_candidates.NAMES[name]}: epoch {epochs[name]:.1f}."
    if seconds_left is None:
        return page.unfinished("search", text)
    text += f" The page loads itself again every {RELOAD_SECONDS} seconds."
    return page.note(text, "The search is running", ends=time.time() + seconds_left)


def _finals(found):
    """Returns the table of the networks trained to the end, also before all are."""
    sizes, done, rows = found.sizes, found.finals, []
    for name in [name for name in own_candidates.NAMES if name in done]:
        one, known = done[name], ()
        if sizes is not None:
            known = [f"{cost[0]:,}" for cost in sizes.costs(np.array([one["arch"]], np.int32)).values()]
        label, test = own_candidates.NAMES[name], units.percent(one["test"])
        if name == "best":
            label += "".join(
                f" ({same.replace('_', ' ')})"
                for same, arch in small_images.MEMBERS.items()
                if arch == tuple(one["arch"])
            )
        rows.append((label, test, *known, f"{one['epochs']:.0f}", *small_networks.words(one["arch"], sizes)))
    header = ["network", "test accuracy", *(("parameters", "multiply-adds") if sizes else ()), "epochs"]
    stages = ("stage 1", "stage 2", "stage 3")
    is_continued = (found.last("finals") or {}).get("continued")
    note = "Each was trained from scratch on all training images"
    note += "; the best one continued from its parameters as a candidate" if is_continued else ""
    note += "; test images were used for this table and the classes only. Three convolutions and ResNet are there for "
    note += "comparison."
    if better := [one for one in done.values() if found.tested and one["test"] > found.tested["test"]]:
        names = " and ".join(own_candidates.NAMES[one["name"]] for one in better)
        note += f" {names} classified more test images correctly than the best of the search."
    if missing := found.result.get("left_out"):
        note += f" There was no time for {' and '.join(own_candidates.NAMES[name] for name in missing)}."
    return page.table([*header, *stages], rows, words=stages) + (page.paragraph(note) if rows else "")


def _best(found):
    """Returns drawing and layers of the best candidate, once it is chosen."""
    if found.best is None:
        return ""
    arch, sizes = np.array(found.best, np.int32), found.sizes
    figure = page.drawing("", drawing.svg(conversion.from_valid_arch("small_images", arch)))
    if sizes is None:
        return figure
    header, rows = small_networks.layers(found.best, sizes)
    costs = {name: f"{cost[0]:,}" for name, cost in sizes.costs(arch[None]).items()}
    text = f"{costs['params']} parameters; {costs['macs']} multiply-adds for one image."
    return figure + page.table(header, rows, words=header) + page.paragraph(text)
