"""What people write in `taximeter.yaml`, and how it becomes `proxy.settings.Settings`: read, check, resolve, report.

Only the supervisor and the command line read configuration; the processes they start get plain settings. Every
mistake of a file is reported at once, each with its line and what would be right; no value of a file is ever repeated
in a report, since any of them may be a secret that was put in the wrong place.
"""

from proxy.config.load import find_config, load_settings
from proxy.config.problems import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "find_config", "load_settings"]
