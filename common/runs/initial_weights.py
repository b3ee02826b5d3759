"""Training that starts from the weights of an exported network: for more epochs, or on other images."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from common.runs import training_run
from common.training import export
from common.training import state as states


def read(path: str, run: training_run.Run) -> tuple[training_run.Run, dict[str, np.ndarray]]:
    """Returns (the run with the file in its record, the arrays of the exported network by name).

    The arrays of the classifier are left out if the number of classes differs, those of an auxiliary head if only one
    of the two networks has it.

    Args:
      path: a file of `common.training.export`.

    Raises:
      ValueError: there is no such file, or it is of a network with other arrays.
    """
    model = export.load(path)
    found, wanted = export.flat(model.variables), export.flat(states.variables(run.template()))
    old, new = model.network.config.num_classes, run.network.config.num_classes
    kept = {}
    for name in sorted(found.keys() | wanted.keys()):
        shapes = [tuple(arrays[name].shape) if name in arrays else None for arrays in (found, wanted)]
        if shapes[0] == shapes[1]:
            kept[name] = np.asarray(found[name])
        elif None in shapes and ".auxiliary." in name:
            continue
        elif None in shapes or old == new or shapes != [(*shapes[1][:-1], old), (*shapes[1][:-1], new)]:
            text = ["absent" if shape is None else str(list(shape)) for shape in shapes]
            raise ValueError(
                f"{path} is of another network: {name} is {text[0]} there and {text[1]} here; give the --genotype, "
                "--preset and sizes of its training"
            )
    return run._replace(about={**run.about, "init_from": path}), kept


def init(run: training_run.Run, given: dict[str, np.ndarray]) -> states.State:
    """Returns the initial state of a run, with the arrays that `read` returned in place of random ones."""
    state = run.steps.init(run.keys.init, run.images.shape)
    if not given:
        return state
    variables = export.flat(states.variables(state))
    if missing := sorted(variables.keys() - given.keys()):
        print(f"random initial values: {', '.join(missing)}", flush=True)
    variables = flax.traverse_util.unflatten_dict({**variables, **jax.tree.map(jnp.asarray, given)}, sep=".")
    variables = {"batch_stats": {}, **variables}
    average = None if state.average is None else jax.tree.map(jnp.copy, variables)
    return state.replace(params=variables["params"], batch_stats=variables["batch_stats"], average=average)
