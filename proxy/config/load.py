"""Find the file, read it, and make settings of it or one error that says everything that is wrong."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from proxy.config.build import Builder
from proxy.config.check import checked
from proxy.config.problems import ConfigError, Place, Problem, Report
from proxy.config.schema import Config
from proxy.config.source import read_yaml
from proxy.providers.base import Provider
from proxy.settings import Settings

FILE_NAME = "taximeter.yaml"
FILE_ENV = "TAXIMETER_CONFIG"
MAX_FILE_BYTES = 4 * 1024 * 1024
"""A larger file is no configuration."""


def find_config(named: Path | None, *, env: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to read: the named one, else `$TAXIMETER_CONFIG`, else `taximeter.yaml` here, else None (defaults)."""
    if named is not None:
        return named
    if env.get(FILE_ENV):
        return Path(env[FILE_ENV])
    return Path(FILE_NAME) if (cwd / FILE_NAME).exists() else None


def load_settings(
    file: Path | None, *, env: Mapping[str, str], cwd: Path, kinds: Iterable[Provider], provider_keys: bool = True
) -> Settings:
    """Settings from a file, or the defaults when it is None. Relative paths in it start at its folder.

    Args:
        file: The configuration.
        env: The environment.
        cwd: Where relative names of files start.
        kinds: Every kind of provider.
        provider_keys: Whether the operator's keys at providers are looked up. Whoever calls no provider needs none: he
            may well work in a shell that does not have them. They are empty then.

    Raises:
        ConfigError: with every mistake of the file.
    """
    if file is None:
        report = Report("environment")
        settings = Builder(Config(), folder=cwd, env=env, report=report).build(kinds, None)
    else:
        report = Report(str(file))
        path = (cwd / file).absolute()
        raw = read_yaml(_text(path, str(file)), report)
        if raw is None:
            raise ConfigError(report.problems)
        config = checked(raw, report, Config)
        builder = Builder(config, folder=path.parent, env=env, report=report, provider_keys=provider_keys)
        settings = builder.build(kinds, str(path))
    if report.problems:
        raise ConfigError(report.problems)
    return settings


def _text(path: Path, source: str) -> str:
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except OSError as error:
        why = (error.strerror or "it cannot be opened").lower()
        raise ConfigError([Problem(source, None, "", f"cannot be read: {why}")]) from None
    if data is None:
        raise ConfigError([Problem(source, None, "", f"is larger than {MAX_FILE_BYTES} bytes; is it the right file?")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError([Problem(source, Place(line, column), "", "is not UTF-8 text")]) from None
