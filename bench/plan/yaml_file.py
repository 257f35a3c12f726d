"""Read YAML strictly: refuse in one line a key given twice, a key that is not text, and files that grow when read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import UserError, one_line
from bench.core.nested import MOST_LEVELS, TOO_DEEP, refuse_deep

MOST_BYTES = 2**17  # of a suite's file; the longest that ships has 15 KiB
MOST_NODES = 30_000  # values, with each alias written out
# in C where PyYAML has been built so: ten times as fast
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):
    """YAML in which a key given twice, or one that is not text, is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is not text; put it in quotes",
                    problem_mark=key_node.start_mark,
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; UserError, one line with the file, when it is refused."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise UserError(
                f"{path}: has {size / 2**20:.1f} MiB; expected a suite's file, at most {MOST_BYTES // 2**10} KiB"
            )
        return _content_of(path.read_text(), path)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not valid YAML: {_problem_of(error)}") from None
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (
        Exception
    ) as error:  # PyYAML's constructors raise any kind, such as KeyError for `!!bool abc`
        what = one_line(error).partition(": ")[2]
        raise UserError(f"{path}: not valid YAML: {what}") from None


def _content_of(text: str, path: Path) -> Any:
    """Return the content of a YAML text; UserError or another kind of error when it is refused."""
    _refuse_deep(text)
    loader = _StrictLoader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    known: dict[int, int] = {}
    if _num_nodes(node, known) > MOST_NODES:
        whose = "its aliases stand for" if len(known) <= MOST_NODES else "has"
        raise UserError(f"{path}: {whose} more than {MOST_NODES} values; write fewer")
    content = loader.construct_document(node)
    refuse_deep(content)  # an alias may stand for a deep value inside another one
    return content


def _refuse_deep(text: str) -> None:
    """Raise YAMLError for values nested in more than MOST_LEVELS: libyaml's own recursion would crash the process.

    Events, of which nodes are made, come one after the other, without recursion.
    """
    level = 0
    for event in yaml.parse(text, Loader=_Loader):
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise yaml.MarkedYAMLError(problem=TOO_DEEP, problem_mark=event.start_mark)


def _problem_of(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong in words; PyYAML's own words do not mention tabs."""
    if "cannot start any token" in str(error.problem):
        return "a character that cannot stand here, such as a tab: indent with spaces"
    return str(error.problem)


def _num_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for with its aliases written out; an alias of itself is an error."""
    if id(node) in known:
        if not known[id(node)]:
            raise yaml.MarkedYAMLError(
                problem="an anchor holds an alias of itself", problem_mark=node.start_mark
            )
        return known[id(node)]
    known[id(node)] = 0  # while it is counted
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    known[id(node)] = 1 + sum(_num_nodes(part, known) for part in parts)
    return known[id(node)]
