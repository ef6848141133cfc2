"""`python -m reference`: write every generated page of docs/."""

from pathlib import Path

from reference.pages import pages

for name, text in pages().items():
    (Path(__file__).parents[1] / "docs" / name).write_text(text, "utf-8")
