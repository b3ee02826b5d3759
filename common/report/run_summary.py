"""What came of one search, in figures and drawings."""

import numpy as np

from common import drawing, spaces, types
from common.genotypes import conversion
from common.report import page, run_files, search_pictures, training_page

_NUM_LISTED, _NUM_DRAWN = 10, 2


def in_short(run: run_files.Run) -> str:
    """Returns how far a search is and the best that it measured, in a line."""
    text = f"{_num_done(run)} of {run.budget} {'blocks' if run.blocks else 'queries'}"
    best = _best_at(run)
    if best is not None:
        text += f", best {run.config['protocol']} {run.unit.name} {run.unit.text(run.history.fitness[best])}"
    return text


def body(run: run_files.Run) -> str:
    """Returns the figures, HTML."""
    history, unit, best = run.history, run.unit, _best_at(run)
    told = [("blocks of training" if run.blocks else "queries", f"{_num_done(run)} of {run.budget}")]
    if run.blocks:
        told.append(("architectures scored", f"{sum(map(len, run.blocks)):,}, those that stayed in the pool again"))
    told.append(("infeasible", int(np.sum(history.status == types.INFEASIBLE))))
    if run.num_earlier:
        told.append(("measured before", run.num_earlier))
    if best is not None:
        fitness, optimum = history.fitness[best], run.config.get("optimum")
        told.append((f"best {run.config['protocol']} {unit.name}", unit.text(fitness)))
        if not run.blocks:
            told.append(("found at query", best + 1 - run.num_earlier))
        if optimum is not None:
            told.append(("simple regret", f"{100 * (optimum - fitness):.2f} points"))
        test = (run.result.get("best") or {}).get("test")
        told.append((f"its test {unit.name}", "not known" if test is None else unit.text(test)))
    if run.result.get("seconds") is not None:
        told.append(("wall-clock time", f"{run.result['seconds']:.1f} s, compiling included"))
    cost = float(np.sum(history.cost))
    if cost > 0:
        divisor, time_unit = search_pictures.time_unit(cost)
        told.append((search_pictures.cost_name(run), f"{cost / divisor:.3g} {time_unit}, of all that was measured"))
    return _notes(run) + page.facts(told) + _failures(run)


def best(run: run_files.Run) -> str:
    """Returns drawings of the best and a table of the next, HTML."""
    history = run.history
    order = np.argsort(-np.where(history.status == types.MEASURED, history.fitness, -np.inf), kind="stable")
    order = [at for at in order[:_NUM_LISTED].tolist() if history.status[at] == types.MEASURED]
    name = run.config["space"]
    if not order or name not in spaces.SPACES:
        return ""
    space, drawn, rows = spaces.get(name), [], []
    header = [f"{run.config['protocol']} {run.unit.name}", "query", "architecture"]
    for rank, at in enumerate(order, start=1):
        arch = history.archs[at]
        told = [run.unit.text(history.fitness[at]), str(at + 1 - run.num_earlier), space.describe(arch)]
        if rank <= _NUM_DRAWN:
            text = f"No. {rank}: {'perplexity ' if run.unit.is_lower_better else ''}{told[0]}"
            text += "" if run.blocks else f", query {told[1]}"
            drawn.append(page.figure(text, drawing.svg(conversion.from_arch(name, arch))))
        rows.append((rank, *told))
    if run.blocks:  # all are of one pool
        header, rows = [header[0], header[2]], [(*row[:2], row[3]) for row in rows]
    return page.grid(drawn) + page.folded(f"The {len(rows)} best", page.table(["rank", *header], rows))


def _notes(run):
    note = ""
    if not run.is_finished:
        note = page.note(
            "This search is unfinished",
            "what stands here is what its journal holds so far. Start it again with the same --workdir to go on.",
        )
        if run.shared is not None:
            note += training_page.unfinished(run.shared)
    if run.unit.is_lower_better:
        note += page.paragraph(
            "Perplexity is the exponential of the loss a word; lower is better. Where fitness is written, it is "
            "1 - loss / ln V, with V words in the vocabulary: the share of what an even guess does not know."
        )
    elif run.config["space"] == "nao_rnn":
        note += page.paragraph(
            "Fitness is 1 - loss / ln V, with V words in the vocabulary. This folder does not say how many there are, "
            "so perplexities are not shown."
        )
    return note


def _failures(run):
    failures = [(reason, count) for reason, count in run.result.get("failures", {}).items()]
    return page.folded("Why architectures failed", page.table(("reason", "times"), failures))


def _num_done(run):
    if run.blocks:
        return len(run.blocks)
    new = run.history.status[run.num_earlier :]
    return int(np.sum((new == types.MEASURED) | (new == types.INFEASIBLE)))


def _best_at(run):
    """Where the best is in the history; None where nothing is measured."""
    is_measured = run.history.status == types.MEASURED
    return int(np.argmax(np.where(is_measured, run.history.fitness, -np.inf))) if np.any(is_measured) else None
