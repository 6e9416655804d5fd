"""Finds `pipeline(...)` calls with a model id, which are loads; calls with a loaded model are not."""

from __future__ import annotations

import ast
import re

from telepathy_lint.flow.arguments import Argument, single_string
from telepathy_lint.flow.bindings import default_of, dotted, parameters
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Site

_STRINGS = ("str", "Optional[str]", "str | None")
_ARGUMENTS = ("args.", "opt.", "FLAGS.")
_BY_KEY = r"""\[["']model_kwargs["']\]"""
#: The positional parameters of `pipeline`.
POSITIONS = ("task", "model", "config", "tokenizer")
#: Typical names of variables for a model's id or path.
_ID_NAME = (
    r"(?i)(?:^|[._])(?:model|base_model|checkpoint|ckpt|llm|backbone|repo|hf|hub)?_?(?:id|path|name|checkpoint|ckpt|dir|repo|"
    r"name_or_path|model_name|model_id|model_path)$|^model_(?:name|id|path)\w*$|_(?:checkpoint|id|path|name)$|^checkpoint$"
)
#: Names that are an id in a configuration object but may be a loaded model elsewhere.
_CONFIGURED = (
    r"(?i)(?:[\w.]*[._])?(?:config|cfg|conf|configs|settings|opts|options|params|hparams|flags|args)\d?"
    r"(?:\.|\[[\"'])(?:\w+_)?model(?:[\"']\])?"
)
#: Typical names of functions and classes that make a model, but not of those that make its name or its configuration.
_MODEL_MAKER = r"(?i)(?!.*(?:name|conf|cfg|arg|setting|param|option)).*model"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_OF_STRINGS = (
    "split",
    "rsplit",
    "lower",
    "upper",
    "replace",
    "startswith",
    "endswith",
    "strip",
    "partition",
    "rpartition",
)
#: Arguments that a pipeline only uses to load a model.
_LOAD_ONLY = ("device_map", "dtype", "torch_dtype", "model_kwargs", "trust_remote_code", "revision")


