"""What a project's setup.py passes to `setup`, read without running it.

No code of a package runs here. Understood are literals, names that the file assigns literals to, their sums, f-strings
of them, `find_packages` and ROS's `generate_distutils_setup`. What only running it would tell is reported as unread;
the rest of such a list is known nevertheless.
"""

from __future__ import annotations

import ast
import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_FINDERS = frozenset({"find_packages", "find_namespace_packages"})
_ANY = "**"
"""Stands for arguments without a name, among those that are unread."""


@dataclass(frozen=True)
class FindPackages:
    """A call of `find_packages`."""

    where: str


@dataclass(frozen=True)
class SetupCall:
    """The arguments of a call of `setup`."""

    arguments: Mapping[str, object] = field(default_factory=dict)
    """As far as the file contains them: of a list, the parts that are known."""
    unread: frozenset[str] = frozenset()
    """Arguments of which only running the file would tell the rest; `**` for arguments without a name."""
    text_files: tuple[str, ...] = ()
    """Text files that the script names: most often those from which it reads `install_requires`."""

    def texts(self, argument: str) -> list[str]:
        """Return an argument that is a text or a list of texts; else nothing."""
        value = self.arguments.get(argument)
        if isinstance(value, str):
            return value.split("\n")
        return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []

    def is_whole(self, argument: str) -> bool:
        """Return whether the file contains all of an argument."""
        return argument not in self.unread and (argument in self.arguments or _ANY not in self.unread)


class _Unknown:
    """A value that only running the script would give."""


_UNKNOWN = _Unknown()


def read_setup(file: Path) -> SetupCall:
    """Read a setup.py; nothing is known of one that is not valid Python."""
    data = file.read_bytes()
    # From bytes, Python itself handles a byte order mark and a declared encoding, but not what PowerShell's > writes.
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        tree = ast.parse(data.decode("utf-16") if is_utf16 else data)
    except (SyntaxError, ValueError, RecursionError):
        return SetupCall(unread=frozenset({_ANY}))
    call = next((node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) == "setup"), None)
    if call is None:
        return SetupCall()
    script = _Script(call)
    script.follow(tree.body)
    passed = script.passed(call)
    return SetupCall(
        arguments={key: _known(value) for key, value in passed.items() if isinstance(key, str) and value != _UNKNOWN},
        unread=frozenset(
            key if isinstance(key, str) else _ANY for key, value in passed.items() if _is_part([key, value])
        ),
        text_files=tuple(sorted({text for text in _texts(tree) if text.endswith(".txt")})),
    )


class _Script:
    """Follows the assignments of a script from its top to its end.

    Args:
        call: The call of `setup`. The function or the branch that contains it is taken as one that runs.
    """

    def __init__(self, call: ast.Call) -> None:
        self._call = call
        self._values: dict[str, object] = {}

    def follow(self, body: list[ast.stmt]) -> None:
        """Note what each statement assigns."""
        for statement in body:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, self.value(value))
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, self.value(value))
                case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                    self._add(name, self.value(value))
                case ast.Expr(
                    value=ast.Call(
                        func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" as how), args=[one]
                    )
                ):
                    more = self.value(one)
                    self._add(name, [more] if how == "append" else more)
                case ast.With(body=inner) | ast.FunctionDef(body=inner) if isinstance(
                    statement, ast.With
                ) or self._contains_call(statement):
                    self.follow(inner)
                case ast.If(body=inner) | ast.Try(body=inner) if any(map(self._contains_call, inner)):
                    self.follow(inner)
                case ast.If() | ast.Try() | ast.For() | ast.While():
                    self._doubt(statement)
                case _:
                    pass

    def passed(self, call: ast.Call) -> dict[object, object]:
        """Return the keyword arguments of a call, with a mark for those without a name that are not known."""
        passed: dict[object, object] = {}
        for keyword in call.keywords:
            value = self.value(keyword.value)
            if keyword.arg is not None:
                passed[keyword.arg] = value
            else:
                passed |= value if isinstance(value, dict) else {_UNKNOWN: _UNKNOWN}
        return passed

    def value(self, node: ast.expr) -> object:
        """Evaluate an expression of literals and names; a list keeps what is known of it."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._values.get(name, _UNKNOWN)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                whole: object = []
                for part in parts:
                    whole = _sum(whole, self.value(part.value) if isinstance(part, ast.Starred) else [self.value(part)])
                return whole
            case ast.Dict(keys=keys, values=values):
                table: dict[object, object] = {}
                for key, inner in zip(keys, map(self.value, values), strict=True):
                    if key is None:
                        table |= inner if isinstance(inner, dict) else {_UNKNOWN: _UNKNOWN}
                    else:
                        text = self.value(key)
                        table[text if isinstance(text, str) else _UNKNOWN] = inner
                return table
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _sum(self.value(left), self.value(right))
            case ast.JoinedStr(values=parts):
                known = [self.value(part) for part in parts]
                return "".join(map(str, known)) if all(isinstance(text, str | int) for text in known) else _UNKNOWN
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.value(value)
            case ast.Call() if _called(node) in _FINDERS:
                where = [keyword.value for keyword in node.keywords if keyword.arg == "where"] or node.args[:1]
                place = self.value(where[0]) if where else "."
                return FindPackages(place) if isinstance(place, str) else _UNKNOWN
            # docs.ros.org/en/api/catkin/html/user_guide/setup_dot_py.html
            case ast.Call(args=[]) if _called(node) in ("dict", "generate_distutils_setup"):
                return self.passed(node)
            case ast.Call(func=ast.Name(id="list" | "sorted" | "tuple" | "set"), args=[inner]):
                return self.value(inner)
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                found = self.value(inner)
                return found.get(key, _UNKNOWN) if isinstance(found, dict) else _UNKNOWN
            case _:
                return _UNKNOWN

    def _assign(self, target: ast.expr, value: object) -> None:
        match target:
            case ast.Name(id=name):
                self._values[name] = value
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)):
                table = self._values.get(name)
                if isinstance(table, dict):
                    self._values[name] = table | {key: value}
            case _:
                pass

    def _add(self, name: str, value: object) -> None:
        self._values[name] = _sum(self._values.get(name, _UNKNOWN), value)

    def _contains_call(self, statement: ast.stmt) -> bool:
        return any(node is self._call for node in ast.walk(statement))

    def _doubt(self, statement: ast.stmt) -> None:
        """Keep what was known of a value, and that there may be more of it: which branch is taken is not known."""
        for node in ast.walk(statement):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)])
                    | ast.AugAssign(target=ast.Name(id=name))
                    | ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append" | "extend" | "insert"))
                ):
                    self._values[name] = _sum(self._values.get(name, []), _UNKNOWN)
                case _:
                    pass


def _called(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _sum(left: object, right: object) -> object:
    """Add two values; what is known of a list stays, with a mark that it is not all."""
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, list) or isinstance(right, list):
        return [*(left if isinstance(left, list) else [left]), *(right if isinstance(right, list) else [right])]
    return _UNKNOWN


def _known(value: object) -> object:
    """Leave out the parts that are not known."""
    if isinstance(value, list):
        return [_known(part) for part in value if part != _UNKNOWN]
    if isinstance(value, dict):
        return {key: _known(part) for key, part in value.items() if _UNKNOWN not in (key, part)}
    return value


def _is_part(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_is_part, value))
    if isinstance(value, dict):
        return any(map(_is_part, (*value, *value.values())))
    return value == _UNKNOWN
