"""The README's program runs as printed."""

import contextlib
import io
import pathlib
import re

from absl.testing import absltest

README = pathlib.Path(__file__).parents[2] / "README.md"


class ReadmeTest(absltest.TestCase):
    def test_the_program_finds_an_architecture(self):
        (program,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(program, str(README), "exec"), {"__name__": "readme"})
        self.assertRegex(output.getvalue(), r"^(narrow|wide)-(small|large)( (narrow|wide)-(small|large)){0,4}\n$")
