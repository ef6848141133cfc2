from typer.testing import CliRunner

from proxy.cli import app


def test_everything_about_the_store_is_found_under_one_word():
    result = CliRunner().invoke(app, ["store", "--help"])
    assert result.exit_code == 0
    assert all(command in result.output for command in ("backup", "restore", "copy"))
