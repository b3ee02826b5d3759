"""One self-contained HTML page of a search, a training or a study, or of studies of several tasks; pictures as files.

python -m launch.report --workdir=runs/lanas-digits_convnet-20250101-120000
python -m launch.report --workdir=STUDY --pictures=figures --format=pdf
python -m launch.report --workdir=ranking.json  (of python -m benchmarks.supernet_ranking --output=ranking.json)
python -m launch.report --workdir=STUDY_OF_CIFAR10 --workdir=STUDY_OF_CIFAR100 --output=report.html
"""

import os
import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from common.records import run_dir
from common.report import (
    across_page,
    across_tables,
    canvas,
    files,
    image_search_files,
    image_search_page,
    ranking_page,
    run_page,
    study_page,
    training_files,
    training_page,
    training_pictures,
)
from launch import compilation, refitting
from launch import flags as launch_flags

PAGE = "report.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return launch_flags.run_main("report", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""

    def define(name, default, text):
        flags.DEFINE_string(name, default, text, flag_values=values)

    text = (
        "folder of a search (launch.lanas, nao, baselines, search_recurrent, search_images), of a training "
        "(launch.train, train_supernet, train_language) or of launch.study; given several times, studies of several "
        "tasks, which are compared over all"
    )
    flags.DEFINE_multi_string("workdir", [], text, flag_values=values)
    text = "number of queries after which studies of several tasks are compared; by default their budget"
    flags.DEFINE_integer("queries", None, text, flag_values=values)
    define("output", None, f"the page to write; by default {PAGE} in the workdir")
    define(
        "pictures", None, "folder for all pictures as files of their own, and the tables of a study; by default none"
    )
    define("format", "svg", f"of these pictures: {', '.join(canvas.FORMATS)}")
    text = "whether models are fitted again, for pictures of LaNAS' tree and NAO's latents; takes seconds, or minutes"
    flags.DEFINE_bool("refit", True, text, flag_values=values)
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")


def run(values: flags.FlagValues) -> None:
    """Writes the page, and the pictures where asked for."""
    launch_flags.one_of("format", values.format, canvas.FORMATS)
    folders = [folder for folder in values.workdir if folder]
    if not folders:
        raise ValueError("give --workdir, the folder of a search, a training or a study")
    if len(folders) > 1 and not values.output:
        raise ValueError("several folders have one page together: name its file with --output")
    first = pathlib.Path(folders[0])
    output = pathlib.Path(values.output or (first.with_suffix(".html") if first.is_file() else first / PAGE))
    found = files.read(folders[0]) if len(folders) == 1 else files.read_together(folders)
    if values.queries is not None and not isinstance(found, files.Studies):
        raise ValueError("--queries is for studies of several tasks")
    if not output.parent.is_dir():
        raise ValueError(f"--output={output}: its folder is not there; make it first")
    text, made, tables = _page(values, found, output)
    run_dir.write_text(output, text)
    if values.pictures:
        _write_pictures(pathlib.Path(values.pictures), made, tables, values.format)
    state = "" if found.is_finished else ", which is unfinished"
    print(f"{output}: {len(made)} pictures of {found.name}{state}", flush=True)


def _page(values, found, output):
    """Returns (the page, its pictures, its tables, where it has some to copy)."""
    if isinstance(found, files.Studies):
        compared = across_tables.compare(found, num_queries=values.queries)
        made, tables = across_page.pictures(compared), across_tables.tables_of(compared)
        return across_page.document(compared, made, tables), made, tables
    if isinstance(found, files.Study):
        made, tables = study_page.pictures(found), study_page.tables_of(found)
        return study_page.document(found, made), made, tables
    if isinstance(found, training_files.Training):
        made = training_pictures.pictures(found)
        return training_page.document(found, made), made, None
    if isinstance(found, ranking_page.Ranking):
        made = ranking_page.pictures(found)
        return ranking_page.document(found, made), made, None
    if isinstance(found, image_search_files.ImageSearch):
        folder = pathlib.Path(values.workdir[0])
        for name, run in found.runs.items():  # the pages that this one links to
            run_dir.write_text(folder / name / PAGE, _run_page(values, run)[0])
        made = image_search_page.pictures(found)
        reports = os.path.relpath(folder, output.parent)
        return image_search_page.document(found, made, reports=reports, name=PAGE), made, None
    return *_run_page(values, found), None


def _run_page(values, run):
    """Returns (the page of a search, its pictures)."""
    models, notes = {}, ["Models were not fitted again (--norefit)."]
    if values.refit:
        compilation.enable_cache(values.compilation_cache_dir)
        models, notes = refitting.models(run)
    made = run_page.pictures(run, **models)
    return run_page.document(run, made, partition=models.get("partition"), notes=notes), made


def _write_pictures(folder, made, tables, suffix):
    folder.mkdir(parents=True, exist_ok=True)
    for picture in made:
        canvas.write(picture, folder / f"{picture.name}.{suffix}")
    if tables is not None:
        run_dir.write_text(folder / "tables.md", study_page.markdown(tables))
        run_dir.write_text(folder / "tables.tex", study_page.latex(tables))


if __name__ == "__main__":
    sys.exit(main())
