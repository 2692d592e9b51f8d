"""What a pickle would build, read from its opcodes: nothing in it is imported, called or created.

Only the shape is kept: which dictionaries there are, with which text keys, and which classes and functions a load would
need. The opcodes are described in Python's `pickletools`.
"""

from __future__ import annotations

import io
import pickletools
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Thing:
    """An object that a load would create, by the class or function that it would call; "" if there is none."""

    made_by: str = ""


@dataclass(frozen=True)
class Pickled:
    """A pickle."""

    content: object
    """A dict with the text keys of the original, a `Thing`, or a plain value."""
    names: tuple[str, ...]
    """Classes and functions that a load would import, as `module.name`, in order of appearance."""
    opcodes: frozenset[str] = frozenset()
    """The names of its opcodes."""


_MARK = Thing("(mark)")
_ORDERED = "collections.OrderedDict"
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MADE_OF_MARKED = ("TUPLE", "LIST", "FROZENSET")
_EXTENDED = ("EXT1", "EXT2", "EXT4")


def read_pickle(data: bytes | BinaryIO) -> Pickled:
    """Read a pickle, from its beginning or from where the file is now, to its end.

    Raises:
        ValueError: It is not a whole pickle.
    """
    machine = _Machine()
    opcodes = set()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data) if isinstance(data, bytes) else data):
            machine.step(opcode.name, argument)
            opcodes.add(opcode.name)
    except (IndexError, KeyError, TypeError, OverflowError, MemoryError, UnicodeError) as error:
        raise ValueError(f"it is not a whole pickle: {error}") from error
    return Pickled(
        machine.stack[-1] if machine.stack else None, tuple(dict.fromkeys(machine.names)), frozenset(opcodes)
    )


class _Machine:
    """The pickle machine, without objects."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.names: list[str] = []
        self._memo: dict[int, object] = {}

    def step(self, name: str, argument: object) -> None:
        """Do what one opcode does."""
        stack = self.stack
        match name:
            case "PROTO" | "FRAME" | "STOP" | "READONLY_BUFFER":
                if name == "STOP" and not stack:
                    raise IndexError("nothing is left at its end")
            case "MARK":
                stack.append(_MARK)
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._marked()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self._memo[argument if isinstance(argument, int) else len(self._memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                assert isinstance(argument, int)
                stack.append(self._memo[argument])
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = self._marked()
                stack.append({})
                self._set(items)
            case "SETITEM":
                self._set([stack.pop(-2), stack.pop()])
            case "SETITEMS":
                self._set(self._marked())
            case "APPEND" | "BUILD":
                stack.pop()
            case "APPENDS" | "ADDITEMS":
                self._marked()
            case "GLOBAL" | "INST":
                if name == "INST":
                    self._marked()
                stack.append(self._named(str(argument).replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(self._named(f"{module}.{attribute}"))
            case "REDUCE" | "NEWOBJ":
                stack.pop()
                self._call(stack.pop())
            case "NEWOBJ_EX":
                stack.pop()
                stack.pop()
                self._call(stack.pop())
            case "OBJ":
                self._call(self._marked()[0])
            case "BINPERSID":
                stack.pop()
                stack.append(Thing())
            case _ if name in _TUPLES:
                del stack[len(stack) - _TUPLES[name] :]
                stack.append(Thing())
            case _ if name in _MADE_OF_MARKED:
                self._marked()
                stack.append(Thing())
            case _ if name in _EXTENDED:
                stack.append(self._named(f"copyreg.{argument}"))
            case "EMPTY_LIST" | "EMPTY_SET" | "PERSID" | "NEXT_BUFFER":
                stack.append(Thing())
            case _:
                # Numbers, text, bytes, None, True and False.
                stack.append(argument)

    def _named(self, name: str) -> Thing:
        self.names.append(name)
        return Thing(name)

    def _call(self, called: object) -> None:
        made_by = called.made_by if isinstance(called, Thing) else ""
        self.stack.append({} if made_by == _ORDERED else Thing(made_by))

    def _marked(self) -> list[object]:
        """Take everything down to the last mark from the stack, and the mark."""
        above: list[object] = []
        while (top := self.stack.pop()) is not _MARK:
            above.append(top)
        return above[::-1]

    def _set(self, items: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update({key: value for key, value in pairs if isinstance(key, str)})
