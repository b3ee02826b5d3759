"""Shows, converts, draws and counts architectures: published ones by name, your own from a file or a text.

  python -m launch.genotype --list
  python -m launch.genotype --genotype=naonet_a
  python -m launch.genotype --genotype=naonet_a --convert_to=darts
  python -m launch.genotype --text="0 1 0 4 2 2 1 3 ..." --from_format=nao_small --output=mine.json
  python -m launch.genotype --genotype=mine.json --output=mine.svg
  python -m launch.genotype --genotype=lanet --count --num_cells=20 --width=36

An architecture is named by --genotype, or written in --text, and then shown unless something else is asked for.
What a search found is a row: give it as --text, with --from_format=SPACE_row, such as nasbench201_row.
"""

import pathlib
import sys
from collections.abc import Sequence

import rich.console
import rich.table
import rich.text
from absl import flags

from common import drawing
from common.drawing import catalogue
from common.genotypes import description, formats, json_text, published
from common.genotypes.genotype import Genotype
from common.networks import counting
from launch import flags as launch_flags

_STANDARD_INPUT = "-"
_TASKS = ("show", "convert_to", "output", "count")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("genotype", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("list", False, "list the published architectures", flags.DEFINE_bool)
    define("document", None, "file .md to write, a page of all published architectures; pictures go beside it")
    define("list_formats", False, "list the formats", flags.DEFINE_bool)
    define("genotype", None, "name of a published architecture, or a JSON file as --output writes it")
    define("text", None, f"an architecture as text in --from_format; {_STANDARD_INPUT} reads it from standard input")
    define("from_format", None, "format of --text, see --list_formats")
    define("show", False, "show it, and its text in every format that can hold it", flags.DEFINE_bool)
    define("convert_to", None, "print its text in this format, see --list_formats")
    define("output", None, "file to write: a drawing (.svg, .png) or its JSON (.json)")
    define("count", False, "count the parameters and multiply-adds of its network", flags.DEFINE_bool)
    define("network", None, "with --count, a published network; by default that of the space that holds it")
    define("num_cells", None, "with --count, cells in all, if not those of the network", flags.DEFINE_integer)
    define("width", None, "with --count, channels of the first cell, if not those of the network", flags.DEFINE_integer)
    define("num_classes", None, "with --count, classes, if not those of the network", flags.DEFINE_integer)
    define(
        "image_size",
        None,
        "with --count, pixels; by default its own, else 32 or of ImageNet's 224",
        flags.DEFINE_integer,
    )


def run(values: flags.FlagValues) -> None:
    """Does what the flags ask for."""
    tasks = [name for name in _TASKS if getattr(values, name)]
    if values.list:
        _print_published()
    if values.list_formats:
        _print_formats()
    if values.document:
        catalogue.write(values.document)
        print(f"wrote {values.document}")
    if values.genotype is None and values.text is None:
        if tasks or not (values.list or values.list_formats or values.document):
            raise ValueError("give --genotype=NAME_OR_FILE, or --text and --from_format; --list shows the names")
        return
    genotype = _read(values)
    if values.show or not tasks:
        _show(values.genotype, genotype)
    if values.convert_to:
        print(formats.get(values.convert_to).write(genotype).rstrip("\n"))
    if values.output:
        write(genotype, values.output, title=values.genotype if values.genotype in published.PUBLISHED else None)
        print(f"wrote {values.output}")
    if values.count:
        _print_counts(genotype, values)


def write(genotype: Genotype, output: str, *, title: str | None = None) -> None:
    """Writes a drawing or the JSON of a genotype.

    Args:
      genotype: what to write.
      output: path, which ends in .svg, .png or .json.
      title: a line above a drawing.

    Raises:
      ValueError: the path has another suffix, or cannot be written.
    """
    path = pathlib.Path(output)
    if path.suffix not in (".svg", ".png", ".json"):
        raise ValueError(f"give --output, a file that ends in .svg, .png or .json; got {output!r}")
    try:
        if path.suffix == ".png":
            from common.drawing import charts as plotting  # matplotlib, which takes a second to import

            plotting.draw_png(genotype, path, title=title)
        else:
            text = json_text.to_text(genotype) if path.suffix == ".json" else drawing.svg(genotype, title=title)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from error


def _read(values: flags.FlagValues) -> Genotype:
    if values.text is None:
        if values.from_format is not None:
            raise ValueError("--from_format is the format of --text; give --text, or leave it out")
        return published.get(values.genotype)
    if values.genotype is not None:
        raise ValueError("give --genotype or --text, not both")
    if values.from_format is None:
        raise ValueError("give --from_format, the format of --text; --list_formats shows which there are")
    text = sys.stdin.read() if values.text == _STANDARD_INPUT else values.text
    return formats.get(values.from_format).read(text)


def _show(name: str | None, genotype: Genotype) -> None:
    made = published.PUBLISHED.get(name)
    if made:
        print(f"{made.name}: {made.source}")
        if made.note:
            print(made.note)
    print(description.describe(genotype))
    for claim in made.claims if made else ():
        print(_claim(claim))
    for key, text in formats.written(genotype).items():
        print(f"\n{key}:\n{text.rstrip()}")


def _print_published() -> None:
    table = rich.table.Table(title="published architectures")
    for column in ("name", "space, or kind"):
        table.add_column(column, no_wrap=True)
    table.add_column("claims, of each the best", overflow="fold")
    for name, made in published.PUBLISHED.items():
        best: dict[tuple[str, str], float] = {}  # of errors and perplexities the smallest, of accuracies the only one
        for claim in made.claims:
            key = claim.dataset, claim.metric
            best[key] = min(claim.value, best.get(key, claim.value))
        claims = "\n".join(_value(*key, value) for key, value in best.items())
        table.add_row(name, made.space or f"({description.kind(made.genotype)})", rich.text.Text(claims))
    rich.console.Console().print(table)


def _print_formats() -> None:
    table = rich.table.Table(title="formats, to read and to write", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, made in formats.FORMATS.items():
        table.add_row(name, rich.text.Text(made.help))
    rich.console.Console().print(table)


def _print_counts(genotype: Genotype, values: flags.FlagValues) -> None:
    names = ("network", "num_cells", "width", "num_classes", "image_size")
    for name, value in counting.of_genotype(genotype, **{name: getattr(values, name) for name in names}).items():
        print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}")


def _claim(claim: published.Claim) -> str:
    params = f"{claim.params / 1e6:.2f} million parameters" if claim.params else ""
    setting = ", ".join(part for part in (claim.setting, params) if part)
    return f"{_value(claim.dataset, claim.metric, claim.value)}{f' ({setting})' if setting else ''}; {claim.by}"


def _value(dataset: str, metric: str, value: float) -> str:
    name, percent, _ = metric.partition(", %")
    return f"{dataset}: {name} {value:g}{' %' if percent else ''}"


if __name__ == "__main__":
    sys.exit(main())
