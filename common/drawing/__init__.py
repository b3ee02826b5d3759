"""Pictures of architectures: any genotype as an SVG document.

    genotype -> graphs -> layout -> picture -> markup

`common.drawing.charts.draw_png` renders the same picture as PNG.
"""

from common.drawing import markup, pictures
from common.genotypes import genotype as genotypes


def svg(genotype: genotypes.Genotype | genotypes.Cell, *, title: str | None = None) -> str:
    """Returns a self-contained SVG document with the picture of a genotype; the same for equal arguments.

    Args:
      genotype: any genotype, or a single cell.

    Raises:
      ValueError: it is not a genotype, its edges lead backward, or it has more than 100 vertices.
    """
    return markup.render(pictures.picture(genotype, title=title), title or "architecture")
