"""Files of the result of `search_images`, and its texts."""


def write_result(run, rungs, best, found, missing):
    """Writes and returns the content of result.json, and the other files of the result."""
    genotype = conversion.from_arch(image_trainings.SPACE, best)
    run_dir.write_text(run.folder / BEST, json_text.to_text(genotype))
    networks = [run.described(one) for one in found]
    archs = np.array(list(rungs[0][1]), np.int32)
    fitness = np.array(list(rungs[0][1].values()))
    on_front = fronts.non_dominated(np.stack([fitness, -run.cost("macs", archs)], axis=1))
    front = [
        {
            "arch": arch.tolist(),
            "description": run.space.describe(arch),
            "fitness": float(value),
            "costs": {name: float(run.cost(name, arch[None])[0]) for name in ("params", "macs")},
        }
        for arch, value in sorted(zip(archs[on_front], fitness[on_front]), key=lambda one: -one[1])
    ]
    result = {
        "protocol": "validation",
        "benchmark": image_trainings.SPACE,
        "dataset": run.about["dataset"],
        "seed": run.seed,
        "queries": len(archs),
        "seconds": round(run.spent, 1),
        "minutes": run.minutes,
        "best": networks[0] | {"fitness": rungs[-1][1][best]},
        "baselines": networks[1:],
        "left_out": missing,
        "stages": [{"epochs": epochs, "candidates": len(each)} for epochs, each in rungs],
        "front": front,
        "workdir": str(run.folder),
    }
    run_dir.write_json(run.folder / run_dir.RESULT, result)
    run.keep(())
    run.write_page()
    return result


def described(run, one):
    """Returns the entry of a trained network in result.json."""
    arch = np.array(one["arch"], np.int32)
    costs = {name: float(run.cost(name, arch[None])[0]) for name in ("params", "macs")}
    return {**one, "description": run.space.describe(arch), "costs": costs}


def title(result: Mapping[str, Any]) -> str:
    """Returns the title of the table of a result.json."""
    return f"{result['queries']} candidates on {result['dataset']}, {result['seconds'] / 60:.1f} minutes"


def table(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns (names of the columns, rows) of the table of a result.json."""
    rows = [
        (
            one["name"],
            f"{100 * one['test']:.2f} %",
            f"{one['costs']['params']:,.0f}",
            f"{one['costs']['macs']:,.0f}",
            f"{one['epochs']:.0f}",
            one["description"],
        )
        for one in (result["best"], *result["baselines"])
    ]
    return ("network", "test accuracy", "parameters", "multiply-adds", "epochs", "architecture"), rows


def next_steps(result: Mapping[str, Any]) -> str:
    """Returns the files of a result.json, and commands that continue from them."""
    folder = pathlib.Path(result["workdir"])
    return "\n".join(
        [
            f"genotype: {folder / BEST}",
            f"weights: {folder / MODEL} (common.training.export.load)",
            f"program: {folder / PROGRAM} (jax.export.deserialize)",
            f"page: {folder / PAGE}",
            f"draw it:    python -m launch.genotype --genotype={folder / BEST} --output={folder / 'best.svg'}",
            f"train more: python -m launch.train --genotype={folder / BEST} --preset=small_images "
            f"--dataset={result['dataset']} --num_epochs={3 * max(1, round(result['best']['epochs']))}",
        ]
    )
