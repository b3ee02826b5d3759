"""Output of image classifiers."""

import chex


@chex.dataclass(frozen=True)
class Logits:
    """Scores of K classes."""

    main: chex.Array  # float32[B, K], of the classifier
    auxiliary: chex.Array | None  # float32[B, K], of the auxiliary head, or None if there is none or outside training
