"""One self-contained HTML page of a run or a study, or of studies of several tasks, and its pictures as files.

python -m launch.report --workdir=runs/lanas-digits_convnet-20250101-120000
python -m launch.report --workdir=STUDY --pictures=figures --format=pdf
python -m launch.report --workdir=STUDY_OF_CIFAR10 --workdir=STUDY_OF_CIFAR100 --output=report.html
"""

import dataclasses
import pathlib
import sys
import typing
from collections.abc import Mapping, Sequence

from absl import flags

import lanas_jax.config
import lanas_jax.snapshot
import nao_jax.latent_map
import nao_jax.presets
from common import run_dir, spaces
from common.report import across_page, across_tables, canvas, files, run_page, study_page
from launch import compilation
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
        "folder of a search (launch.lanas, nao, baselines, search_recurrent) or of launch.study; given several times, "
        "studies of several tasks, which are compared over all"
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
        raise ValueError("give --workdir, the folder of a run or a study")
    if len(folders) > 1 and not values.output:
        raise ValueError("several folders have one page together: name its file with --output")
    output = pathlib.Path(values.output or pathlib.Path(folders[0]) / PAGE)
    found = files.read(folders[0]) if len(folders) == 1 else files.read_together(folders)
    if values.queries is not None and not isinstance(found, files.Studies):
        raise ValueError("--queries is for studies of several tasks")
    if not output.parent.is_dir():
        raise ValueError(f"--output={output}: its folder is not there; make it first")
    tables = None
    if isinstance(found, files.Studies):
        compared = across_tables.compare(found, num_queries=values.queries)
        made, tables = across_page.pictures(compared), across_tables.tables_of(compared)
        text = across_page.document(compared, made, tables)
    elif isinstance(found, files.Study):
        made, tables = study_page.pictures(found), study_page.tables_of(found)
        text = study_page.document(found, made)
    else:
        compilation.enable_cache(values.compilation_cache_dir)
        models, notes = _refit(found) if values.refit else ({}, ["Models were not fitted again (--norefit)."])
        made = run_page.pictures(found, **models)
        text = run_page.document(found, made, partition=models.get("partition"), notes=notes)
    run_dir.write_text(output, text)
    if values.pictures:
        _write_pictures(pathlib.Path(values.pictures), made, tables, values.format)
    state = "" if found.is_finished else ", which is unfinished"
    print(f"{output}: {len(made)} pictures of {found.name}{state}", flush=True)


def _write_pictures(folder, made, tables, suffix):
    folder.mkdir(parents=True, exist_ok=True)
    for picture in made:
        canvas.write(picture, folder / f"{picture.name}.{suffix}")
    if tables is not None:
        run_dir.write_text(folder / "tables.md", study_page.markdown(tables))
        run_dir.write_text(folder / "tables.tex", study_page.latex(tables))


def _refit(run):
    """Returns (what the algorithm's package makes of the history, by name, notes on what it could not)."""
    packages = {
        "partition": (lanas_jax.config.Config, lanas_jax.snapshot.snapshot),
        "latents": (nao_jax.presets.Config, nao_jax.latent_map.latent_map),
    }
    name = {"lanas": "partition", "nao": "latents"}.get(run.config["command"])
    if name is None:
        return {}, []
    kind, make = packages[name]
    try:
        space = spaces.get(run.config["space"])
        made = make(space, _config(kind, run.config["config"]), run.history, seed=int(run.config["seed"]))
    except (ValueError, TypeError) as error:  # settings or a space of another version
        return {}, [f"The model could not be fitted again: {error}"]
    if made is None:
        return {}, ["Too little is measured yet to fit the model again."]
    return {name: made}, []


def _config(kind, settings: Mapping[str, typing.Any]):
    """Returns a configuration from its record in config.json, dataclasses in its fields included."""
    default = kind()
    unknown = sorted(settings.keys() - {field.name for field in dataclasses.fields(default)})
    if unknown:
        raise ValueError(f"this version has no settings {', '.join(unknown)}")
    made = {}
    for name, value in settings.items():
        inner = getattr(default, name)
        made[name] = _config(type(inner), value) if dataclasses.is_dataclass(inner) else value
    return kind(**made)


if __name__ == "__main__":
    sys.exit(main())
