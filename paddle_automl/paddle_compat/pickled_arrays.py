"""A reader of pickles that builds NumPy arrays and plain containers, and calls nothing.

Python's own reader builds everything that a file asks for; even if limited to NumPy's functions, that may be arrays
of raw pointers, or gigabytes from ten bytes. This one interprets the instructions itself
(https://docs.python.org/3/library/pickletools.html) and knows only those of state dicts. The memory it uses is
bounded by the size of the file.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

from paddle_automl.paddle_compat.pickled_objects import Array, Maker, NoArraysError, filled

MOST_INSTRUCTIONS = 2_000_000
"""Most instructions; a network of ten thousand arrays needs three hundred thousand."""

_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


class Bounded:
    """The rest of a file; reading more than it has fails before any memory is reserved."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.left = size

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes, or fewer at the end of the file if `count` is one."""
        if count > max(self.left, 1):
            raise NoArraysError(f"it is truncated: {count} bytes should follow, but only {self.left} do")
        content = self.file.read(count)
        self.left -= len(content)
        return content

    def readline(self) -> bytes:
        """Return the next line."""
        line = self.file.readline()
        self.left -= len(line)
        return line


def read_arrays(file: BinaryIO, size: int) -> Any:
    """Return the content of a pickle of `size` bytes: arrays, containers, texts and numbers.

    Raises NoArraysError, or ValueError if an instruction cannot be read.
    """
    content = Machine(Maker(size)).run(Bounded(file, size))
    if not isinstance(content, dict):
        return _numbers_of(content)
    return {key: _numbers_of(value) for key, value in content.items()}


def _numbers_of(value: Any) -> Any:
    """Return a lone array, or one paired with its name, as paddle.save writes a single tensor."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Array):
        value = value[1]
    return value.content if isinstance(value, Array) else value


class Machine:
    """The stack and the memo of the instructions; `make` makes the objects that they name."""

    def __init__(self, make: Maker) -> None:
        self._make = make
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._by_name: dict[str, Callable[[Any], None]] = {
            **{name: self._stack.append for name in _LITERALS},
            **dict.fromkeys(("PROTO", "FRAME"), lambda arg: None),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
            **{f"TUPLE{count}": self._short_tuple(count) for count in (1, 2, 3)},
        }
        own = ("MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "TUPLE", "LIST", "DICT", "APPEND", "APPENDS", "SETITEM")
        for name in (*own, "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID"):
            self._by_name[name] = getattr(self, f"_{name.lower()}")

    def run(self, file: Bounded) -> Any:
        """Return the object that the instructions produce."""
        # typeshed asks for a BytesIO; any object with read and readline does.
        for number, (opcode, arg, _) in enumerate(pickletools.genops(file)):  # type: ignore[arg-type]
            if number >= MOST_INSTRUCTIONS:
                raise NoArraysError(f"it holds more than {MOST_INSTRUCTIONS} instructions")
            if opcode.name == "STOP":
                break
            if opcode.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode.name]())
            elif opcode.name in self._by_name:
                self._by_name[opcode.name](arg)
            else:
                raise NoArraysError(f"it holds the instruction {opcode.name}, which no weight file needs")
        return self._pop()

    def _pop(self, arg: Any = None) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise NoArraysError("it takes more from the stack than it holds")
        return self._stack.pop()

    def _mark(self, arg: Any) -> None:
        self._marks.append(len(self._stack))

    def _pop_mark(self, arg: Any = None) -> list[Any]:
        if not self._marks:
            raise NoArraysError("a mark is missing")
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _dup(self, arg: Any) -> None:
        value = self._pop()
        self._stack += [value, value]

    def _put(self, key: int) -> None:
        value = self._pop()
        self._stack.append(value)
        self._memo[key] = value

    def _memoize(self, arg: Any) -> None:
        self._put(len(self._memo))

    def _get(self, key: int) -> None:
        if key not in self._memo:
            raise NoArraysError(f"object {key} is used before it is stored")
        self._stack.append(self._memo[key])

    def _short_tuple(self, count: int) -> Callable[[Any], None]:
        def build(arg: Any) -> None:
            items = [self._pop() for _ in range(count)]
            self._stack.append(tuple(reversed(items)))

        return build

    def _tuple(self, arg: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _list(self, arg: Any) -> None:
        self._stack.append(self._pop_mark())

    def _dict(self, arg: Any) -> None:
        self._stack.append(filled({}, self._pop_mark()))

    def _append(self, arg: Any) -> None:
        self._extend([self._pop()])

    def _appends(self, arg: Any) -> None:
        self._extend(self._pop_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self._pop()
        if type(target) is not list:
            raise NoArraysError("it appends items to something that is not a list")
        target.extend(items)
        self._stack.append(target)

    def _setitem(self, arg: Any) -> None:
        value, key = self._pop(), self._pop()
        self._stack.append(filled(self._pop(), [key, value]))

    def _setitems(self, arg: Any) -> None:
        items = self._pop_mark()
        self._stack.append(filled(self._pop(), items))

    def _global(self, arg: Any) -> None:
        self._stack.append(self._make.function(*str(arg).split(" ", 1)))

    def _stack_global(self, arg: Any) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._make.function(module, name))

    def _binpersid(self, arg: Any) -> None:
        self._stack.append(self._make.outside(self._pop()))

    def _reduce(self, arg: Any) -> None:
        given, function = self._pop(), self._pop()
        self._stack.append(self._make.call(function, given))

    def _build(self, arg: Any) -> None:
        state, target = self._pop(), self._pop()
        self._make.give_state(target, state)
        self._stack.append(target)
