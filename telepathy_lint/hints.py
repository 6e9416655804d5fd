"""The names of `typing` that the path of `check` needs, without importing `typing`.

Importing it takes a seventh of a check of one small file, for annotations that nothing reads. Type checkers see the real names.
"""

TYPE_CHECKING = False  # what typing has; type checkers take it for True

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import ClassVar as ClassVar
    from typing import Final as Final
    from typing import Generic as Generic
    from typing import Literal as Literal
    from typing import NoReturn as NoReturn
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import get_args as get_args
else:
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
