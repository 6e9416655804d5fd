"""Names and modules of trl 0.12 and later, beside trainers and configs, that the newest release no longer has."""

from __future__ import annotations

_JUDGES = "BaseJudge BaseRankJudge BasePairwiseJudge BaseBinaryJudge AllTrueJudge PairRMJudge HfPairwiseJudge OpenAIPairwiseJudge WinRateCallback"
_VALUE_HEADS = "AutoModelForCausalLMWithValueHead AutoModelForSeq2SeqLMWithValueHead PreTrainedModelWrapper"
#: The release that lacks them, the names, what to do.
_GONE: tuple[tuple[tuple[int, int], str, str], ...] = (
    ((0, 14), "set_seed", "import it from transformers"),
    (
        (0, 20),
        "DataCollatorForCompletionOnlyLM",
        "pass completion_only_loss or assistant_only_loss to SFTConfig",
    ),
    ((0, 20), "ConstantLengthDataset pack_examples", "pass packing to SFTConfig"),
    ((0, 21), "TextEnvironment TextHistory", ""),
    (
        (0, 24),
        "DDPOPipelineOutput DDPOSchedulerOutput DDPOStableDiffusionPipeline DefaultDDPOStableDiffusionPipeline",
        "",
    ),
    ((0, 25), "BestOfNSampler", ""),
    ((0, 26), "setup_chat_format", "use clone_chat_template, or set tokenizer.chat_template"),
    ((0, 29), _VALUE_HEADS, ""),
    ((0, 29), _JUDGES, ""),
    ((1, 8), "get_kbit_device_map", 'pass device_map={"": PartialState().process_index}'),
)
TRL_NAMES = {name: (version, advice) for version, names, advice in _GONE for name in names.split()}
#: Modules, and the release that lacks them.
TRL_MODULES: dict[str, tuple[int, int]] = {
    "trl.commands": (0, 13),
    "trl.env_utils": (0, 13),
    "trl.environment": (0, 21),
    "trl.core": (0, 25),
    "trl.extras.best_of_n_sampler": (0, 25),
    "trl.models.modeling_base": (0, 29),
    "trl.models.modeling_value_head": (0, 29),
}
