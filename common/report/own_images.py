"""The page of a search for a network for one's own images, which can be opened while the search runs."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from common import drawing, spaces
from common.genotypes import conversion
from common.records import journal as journals
from common.records import json_files, json_lines, run_dir
from common.report import canvas, page, units

TRAININGS = "trainings.jsonl"
_TITLE = "A network for your images"
_NAMES = {"best": "best of the search", "three_convolutions": "plain network of three convolutions", "resnet": "ResNet"}


class Found(NamedTuple):
    """Files of a search."""

    name: str  # of the folder
    config: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]  # of trainings.jsonl
    candidates: Mapping[tuple[int, ...], dict[int, float]]  # row -> {epochs: accuracy}
    result: Mapping[str, Any]  # empty while the search runs


def is_one(config: Mapping[str, Any] | None) -> bool:
    """Returns whether a config.json is of such a search."""
    return config is not None and config.get("command") == "search_images" and "minutes" in config


def read(folder: pathlib.Path) -> Found:
    """Returns the contents of a folder, also while the search runs; ValueError if a file in it is damaged."""
    events = (
        json_lines.read(folder / TRAININGS, lambda file, lines: list(lines)) if (folder / TRAININGS).exists() else []
    )
    candidates: dict[tuple[int, ...], dict[int, float]] = {}
    plan = next((one for one in events if one.get("event") == "plan"), None)
    if plan and (folder / run_dir.JOURNAL).exists():
        journal = journals.read(folder / run_dir.JOURNAL)
        rows = [tuple(row) for number in sorted(journal.proposed) for row in journal.proposed[number].tolist()]
        for at, outcome in journal.measured.items():
            candidates[rows[at]] = {plan["epochs"][0]: outcome.fitness}
    for one in events:
        if one.get("event") == "trained":
            candidates.setdefault(tuple(one["arch"]), {})[one["epochs"]] = one["fitness"]
    config = json_files.read(folder / run_dir.CONFIG) or {}
    return Found(folder.resolve().name, config, events, candidates, json_files.read(folder / run_dir.RESULT) or {})


def write(folder: pathlib.Path, path: str | os.PathLike) -> None:
    """Writes the page of a folder."""
    found = read(folder)
    run_dir.write_text(path, document(found, pictures(found)))


def pictures(found: Found) -> list[canvas.Picture]:
    """Returns the pictures for which there are results."""
    made = [_progress(found)] if len(found.candidates) > 1 else []
    return made + [_confusion(one) for one in _networks(found)[:1]]


def document(found: Found, made: Sequence[canvas.Picture]) -> str:
    """Returns the page, an HTML document."""
    config, is_finished = found.config, bool(found.result)
    texts = ", ".join(config.get("limit", ())) or "none"
    facts = [
        ("images", config.get("dataset")),
        ("classes", config.get("classes")),
        ("minutes", config.get("minutes")),
        ("limits", texts),
        ("algorithm", config.get("algorithm")),
        ("candidates trained", len(found.candidates)),
    ]
    if is_finished:
        facts.append(("seconds", found.result["seconds"]))
    by_name = {one.name: one for one in made}
    sections = [
        page.Section("Search", ("" if is_finished else _unfinished(found)) + page.facts(facts)),
        page.Section("Networks trained to the end", _finals(found)),
        page.Section("The best network", _best(found)),
        page.Section(
            "Classes", page.pictures([by_name["confusion"]] if "confusion" in by_name else ()) + _classes(found)
        ),
        page.Section("Candidates", page.pictures([by_name["candidates"]] if "candidates" in by_name else ())),
        page.Section("All candidates", _table(found)),
    ]
    subtitle = f"{found.name}, seed {config.get('seed')}"
    return page.document(_TITLE, subtitle, sections, is_finished=is_finished)


def _networks(found):
    return [one for one in found.events if one.get("event") == "final"]


def _unfinished(found):
    stages = {"plan": "candidates train", "searched": "the best candidates train on", "finals": "the best one trains"}
    names = [one.get("event") for one in found.events]
    stage = next((text for name, text in reversed(stages.items()) if name in names), "the program compiles")
    return page.note(f"{stage}; load the page again for later results.", "The search is running")


def _finals(found):
    rows = (
        [
            (
                _NAMES[one["name"]],
                units.percent(one["test"]),
                f"{one['costs']['params']:,.0f}",
                f"{one['costs']['macs']:,.0f}",
                f"{one['epochs']:.0f}",
                one["description"],
            )
            for one in [found.result["best"], *found.result["baselines"]]
        ]
        if found.result
        else []
    )
    header = ("network", "test accuracy", "parameters", "multiply-adds", "epochs", "architecture")
    note = "Each was trained from scratch on all training images; test images were used for this table only."
    return page.table(header, rows) + (page.paragraph(note) if rows else "")


def _best(found):
    if not found.result:
        return ""
    arch = np.array(found.result["best"]["arch"], np.int32)
    svg = drawing.svg(conversion.from_arch("small_images", arch))
    return page.figure("", svg, found.result["best"]["description"])


def _classes(found):
    networks = _networks(found)
    if not networks:
        return ""
    table = np.array(networks[0]["confusion"])
    rows = [
        (at, f"{row.sum():,}", units.percent(row[at] / row.sum()) if row.sum() else "-") for at, row in enumerate(table)
    ]
    return page.table(("class", "test images", "classified correctly"), rows)


@canvas.styled
def _confusion(one):
    table = np.array(one["confusion"], float)
    figure, axes = canvas.new(4.6, 4.0)
    shares = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    mesh = axes.pcolormesh(shares, cmap=canvas.COLORMAP, vmin=0, vmax=100)
    canvas.scale(mesh, "share of the images of the class (%)")
    ticks = np.arange(len(table))
    axes.set_xticks(ticks + 0.5, ticks)
    axes.set_yticks(ticks + 0.5, ticks)
    axes.invert_yaxis()
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    return canvas.Picture("confusion", "Confusion of classes", f"Test images, {_NAMES[one['name']]}.", figure)


@canvas.styled
def _progress(found):
    figure, axes = canvas.new()
    epochs, tips = sorted({stop for each in found.candidates.values() for stop in each}), {}
    space = spaces.get("small_images")
    for at, stop in enumerate(epochs):
        points = [
            (number, each[stop], arch) for number, (arch, each) in enumerate(found.candidates.items()) if stop in each
        ]
        marks = axes.scatter(
            [one[0] + 1 for one in points], [100 * one[1] for one in points], s=26, color=canvas.SERIES[at], lw=0
        )
        marks.set_gid(f"epochs-{at}")
        marks.set_label(f"after {stop} epochs")
        tips[f"epochs-{at}"] = [
            f"{units.percent(one[1])}: {space.describe(np.array(one[2], np.int32))}" for one in points
        ]
    axes.set_xlabel("candidate")
    axes.set_ylabel("accuracy on images held out (%)")
    axes.legend()
    caption = "In the order in which they were proposed; the best third of each stage trains on."
    return canvas.Picture("candidates", "Accuracy of the candidates", caption, figure, tips)


def _table(found):
    space, rows = spaces.get("small_images"), []
    epochs = sorted({stop for each in found.candidates.values() for stop in each})
    order = sorted(found.candidates.items(), key=lambda one: [-one[1].get(stop, -1) for stop in reversed(epochs)])
    for arch, each in order:
        values = [units.percent(each[stop]) if stop in each else "" for stop in epochs]
        rows.append((space.describe(np.array(arch, np.int32)), *values, "".join(map(str, arch))))
    return page.table(("architecture", *(f"{stop} epochs" for stop in epochs), "row"), rows)
