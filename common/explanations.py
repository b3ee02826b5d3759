"""What algorithms' packages tell of a fitted model for a page to draw: plain arrays."""

import chex
import numpy as np


@chex.dataclass(frozen=True)
class Partition:
    """A tree that splits a space, nodes in heap order, M = 2^h - 1 of them: children of i are 2i + 1 (good) and 2i + 2.

    Attributes:
      count: float[M], measured architectures at each node.
      mean: float[M], their mean fitness; NaN where there are none.
      bound: float[M], upper confidence bound, in the unit of the target; inf where nothing was visited.
      quality: float[I], how often a measured architecture of the good child is fitter than one of the bad child; NaN
        where one of them is empty.
      gap: float[I], the difference of their mean fitness.
      leaf: int[R], the node of each measured architecture.
      fitness: float[R], its fitness.
      selected: int[K], the leaves of the last selections.
    """

    count: np.ndarray
    mean: np.ndarray
    bound: np.ndarray
    quality: np.ndarray
    gap: np.ndarray
    leaf: np.ndarray
    fitness: np.ndarray
    selected: np.ndarray


@chex.dataclass(frozen=True)
class LatentMap:
    """Latents of a search on their two principal components, and climbs among them.

    Attributes:
      points: float[R, 2], of the measured architectures.
      fitness: float[R].
      is_learned: bool[R], whether the fitness was learned from; the others were measured after the fit.
      predicted: float[R], in the unit of the target.
      explained: float[2], shares of the variance of the two components.
      paths: float[B, K + 1, 2], of climbs: where they start, then after each step size.
      decoded: float[B, K, 2], where the architectures lie that were decoded there; NaN where none is valid.
      texts: B lists of K texts, what was decoded.
    """

    points: np.ndarray
    fitness: np.ndarray
    is_learned: np.ndarray
    predicted: np.ndarray
    explained: np.ndarray
    paths: np.ndarray
    decoded: np.ndarray
    texts: list
