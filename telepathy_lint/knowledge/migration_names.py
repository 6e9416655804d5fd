"""Names and modules of transformers 4.46 and later that the newest release no longer has.

Written by benchmarks/migration_facts.py, from transformers 4.46.3 to 5.24.0 and trl 0.12.2 to 1.16.0. Do not edit.
"""

from __future__ import annotations

#: Public names, by the release that removed them; the classes of TensorFlow and Flax (`TF...`, `Flax...`) went with 5.0.
NAMES: dict[tuple[int, int], str] = {
    (4, 49): (
        "LogitsWarper PyTorchBenchmark PyTorchBenchmarkArguments TensorFlowBenchmark "
        "TensorFlowBenchmarkArguments benchmark"
    ),
    (4, 50): ("AdamW"),
    (4, 51): ("is_torch_tpu_available"),
    (4, 52): (
        "Agent CodeAgent HfApiEngine ManagedAgent PipelineTool ReactAgent ReactCodeAgent ReactJsonAgent Tool "
        "ToolCollection Toolbox TransformersEngine agents launch_gradio_demo load_tool "
        "model_addition_debugger stream_to_gradio tool"
    ),
    (4, 56): (
        "CacheConfig CacheProcessor HQQQuantizedCacheProcessor OffloadedCacheProcessor QuantizedCacheConfig "
        "QuantizedCacheProcessor QuantoQuantizedCacheProcessor"
    ),
    (4, 57): ("BeamSearchScorer HammingDiversityLogitsProcessor"),
    (5, 0): (
        "AdamWeightDecay AdaptiveEmbedding AlbertOnnxConfig AutoModelForVision2Seq AutoModelWithLMHead "
        "BartOnnxConfig BeamScorer BeitFeatureExtractor BeitOnnxConfig BertOnnxConfig BigBirdOnnxConfig "
        "BigBirdPegasusOnnxConfig BlenderbotOnnxConfig BlenderbotSmallOnnxConfig BloomOnnxConfig "
        "BloomTokenizerFast CLIPFeatureExtractor CLIPOnnxConfig CamembertOnnxConfig "
        "ChineseCLIPFeatureExtractor ChineseCLIPOnnxConfig ChunkedSlidingLayer CodeGenOnnxConfig "
        "ConditionalDetrFeatureExtractor ConditionalDetrOnnxConfig ConstrainedBeamSearchScorer Constraint "
        "ConstraintListState ConvBertOnnxConfig ConvNextFeatureExtractor ConvNextOnnxConfig "
        "DPTFeatureExtractor Data2VecTextOnnxConfig Data2VecVisionOnnxConfig DebertaOnnxConfig "
        "DebertaV2OnnxConfig DeformableDetrFeatureExtractor DeiTFeatureExtractor DeiTOnnxConfig DetaConfig "
        "DetaForObjectDetection DetaImageProcessor DetaModel DetaPreTrainedModel DetrFeatureExtractor "
        "DetrOnnxConfig Dinov2OnnxConfig DisjunctiveConstraint DistilBertOnnxConfig DonutFeatureExtractor "
        "EfficientFormerConfig EfficientFormerForImageClassification "
        "EfficientFormerForImageClassificationWithTeacher EfficientFormerImageProcessor EfficientFormerModel "
        "EfficientFormerPreTrainedModel EfficientNetOnnxConfig ElectraOnnxConfig ErnieMConfig "
        "ErnieMForInformationExtraction ErnieMForMultipleChoice ErnieMForQuestionAnswering "
        "ErnieMForSequenceClassification ErnieMForTokenClassification ErnieMModel ErnieMPreTrainedModel "
        "ErnieMTokenizer ErnieOnnxConfig FLAX_MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING "
        "FLAX_MODEL_FOR_CAUSAL_LM_MAPPING FLAX_MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING "
        "FLAX_MODEL_FOR_MASKED_LM_MAPPING FLAX_MODEL_FOR_MULTIPLE_CHOICE_MAPPING "
        "FLAX_MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING FLAX_MODEL_FOR_PRETRAINING_MAPPING "
        "FLAX_MODEL_FOR_QUESTION_ANSWERING_MAPPING FLAX_MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING "
        "FLAX_MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING FLAX_MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING "
        "FLAX_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING FLAX_MODEL_FOR_VISION_2_SEQ_MAPPING FLAX_MODEL_MAPPING "
        "FlaubertOnnxConfig FlavaFeatureExtractor GLPNFeatureExtractor GPT2OnnxConfig GPTJOnnxConfig "
        "GPTNeoOnnxConfig GPTSanJapaneseConfig GPTSanJapaneseForConditionalGeneration GPTSanJapaneseModel "
        "GPTSanJapanesePreTrainedModel GPTSanJapaneseTokenizer GradientAccumulator GraphormerConfig "
        "GraphormerForGraphClassification GraphormerModel GraphormerPreTrainedModel GroupViTOnnxConfig "
        "HQQQuantizedCache HybridCache HybridChunkedCache IBertOnnxConfig ImageGPTFeatureExtractor "
        "ImageGPTOnnxConfig ImageToTextPipeline InstructBlipVideoImageProcessor JukeboxConfig JukeboxModel "
        "JukeboxPreTrainedModel JukeboxPrior JukeboxPriorConfig JukeboxTokenizer JukeboxVQVAE "
        "JukeboxVQVAEConfig KerasMetricCallback LEDForSequenceClassification LayoutLMOnnxConfig "
        "LayoutLMv2FeatureExtractor LayoutLMv3FeatureExtractor LayoutLMv3OnnxConfig LevitFeatureExtractor "
        "LevitOnnxConfig LineByLineTextDataset LineByLineWithRefDataset LineByLineWithSOPTextDataset "
        "LlavaNextVideoImageProcessor LongT5OnnxConfig LongformerOnnxConfig M2M100OnnxConfig MBartOnnxConfig "
        "MCTCTConfig MCTCTFeatureExtractor MCTCTForCTC MCTCTModel MCTCTPreTrainedModel MCTCTProcessor "
        "MMBTConfig MMBTForClassification MMBTModel MODEL_FOR_VISION_2_SEQ_MAPPING MODEL_WITH_LM_HEAD_MAPPING "
        "MT5OnnxConfig MT5Tokenizer MT5TokenizerFast MarianOnnxConfig MaskFormerFeatureExtractor MegaConfig "
        "MegaForCausalLM MegaForMaskedLM MegaForMultipleChoice MegaForQuestionAnswering "
        "MegaForSequenceClassification MegaForTokenClassification MegaModel MegaOnnxConfig "
        "MegaPreTrainedModel MistralCommonTokenizer MobileBertOnnxConfig MobileNetV1FeatureExtractor "
        "MobileNetV1OnnxConfig MobileNetV2FeatureExtractor MobileNetV2OnnxConfig MobileViTFeatureExtractor "
        "MobileViTOnnxConfig MobileViTV2OnnxConfig ModalEmbeddings ModelCard NatBackbone NatConfig "
        "NatForImageClassification NatModel NatPreTrainedModel NezhaConfig NezhaForMaskedLM "
        "NezhaForMultipleChoice NezhaForNextSentencePrediction NezhaForPreTraining NezhaForQuestionAnswering "
        "NezhaForSequenceClassification NezhaForTokenClassification NezhaModel NezhaPreTrainedModel "
        "OffloadedCache OffloadedStaticCache OpenLlamaConfig OpenLlamaForCausalLM "
        "OpenLlamaForSequenceClassification OpenLlamaModel OpenLlamaPreTrainedModel OwlViTFeatureExtractor "
        "OwlViTOnnxConfig PYTORCH_PRETRAINED_BERT_CACHE PYTORCH_TRANSFORMERS_CACHE PerceiverFeatureExtractor "
        "PerceiverOnnxConfig PhrasalConstraint PoolFormerFeatureExtractor PoolFormerOnnxConfig "
        "PushToHubCallback PvtOnnxConfig QDQBertConfig QDQBertForMaskedLM QDQBertForMultipleChoice "
        "QDQBertForNextSentencePrediction QDQBertForQuestionAnswering QDQBertForSequenceClassification "
        "QDQBertForTokenClassification QDQBertLMHeadModel QDQBertLayer QDQBertModel QDQBertPreTrainedModel "
        "QuantoQuantizedCache RealmConfig RealmEmbedder RealmForOpenQA RealmKnowledgeAugEncoder "
        "RealmPreTrainedModel RealmReader RealmRetriever RealmScorer RealmTokenizer RealmTokenizerFast "
        "RemBertOnnxConfig ResNetOnnxConfig RetriBertConfig RetriBertModel RetriBertPreTrainedModel "
        "RetriBertTokenizer RetriBertTokenizerFast RoFormerOnnxConfig RobertaOnnxConfig "
        "RobertaPreLayerNormOnnxConfig SegformerFeatureExtractor SegformerOnnxConfig SinkCache "
        "SlidingWindowCache SlidingWindowLayer SpecialTokensMixin Speech2Text2Config Speech2Text2ForCausalLM "
        "Speech2Text2PreTrainedModel Speech2Text2Processor Speech2Text2Tokenizer SqueezeBertOnnxConfig "
        "SummarizationPipeline SwiftFormerOnnxConfig SwinOnnxConfig T5OnnxConfig TF2_WEIGHTS_NAME "
        "TF_MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING TF_MODEL_FOR_CAUSAL_LM_MAPPING "
        "TF_MODEL_FOR_DOCUMENT_QUESTION_ANSWERING_MAPPING TF_MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING "
        "TF_MODEL_FOR_MASKED_IMAGE_MODELING_MAPPING TF_MODEL_FOR_MASKED_LM_MAPPING "
        "TF_MODEL_FOR_MASK_GENERATION_MAPPING TF_MODEL_FOR_MULTIPLE_CHOICE_MAPPING "
        "TF_MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING TF_MODEL_FOR_PRETRAINING_MAPPING "
        "TF_MODEL_FOR_QUESTION_ANSWERING_MAPPING TF_MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING "
        "TF_MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING TF_MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING "
        "TF_MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING TF_MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING "
        "TF_MODEL_FOR_TEXT_ENCODING_MAPPING TF_MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING "
        "TF_MODEL_FOR_VISION_2_SEQ_MAPPING TF_MODEL_FOR_ZERO_SHOT_IMAGE_CLASSIFICATION_MAPPING "
        "TF_MODEL_MAPPING TF_MODEL_WITH_LM_HEAD_MAPPING TF_WEIGHTS_NAME TRANSFORMERS_CACHE "
        "TableTransformerOnnxConfig TapexTokenizer Text2TextGenerationPipeline TextDataset "
        "TextDatasetForNextSentencePrediction TrajectoryTransformerConfig TrajectoryTransformerModel "
        "TrajectoryTransformerPreTrainedModel TransfoXLConfig TransfoXLCorpus "
        "TransfoXLForSequenceClassification TransfoXLLMHeadModel TransfoXLModel TransfoXLPreTrainedModel "
        "TransfoXLTokenizer TranslationPipeline TvltConfig TvltFeatureExtractor "
        "TvltForAudioVisualClassification TvltForPreTraining TvltImageProcessor TvltModel TvltPreTrainedModel "
        "TvltProcessor UMT5OnnxConfig VanConfig VanForImageClassification VanModel VanPreTrainedModel "
        "ViTFeatureExtractor ViTHybridConfig ViTHybridForImageClassification ViTHybridImageProcessor "
        "ViTHybridModel ViTHybridPreTrainedModel ViTOnnxConfig VideoMAEFeatureExtractor ViltFeatureExtractor "
        "VisionEncoderDecoderOnnxConfig WarmUp Wav2Vec2ForMaskedLM Wav2Vec2Tokenizer WhisperOnnxConfig "
        "XLMOnnxConfig XLMProphetNetConfig XLMProphetNetDecoder XLMProphetNetEncoder XLMProphetNetForCausalLM "
        "XLMProphetNetForConditionalGeneration XLMProphetNetModel XLMProphetNetPreTrainedModel "
        "XLMProphetNetTokenizer XLMRobertaOnnxConfig XLMRobertaXLOnnxConfig XmodOnnxConfig "
        "YolosFeatureExtractor YolosOnnxConfig activations_tf commands convert_graph_to_onnx "
        "convert_tf_hub_seq_to_seq_bert_to_pytorch convert_tf_weight_name_to_pt_weight_name create_optimizer "
        "infer_device is_flax_available is_keras_nlp_available is_safetensors_available is_sigopt_available "
        "is_tensorflow_text_available is_tf_available keras_callbacks load_pytorch_checkpoint_in_tf2_model "
        "load_pytorch_model_in_tf2_model load_pytorch_weights_in_tf2_model "
        "load_tf2_checkpoint_in_pytorch_model load_tf2_model_in_pytorch_model "
        "load_tf2_weights_in_pytorch_model load_tf_weights_in_albert load_tf_weights_in_bert "
        "load_tf_weights_in_bert_generation load_tf_weights_in_big_bird load_tf_weights_in_canine "
        "load_tf_weights_in_convbert load_tf_weights_in_electra load_tf_weights_in_funnel "
        "load_tf_weights_in_gpt2 load_tf_weights_in_gpt_neo load_tf_weights_in_imagegpt "
        "load_tf_weights_in_mobilebert load_tf_weights_in_mobilenet_v1 load_tf_weights_in_mobilenet_v2 "
        "load_tf_weights_in_openai_gpt load_tf_weights_in_qdqbert load_tf_weights_in_realm "
        "load_tf_weights_in_rembert load_tf_weights_in_roc_bert load_tf_weights_in_roformer "
        "load_tf_weights_in_t5 load_tf_weights_in_tapas load_tf_weights_in_trajectory_transformer "
        "load_tf_weights_in_transfo_xl load_tf_weights_in_xlnet modeling_flax_outputs modeling_flax_utils "
        "modeling_tf_outputs modeling_tf_pytorch_utils modeling_tf_utils onnx optimization_tf prune_layer "
        "sagemaker shape_list tf_utils training_args_tf"
    ),
    (5, 3): (
        "Ernie4_5_VL_MoeProcessor Ernie4_5_VL_MoeVideoProcessor ImageToImagePipeline "
        "QuestionAnsweringPipeline VisualQuestionAnsweringPipeline"
    ),
    (5, 5): ("FalconMambaCache MambaCache"),
    (5, 6): ("MODEL_NAMES_MAPPING"),
    (5, 9): ("ViTMAELayer"),
    (5, 20): (
        "DataCollatorForSOP DataCollatorForWholeWordMask DataProcessor GlueDataTrainingArguments GlueDataset "
        "InputExample InputFeatures SingleSentenceClassificationProcessor SquadDataTrainingArguments "
        "SquadDataset SquadExample SquadFeatures SquadV1Processor SquadV2Processor glue_compute_metrics "
        "glue_convert_examples_to_features glue_output_modes glue_processors glue_tasks_num_labels "
        "squad_convert_examples_to_features xnli_compute_metrics xnli_output_modes xnli_processors "
        "xnli_tasks_num_labels"
    ),
}
#: Modules, by the release that removed them.
MODULES: dict[tuple[int, int], str] = {
    (4, 49): ("benchmark"),
    (4, 50): ("models.deformable_detr.load_custom"),
    (4, 52): ("agents utils.dummy_keras_nlp_objects"),
    (4, 54): ("utils.args_doc"),
    (4, 57): ("generation.continuous_batching.classes"),
    (5, 0): (
        "activations_tf commands generation.beam_constraints generation.beam_search "
        "generation.flax_logits_process generation.flax_utils generation.tf_logits_process "
        "generation.tf_utils keras_callbacks kernels models.albert.tokenization_albert_fast "
        "models.bart.tokenization_bart_fast models.barthez.tokenization_barthez_fast "
        "models.beit.feature_extraction_beit models.bert.tokenization_bert_fast "
        "models.bert.tokenization_bert_tf models.big_bird.tokenization_big_bird_fast "
        "models.blenderbot.tokenization_blenderbot_fast "
        "models.blenderbot_small.tokenization_blenderbot_small_fast models.bloom.tokenization_bloom_fast "
        "models.camembert.tokenization_camembert_fast models.chinese_clip.feature_extraction_chinese_clip "
        "models.clip.feature_extraction_clip models.clip.tokenization_clip_fast "
        "models.code_llama.tokenization_code_llama_fast models.codegen.tokenization_codegen_fast "
        "models.cohere.tokenization_cohere_fast models.conditional_detr.feature_extraction_conditional_detr "
        "models.convbert.tokenization_convbert_fast models.convnext.feature_extraction_convnext "
        "models.deberta.tokenization_deberta_fast models.deberta_v2.tokenization_deberta_v2_fast "
        "models.deformable_detr.feature_extraction_deformable_detr models.deit.feature_extraction_deit "
        "models.deprecated.bort models.deprecated.deta models.deprecated.efficientformer "
        "models.deprecated.ernie_m models.deprecated.gptsan_japanese models.deprecated.graphormer "
        "models.deprecated.jukebox models.deprecated.mctct models.deprecated.mega models.deprecated.mmbt "
        "models.deprecated.nat models.deprecated.nezha models.deprecated.open_llama models.deprecated.qdqbert "
        "models.deprecated.realm models.deprecated.retribert models.deprecated.speech_to_text_2 "
        "models.deprecated.tapex models.deprecated.trajectory_transformer models.deprecated.transfo_xl "
        "models.deprecated.tvlt models.deprecated.van models.deprecated.vit_hybrid "
        "models.deprecated.xlm_prophetnet models.detr.feature_extraction_detr "
        "models.distilbert.tokenization_distilbert_fast models.donut.feature_extraction_donut "
        "models.dpt.feature_extraction_dpt models.electra.tokenization_electra "
        "models.electra.tokenization_electra_fast models.flava.feature_extraction_flava "
        "models.fnet.tokenization_fnet_fast models.funnel.tokenization_funnel_fast "
        "models.gemma.tokenization_gemma_fast models.glpn.feature_extraction_glpn "
        "models.gpt2.tokenization_gpt2_fast models.gpt2.tokenization_gpt2_tf "
        "models.gpt_neox.tokenization_gpt_neox_fast models.herbert.tokenization_herbert_fast "
        "models.idefics.perceiver_tf models.idefics.vision_tf models.imagegpt.feature_extraction_imagegpt "
        "models.instructblipvideo.image_processing_instructblipvideo models.layoutlm.tokenization_layoutlm "
        "models.layoutlm.tokenization_layoutlm_fast models.layoutlmv2.feature_extraction_layoutlmv2 "
        "models.layoutlmv2.tokenization_layoutlmv2_fast models.layoutlmv3.feature_extraction_layoutlmv3 "
        "models.layoutlmv3.tokenization_layoutlmv3_fast models.layoutxlm.tokenization_layoutxlm_fast "
        "models.led.tokenization_led models.led.tokenization_led_fast models.levit.feature_extraction_levit "
        "models.llama.tokenization_llama_fast models.llava_next_video.image_processing_llava_next_video "
        "models.longformer.tokenization_longformer models.longformer.tokenization_longformer_fast "
        "models.lxmert.tokenization_lxmert models.lxmert.tokenization_lxmert_fast "
        "models.markuplm.tokenization_markuplm_fast models.maskformer.feature_extraction_maskformer "
        "models.mbart.tokenization_mbart_fast models.mbart50.tokenization_mbart50_fast "
        "models.mobilebert.tokenization_mobilebert_fast models.mobilenet_v1.feature_extraction_mobilenet_v1 "
        "models.mobilenet_v2.feature_extraction_mobilenet_v2 models.mobilevit.feature_extraction_mobilevit "
        "models.mpnet.tokenization_mpnet_fast models.mt5.tokenization_mt5 models.mt5.tokenization_mt5_fast "
        "models.mvp.tokenization_mvp models.mvp.tokenization_mvp_fast models.nllb.tokenization_nllb_fast "
        "models.nougat.tokenization_nougat_fast models.openai.tokenization_openai_fast "
        "models.owlvit.feature_extraction_owlvit models.parakeet.tokenization_parakeet_fast "
        "models.pegasus.tokenization_pegasus_fast models.perceiver.feature_extraction_perceiver "
        "models.poolformer.feature_extraction_poolformer models.qwen2.tokenization_qwen2_fast "
        "models.reformer.tokenization_reformer_fast models.rembert.tokenization_rembert_fast "
        "models.roberta.tokenization_roberta_fast models.roformer.tokenization_roformer_fast "
        "models.sam_hq.processing_samhq models.seamless_m4t.tokenization_seamless_m4t_fast "
        "models.segformer.feature_extraction_segformer models.sew.feature_extraction_sew "
        "models.splinter.tokenization_splinter_fast models.squeezebert.tokenization_squeezebert_fast "
        "models.t5.tokenization_t5_fast models.udop.tokenization_udop_fast "
        "models.videomae.feature_extraction_videomae models.vilt.feature_extraction_vilt "
        "models.vit.feature_extraction_vit models.whisper.tokenization_whisper_fast "
        "models.xglm.tokenization_xglm_fast models.xlm_roberta.tokenization_xlm_roberta_fast "
        "models.xlnet.tokenization_xlnet_fast models.yolos.feature_extraction_yolos onnx optimization_tf "
        "pipelines.image_to_text pipelines.text2text_generation sagemaker tf_utils training_args_tf "
        "utils.bitsandbytes utils.dummy_flax_objects utils.dummy_sentencepiece_objects "
        "utils.dummy_tensorflow_text_objects utils.dummy_tf_objects utils.fx utils.model_parallel_utils"
    ),
    (5, 3): (
        "generation.continuous_batching.input_ouputs pipelines.image_to_image pipelines.question_answering "
        "pipelines.visual_question_answering"
    ),
    (5, 4): ("cli.add_fast_image_processor utils._typing"),
    (5, 6): (
        "models.chinese_clip.image_processing_chinese_pil_clip "
        "models.mobilenet_v1.image_processing_mobilenet_pil_v1"
    ),
    (5, 9): ("utils.metrics"),
    (5, 15): ("models.dialogpt models.dit models.megatron_gpt2 utils.chat_parsing_utils"),
    (5, 17): ("models.roberta.tokenization_roberta_old"),
    (5, 18): ("generation.continuous_batching.cache_manager"),
    (5, 20): ("data.datasets data.metrics data.processors"),
    (5, 21): ("integrations.quark"),
    (5, 24): ("modeling_attn_mask_utils"),
}
