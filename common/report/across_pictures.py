"""Pictures of algorithms on several tasks at once: regrets on one scale, profiles, optima found."""

import numpy as np

from common.report import canvas, study_pictures
from common.statistics import across, intervals

_NUM_THRESHOLDS = 121


@canvas.styled
def regrets(searches: across.Scaled) -> canvas.Picture:
    """Returns interquartile means of normalised regrets over all tasks, against queries."""
    figure, axes = canvas.new(5.6, 3.8)
    columns = study_pictures.columns(len(searches.unit[0]))
    tops = []
    for at, name in enumerate(searches.algorithms):
        band = intervals.interquartile_mean(*(task[:, columns] for task in searches.regret[name]))
        study_pictures.line(axes, columns + 1, band, at=at, name=name)
        tops.append(np.nanmax(band.center, initial=1))
    axes.axhline(1, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
    axes.set(ylabel=f"regret ({across.BASELINE} search = 1)", ylim=(-0.04, 1.15 * min(max(tops), 2)))
    study_pictures.by_queries(axes)
    figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Interquartile mean over {_count(searches)} of the regret divided by the median regret of {across.BASELINE} "
        "search after as many queries: 0 is the optimum, 1 (dotted) is no better than random search. Bands: 95 % "
        "intervals of the bootstrap, stratified by task."
    )
    return canvas.Picture("across_regret", "Normalised regret, all tasks", caption, figure)


@canvas.styled
def profiles(searches: across.Scaled) -> canvas.Picture:
    """Returns the shares of searches whose normalised regret is at most so much."""
    figure, axes = canvas.new(5.6, 3.8)
    thresholds = np.linspace(0, 1.5, _NUM_THRESHOLDS)
    for at, name in enumerate(searches.algorithms):
        band = across.profile(*(task[:, -1] for task in searches.regret[name]), thresholds=thresholds)
        scaled = intervals.Band(*(100 * np.asarray(values) for values in band))
        study_pictures.line(axes, thresholds, scaled, at=at, name=name)
    axes.axvline(1, color=canvas.FAINT, lw=1, ls=canvas.DASHES[2])
    axes.set(xlabel=f"regret at most ({across.BASELINE} search = 1)", ylabel="searches (%)", ylim=(-3, 103))
    figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Performance profile after {len(searches.unit[0])} queries: share of {_count(searches)} whose normalised "
        "regret is at most so much, each task the same weight; at 0 those that found the optimum. Higher is better. "
        "Bands: 95 % intervals of the bootstrap, stratified by task."
    )
    return canvas.Picture("across_profile", "Performance profile, all tasks", caption, figure)


@canvas.styled
def found(searches: across.Scaled) -> canvas.Picture:
    """Returns the shares of searches that have found their task's optimum, against queries."""
    figure, axes = canvas.new(5.6, 3.8)
    columns = study_pictures.columns(len(searches.unit[0]))
    for at, name in enumerate(searches.algorithms):
        band = across.profile(*searches.queries[name], thresholds=columns + 1)
        scaled = intervals.Band(*(100 * np.asarray(values) for values in band))
        study_pictures.line(axes, columns + 1, scaled, at=at, name=name)
    axes.set(ylabel="searches that found the optimum (%)", ylim=(-3, 103))
    study_pictures.by_queries(axes)
    figure.legend(loc="outside upper left", ncols=2)
    caption = (
        f"Share of {_count(searches)}, each task the same weight. Higher and further left is better. Bands: 95 % "
        "intervals of the bootstrap, stratified by task."
    )
    return canvas.Picture("across_found", "Optimum found, all tasks", caption, figure)


def _count(searches):
    num_seeds = len(searches.queries[across.BASELINE][0])
    return f"{num_seeds} searches on each of {len(searches.tasks)} tasks"
