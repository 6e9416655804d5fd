from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_HUB_ID = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
#: Ids without an organisation, from the hub's first years; any other bare name may be a folder.
_BARE = (
    r"(?:distil)?bert-(?:base|large)-(?:uncased|cased|chinese|german-cased|multilingual-(?:un)?cased)"
    r"|(?:distil|xlm-)?roberta-(?:base|large)|albert-(?:base|large|xlarge|xxlarge)-v[12]|camembert-base"
    r"|(?:distil)?gpt2|gpt2-(?:medium|large|xl)|openai-gpt|t5-(?:small|base|large|3b|11b)|xlnet-(?:base|large)-cased"
)
#: Typical names of output folders.
_FOLDERS = (
    r"(?i)\.*(?:\w*models?\w*|\w*checkpoints?\w*|ckpts?|\w*outputs?\w*|out|\w*results?\w*|runs?|experiments?|exp|logs?"
    r"|data|datasets?|weights|saved\w*|save|trained\w*|tmp|temp|cache\w*|assets|artifacts|resources?|tests?|examples?"
    r"|local\w*|path|user(?:name)?|your\w*|\w*_org|namespace|my_\w+|fixtures|pretrained\w*|src|lib|home|mnt)"
)
#: Maximum length of a hub id.
_LONGEST = 200
_WRITTEN = r"(?:save\w{0,60}\(|_dir\s{0,60}=\s{0,60}|makedirs\()[\"']([\w./-]+)(?=[\"'])"


class UnpinnedRevision(Rule):
    """A checkpoint from the hub is loaded without `revision=`, so the same line may load something else tomorrow.

    Owners push new weights, tokenizers and generation configs under the same id. A commit hash (or a tag) makes a
    result reproducible. Only ids that are written in the file are reported, and not if they may be a local folder.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-1.5B")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-1.5B", revision="8faed761d45a263340a0528343f099c05c9a4323")
    """

    meta = Meta(
        code="TLP902",
        name="unpinned-revision",
        message="revision is not set",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config"),
        default=False,
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        model_id = site.model_id
        if site.unseen or model_id is None or site.argument("revision") is not None:
            return
        if not is_hub_id(model_id) or _is_written_to(model_id, site):
            return
        yield site.at_call(model_id)


def is_hub_id(text: str) -> bool:
    """Whether a string is certainly a hub repository rather than a folder."""
    if len(text) > _LONGEST:
        return False
    if re.fullmatch(_HUB_ID, text):
        return re.fullmatch(_FOLDERS, text.partition("/")[0]) is None
    return re.fullmatch(_BARE, text) is not None


def _is_written_to(model_id: str, site: Site) -> bool:
    """Whether the file saves something under the same name."""
    return model_id in site.source.once(_written_names)


def _written_names(text: str) -> frozenset[str]:
    return frozenset(re.findall(_WRITTEN, text))
