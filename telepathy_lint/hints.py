"""The names of `typing` that the path of `check` needs, without importing `typing`; type checkers see the real names.

Importing it takes a seventh of a check of one small file, for annotations that nothing reads. `NamedTuple` is defined in a
quarter of the time that `typing` takes, which compiles each annotation of each field: a check of one file defines fifty
of these classes.
"""

TYPE_CHECKING = False  # what typing has; type checkers take it for True

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import ClassVar as ClassVar
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NamedTuple as NamedTuple
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import get_args as get_args
else:
    from collections import namedtuple as _namedtuple

    _Alias = type(list[int])

    class _Subscripted:
        """A name of an annotation: `Literal["a"]`, `ClassVar[int]`."""

        __class_getitem__ = classmethod(_Alias)

    class Literal(_Subscripted): ...

    class Generic(_Subscripted): ...

    class Protocol(_Subscripted): ...

    Any = BinaryIO = ClassVar = Final = NoReturn = _Subscripted

    class TypeVar:
        def __init__(self, name, bound=None):
            self.__name__ = name

    def get_args(alias):
        """What stands between the brackets."""
        return alias.__args__

    class _Defining(type):
        """Makes a class of annotated fields a named tuple; its methods and its documentation are kept."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body["__annotations__"]
            defaults = [body[field] for field in fields if field in body]
            made = _namedtuple(name, fields, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                if key not in fields and key != "__module__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Defining):
        """The base of a named tuple."""
