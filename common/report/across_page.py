"""The page of studies of several tasks."""

from collections.abc import Sequence

from common.report import across_pictures, across_tables, canvas, checklist, page, study_page, study_pictures


def pictures(compared: across_tables.Compared) -> list[canvas.Picture]:
    """Returns all pictures."""
    shown = [one for one in compared.improvements if one["of"] == "queries"]
    text = (
        "By queries to the optimum, the mean over tasks: how often a search of the first algorithm does better than "
        "one of the second"
    )
    return [
        across_pictures.regrets(compared.searches),
        across_pictures.profiles(compared.searches),
        across_pictures.found(compared.searches),
        study_pictures.pairs(shown, text),
    ]


def document(
    compared: across_tables.Compared,
    made: Sequence[canvas.Picture],
    found: Sequence[tuple[str, list[str], list[list[str]]]],
) -> str:
    """Returns the page, an HTML document, of the pictures made and the tables found."""
    studies, searches = compared.studies, compared.searches
    num_seeds, num_queries = across_tables.sizes(searches)
    state = "finished" if studies.is_finished else "unfinished"
    subtitle = f"{studies.name}: {num_seeds} seeds on each task, compared after {num_queries} queries, {state}"
    shown = "".join(page.paragraph(name) + page.table(header, rows) for name, header, rows in found[:-1])
    name, header, rows = found[-1]
    shown += page.folded("Comparisons of all pairs", page.paragraph(name) + page.table(header, rows))
    sections = [
        page.Section("What came of it", "".join(map(_note, notes(compared))) + page.paragraph(_METHOD) + shown),
        page.Section("Pictures", page.pictures(made)),
        page.Section("What a paper must state", checklist.body(_items(compared))),
        page.Section("Tables to copy", study_page.to_copy(found)),
        page.Section("Settings", "".join(map(_settings, studies.studies))),
    ]  # fmt: skip
    return page.document(f"Study of {len(searches.tasks)} tasks", subtitle, sections)


def notes(compared: across_tables.Compared) -> list[str]:
    """Returns what a reader must know of what is left out, or not the same, on some tasks."""
    studies, searches = compared.studies, compared.searches
    told = [f"{name} is left out of everything here: it is missing on {', '.join(tasks)}."
            for name, tasks in searches.left_out.items()]  # fmt: skip
    if studies.missing:
        told.append(f"Nothing is done yet on {', '.join(studies.missing)}; start the study again to go on.")
    for study in studies.studies:
        if not study.is_finished:
            told.append(f"The study of {across_tables.task_of(study)} is unfinished.")
    budgets = {across_tables.task_of(study): study.report["budget"] for study in studies.studies}
    longer = [f"{task} ({budget})" for task, budget in budgets.items() if budget > across_tables.sizes(searches)[1]]
    if longer:
        told.append(f"Searches had larger budgets than what is compared here: {', '.join(longer)}.")
    for what in ("seed", "num_seeds"):
        values = {across_tables.task_of(study): study.report[what] for study in studies.studies}
        if len(set(values.values())) > 1:
            said = ", ".join(f"{task} {value}" for task, value in values.items())
            told.append(f"{'First seeds' if what == 'seed' else 'Numbers of seeds'} differ: {said}.")
    return told


def _items(compared):
    studies, searches = compared.studies.studies, compared.searches
    num_seeds, num_queries = across_tables.sizes(searches)
    reports = [study.report for study in studies]
    firsts = sorted({report["seed"] for report in reports})
    environments = {str((study.config.get("device"), study.config.get("versions"))) for study in studies}
    config = studies[0].config if len(environments) == 1 else {}
    seconds = []
    for name in searches.algorithms:
        each = [report["algorithms"][name]["seconds_per_search"] for report in reports]
        compiling = sum(report["algorithms"][name]["compile_seconds"] for report in reports)
        seconds.append(f"{name} {min(each):.3g} to {max(each):.3g} s a search and {compiling:.1f} s of compiling")
    return checklist.items(
        config,
        benchmark=", ".join(searches.tasks),
        protocol=reports[0]["protocol"],
        budget=f"{num_queries} architectures for each search",
        seeds=f"{num_seeds} on each task, from {' or '.join(map(str, firsts))} on, intervals in the tables",
        has_spread=num_seeds > 1,
        baselines=", ".join(searches.algorithms),
        has_baselines=True,
        seconds=", ".join(seconds),
        test="on the pages of the single studies",
    )


def _settings(study):
    title = f"All flags of {across_tables.task_of(study)}, as a flagfile"
    return page.folded(title, page.listing(checklist.flagfile(study.config)))


def _note(text):
    return f'<p class="note">{page.escape(text)}</p>\n'


_METHOD = (
    "Points of accuracy mean something else on every task. So the regret of each search, by how much its best is below "
    "the optimum, is divided by the median regret of random search after as many queries on the same task (Bayesmark, "
    "arXiv:2104.10201). Interquartile means, intervals, profiles and probabilities of improvement are those of "
    "rliable (arXiv:2108.13264)."
)
