"""What moved inside transformers and trl, and what modules that are still there no longer have.

Written by benchmarks/migration_facts.py, from transformers 4.46.3 to 5.24.0 and trl 0.12.2 to 1.16.0. Do not edit.
"""

from __future__ import annotations

#: Functions and classes that their module no longer has, by the release that removed them or one after it.
FROM_MODULES: dict[tuple[int, int], str] = {
    (4, 57): (
        "cache_utils.CacheConfig cache_utils.MambaCache cache_utils.QuantizedCacheConfig "
        "cache_utils.StaticCacheConfig cache_utils.is_quanto_available file_utils.get_cached_models "
        "file_utils.get_file_from_repo file_utils.is_soundfile_availble generation.utils.OffloadedCache "
        "generation.utils.QuantizedCacheConfig generation.utils.is_quanto_available "
        "generation.utils.is_torchdynamo_compiling generation.utils.stack_model_outputs modeling_utils.Conv1D "
        "modeling_utils.GenerationMixin modeling_utils.PoolerAnswerClass modeling_utils.PoolerEndLogits "
        "modeling_utils.PoolerStartLogits modeling_utils.SQuADHead modeling_utils.SequenceSummary "
        "modeling_utils.SquadHeadOutput modeling_utils.apply_chunking_to_forward "
        "modeling_utils.check_support_param_buffer_assignment modeling_utils.convert_file_size_to_int "
        "modeling_utils.dtype_byte_size modeling_utils.find_pruneable_heads_and_indices "
        "modeling_utils.find_submodule_and_param_name modeling_utils.get_first_parameter_dtype "
        "modeling_utils.get_state_dict_float_dtype modeling_utils.is_safetensors_available "
        "modeling_utils.is_torch_sdpa_available modeling_utils.prune_conv1d_layer modeling_utils.prune_layer "
        "modeling_utils.prune_linear_layer modeling_utils.set_initialized_submodules "
        "modeling_utils.shard_checkpoint models.bart.modeling_bart.BartFlashAttention2 "
        "models.bart.modeling_bart.BartSdpaAttention models.clip.modeling_clip.CLIPFlashAttention2 "
        "models.clip.modeling_clip.CLIPSdpaAttention "
        "models.falcon.modeling_falcon.FalconDynamicNTKScalingRotaryEmbedding "
        "models.falcon.modeling_falcon.FalconLinearScalingRotaryEmbedding "
        "models.gemma.modeling_gemma.GemmaDynamicNTKScalingRotaryEmbedding "
        "models.gemma.modeling_gemma.GemmaFlashAttention2 "
        "models.gemma.modeling_gemma.GemmaLinearScalingRotaryEmbedding "
        "models.gemma.modeling_gemma.GemmaSdpaAttention models.gpt2.modeling_gpt2.GPT2FlashAttention2 "
        "models.gpt2.modeling_gpt2.GPT2SdpaAttention "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXDynamicNTKScalingRotaryEmbedding "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXFlashAttention2 "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXLinearScalingRotaryEmbedding "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXSdpaAttention "
        "models.gpt_neox.modeling_gpt_neox.attention_mask_func "
        "models.llama.modeling_llama.LlamaDynamicNTKScalingRotaryEmbedding "
        "models.llama.modeling_llama.LlamaFlashAttention2 "
        "models.llama.modeling_llama.LlamaLinearScalingRotaryEmbedding "
        "models.llama.modeling_llama.LlamaSdpaAttention "
        "models.mistral.modeling_mistral.MistralFlashAttention2 "
        "models.mistral.modeling_mistral.MistralSdpaAttention "
        "models.mixtral.modeling_mixtral.MixtralFlashAttention2 "
        "models.mixtral.modeling_mixtral.MixtralSdpaAttention models.opt.modeling_opt.OPTSdpaAttention "
        "models.opt.modeling_opt.OptFlashAttention2 "
        "models.phi.modeling_phi.PhiDynamicNTKScalingRotaryEmbedding "
        "models.phi.modeling_phi.PhiFlashAttention2 models.phi.modeling_phi.PhiLinearScalingRotaryEmbedding "
        "models.phi.modeling_phi.PhiSdpaAttention models.qwen2.modeling_qwen2.Qwen2FlashAttention2 "
        "models.qwen2.modeling_qwen2.Qwen2SdpaAttention "
        "models.whisper.modeling_whisper.WhisperFlashAttention2 "
        "models.whisper.modeling_whisper.WhisperSdpaAttention optimization.AdamW trainer.IntervalStrategy "
        "trainer.is_apex_available trainer.is_ipex_available trainer.is_safetensors_available "
        "trainer.is_torch_compile_available training_args.is_safetensors_available "
        "training_args.is_torch_bf16_cpu_available utils.get_cached_models utils.get_file_from_repo "
        "utils.hub.clean_files_for utils.hub.extract_info_from_url utils.hub.get_all_cached_files "
        "utils.hub.get_cached_models utils.hub.get_file_from_repo utils.hub.move_cache "
        "utils.hub.move_to_new_cache utils.hub.send_example_telemetry utils.import_utils.export "
        "utils.import_utils.is_jieba_available utils.import_utils.is_quanto_available "
        "utils.import_utils.is_soundfile_availble utils.is_jieba_available utils.is_quanto_available "
        "utils.is_soundfile_availble utils.move_cache utils.send_example_telemetry"
    ),
    (5, 0): (
        "cache_utils.ChunkedSlidingLayer cache_utils.HQQQuantizedCache cache_utils.HybridCache "
        "cache_utils.HybridChunkedCache cache_utils.OffloadedCache cache_utils.OffloadedHybridCache "
        "cache_utils.OffloadedStaticCache cache_utils.QuantoQuantizedCache cache_utils.SinkCache "
        "cache_utils.SlidingWindowLayer file_utils.is_flax_available file_utils.is_offline_mode "
        "file_utils.is_tensorflow_probability_available file_utils.is_tf2onnx_available "
        "file_utils.is_tf_available file_utils.is_torch_bf16_available file_utils.is_torch_fx_available "
        "modeling_utils.download_url modeling_utils.extract_commit_hash "
        "modeling_utils.get_disk_only_shard_files modeling_utils.get_parameter_device "
        "modeling_utils.get_parameter_dtype modeling_utils.is_optimum_available "
        "modeling_utils.is_peft_available modeling_utils.is_remote_url modeling_utils.is_torch_fx_proxy "
        "modeling_utils.is_torch_xla_available modeling_utils.is_torchdynamo_compiling "
        "modeling_utils.load_shard_file modeling_utils.load_shard_files_with_threadpool "
        "modeling_utils.load_sharded_checkpoint modeling_utils.no_init_weights "
        "modeling_utils.restore_default_dtype models.auto.modeling_auto.AutoModelForVision2Seq "
        "models.auto.modeling_auto.AutoModelWithLMHead models.bert.modeling_bert.BertSdpaSelfAttention "
        "models.bert.modeling_bert.load_tf_weights_in_bert models.gpt2.modeling_gpt2.load_tf_weights_in_gpt2 "
        "models.mixtral.modeling_mixtral.MixtralBlockSparseTop2MLP "
        "models.roberta.modeling_roberta.RobertaSdpaSelfAttention "
        "models.roberta.modeling_roberta.create_position_ids_from_input_ids "
        "models.t5.modeling_t5.load_tf_weights_in_t5 pytorch_utils.find_pruneable_heads_and_indices "
        "pytorch_utils.infer_device pytorch_utils.is_torch_xpu_available pytorch_utils.prune_conv1d_layer "
        "pytorch_utils.prune_layer tokenization_utils_base.SpecialTokensMixin "
        "tokenization_utils_base.download_url tokenization_utils_base.is_flax_available "
        "tokenization_utils_base.is_remote_url tokenization_utils_base.is_tf_available "
        "trainer.DistributedTensorGatherer trainer.SequentialDistributedSampler "
        "trainer.is_torch_mps_available trainer.is_torch_xpu_available trainer.nested_concat "
        "trainer.nested_numpify trainer_pt_utils.DistributedTensorGatherer "
        "trainer_pt_utils.SequentialDistributedSampler trainer_utils.EvaluationStrategy "
        "trainer_utils.default_hp_space_sigopt trainer_utils.is_tf_available training_args.EvaluationStrategy "
        "training_args.default_logdir training_args.is_apex_available training_args.is_ipex_available "
        "utils.download_url utils.hub.download_url utils.hub.is_remote_url utils.hub.is_tf_available "
        "utils.import_utils.get_sudachi_version utils.import_utils.is_auto_awq_available "
        "utils.import_utils.is_auto_gptq_available utils.import_utils.is_bitsandbytes_multi_backend_available "
        "utils.import_utils.is_eetq_available utils.import_utils.is_flax_available "
        "utils.import_utils.is_keras_nlp_available utils.import_utils.is_safetensors_available "
        "utils.import_utils.is_tensorflow_probability_available "
        "utils.import_utils.is_tensorflow_text_available utils.import_utils.is_tf2onnx_available "
        "utils.import_utils.is_tf_available utils.import_utils.is_torch_bf16_available "
        "utils.import_utils.is_torch_bf16_cpu_available utils.import_utils.is_torch_compile_available "
        "utils.import_utils.is_torch_fx_available utils.import_utils.is_torch_sdpa_available "
        "utils.import_utils.is_torchdynamo_available utils.is_auto_awq_available utils.is_auto_gptq_available "
        "utils.is_bitsandbytes_multi_backend_available utils.is_eetq_available utils.is_flax_available "
        "utils.is_keras_nlp_available utils.is_offline_mode utils.is_remote_url "
        "utils.is_safetensors_available utils.is_tensorflow_probability_available "
        "utils.is_tensorflow_text_available utils.is_tf2onnx_available utils.is_tf_available "
        "utils.is_torch_bf16_available utils.is_torch_bf16_cpu_available utils.is_torch_compile_available "
        "utils.is_torch_fx_available utils.is_torch_sdpa_available utils.is_torchdynamo_available"
    ),
    (5, 24): (
        "file_utils.is_ftfy_available file_utils.is_ipex_available generation.utils.is_hqq_available "
        "generation.utils.is_optimum_quanto_available generation.utils.is_torchdynamo_exporting "
        "generation.utils.isin_mps_friendly modeling_utils.PipelineParallel "
        "modeling_utils.is_flash_attn_2_available modeling_utils.is_flash_attn_3_available "
        "modeling_utils.is_grouped_mm_available modeling_utils.is_torch_greater_or_equal "
        "modeling_utils.is_torch_mlu_available models.clip.modeling_clip.CLIPTextTransformer "
        "models.clip.modeling_clip.CLIPVisionTransformer models.clip.modeling_clip.clip_loss "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXDecoderLayer "
        "models.gpt_neox.modeling_gpt_neox.GPTNeoXRMSNorm pytorch_utils.isin_mps_friendly "
        "tokenization_utils_base.extract_commit_hash trainer.Adafactor trainer.LayerWiseDummyOptimizer "
        "trainer.PushToHubMixin trainer.check_target_module_exists trainer.distributed_concat "
        "trainer.get_module_class_from_name trainer.is_apollo_torch_available "
        "trainer.is_bitsandbytes_available trainer.is_galore_torch_available trainer.is_grokadamw_available "
        "trainer.is_liger_kernel_available trainer.is_lomo_available trainer.is_schedulefree_available "
        "trainer.is_torch_neuroncore_available trainer.is_torch_optimi_available trainer.is_torchao_available "
        "trainer.neftune_post_forward_hook trainer.nested_xla_mesh_reduce trainer_pt_utils.BatchEncoding "
        "trainer_utils.neftune_post_forward_hook training_args.get_int_from_env "
        "training_args.get_xla_device_type utils.import_utils.is_ccl_available "
        "utils.import_utils.is_ftfy_available utils.import_utils.is_ipex_available "
        "utils.import_utils.is_jmespath_available utils.import_utils.is_opentelemetry_available "
        "utils.is_ccl_available utils.is_ftfy_available utils.is_ipex_available utils.is_jmespath_available"
    ),
}
#: Classes that the same class under another name replaces.
RENAMED: dict[str, str] = {
    "BeitFeatureExtractor": "BeitImageProcessor",
    "CLIPFeatureExtractor": "CLIPImageProcessor",
    "ChineseCLIPFeatureExtractor": "ChineseCLIPImageProcessor",
    "ConditionalDetrFeatureExtractor": "ConditionalDetrImageProcessor",
    "ConvNextFeatureExtractor": "ConvNextImageProcessor",
    "DPTFeatureExtractor": "DPTImageProcessor",
    "DeformableDetrFeatureExtractor": "DeformableDetrImageProcessor",
    "DeiTFeatureExtractor": "DeiTImageProcessor",
    "DetrFeatureExtractor": "DetrImageProcessor",
    "DonutFeatureExtractor": "DonutImageProcessor",
    "FlavaFeatureExtractor": "FlavaImageProcessor",
    "GLPNFeatureExtractor": "GLPNImageProcessor",
    "ImageGPTFeatureExtractor": "ImageGPTImageProcessor",
    "LayoutLMv2FeatureExtractor": "LayoutLMv2ImageProcessor",
    "LayoutLMv3FeatureExtractor": "LayoutLMv3ImageProcessor",
    "LevitFeatureExtractor": "LevitImageProcessor",
    "MaskFormerFeatureExtractor": "MaskFormerImageProcessor",
    "MobileNetV1FeatureExtractor": "MobileNetV1ImageProcessor",
    "MobileNetV2FeatureExtractor": "MobileNetV2ImageProcessor",
    "MobileViTFeatureExtractor": "MobileViTImageProcessor",
    "OwlViTFeatureExtractor": "OwlViTImageProcessor",
    "PerceiverFeatureExtractor": "PerceiverImageProcessor",
    "PoolFormerFeatureExtractor": "PoolFormerImageProcessor",
    "SegformerFeatureExtractor": "SegformerImageProcessor",
    "ViTFeatureExtractor": "ViTImageProcessor",
    "VideoMAEFeatureExtractor": "VideoMAEImageProcessor",
    "ViltFeatureExtractor": "ViltImageProcessor",
    "YolosFeatureExtractor": "YolosImageProcessor",
}
#: The trainers and configs of trl that moved: the release, and their module ("" for those that are gone).
TRL_MOVED: dict[str, tuple[tuple[int, int], str]] = {
    "AlignPropConfig": ((0, 24), ""),
    "AlignPropTrainer": ((0, 24), ""),
    "BCOConfig": ((0, 29), ""),
    "BCOTrainer": ((0, 29), ""),
    "BaseConfig": ((1, 0), ""),
    "BaseTrainer": ((1, 0), ""),
    "CPOConfig": ((0, 29), "trl.experimental.cpo"),
    "CPOTrainer": ((0, 29), "trl.experimental.cpo"),
    "DDPOConfig": ((0, 24), ""),
    "DDPOTrainer": ((0, 24), ""),
    "GKDConfig": ((0, 29), "trl.experimental.gkd"),
    "GKDTrainer": ((0, 29), "trl.experimental.gkd"),
    "IterativeSFTConfig": ((0, 24), ""),
    "IterativeSFTTrainer": ((0, 24), ""),
    "NashMDConfig": ((0, 29), ""),
    "NashMDTrainer": ((0, 29), ""),
    "ORPOConfig": ((0, 29), "trl.experimental.orpo"),
    "ORPOTrainer": ((0, 29), "trl.experimental.orpo"),
    "OnPolicyConfig": ((0, 27), ""),
    "OnlineDPOConfig": ((0, 29), "trl.experimental.online_dpo"),
    "OnlineDPOTrainer": ((0, 29), "trl.experimental.online_dpo"),
    "PPOConfig": ((0, 29), ""),
    "PPOTrainer": ((0, 29), ""),
    "PPOv2Config": ((0, 13), ""),
    "PPOv2Trainer": ((0, 13), ""),
    "PRMConfig": ((0, 29), ""),
    "PRMTrainer": ((0, 29), ""),
    "XPOConfig": ((0, 29), ""),
    "XPOTrainer": ((0, 29), ""),
}
