"""Names and colours of operations as drawings show them."""

from absl.testing import parameterized

from common.drawing import lettering, palette


class LetteringTest(parameterized.TestCase):
    @parameterized.parameters(
        *(("sep_conv_3x3", "sep conv 3_3"), ("conv_1x7_7x1", "conv 1_7+7_1"), ("conv3x3-bn-relu", "conv 3_3")),
        *(("maxpool3x3", "max pool 3_3"), ("nor_conv_1x1", "conv 1_1"), ("skip_connect", "skip")),
        *(("mb6_k5", "MB6 5_5"), ("narrow-small", "narrow-small"), ("relu", "relu")),
        *(("a\nb\x00", "a\ufffdb\ufffd"), ("x" * 41, "x" * 39 + "…")),
    )
    def test_names_as_shown(self, name, shown):
        assert lettering.display(name) == shown.replace("_", lettering.TIMES)


class PaletteTest(parameterized.TestCase):
    @parameterized.parameters(
        *(("sep_conv_5x5", "separable convolution"), ("dil_conv_3x3", "dilated convolution")),
        *(("dil_sep_conv_3x3", "dilated convolution"), ("nor_conv_1x1", "convolution")),
        *(("conv3x3-bn-relu", "convolution"), ("maxpool3x3", "max pooling"), ("avg_pool_2x2", "average pooling")),
        *(("min_pool_2x2", "min pooling"), ("skip_connect", "identity, skip"), ("zero", "none")),
        *(("mb3_k7", "inverted residual, kernel 7"), ("sigmoid", "sigmoid"), ("fourier", "other operation")),
    )
    def test_kinds(self, name, kind):
        assert palette.kind(name).name == kind

    def test_words_stand_out_from_their_boxes(self):
        def luminance(colour):
            parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
            linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        names = "sep dil conv max_pool avg_pool min_pool skip none tanh relu sigmoid x mb3_k3 mb3_k5 mb3_k7"
        for kind in (*map(palette.kind, names.split()), palette.STATE):
            dark, bright = sorted((luminance(kind.ink), luminance(kind.fill)))
            assert (bright + 0.05) / (dark + 0.05) > 4.5, kind
