"""Writes a self-contained HTML page of a search, a training or a study, or of several studies, and pictures as files.

python -m launch.report --workdir=runs/lanas-digits_convnet-20250101-120000
python -m launch.report --workdir=STUDY --pictures=figures --format=pdf
python -m launch.report --workdir=ranking.json  (of python -m benchmarks.supernet_ranking --output=ranking.json)
python -m launch.report --workdir=STUDY_OF_CIFAR10 --workdir=STUDY_OF_CIFAR100 --output=report.html
"""

import sys
from collections.abc import Sequence

from absl import flags

from common.report import canvas, report
from launch import algorithms, commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("report", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    text = "folder of a search, a training or a study; may be given several times for studies of several tasks, "
    define("workdir", [], "", flags.DEFINE_multi_string)
    values["workdir"].help = f"{text}which are compared on one page"
    text = "number of queries after which studies of several tasks are compared; by default their budget"
    define("queries", None, text, flags.DEFINE_integer)
    define("output", None, f"file of the page; by default {report.PAGE} in the workdir")
    define("pictures", None, "folder for all pictures as files, and the tables of a study; by default none")
    define("format", "svg", f"format of these pictures: {', '.join(canvas.FORMATS)}")
    text = "whether to fit models again, for pictures of LaNAS' tree and NAO's latents; takes seconds to minutes"
    define("refit", True, text, flags.DEFINE_bool)
    commands.define_cache(values)


def run(values: flags.FlagValues) -> None:
    """Writes the page, and the pictures if a folder is given for them."""
    if commands.given(values, ["format"]) and not values.pictures:
        raise ValueError(
            "--format has no effect without --pictures, the folder of the pictures; give that, or leave it out"
        )
    written = report.write(
        [folder for folder in values.workdir if folder],
        output=values.output,
        pictures=values.pictures,
        format=values.format,
        queries=values.queries,
        models={name: each for name, each in algorithms.ALGORITHMS.items() if each.explain} if values.refit else None,
    )
    state = "" if written.is_finished else ", which is unfinished"
    print(f"{written.output}: {written.num_pictures} pictures of {written.name}{state}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
