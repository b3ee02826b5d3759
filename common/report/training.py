"""One training, of a network, of shared weights or of a language model: its folder and its page."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from common import drawing
from common.genotypes import json_text
from common.records import json_files, run_dir
from common.report import canvas, checklist, page, training_pictures, units

KINDS = {"train": "network", "train_supernet": "shared weights", "train_language": "language model"}  # by command
SHARED = "supernet"  # folder, and first part of the file name, of the shared weights of a search
_ABOUT = "about.json"  # of checkpoints
_REQUIRED = {  # numbers in result.json
    "network": (("latest", "test", "top1"), ("best", "test", "top1")),
    "shared weights": (("validation", "mean"), ("validation", "best"), ("test", "mean"), ("test", "best")),
    "language model": (("best", "epoch"), ("best", "valid_perplexity"), ("best", "test_perplexity")),
}


class Training(NamedTuple):
    """One training."""

    name: str  # of its folder
    kind: str  # one of the values of `KINDS`, or "shared language model"
    config: Mapping[str, Any]  # config.json; of the shared weights of a search, the record of their checkpoints
    result: Mapping[str, Any]  # result.json; empty while the training is unfinished
    lines: list[Mapping[str, Any]]  # of metrics.jsonl
    num_epochs: int  # requested
    is_finished: bool

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return float(self.lines[-1]["epoch"]) if self.lines else 0.0

    @property
    def is_language(self) -> bool:
        """Whether it is of a language model."""
        return self.kind.endswith("language model")


def read(folder: pathlib.Path, config: Mapping[str, Any]) -> Training:
    """Returns the training in a folder whose config.json is `config`; ValueError if a file in it is damaged."""
    kind, result = KINDS[config["command"]], json_files.read(folder / run_dir.RESULT) or {}
    for names in _REQUIRED[kind] if result else ():
        value = result
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if not isinstance(value, int | float):
            raise ValueError(
                f"{folder / run_dir.RESULT} is damaged: {'.'.join(names)} must be a number; got {value!r}; restore it"
            )
    found = _read(folder, kind, config, folder / run_dir.CONFIG, folder / run_dir.METRICS)
    is_finished = bool(result) and (not found.lines or found.epoch >= found.num_epochs)
    return found._replace(result=result if is_finished else {}, is_finished=is_finished)


def read_shared(folder: pathlib.Path) -> Training | None:
    """Returns the training of the shared weights in the folder of a search, or None; ValueError if it is damaged."""
    where = folder / SHARED
    for kind, path, metrics in (
        ("shared weights", where / run_dir.CHECKPOINTS / _ABOUT, where / run_dir.METRICS),
        ("shared language model", where / _ABOUT, folder / f"{SHARED}.jsonl"),
    ):
        config = (json_files.read(path) or {}).get("about")
        if isinstance(config, dict):
            found = _read(folder, kind, config, path, metrics)
            return found._replace(is_finished=bool(found.lines) and found.epoch >= found.num_epochs)
    return None


def _read(folder, kind, config, path, metrics):
    """Reads a training without its result; `path` is the file of `config`."""
    lines = [line for line in json_files.read_lines(metrics) if isinstance(line.get("epoch"), int | float)]
    for name in ("training", "config"):  # the settings of image and of language trainings
        settings = config.get(name)
        if isinstance(settings, dict) and isinstance(settings.get("num_epochs"), int):
            return Training(folder.resolve().name, kind, config, {}, lines, settings["num_epochs"], False)
    raise ValueError(f"{path} is damaged: it lacks the number of epochs; restore it")


def pictures(training: Training) -> list[canvas.Picture]:
    """Returns all pictures that the metrics of a training suffice for."""
    draw = training_pictures.of_language if training.is_language else training_pictures.of_images
    made = [one for one in draw(training) if one is not None]
    if training.kind.startswith("shared"):
        return [one._replace(title=f"Shared weights: {one.title.lower()}") for one in made]
    return made


def document(training: Training, made: Sequence[canvas.Picture]) -> str:
    """Returns the page of a training with its pictures, an HTML document."""
    config, result, best = training.config, training.result, training.result.get("best")
    name, test = _name(training), None
    title = f"{'Shared' + name[6:] if name.startswith('shared') else name} on {_dataset(training)}"
    if training.is_language:
        test = f"perplexity {best['test_perplexity']:.2f}" if best else None
    elif training.kind == "shared weights" and "test" in result:
        test = f"mean accuracy of random architectures {units.percent(result['test']['mean'])}"
    elif training.kind == "network" and best:
        test = f"top-1 accuracy {units.percent(result['latest']['test']['top1'])}, after the last epoch"
    files, stated = "checkpoints, metrics.jsonl", _stated(training)
    sections = [
        page.Section("Results", unfinished(training) + page.facts(_facts(training)) + _checkpoints(result)),
        page.Section("Architecture", _architecture(training)),
        page.Section("Pictures", page.pictures(made)),
        *checklist.sections(config, stated, seconds=result.get("seconds"), test=test, files=files),
    ]
    subtitle = f"training {training.name}, seed {config.get('seed')}"
    return page.document(title, subtitle, sections, is_finished=training.is_finished)


def unfinished(training: Training) -> str:
    """Returns a note, HTML, if a training is unfinished."""
    text = "no epoch is done yet"
    if training.lines:
        text = f"{training.epoch:g} of {training.num_epochs} epochs are done"
        text += ", but not the evaluation after them" if training.epoch >= training.num_epochs else ""
    return "" if training.is_finished else page.unfinished("training", f"{text}.")


def _name(training):
    if training.kind == "shared weights":
        return f"shared weights of {training.config.get('space')}"
    given = str(training.config.get("flags", {}).get("genotype"))
    return "an architecture" if given.lstrip().startswith("{") else pathlib.PurePath(given).name


def _dataset(training):
    """The name of the dataset, or of its file without the folders of a machine."""
    return pathlib.PurePath(str(training.config.get("dataset", training.config.get("corpus")))).name


def _facts(training):
    result = training.result
    yield "epochs", f"{training.epoch:g} of {training.num_epochs}"
    facts = {"network": _network_facts, "shared weights": _shared_facts}.get(training.kind, _language_facts)
    yield from facts(result)
    if "parameters" in result:
        more = result.get("auxiliary_parameters")
        yield "parameters", f"{result['parameters']:,}{f', and {more:,} of the auxiliary head' if more else ''}"
    for name, label, form in (
        ("multiply_adds", "multiply-adds", "{:,} per image"),
        ("images_per_second", "training images per second", "{:,.0f}"),
        ("architectures_per_second", "architectures scored per second", "{:,.1f}"),
        ("seconds", "wall-clock time", "{:.1f} s, compilation included"),
    ):
        if name in result:
            yield label, form.format(result[name])


def _shared_facts(result):
    for part in training_pictures.PARTS:
        if part in result:
            label = f"{part} accuracy of {result.get('architectures_scored', 'the')} random architectures"
            yield label, f"mean {units.percent(result[part]['mean'])}, best {units.percent(result[part]['best'])}"


def _network_facts(result):
    if "latest" in result:
        yield "test accuracy after the last epoch", units.percent(result["latest"]["test"]["top1"])
    if result.get("best") and result.get("protocol") == "validation":
        label = "test accuracy of the best checkpoint by validation accuracy"
        yield label, units.percent(result["best"]["test"]["top1"])


def _language_facts(result):
    best, unigram = result.get("best"), result.get("unigram_perplexity", {})
    if best:
        for part, name in (("test", "test"), ("validation", "valid")):
            text = f"{best[f'{name}_perplexity']:.2f} (unigram model: {unigram.get(name, math.nan):.2f})"
            yield f"{part} perplexity", text
        averaged = ", parameters averaged over steps" if best.get("is_averaged") else ""
        yield "both after epoch", f"{best['epoch']}, the best on validation text{averaged}"


def _checkpoints(result):
    """Accuracies of the checkpoints of a network on each part of the images."""
    rows = []
    for which, text in (("latest", "after the last epoch"), ("best", f"best on {result.get('protocol')} images")):
        scored = result.get(which)
        if isinstance(scored, dict) and "test" in scored:
            for part in training_pictures.PARTS:
                if part in scored:
                    top1, top5 = (units.percent(scored[part][name]) for name in ("top1", "top5"))
                    rows.append((text, f"{scored['step']:,}", part, top1, top5, f"{scored[part]['loss']:.4f}"))
    return page.table(("checkpoint", "step", "images", "top-1 accuracy", "top-5 accuracy", "loss (nats)"), rows)


def _architecture(training):
    if training.kind == "shared weights":
        text = f"All architectures of {training.config.get('space')}: each step samples one and trains its weights."
        return page.paragraph(text)
    try:
        genotype = json_text.from_dict(training.config.get("genotype"))
    except ValueError as error:  # of another version
        return page.paragraph(f"It could not be drawn: {error}.")
    return page.grid([page.drawing(_name(training), drawing.svg(genotype))])


def _stated(training):
    config, held_out = training.config, training.config.get("held_out")
    reported = "after the last epoch"
    if training.is_language:
        reported, data = "the best on validation text", f"{config.get('vocabulary_size'):,} words"
    elif training.kind == "shared weights":
        data = "part of the training images held out"
    else:
        data = f"{f'{held_out:,}' if held_out else 'no'} training images held out"
        if training.result.get("best") and training.result.get("protocol") == "test":
            reported += "; the best one is chosen on the test images, a biased estimate: use --held_out"
    seeds = f"{config.get('seed')} only, which says nothing about variance: train with other values of --seed"
    return [
        ("Trained", f"{_name(training)}, {training.num_epochs} epochs", True),
        ("Data", f"{_dataset(training)}, {data}", True),
        ("Reported checkpoint", reported, True),
        ("Seeds", seeds, False),
    ]
