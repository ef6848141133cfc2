"""`python -m grafana`: write every generated file."""

from pathlib import Path

from grafana.files import files

for path, text in files().items():
    target = Path(__file__).parent / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, "utf-8")