class Pipelines:
    """Finds the pipeline calls of one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.values = file.values
        self.arguments = file.arguments

    def site(self, call: ast.Call, context: Context) -> Site | None:
        arguments, opaque = self.arguments.read(call, context, POSITIONS)
        model = arguments.get("model")
        if model is None or not self._is_model_id(arguments, context):
            return None
        nested = arguments.get("model_kwargs")
        if nested is not None:
            inner, hidden = self._nested(nested, context)
            opaque = opaque or hidden
            arguments = {**{name: a._replace(how="model_kwargs") for name, a in inner.items()}, **arguments}
        task = arguments.get("task")
        tasks = [value.data for value in task.values] if task is not None else []
        return Site(
            kind="pipeline",
            file=self.file,
            node=call,
            context=context,
            classes=("transformers.pipeline",),
            arguments=arguments,
            opaque=opaque,
            model_id=single_string(model.values),
            generative=bool(tasks)
            and all(isinstance(t, str) and catalog.is_generative_task(t) for t in tasks),
        )

    def _nested(self, given: Argument, context: Context) -> tuple[dict[str, Argument], bool]:
        """The entries of `model_kwargs`, also if it is itself an entry of a dict that the call spreads."""
        if given.how != "spread":
            return self.arguments.spread(given.node, context)
        found: dict[str, Argument] = {}
        hidden = False
        for value in given.values:
            if value.is_none:
                continue
            if not self._is_in_place(value):
                return {}, True
            inner, more = self.arguments.spread(value.node, value.context)
            found |= {name: argument._replace(node=given.node) for name, argument in inner.items()}
            hidden = hidden or more or len(given.values) > 1
        return found, hidden

    def _is_in_place(self, value: Value) -> bool:
        """Whether a dict is a literal where it is used; under a name or key it may be changed."""
        tree = value.context.scope.tree
        if value.kind != "dict" or not isinstance(value.node, ast.expr) or re.search(_BY_KEY, tree.text):
            return False
        tree.visit([value.node.lineno])
        return isinstance(tree.parent.get(value.node), (ast.Dict, ast.keyword))

    def _is_model_id(self, arguments: dict[str, Argument], context: Context) -> bool:
        """Whether the model argument is certainly an id or path, not a loaded object."""
        argument = arguments["model"]
        node = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
        if isinstance(node, ast.expr):
            for maker in self.file.objects.makers(node, context):
                name = dotted(getattr(maker, "func", maker)) or ""
                if name.endswith("from_pretrained") or re.match(_MODEL_MAKER, name):
                    return False
        text = ast.unparse(node) if isinstance(node, ast.expr) else ""
        loads = any(name in arguments for name in _LOAD_ONLY) and not _is_an_object(
            arguments.get("tokenizer")
        )
        if loads and all(
            re.fullmatch(_CONFIGURED, _chain(argument, value, text)) for value in argument.values
        ):
            return all(
                value.kind in ("attribute", "choice") or _is_text(value, _chain(argument, value, text))
                for value in argument.values
            )
        tested = isinstance(node, ast.Name) and (
            self._is_tested(node) or _is_used_as_text(node.id, context.scope.node)
        )
        return all(
            (tested and value.kind == "param")
            or _is_text(value, re.split(r"[\[(]", _chain(argument, value, text))[0])
            for value in argument.values
        )

    def _is_tested(self, node: ast.Name) -> bool:
        """Whether the name stands where `isinstance(name, str)` holds."""
        if node not in self.tree.parent:
            self.tree.context_of(node)  # its parents are known from here on
        inner: ast.AST = node
        outer = self.tree.parent.get(node)
        test = f"isinstance({node.id}, str)"
        while outer is not None and not isinstance(
            outer, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        ):
            if isinstance(outer, (ast.If, ast.IfExp)):
                body = outer.body if isinstance(outer.body, list) else [outer.body]
                both = isinstance(outer.test, ast.BoolOp) and isinstance(outer.test.op, ast.And)
                conditions = outer.test.values if both else [outer.test]  # type: ignore[attr-defined]
                if inner in body and test in map(ast.unparse, conditions):
                    return True
            inner, outer = outer, self.tree.parent.get(outer)
        return False


def _is_used_as_text(name: str, function: ast.AST) -> bool:
    """Whether a function also looks into a name as a string, or loads something else by it."""

    def is_it(node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id == name

    for node in ast.walk(function) if isinstance(function, _FUNCTIONS) else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if is_it(node.func.value) and node.func.attr in _OF_STRINGS:
                return True
            if node.func.attr == "from_pretrained" and node.args and is_it(node.args[0]):
                return True
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = node.left, node.comparators[0]
            inside = isinstance(node.ops[0], (ast.In, ast.NotIn)) and is_it(right)
            same = isinstance(node.ops[0], (ast.Eq, ast.NotEq)) and (is_it(left) or is_it(right))
            if (inside and _is_string(left)) or (same and (_is_string(left) or _is_string(right))):
                return True
    return False


def _chain(argument: Argument, value: Value, text: str) -> str:
    """The expression that gives a value, as text: where a dict is spread, that of its entry."""
    if argument.how != "spread":
        return text
    if value.via is None or value.via[0] == text:  # written in the dict itself
        return ast.unparse(value.node)
    return value.via[0]


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_an_object(argument: Argument | None) -> bool:
    """Whether the tokenizer is a loaded object; then the model probably is too."""
    return argument is not None and not all(
        value.is_none or _is_text(value, str(value.data)) for value in argument.values
    )


def _is_text(value: Value, chain: str) -> bool:
    """Whether a value is a string, by its literal or by a typical name; `chain` is its expression."""
    if value.kind == "const":
        return isinstance(value.data, str)
    if value.kind == "param":
        name = str(value.data)
        return (
            annotation_of(value.node, name) in _STRINGS
            or re.search(_ID_NAME, name) is not None
            or _has_text_default(value.node, name)
        )
    if value.kind == "call":
        called = str(value.data)
        if catalog.last(called)[:1].isupper() and not called.endswith("Path"):
            return False  # an object that is created here
        if called.startswith(("os.environ", "os.getenv", "os.path")):
            return True
    if value.kind in ("attribute", "choice", "call"):
        # `args.model` comes from a command line; a config's attribute must be named like an id.
        return chain.startswith(_ARGUMENTS) or re.search(_ID_NAME, chain) is not None
    return value.kind == "text"


def _has_text_default(function: ast.AST, name: str) -> bool:
    """Whether a parameter has an id as its default; then callers pass an id, too."""
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    default = default_of(function, name)
    return isinstance(default, ast.Constant) and isinstance(default.value, str) and default.value != ""


def annotation_of(function: ast.AST, name: str) -> str:
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    for argument in parameters(function):
        if argument.arg == name and argument.annotation is not None:
            return ast.unparse(argument.annotation)
    return ""
