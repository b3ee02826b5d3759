"""The architectures that LaNAS published: LaNet, and the best of its two released searches."""

from common.genotypes.publication import ERROR, TOP_1, TOP_5, Claim, Published, publish

_FIRST, _SECOND = "arXiv:1906.06832v1", "arXiv:1906.06832v2"
_PROGRAM = "github.com/facebookresearch/LaMCTS"
_PROXY, _SHARED = "accuracy in the search, %", "accuracy with shared weights, %"

_RUNNERS_UP = (
    (93.27, "[2, 0, 2, 2, 3, 2, 3, 2, 0, 2, 3, 2, 3, 1, 0, 1, 0, 2, 1, 2, 2, 1, 0, 3, 4, 3, 2, 0]"),
    (93.21, "[2, 3, 2, 1, 0, 2, 2, 0, 2, 0, 1, 0, 0, 2, 0, 1, 1, 0, 2, 2, 3, 0, 2, 4, 3, 0, 1, 4]"),
    (93.21, "[2, 0, 3, 2, 3, 3, 1, 2, 2, 3, 3, 2, 2, 2, 0, 0, 0, 2, 2, 2, 1, 2, 1, 2, 6, 4, 2, 1]"),
    (93.19, "[3, 2, 0, 2, 2, 2, 3, 3, 2, 2, 3, 1, 3, 3, 1, 1, 0, 0, 0, 3, 3, 0, 1, 1, 1, 0, 5, 5]"),
    (93.18, "[3, 2, 0, 2, 3, 2, 0, 1, 2, 3, 2, 3, 2, 0, 0, 0, 1, 0, 2, 2, 3, 1, 0, 1, 3, 4, 6, 3]"),
)
_MASKS = (  # of each the normal and the reduction cell, and in these the bits of each node
    (
        81.70,
        "00001010 000100001000 1010000000000000 00000000000100000010 000000100000010000000000",
        "00010010 001100000000 0001000100000000 10000000100000000000 000001000000001000000000",
    ),
    (
        81.69,
        "10010000 000100100000 0000100000100000 00000000011000000000 110000000000000000000000",
        "00000101 000000110000 0000000010100000 00000010000000010000 100010000000000000000000",
    ),
    (
        81.25,
        "11000000 000101000000 0000010010000000 00001010000000000000 000000010010000000000000",
        "00000011 001000001000 0011000000000000 00000001000001000000 000010000000000001000000",
    ),
)

PUBLISHED: tuple[Published, ...] = (
    publish(
        "lanet",
        "lanas_cell",
        "[2, 2, 0, 2, 1, 2, 0, 2, 2, 3, 2, 1, 2, 0, 0, 1, 1, 1, 2, 1, 1, 0, 3, 4, 3, 0, 3, 1]",
        source=f"arXiv:1906.06832; {_PROGRAM}, LaNAS/LaNet",
        space="lanas_cell",
        claims=(
            Claim("cifar10", ERROR, 2.53, f"{_FIRST} (+-0.05)", "20 cells, width 36, cutout", 3_223_000),
            Claim("cifar10", ERROR, 1.99, f"{_FIRST} (+-0.02)", "20 cells, width 128, cutout", 38_697_000),
            Claim("cifar10", ERROR, 1.0, f"{_SECOND}, abstract", "24 cells, width 128", 44_591_000),
            Claim("cifar10", ERROR, 0.97, _PROGRAM, "24 cells, width 128, CutMix, AutoAugment", 44_591_000),
            Claim("imagenet", TOP_1, 25.0, _FIRST, "570 million multiply-adds", 5_100_000),
            Claim("imagenet", TOP_5, 7.7, _FIRST, "570 million multiply-adds", 5_100_000),
            Claim("cifar10", _PROXY, 93.43, f"{_PROGRAM}, total_trace.json"),
        ),
        note="The best cell of the distributed search. The networks of the 240 and 600 MFLOPS results and those of "
        "the one-shot search were never published.",
    ),
    *(
        publish(
            f"lanas_trace_{rank}",
            "lanas_cell",
            text,
            source=f"arXiv:1906.06832; {_PROGRAM}, LaNAS/Distributed_LaNAS/total_trace.json",
            space="lanas_cell",
            claims=(Claim("cifar10", _PROXY, value, f"{_PROGRAM}, total_trace.json"),),
            note="A runner-up of the distributed search, trained for a short time only.",
        )
        for rank, (value, text) in enumerate(_RUNNERS_UP, start=2)
    ),
    *(
        publish(
            f"lanas_oneshot_{rank}",
            "lanas_mask",
            (normal + reduction).replace(" ", ""),
            source=f"arXiv:1906.06832; {_PROGRAM}, LaNAS/one-shot_LaNAS/result.txt",
            space="lanas_oneshot",
            claims=(Claim("cifar10", _SHARED, value, f"{_PROGRAM}, result.txt"),),
            note="Of the released one-shot search; nobody is known to have trained it for itself. The network with "
            "shared weights puts out the last 4 nodes of a cell, this one all 5.",
        )
        for rank, (value, normal, reduction) in enumerate(_MASKS, start=1)
    ),
)
