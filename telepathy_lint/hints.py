"""The names of `typing` that the path of `check` needs, without importing `typing`; type checkers see the real names.

Importing it takes a seventh of a check of one small file, for annotations that nothing reads. `NamedTuple` is defined in a
tenth of the time that `typing` takes, which compiles each annotation of each field and a constructor: a check of one file
defines sixty of these classes.
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
    from collections import _tuplegetter

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

    _new = tuple.__new__
    #: The constructors of tuples with so many fields; compiling one for each class would take twenty times as long.
    _MAKERS = (
        lambda _cls: _new(_cls, ()),
        lambda _cls, a: _new(_cls, (a,)),
        lambda _cls, a, b: _new(_cls, (a, b)),
        lambda _cls, a, b, c: _new(_cls, (a, b, c)),
        lambda _cls, a, b, c, d: _new(_cls, (a, b, c, d)),
        lambda _cls, a, b, c, d, e: _new(_cls, (a, b, c, d, e)),
        lambda _cls, a, b, c, d, e, f: _new(_cls, (a, b, c, d, e, f)),
        lambda _cls, a, b, c, d, e, f, g: _new(_cls, (a, b, c, d, e, f, g)),
        lambda _cls, a, b, c, d, e, f, g, h: _new(_cls, (a, b, c, d, e, f, g, h)),
        lambda _cls, a, b, c, d, e, f, g, h, i: _new(_cls, (a, b, c, d, e, f, g, h, i)),
        lambda _cls, a, b, c, d, e, f, g, h, i, j: _new(_cls, (a, b, c, d, e, f, g, h, i, j)),
        lambda _cls, a, b, c, d, e, f, g, h, i, j, k: _new(_cls, (a, b, c, d, e, f, g, h, i, j, k)),
        lambda _cls, a, b, c, d, e, f, g, h, i, j, k, m: _new(_cls, (a, b, c, d, e, f, g, h, i, j, k, m)),
    )

    def _maker_of_many(fields, defaults):
        """A constructor that takes more fields than those above, a little slower."""
        optional = dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True))

        def make(cls, /, *args, **given):
            if len(args) != len(fields) or given:
                values = {**optional, **dict(zip(fields, args)), **given}  # noqa: B905 - counted below
                if (
                    len(args) > len(fields)
                    or values.keys() != {*fields}
                    or given.keys() & {*fields[: len(args)]}
                ):
                    raise TypeError(f"{cls.__name__} takes {', '.join(fields)}")
                args = map(values.__getitem__, fields)
            return _new(cls, args)

        return make

    def _constructor(kind, fields, defaults):
        """What makes instances of a named tuple, set up for the first of them: many classes have none in a run."""

        def made(cls, /, *args, **given):
            if len(fields) < len(_MAKERS):
                maker = _MAKERS[len(fields)]
                code = maker.__code__.replace(co_varnames=("_cls", *fields))
                new = type(maker)(code, maker.__globals__, "__new__", defaults)
            else:
                new = _maker_of_many(fields, defaults)
            new.__qualname__ = f"{kind.__qualname__}.__new__"
            kind.__new__ = staticmethod(new)
            return new(cls, *args, **given)

        return staticmethod(made)

    def _make(cls, values):
        return cls.__new__(cls, *values)

    def _replace(self, /, **given):
        made = self.__class__.__new__(self.__class__, *map(given.pop, self._fields, self))
        if given:
            raise ValueError(f"{type(self).__name__} has no field {', '.join(given)}")
        return made

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def _repr(self):
        shown = ", ".join([f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True)])
        return f"{self.__class__.__name__}({shown})"

    def _getnewargs(self):
        return tuple(self)

    _METHODS = {
        "__slots__": (),
        "_make": classmethod(_make),
        "_replace": _replace,
        "_asdict": _asdict,
        "__repr__": _repr,
        "__getnewargs__": _getnewargs,
    }

    class _Defining(type):
        """Makes a class of annotated fields a named tuple; its methods and its documentation are kept."""

        def __new__(cls, name, bases, body):
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = tuple(body["__annotations__"])
            defaults = {field: body[field] for field in fields if field in body}
            getters = {field: _tuplegetter(at, "") for at, field in enumerate(fields)}
            about = {"_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
            kind = type(name, (tuple,), {**_METHODS, **body, **getters, **about})
            kind.__new__ = _constructor(kind, fields, tuple(defaults.values()))
            return kind

    class NamedTuple(metaclass=_Defining):
        """The base of a named tuple."""
