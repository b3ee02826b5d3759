"""Records of fitted models as plain arrays: provided by algorithms, drawn by reports."""

import chex
import numpy as np


@chex.dataclass(frozen=True)
class Partition:
    """A tree that splits a space; M = 2^h - 1 nodes in heap order: children of i are 2i + 1 (good) and 2i + 2 (bad).

    Attributes:
      count: float[M], number of measured architectures in each node.
      mean: float[M], their mean fitness; NaN where there are none.
      bound: float[M], upper confidence bound, in the unit of the target; inf where nothing was visited.
      quality: float[I], share of pairs in which the measured architecture of the good child is fitter than that of the
        bad child, ties half; NaN where one of them is empty.
      gap: float[I], the difference of the children's mean fitness.
      leaf: int[R], the node of each measured architecture.
      fitness: float[R], its fitness.
      selected: int[K], the leaves of the last selections.
      num_unseen: float[M], number of architectures in each node that are still to be evaluated; None: unknown, as the
        space is not listed. Selections pass by a node without any.
    """

    count: np.ndarray
    mean: np.ndarray
    bound: np.ndarray
    quality: np.ndarray
    gap: np.ndarray
    leaf: np.ndarray
    fitness: np.ndarray
    selected: np.ndarray
    num_unseen: np.ndarray | None = None


@chex.dataclass(frozen=True)
class LatentMap:
    """Latents of a search on their two principal components, and gradient steps among them.

    Attributes:
      points: float[R, 2], of the measured architectures.
      fitness: float[R].
      is_learned: bool[R], whether the fit used it; the others were measured after the fit.
      predicted: float[R], in the unit of the target.
      explained: float[2], shares of the variance of the two components.
      paths: float[B, K + 1, 2], of gradient steps: the start, then the latent after each step size.
      decoded: float[B, K, 2], the latents of the architectures decoded there; NaN where invalid.
      texts: B lists of K texts, descriptions of the decoded architectures.
    """

    points: np.ndarray
    fitness: np.ndarray
    is_learned: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    paths: np.ndarray
    decoded: np.ndarray
    texts: list
