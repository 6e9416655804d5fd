from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.facts.looked_at import has_run
from telepathy_lint.facts.out_of_use import is_bare, is_for_trying_out, is_not_read
from telepathy_lint.facts.weight_sizes import (
    cost_of_float32,
    is_cast_afterwards,
    is_heavy,
    is_light,
    is_own_model,
    picks_its_own_dtype,
    ships_bfloat16,
)
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: The first release whose pipelines follow the checkpoint's config.
_PIPELINES_FOLLOW = (4, 53)


class MissingDtype(Rule):
    """A model is loaded without a dtype.

    transformers 4.x then loads float32, whatever the checkpoint contains. This takes twice the memory of bfloat16, even if
    `.half()` or `.to(torch.bfloat16)` follows. transformers 5.x follows the checkpoint's config, so the same script
    trains in another precision after an upgrade.

    Unless strict, the rule leaves out tests, models that get a quantization config, models whose own weights are trained, models that are
    cast to a dtype in the same block, models whose class the project derives from `PreTrainedModel`, and what a module loads only if it
    is started itself, where other modules import it and nothing starts it. If the requirements list transformers without a release, it reports nothing:
    a new installation follows the checkpoint. In scripts that are alone, with no project around them, it also
    leaves out small models, of at most about 1.5 billion parameters: known ones, those whose id says so (`-125m`, `0.5B`, `bert-...`,
    `t5-base`), and classes and tasks that usually have no others.

    In a project, unless strict, it only reports models that are known to have at least three billion parameters, by the registry, the id
    (`-7b`) or the only id that the file names. It leaves out:

    - projects that may install transformers 5: they get the checkpoint's dtype
    - projects that pin a release or a commit: their results are from float32
    - files that train in float16 mixed precision, whose scaler refuses float16 weights, or that run models under `autocast`
    - files that ask for hidden states or attentions (`output_hidden_states=True`), whose values another precision would change, and models that TransformerLens copies
    - loads under a comment about full precision, and loads whose other arm of a condition states a dtype: the one for the GPU, or a first attempt
    - loads whose result is dropped or given to a name that the function does not read, and loads of what the file saves
    - loads to names that no module reads, where the project loads models in other files
    - checkpoints that are stored quantized or in float32
    - notebook cells that were run, and scripts that the documents and commands do not name, where they name others

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("mistralai/Mistral-7B-v0.3")

    Good:

        from telepathy_runtime import load_model

        model = load_model(
            "mistralai/Mistral-7B-v0.3",
            device_map=None,
            attn_implementation=None,
            generation_config=None,
        )

    Fix safety: the model computes in bfloat16 afterwards, so its numbers change. Training that needs float32 master
    weights should pass `dtype=torch.float32` explicitly. If the file trains the model and you allow the fix in spite of that
    (`unsafe-fixes-despite`), it adds `purpose="training"`, and the weights are float32; the inline style writes that dtype.
    """

    meta = Meta(
        code="TLP102",
        name="missing-dtype",
        message="dtype is not set",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="dtype",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not site.lacks("dtype", "torch_dtype"):
            return
        from telepathy_lint.facts import relevance

        if relevance.is_quantized(site):
            yield site.at_call(
                "weights that are not quantized are float16 in transformers 4.x and follow the checkpoint's config in 5.x"
            )
        else:
            yield site.at_call(default_dtype(settings, cost_of_float32(site), site.kind == "pipeline"))

    def matters(self, site: Site, settings: Settings) -> bool:
        from telepathy_lint.facts import alternatives, relevance

        target, bare = settings.target_version, is_bare(site)
        piped = site.kind == "pipeline"
        if piped and not bare and (settings.newest is None or settings.newest >= _PIPELINES_FOLLOW):
            return False  # so does a new installation's pipeline
        follows = _PIPELINES_FOLLOW if piped else (5, 0)
        if target is not None and target >= follows and (ships_bfloat16(site) or not bare):
            return False
        if settings.unpinned:
            return False  # what a new installation gets follows the checkpoint
        if not bare and (
            settings.five == "admits"  # and so it does here
            or settings.is_pinned  # its results were measured in float32, and stay so
            or not is_heavy(site)
            or alternatives.is_the_other_arm(site)
            or alternatives.is_dropped(site)
            or alternatives.is_read_back(site)
            or alternatives.is_measured(site)
            or alternatives.is_meant_to_be_float32(site)
            or relevance.trains_under_a_scaler(site)
            or site.source.once(alternatives.runs_under_autocast)
            or site.source.once(alternatives.is_copied)
            or is_for_trying_out(site)
            or is_not_read(site)
            or has_run(site)
        ):
            return False
        return not (
            is_light(site)
            or is_cast_afterwards(site)
            or is_own_model(site)
            or picks_its_own_dtype(site)
            or is_of_a_test(site)
            or relevance.may_be_quantized(site)
            or relevance.trains_its_weights(site)
        )

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        return evidence.withheld(site, evidence.OF_DTYPE, settings.unsafe_fixes_despite)


def default_dtype(settings: Settings, cost: str | None, piped: bool = False) -> str:
    """What the project's transformers version does without a dtype, and the cost of float32 if it is known.

    A pipeline follows the checkpoint's config since 4.53, a load since 5.0.
    """
    version = settings.target_version
    if piped and (version is None or version < _PIPELINES_FOLLOW):
        if settings.newest is None or settings.newest >= _PIPELINES_FOLLOW:
            aside = f" ({cost})" if cost else ""
            return f"a pipeline of transformers before 4.53 loads float32{aside}, a newer one follows the checkpoint's config"
        named = f"{version[0]}.{version[1]}" if version is not None else "4.x"
        return f"transformers {named} loads float32{f': {cost}' if cost else ''}"
    if version is None and settings.is_before_5:
        return f"transformers 4.x loads float32{f': {cost}' if cost else ''}"
    if not piped and (version is None or settings.five == "admits"):
        lowest = f"{version[0]}.{version[1]}" if version is not None else "4.x"
        aside = f" ({cost})" if cost else ""
        return f"transformers {lowest} loads float32{aside}, 5.x follows the checkpoint's config"
    assert version is not None
    if version[0] < 5 and not piped:
        return f"transformers {version[0]}.{version[1]} loads float32{f': {cost}' if cost else ''}"
    return f"transformers {version[0]}.{version[1]} follows the checkpoint's config"
