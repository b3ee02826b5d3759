"""Shows, converts, draws and counts architectures: published ones by name, your own from a file or a text.

  python -m launch.genotype --list
  python -m launch.genotype --genotype=naonet_a
  python -m launch.genotype --genotype=naonet_a --convert_to=darts
  python -m launch.genotype --text="0 1 0 4 2 2 1 3 ..." --from_format=nao_small --output=mine.json
  python -m launch.genotype --genotype=mine.json --output=mine.svg
  python -m launch.genotype --genotype=lanet --count --num_cells=20 --width=36

An architecture is given by --genotype or --text and shown unless another task is given. Searches print rows: read them
with --text and --from_format=SPACE_row, such as nasbench201_row.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Annotated

from absl import flags

from common import config as configs
from common import drawing
from common.drawing import catalogue
from common.genotypes import description, formats, json_text, published
from common.genotypes.genotype import Genotype
from common.networks import counting
from common.report import console
from launch import commands

_COUNT = configs.Needs("count")


@configs.dataclass
class Counting:
    """Network for --count."""

    network: Annotated[str | None, "published network; None: that of the space that contains the genotype", _COUNT] = (
        None
    )
    num_cells: Annotated[int | None, "cells in all; None: as in the network", _COUNT] = None
    width: Annotated[int | None, "channels of the first cell; None: as in the network", _COUNT] = None
    num_classes: Annotated[int | None, "classes; None: as in the network", _COUNT] = None
    image_size: Annotated[
        int | None, "pixels; None: the genotype's own, else 32, for ImageNet networks 224", _COUNT
    ] = None


@configs.dataclass
class Command:
    """Architecture and tasks."""

    genotype: Annotated[str | None, "name of a published architecture, or a file as --output writes it"] = None
    text: Annotated[str | None, "architecture as text in --from_format; -: read it from standard input"] = None
    from_format: Annotated[str | None, "format of --text, see --list_formats"] = None
    show: Annotated[bool, "show it, and its text in every format that can represent it"] = False
    convert_to: Annotated[str | None, "print its text in this format, see --list_formats"] = None
    output: Annotated[str | None, "file to write: a drawing (.svg, .png) or its JSON (.json)"] = None
    count: Annotated[bool, "count the parameters and multiply-adds of its network"] = False
    list: Annotated[bool, "list the published architectures"] = False
    list_formats: Annotated[bool, "list the formats"] = False
    document: Annotated[str | None, "file .md to write: a page of all published architectures, with drawings"] = None
    counting: Counting = Counting()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("genotype", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    commands.define(values, Command())


def run(values: flags.FlagValues) -> None:
    """Runs the tasks that the flags ask for."""
    command = commands.read(values, Command())
    if command.list:
        _print_published()
    if command.list_formats:
        texts = {name: made.help for name, made in formats.FORMATS.items()}
        console.show_facts("formats, to read and to write", texts)
    if command.document:
        catalogue.write(command.document)
        print(f"wrote {command.document}")
    is_task = command.show or command.convert_to or command.output or command.count
    if command.genotype is None and command.text is None:
        if is_task or not (command.list or command.list_formats or command.document):
            raise ValueError("give --genotype=NAME_OR_FILE, or --text and --from_format; --list shows the names")
        return
    genotype = _read(command)
    if command.show or not is_task:
        _show(command.genotype, genotype)
    if command.convert_to:
        print(formats.get(command.convert_to).write(genotype).rstrip("\n"))
    if command.output:
        title = command.genotype if command.genotype in published.PUBLISHED else None
        _write(genotype, pathlib.Path(command.output), title)
        print(f"wrote {command.output}")
    if command.count:
        for name, value in counting.of_genotype(genotype, **configs.to_json(command.counting)).items():
            print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")


def _read(command: Command) -> Genotype:
    if command.text is None:
        if command.from_format is not None:
            raise ValueError("--from_format is the format of --text; give --text, or leave it out")
        return published.get(command.genotype)
    if command.genotype is not None:
        raise ValueError("give --genotype or --text, not both")
    text = command.text
    if text == "-":
        try:
            text = sys.stdin.read()
        except UnicodeDecodeError:
            raise ValueError("standard input is not UTF-8 text") from None
    name = command.from_format or formats.recognize(text)
    if name is None:
        raise ValueError("give --from_format, the format of --text; --list_formats lists the formats")
    return formats.get(name).read(text)


def _write(genotype: Genotype, path: pathlib.Path, title: str | None) -> None:
    if path.suffix not in (".svg", ".png", ".json"):
        raise ValueError(f"give --output, a file that ends in .svg, .png or .json; got {str(path)!r}")
    if path.suffix == ".json" and path.exists():
        try:
            published.get(str(path))
        except ValueError as error:
            raise ValueError(f"{path} exists and is no genotype, and is not replaced; name another file") from error
    try:
        if path.suffix == ".png":
            from common.drawing import charts  # matplotlib, which takes a second to import

            charts.draw_png(genotype, path, title=title)
        else:
            text = json_text.to_text(genotype) if path.suffix == ".json" else drawing.svg(genotype, title=title)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error


def _show(name: str | None, genotype: Genotype) -> None:
    made = published.PUBLISHED.get(name)
    if made:
        print(f"{made.name}: {made.source}")
        if made.note:
            print(made.note)
    print(description.describe(genotype))
    for claim in made.claims if made else ():
        params = f"{claim.params / 1e6:.2f} million parameters" if claim.params else ""
        setting = ", ".join(filter(None, (claim.setting, params)))
        setting = f" ({setting})" if setting else ""
        print(f"{_result(claim.dataset, claim.metric, claim.value)}{setting}; {claim.by}")
    for key, text in formats.written(genotype).items():
        print(f"\n{key}:\n{text.rstrip()}")


def _print_published() -> None:
    rows = []
    for name, made in published.PUBLISHED.items():
        best: dict[tuple[str, str], float] = {}  # the smallest error or perplexity; of accuracies there is only one
        for claim in made.claims:
            key = claim.dataset, claim.metric
            best[key] = min(claim.value, best.get(key, claim.value))
        results = "\n".join(_result(*key, value) for key, value in best.items())
        rows.append((name, made.space or f"({description.kind(made.genotype)})", results))
    console.show("published architectures", ("name", "space, or kind", "best result of each kind"), rows)


def _result(dataset: str, metric: str, value: float) -> str:
    name, percent, _ = metric.partition(", %")
    return f"{dataset}: {name} {value:g}{' %' if percent else ''}"


if __name__ == "__main__":
    sys.exit(main())
