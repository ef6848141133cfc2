import re

from proxy.version import PACKAGES, own_version, package_version, package_versions, platform_line


def test_there_is_always_a_version():
    assert re.match(r"\d", own_version())


def test_a_package_that_is_not_there_has_none():
    assert package_version("surely-no-such-package") is None
    assert package_version("msgspec")
    assert set(package_versions()) == set(PACKAGES)


def test_the_platform_is_one_line():
    assert re.fullmatch(r"Python 3\.\d+\.\S+, \w+ \S+", platform_line())
