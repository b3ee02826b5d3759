"""The perplexity of language models as a fitness.

  fitness = 1 - loss / ln V,  at least 0

with the mean cross-entropy in nats a word and V words in the vocabulary: the share of what an even guess does not
know that the model does. It is 0 for an even guess or worse, 1 for certainty, falls with the loss along a line, and
tells the perplexity: exp((1 - fitness) ln V). On Penn Treebank (V = 10,000) a perplexity of 56 is 0.563.
"""

import math


def fitness(loss: float, vocabulary_size: int) -> float:
    """Returns the fitness of a loss in nats a word; NaN for one that is no number."""
    if not math.isfinite(loss):
        return math.nan
    return min(1.0, max(0.0, 1.0 - loss / math.log(vocabulary_size)))


def perplexity(fitness: float, vocabulary_size: int) -> float:
    """Returns the perplexity of a fitness above 0; of 0, the least that it can stand for."""
    return math.exp((1.0 - fitness) * math.log(vocabulary_size))
