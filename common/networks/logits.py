"""Output of image classifiers."""

import chex


@chex.dataclass(frozen=True)
class Logits:
    """Scores of K classes.

    Attributes:
      main: float32[B, K], of the classifier.
      auxiliary: float32[B, K], of the auxiliary head, or None if there is none or outside training.
    """

    main: chex.Array
    auxiliary: chex.Array | None
