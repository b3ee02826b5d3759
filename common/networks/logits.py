"""What a network of images puts out."""

import chex


@chex.dataclass(frozen=True)
class Logits:
    """The scores of K classes.

    Attributes:
      main: float32[B, K], of the network itself.
      auxiliary: float32[B, K], of the auxiliary head, or None where the network has none or does not train.
    """

    main: chex.Array
    auxiliary: chex.Array | None
