"""Runs a notebook's code cells in their order and compares what they print with the
output that the file stores."""

import contextlib
import io
import json
import pathlib


class Notebook:
    """A file of nbformat 4, of which only code cells that print text are known."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.content = json.loads(self.path.read_text(encoding="utf-8"))
        self.cells = [cell for cell in self.content["cells"] if cell["cell_type"] == "code"]
        self.names = {"__name__": "__main__"}  # what the cells define, one for all

    def run(self, cell):
        """Executes a cell and returns what it printed."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile("".join(cell["source"]), self.path.name, "exec"), self.names)
        return out.getvalue()

    @staticmethod
    def stored(cell):
        """What the file says that a cell printed; anything but text is a fault."""
        for output in cell["outputs"]:
            if (output["output_type"], output.get("name")) != ("stream", "stdout"):
                raise ValueError(f"an output of type {output['output_type']}; only printed text is compared")
        return "".join(line for output in cell["outputs"] for line in output["text"])

    def keep(self, number, printed):
        """Makes printed the stored output of a cell, counted from 1."""
        self.cells[number - 1].update(
            execution_count=number, outputs=[{"name": "stdout", "output_type": "stream", "text": printed.splitlines(keepends=True)}]
        )

    def save(self):
        self.path.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
