"""The page of one training: of a network, of shared weights, or of a language model."""

import pathlib
from collections.abc import Sequence

from common import drawing
from common.genotypes import json_text
from common.report import canvas, checklist, page, training_files, training_pictures

_PARTS = training_pictures.PARTS
_CHECKPOINTS = {"latest": "after the last epoch", "best": "the best"}


def document(training: training_files.Training, made: Sequence[canvas.Picture]) -> str:
    """Returns the page of a training with its pictures, an HTML document."""
    config = training.config
    state = "finished" if training.is_finished else "unfinished"
    name = _name(training)
    title = f"{'Shared' + name[6:] if name.startswith('shared') else name} on {_dataset(training)}"
    sections = [
        page.Section("What came of it", unfinished(training) + _summary(training) + _checkpoints(training.result)),
        page.Section("The architecture", _architecture(training)),
        page.Section("Pictures", page.pictures(made)),
        page.Section("What a paper must state", checklist.body(_items(training))),
        page.Section("Settings", page.folded("All flags, as a flagfile", page.listing(checklist.flagfile(config)))),
    ]
    return page.document(title, f"training {training.name}, seed {config.get('seed')}, {state}", sections)


def unfinished(training: training_files.Training) -> str:
    """Returns what a reader must know of a training that has not ended, HTML."""
    if training.is_finished:
        return ""
    so_far = "no epoch is done yet"
    if training.lines:
        so_far = f"{training.epoch:g} of {training.num_epochs} epochs are done"
        if training.epoch >= training.num_epochs:
            so_far += ", and what comes after them is not"
    return page.note("This training is unfinished", f"{so_far}. Start it again with the same --workdir to go on.")


def _name(training):
    """What is trained."""
    if training.kind == "shared weights":
        return f"shared weights of {training.config.get('space')}"
    given = str(training.config.get("flags", {}).get("genotype"))
    return "an architecture" if given.lstrip().startswith("{") else pathlib.PurePath(given).name


def _dataset(training):
    """A file by its name, without the folders of somebody's machine."""
    return pathlib.PurePath(str(training.config.get("dataset", training.config.get("corpus")))).name


def _summary(training):
    result, told = training.result, [("epochs", f"{training.epoch:g} of {training.num_epochs}")]
    told += _language(result) if training.is_language else _images(training)
    if "parameters" in result:
        more = result.get("auxiliary_parameters")
        told.append(
            ("parameters", f"{result['parameters']:,}{f', and {more:,} of the auxiliary head' if more else ''}")
        )
    if "multiply_adds" in result:
        told.append(("multiply-adds", f"{result['multiply_adds']:,} an image"))
    if "images_per_second" in result:
        told.append(("images a second, in training", f"{result['images_per_second']:,.0f}"))
    if "architectures_per_second" in result:
        told.append(("architectures scored a second", f"{result['architectures_per_second']:,.1f}"))
    if "seconds" in result:
        told.append(("wall-clock time", f"{result['seconds']:.1f} s, compiling included"))
    return page.facts(told)


def _images(training):
    result, told = training.result, []
    if training.kind == "shared weights":
        count = result.get("architectures_scored", "the")
        for part in _PARTS:
            if part in result:
                value = f"{_percent(result[part]['mean'])} on average, {_percent(result[part]['best'])} at best"
                told.append((f"{part} accuracy of {count} random architectures", value))
        return told
    if "latest" in result:
        told.append(("test accuracy after the last epoch", _percent(result["latest"]["test"]["top1"])))
    chosen, best = result.get("protocol"), result.get("best")
    if best and chosen == "validation":
        told.append(("test accuracy of the best on validation images", _percent(best["test"]["top1"])))
    return told


def _language(result):
    best, single = result.get("best"), result.get("unigram_perplexity", {})
    if not best:
        return []
    averaged = ", averaged over steps" if best.get("is_averaged") else ""
    return [
        ("test perplexity", f"{best['test_perplexity']:.2f} (of single words {single.get('test', float('nan')):.2f})"),
        (
            "validation perplexity",
            f"{best['valid_perplexity']:.2f} (of single words {single.get('valid', float('nan')):.2f})",
        ),
        ("both after epoch", f"{best['epoch']}, the best on validation text{averaged}"),
    ]


def _checkpoints(result):
    """How good the checkpoints of a network are, on each part."""
    rows = []
    for which, text in _CHECKPOINTS.items():
        scored = result.get(which)
        if isinstance(scored, dict) and "test" in scored:
            if which == "best":
                text = f"{text} on {result.get('protocol')} images"
            for part in _PARTS:
                if part in scored:
                    score = scored[part]
                    row = (_percent(score["top1"]), _percent(score["top5"]), f"{score['loss']:.4f}")
                    rows.append((text, f"{scored['step']:,}", part, *row))
    return page.table(("checkpoint", "step", "images", "top-1 accuracy", "top-5 accuracy", "loss (nats)"), rows)


def _architecture(training):
    record = training.config.get("genotype")
    if training.kind == "shared weights":
        return page.paragraph(
            f"All of the space {training.config.get('space')}: each step draws one and trains what it is made of."
        )
    try:
        genotype = json_text.from_dict(record)
    except ValueError as error:  # of another version
        return page.paragraph(f"It could not be drawn: {error}.")
    return page.grid([page.figure(_name(training), drawing.svg(genotype))])


def _items(training):
    config, result = training.config, training.result
    best = result.get("best") or {}
    seconds = f"{result['seconds']:.1f} s, compiling included" if "seconds" in result else "unknown"
    test, stopped = "unknown", "that after the last epoch"
    if training.is_language:
        stopped = "the best on validation text"
        test = f"perplexity {best['test_perplexity']:.2f}" if best else test
        data = f"{_dataset(training)}, {config.get('vocabulary_size'):,} words"
    else:
        held_out = config.get("held_out")
        data = f"{_dataset(training)}, {f'{held_out:,}' if held_out else 'no'} training images held out"
        if training.kind == "shared weights":
            data = f"{_dataset(training)}, part of the training images held out"
            test = (
                f"{_percent(result['test']['mean'])} on average of random architectures" if "test" in result else test
            )
        elif best:
            test = f"{_percent(result['latest']['test']['top1'])} top-1, after the last epoch"
            if result.get("protocol") == "test":
                stopped += "; the best one is the best on the test images, which is no fair figure: take --held_out"
    return checklist.training_items(
        config,
        trained=f"{_name(training)}, {training.num_epochs} epochs",
        data=data,
        stopped=stopped,
        seed=config.get("seed"),
        seconds=seconds,
        test=test,
    )


def _percent(fraction):
    return f"{100 * fraction:.2f} %"
