from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.facts.weight_sizes import cost_of_float32
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, Value
from telepathy_lint.source.occurs import matches

_TORCH_DTYPE = r"bfloat16|float16|half|float32|float|float64|double|float8_\w+|int\d+|uint\d+|qint\d+|quint\d+|long|short|int"
#: A model cannot be created with these.
_OF_NO_WEIGHTS = r"q?u?int\d+|long|short|int"


class NonBfloat16Dtype(Rule):
    """A model is loaded with a hard-coded dtype other than bfloat16.

    float16 can overflow where bfloat16 does not, float32 takes twice the memory, and "auto" is whatever the checkpoint was
    saved in. Experiments that are compared should load their models in the same way. A conditional expression with bfloat16
    in one branch is fine, and so is a value that comes from a parameter, a config or a helper.

    Unless strict, a dtype that the call states is the author's decision, and the rule only reports one that cannot be meant: a
    dtype that no weights can have (`int8`), float16 for families whose activations are known to overflow in it (Gemma 2 but for 2B, Gemma 3, GLM-4), and
    float16 for weights that are trained without a scaler, in scripts that are alone. How a project trains is told by its commands and the
    settings of its launchers as well (`--bf16`, DeepSpeed).

    Bad:

        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("google/gemma-3-1b-it", torch_dtype=torch.float16)

    Good:

        from telepathy_runtime import load_model

        model = load_model(
            "google/gemma-3-1b-it",
            device_map=None,
            attn_implementation=None,
            generation_config=None,
        )

    Fix safety: the model computes in bfloat16 afterwards, so its numbers change. A checkpoint that needs float32 (an old
    T5, some audio models) should be marked with `# noqa: TLP103`.
    """

    meta = Meta(
        code="TLP103",
        name="non-bfloat16-dtype",
        message="dtype is not bfloat16",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="dtype",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        arguments = [each for name in ("dtype", "torch_dtype") if (each := site.argument(name)) is not None]
        named = {
            each: [(value, dtype_name(value)) for value in each.values if not value.is_none]
            for each in arguments
        }
        if any(dtype is None or dtype == "bfloat16" for pairs in named.values() for _, dtype in pairs):
            return
        for argument, pairs in named.items():
            if pairs and argument.name not in site.inherited:
                value, dtype = pairs[0]
                cost = cost_of_float32(site) if dtype in ("float32", "float") else None
                yield site.at(argument, f"{dtype}{origin(value, site)}{f': {cost}' if cost else ''}")
                return  # if both are passed, transformers uses the first

    def matters(self, site: Site, settings: Settings) -> bool:
        named = dtypes(site)
        if any(name is not None and re.fullmatch(_OF_NO_WEIGHTS, name) for name in named):
            return True
        from telepathy_lint.facts import relevance
        from telepathy_lint.knowledge.float16 import overflows

        if not named <= {"float16", "half"} or relevance.wants_float16(site):
            return False
        if overflows(site.model_id or "", site.loaded):
            return True
        # How a project trains is told by its commands and the settings of its launchers as well.
        return is_bare(site) and relevance.trains_its_weights(site, scoped=True)

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        return evidence.withheld(site, evidence.OF_DTYPE, settings.unsafe_fixes_despite)


def dtypes(site: Site) -> set[str | None]:
    """The known dtypes of a load."""
    argument = site.argument("dtype", "torch_dtype")
    return {dtype_name(value) for value in argument.values} if argument is not None else set()


def dtype_name(value: Value) -> str | None:
    """The dtype of a value ("bfloat16", "float16", "auto"); None if unknown."""
    if value.kind == "symbol":
        root, _, name = str(value.data).rpartition(".")
        return name if root == "torch" and matches(_TORCH_DTYPE, name) else None
    if value.kind == "const" and isinstance(value.data, str):
        name = value.data.removeprefix("torch.")
        return "bfloat16" if name == "bf16" else name
    return None
