"""BANANAS: an ensemble of neural predictors, Thompson sampling, mutations of the best (arXiv:1910.11858)."""

from typing import Annotated

import jax
import jax.numpy as jnp

from common import compilation, types
from common import config as configs
from common.baselines import candidates, path_encoding, predictor, stateless

_AT_LEAST_1 = configs.Range(at_least=1)


@configs.dataclass
class Config(predictor.Config):
    """Settings of BANANAS."""

    encoding: predictor.Encoding = "paths"
    num_parents: Annotated[int, "best architectures whose mutations are candidates", _AT_LEAST_1] = 5
    num_candidates: Annotated[int, "candidates a round", _AT_LEAST_1] = 200


@compilation.in_32_bits
def searcher(space: types.SearchSpace, config: Config | None = None, *, name: str = "bananas") -> types.Searcher:
    """Returns BANANAS.

    After random architectures, each round trains an ensemble from scratch on all results and scores mutations of the
    best architectures by independent Thompson sampling: one normal sample for each candidate, with the mean and the
    standard deviation of the ensemble's predictions.

    Ten initial architectures, ten a round, five networks, absolute error, Adam at 0.01, batches of 32 and this
    acquisition are those of the released code. It trains networks of 10 layers of 20 units for 150 epochs; here fewer
    and wider layers take `num_steps` steps, to save time. It mutates the best architecture until it has 100 candidates,
    then the next; here the best `num_parents` are mutated equally often. Its default encoding keeps the first 30 of 155
    paths of NAS-Bench-201 cells; here all are used.
    """
    config = config or Config()
    encode = path_encoding.encoder(space, config.encoding)

    def choose(key, known, count):
        fit_key, mutation_key, sample_key = jax.random.split(key, 3)
        params = predictor.fit(fit_key, known.history, encode, config=config)
        sizes = {"num_parents": config.num_parents, "count": config.num_candidates}
        archs = candidates.mutations(mutation_key, space, known.history, **sizes)
        predictions = predictor.predict(params, encode(archs))
        noise = jax.random.normal(sample_key, archs.shape[:1])
        scores = jnp.mean(predictions, axis=0) + jnp.std(predictions, axis=0) * noise
        return candidates.best_unseen(known, archs, scores, count=count)

    return stateless.after_random(space, choose, config=config, name=name)


ALGORITHM = types.Algorithm("bananas", Config(), {"bananas": Config()}, searcher)
