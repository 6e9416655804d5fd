from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class Bfloat16Array(Rule):
    """The output of a bfloat16 model is converted to a NumPy array.

    NumPy does not support bfloat16: `.numpy()` raises "Got unsupported ScalarType BFloat16". Call `.float()`
    first. The rule reports a call if the tensor is certainly an output of a model that the file loads in
    bfloat16, and nothing casts it before.

    Bad:

        import torch
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModel.from_pretrained("gpt2", torch_dtype=torch.bfloat16)
        output = model(**tokenizer("Once", return_tensors="pt"))
        embedding = output.last_hidden_state[0].detach().numpy()

    Good:

        import torch
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModel.from_pretrained("gpt2", torch_dtype=torch.bfloat16)
        output = model(**tokenizer("Once", return_tensors="pt"))
        embedding = output.last_hidden_state[0].detach().float().numpy()
    """

    meta = Meta(
        code="TLP210",
        name="bfloat16-array",
        message="NumPy has no bfloat16, so this raises",
        since="0.1.0",
        kinds=("array",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not all(map(_is_bfloat16, site.about)):
            return
        load = site.about[0]
        line = line_name(load.source, load.call.lineno)
        end = site.source.end_of(site.call.func)
        yield site.at((end - len("numpy"), site.end), f"{line} loads bfloat16; call .float() first")


def _is_bfloat16(load: Site) -> bool:
    argument = load.argument("dtype", "torch_dtype")
    return (
        argument is not None
        and not argument.optional
        and all(value.data in ("torch.bfloat16", "bfloat16") for value in argument.values)
    )
