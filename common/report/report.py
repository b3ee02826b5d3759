"""Writes the report of any folder: its page, and pictures and tables as files."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from common import compilation, explanations, types
from common import config as configs
from common.records import json_files, run_dir
from common.report import (
    across,
    across_pictures,
    architectures,
    canvas,
    image_search,
    judged,
    own_images,
    ranking,
    search,
    study,
    training,
)

PAGE = "report.html"
Found = (
    search.Run
    | training.Training
    | image_search.ImageSearch
    | own_images.Found
    | ranking.Ranking
    | judged.Judged
    | study.Study
    | across.Studies
)


_CONFIG = {  # what every config.json has
    **{"command?": str, "flags?": dict, "device?": {"*": (str, int)}, "versions?": {"*": str}, "config?": dict},
    **{"tasks?": {"*": str}, "algorithms?": [str]},
}


class Written(NamedTuple):
    """A report that was written."""

    output: pathlib.Path  # the page
    name: str  # of the folder, or folders
    num_pictures: int  # on the page
    is_finished: bool  # whether the folder is of a finished run


class _Report(NamedTuple):
    text: str
    pictures: Sequence[canvas.Picture]
    tables: Sequence[study.Table] = ()


@compilation.in_32_bits
def write(
    folders: Sequence[str | os.PathLike],
    *,
    output: str | os.PathLike | None = None,
    pictures: str | os.PathLike | None = None,
    format: str = "svg",
    queries: int | None = None,
    models: Mapping[str, types.Algorithm] | None = None,
) -> Written:
    """Writes the page of a folder, or one page of several studies; returns its file and a summary.

    Args:
      folders: of a search, a training or a study, or a file of `benchmarks.supernet_ranking`; several of studies.
      output: the page; by default report.html in the folder.
      pictures: folder for all pictures as files, and the tables of a study; by default none.
      format: of these pictures, one of `canvas.FORMATS`.
      queries: number of queries after which studies of several tasks are compared; by default their budget.
      models: the algorithms that explain their models, by name, for pictures of the fitted model; by default none.

    Raises:
      ValueError: an argument is out of range, a folder is not of a run, or one of its files is damaged.
    """
    configs.one_of("format", format, canvas.FORMATS)
    if not folders:
        raise ValueError("give the folder of a search, a training or a study (--workdir)")
    if len(folders) > 1 and not output:
        raise ValueError("several folders have one page: give its file (--output)")
    first = pathlib.Path(folders[0])
    output = pathlib.Path(output or (first.with_suffix(".html") if first.is_file() else first / PAGE))
    found = read(first) if len(folders) == 1 else read_together(folders)
    if pictures and pathlib.Path(pictures).exists() and not pathlib.Path(pictures).is_dir():
        raise ValueError(f"{pictures} is not a folder; give one for the pictures (--pictures)")
    if queries is not None and not isinstance(found, across.Studies):
        raise ValueError("the number of queries to compare after (--queries) is for studies of several tasks")
    if output.suffix not in (".html", ".htm"):
        raise ValueError(f"the page (--output) is a file that ends in .html; got {output}")
    if not output.parent.is_dir():
        raise ValueError(f"the folder of {output} does not exist; make it first")
    made = _report(found, first, output, queries, models)
    run_dir.write_text(output, made.text)
    if pictures:
        folder = pathlib.Path(pictures)
        folder.mkdir(parents=True, exist_ok=True)
        for picture in made.pictures:
            canvas.write(picture, folder / f"{picture.name}.{format}")
        if made.tables:
            run_dir.write_text(folder / "tables.md", study.markdown(made.tables))
            run_dir.write_text(folder / "tables.tex", study.latex(made.tables))
    return Written(output, found.name, len(made.pictures), found.is_finished)


def read(folder: str | os.PathLike) -> Found:
    """Returns the contents of a folder of a run or a study, or of a file of `benchmarks.supernet_ranking`.

    Raises:
      ValueError: it does not exist, is empty or not of a run, or a file in it is damaged.
    """
    folder = pathlib.Path(folder)
    if folder.is_file():
        return ranking.read(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder of a search, a training or a study (--workdir)")
    config = json_files.read(folder / run_dir.CONFIG)
    if own_images.is_one(config):
        return own_images.read(folder)
    if image_search.is_one(folder, config):
        return image_search.read(folder)
    if config is None:
        shared = training.read_shared(folder)
        if shared is not None:  # a search that has trained its shared weights so far
            return shared._replace(is_finished=False)
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        text = "so it is not the folder of a search, a training or a study"
        raise ValueError(f"{folder} has no {run_dir.CONFIG}, {text}; it holds {found}")
    json_files.check(folder / run_dir.CONFIG, config, _CONFIG)
    command = config.get("command")
    if command == "study":
        tasks = config.get("tasks")
        return across.read(folder, tasks) if tasks else study.read(folder, config)
    return training.read(folder, config) if command in training.KINDS else search.read(folder, config)


def read_together(folders: Sequence[str | os.PathLike]) -> across.Studies:
    """Returns the studies in several folders; raises ValueError as `read`, or if one is not of a study."""
    names, studies, missing, is_finished = [], [], [], True
    for folder in folders:
        found = read(folder)
        if not isinstance(found, study.Study | across.Studies):
            raise ValueError(f"{folder} is not of a study; several folders must all be of studies")
        names.append(found.name)
        studies += found.studies if isinstance(found, across.Studies) else [found]
        missing += found.missing if isinstance(found, across.Studies) else []
        is_finished &= found.is_finished
    return across.Studies(", ".join(names), tuple(studies), tuple(missing), is_finished)


def _report(found, folder, output, queries, models):
    if isinstance(found, search.Run):
        explained, notes = _explained(found, models)
        made = search.pictures(found, explained)
        return _Report(search.document(found, made, explained=explained, notes=notes), made)
    if isinstance(found, across.Studies):
        compared = across.compare(found, num_queries=queries)
        made, tables = across_pictures.pictures(compared), across.tables(compared)
        return _Report(across.document(compared, made, tables), made, tables)
    if isinstance(found, image_search.ImageSearch):
        for name, run in found.runs.items():  # the pages that this one links to
            run_dir.write_text(folder / name / PAGE, _report(run, folder, output, None, models).text)
        made = image_search.pictures(found)
        reports = os.path.relpath(folder, output.parent)
        return _Report(image_search.document(found, made, reports=reports, name=PAGE), made)
    subject = {
        own_images.Found: own_images,
        study.Study: study,
        training.Training: training,
        ranking.Ranking: ranking,
        judged.Judged: judged,
    }[type(found)]
    made = subject.pictures(found)
    return _Report(subject.document(found, made), made, study.tables(found) if subject is study else ())


def _explained(run, models):
    """Returns (the record of the fitted model of a search or None, notes)."""
    if models is None:
        return None, ["Models were not fitted again."]
    algorithm = models.get(run.config["algorithm"])
    if algorithm is None or run.blocks:  # the history of a renewed pool is incomplete
        return None, []
    recorded = run.config.get("config", {})
    recorded = recorded.get("searcher", recorded)  # beside those of shared weights
    try:
        space = architectures.space_of(run.config)
        settings = algorithm.for_space(space, algorithm.config)
        if recorded.keys() & {field.name for field in configs.fields(type(settings))}:
            settings = configs.from_json(type(settings), recorded)
        explained = algorithm.explain(space, settings, run.history, seed=int(run.config["seed"]))
        if isinstance(explained, explanations.Partition) and run.config.get("flags", {}).get("limit"):
            explained = explained.replace(num_unseen=None)  # of the whole space, not of the part within the limits
    except (ValueError, TypeError) as error:  # of another version
        return None, [f"The model could not be fitted again: {error}"]
    if explained is None and run.history.others.shape[1]:
        return None, ["The partition is drawn for searches with one objective only."]
    return explained, [] if explained is not None else ["Too few measurements to fit the model again."]
