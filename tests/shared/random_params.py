"""Parameters and statistics of a network at random, without compiling its `init`."""

import jax
import numpy as np


def of_shapes(shapes, seed=0):
    """Returns normal NumPy arrays in place of shapes; scales are around one, kernels have outputs of about one."""
    generator = np.random.default_rng(seed)

    def draw(path, leaf):
        values = generator.normal(size=leaf.shape)
        if path[-1].key == "scale":
            values = 1.0 + 0.2 * values
        else:
            values /= 2.0 if leaf.ndim < 2 else np.sqrt(np.prod(leaf.shape[:-1]))
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)
