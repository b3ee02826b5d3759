"""Folders of runs, made by hand, for tests of their reports."""

import json

from tests.shared import folders


class FolderTest(folders.FolderTest):
    """Has an empty folder `self.folder` of a given name."""

    NAME = "run"

    def setUp(self):
        super().setUp()
        self.folder /= self.NAME
        self.folder.mkdir()

    def write_lines(self, name, lines, torn=""):
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines) + torn)

    def check(self, text, *said):
        """Checks that a text says all of this."""
        for one in said:
            assert one in text, one
