"""Base of tests that need a folder or run commands."""

import contextlib
import io
import pathlib
import tempfile

import chex


class FolderTest(chex.TestCase):
    """Has an empty folder `self.folder`."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_main(self, main, *arguments, code=0):
        """Returns (standard output, standard error) of a command that must end with an exit code."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            got = main(arguments)
        assert got == code, errors.getvalue()
        return output.getvalue(), errors.getvalue()
