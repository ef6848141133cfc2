"""YAML text -> plain values that remember their lines. Duplicate keys, odd keys and bad syntax are problems."""

import re
from typing import Any

import yaml

from proxy.config.problems import KeyPath, Place, Report

MAX_NODES = 50_000
"""Values in one file, aliases counted each time: a bound against files that unfold without end."""


def read_yaml(text: str, report: Report) -> dict[str, Any] | None:
    """The mapping at the top of the file, `{}` for an empty file; None when it cannot be read.

    Fills `report.places` with the position of every key and list item.
    """
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        values = _Values(loader, report)
        if not isinstance(node, yaml.MappingNode):
            report.add_at(_place(node.start_mark), "must hold keys and values, such as `listen: 127.0.0.1:8484`")
            return None
        return values.mapping(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report.add_at(_place(mark) if mark else None, f"is not valid YAML: {_reason(error)}")
    except yaml.YAMLError:
        # The reader refuses a character before the parser sees it; its message would repeat what stands there.
        report.add_at(_bad_character(text), "is not valid YAML: it holds a control character")
    except RecursionError:
        report.add_at(None, "is nested too deeply")
    finally:
        if loader is not None:
            loader.dispose()
    return None


class _Values:
    """Turns nodes into values, noting where each stands."""

    def __init__(self, loader: yaml.SafeLoader, report: Report) -> None:
        self._loader = loader
        self._report = report
        self._places: dict[KeyPath, Place] = {}
        report.places = self._places
        self._open: set[int] = set()
        self._count = 0

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        self._check_keys(node, path)
        self._loader.flatten_mapping(node)  # resolves `<<` merges; own keys stand behind merged ones and win
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                key = str(key_node.value)
                self._places[*path, key] = _place(key_node.start_mark)
                values[key] = self._value(value_node, (*path, key))
        return values

    def _check_keys(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: dict[str, Place] = {}
        for key_node, _ in node.value:
            place = _place(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self._report.add_at(place, "a key must be plain text", path)
            elif key_node.tag == "tag:yaml.org,2002:merge":
                continue
            elif key_node.value in seen:
                first = seen[key_node.value].line
                self._report.add_at(place, f"stands twice; the first is on line {first}", (*path, key_node.value))
            else:
                seen[key_node.value] = place

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._count += 1
        if self._count > MAX_NODES or id(node) in self._open:
            raise yaml.MarkedYAMLError(problem="aliases unfold without end", problem_mark=node.start_mark)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._loader.construct_object(node)
        except ValueError:  # a date that does not exist, a number of too many digits
            self._report.add(path, "is no value that YAML can read; put it in quotes")
            return None
        finally:
            self._open.discard(id(node))

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._places[path] = _place(node.start_mark)
        return self._value(node, path)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _reason(error: yaml.MarkedYAMLError) -> str:
    """The parser's own words, less whatever they quote from the file (one character is no secret)."""
    problem = error.problem or error.context or "it cannot be read"
    if r"'\t'" in problem:
        return "a tab stands where spaces are needed"
    return re.sub(r"'[^']{2,}'", "this", problem)


def _bad_character(text: str) -> Place | None:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return None
    before = text[: found.start()]
    return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
