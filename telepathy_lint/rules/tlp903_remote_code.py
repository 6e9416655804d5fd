from __future__ import annotations

from telepathy_lint.rule import Meta, Report, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class RemoteCode(Rule):
    """`trust_remote_code=True`: Python code out of the checkpoint's repository runs with the script's rights.

    Without a `revision` it is whatever the repository holds when the script runs. Most architectures have long been part
    of transformers itself, where the argument is not needed any more; where it is, pin the revision whose code was read.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", trust_remote_code=True)

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
    """

    meta = Meta(
        code="TLP903",
        name="remote-code",
        message="code of the checkpoint's repository is run",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor"),
        default=False,
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        argument = site.argument("trust_remote_code")
        if argument is None or argument.how == "positional" or argument.name in site.inherited:
            return None
        for value in argument.values:
            if value.kind == "const" and value.data is True:
                pinned = site.argument("revision", "code_revision") is not None
                detail = "" if pinned else "trust_remote_code without a revision"
                return self.at(site, argument.node, f"{detail}{origin(value, site)}".removeprefix(", "))
        return None
