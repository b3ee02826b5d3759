"""Pictures of studies of several tasks compared on one scale."""

import numpy as np

from common.report import across, canvas, study_pictures
from common.statistics import across as statistics
from common.statistics import intervals

_NUM_THRESHOLDS = 121


def pictures(compared: across.Compared) -> list[canvas.Picture]:
    """Returns all pictures of a comparison."""
    searches, columns = compared.searches, study_pictures.columns(compared.num_queries)
    in_full, unit = across.UNITS[compared.is_known]
    thresholds = np.linspace(0, 0.5 if compared.is_known else 1.5, _NUM_THRESHOLDS)
    regret, final, found = {}, {}, {}
    for name in searches.algorithms:
        regret[name] = intervals.interquartile_mean(*(task[:, columns] for task in searches.regret[name]))
        final[name] = statistics.profile(*(task[:, -1] for task in searches.regret[name]), thresholds=thresholds)
        found[name] = statistics.profile(*searches.queries[name], thresholds=columns + 1)
    num = f"{compared.num_seeds} searches on each of {len(searches.tasks)} tasks"
    stratified = "Bands: 95 % bootstrap intervals, stratified by task."
    regret_text = (
        f"Interquartile mean over {num} of the regret divided by that of {in_full}: 0 is the "
        f"optimum, 1 (dotted) no better. {stratified}"
    )
    final_text = (
        f"Performance profile after {compared.num_queries} queries: share of {num} whose normalized regret is at most "
        "the value on the x axis, each task with the same weight; at 0 those that found the optimum. Higher is better. "
        + stratified
    )
    found_text = f"Share of {num} that found the optimum, each task with the same weight."
    found_text += f" Higher and further left is better. {stratified}"
    pair_text = "Probability, by queries to the optimum, that a search of the first algorithm does better than one of "
    pair_text += "the second, mean over tasks"
    return [
        _curves("across_regret", "Normalized regret, all tasks", columns + 1, regret, regret_text, unit=unit),
        _curves("across_profile", "Performance profile, all tasks", thresholds, final, final_text, unit=unit),
        _curves("across_found", "Optimum found, all tasks", columns + 1, found, found_text, unit=unit),
        study_pictures.pairs([one for one in compared.improvements if one["of"] == "queries"], pair_text),
    ]


@canvas.styled
def _curves(name, title, x, bands, caption, *, unit):
    figure, axes = canvas.new(canvas.WIDTH, 3.8)
    for at, (algorithm, band) in enumerate(bands.items()):
        study_pictures.line(axes, x, band, at=at, name=algorithm, factor=1 if name == "across_regret" else 100)
    label = f"({unit} = 1)"
    if name == "across_regret":
        top = max(np.nanmax(band.center, initial=0.1) for band in bands.values())
        axes.axhline(1, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
        axes.set(ylabel=f"regret {label}", ylim=(-0.04, 1.15 * min(top, 2)))
    else:
        axes.set(ylabel="searches that found the optimum (%)", ylim=(-3, 103))
    if name == "across_profile":
        if x[-1] > 1:
            axes.axvline(1, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
        axes.set(xlabel=f"regret at most {label}", ylabel="searches (%)")
    else:
        study_pictures.by_queries(axes)
    figure.legend(loc="outside upper left", ncols=2)
    return canvas.Picture(name, title, caption, figure)
