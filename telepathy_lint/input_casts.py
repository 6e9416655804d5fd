"""What model classes do with float32 features or pixels when their weights are bfloat16.

Written by benchmarks/input_casts.py, which runs a model of each kind, on transformers 5.24.0. Do not edit.
"""

#: They cast the input, or compute with it as it is.
CASTING = frozenset(
    {
    "CLIPForImageClassification", "CLIPModel", "CLIPSegForImageSegmentation", "CLIPSegModel",
    "CLIPSegVisionModel", "CLIPVisionModel", "CLIPVisionModelWithProjection", "TimesFm2_5Model",
    "TimesFm2_5ModelForPrediction", "ViTForImageClassification", "ViTForMaskedImageModeling",
    "ViTMSNForImageClassification", "ViTMSNModel", "ViTModel",
    }
)  # fmt: skip
#: They raise.
FAILING = frozenset(
    {
    "ResNetBackbone", "ResNetForImageClassification", "ResNetModel", "TimesFmModel",
    "TimesFmModelForPrediction", "TimesformerForVideoClassification", "TimesformerModel",
    "ViTMAEForPreTraining", "ViTMAEModel", "VitDetBackbone", "VitDetModel", "VitPoseBackbone",
    "Wav2Vec2BertForAudioFrameClassification", "Wav2Vec2BertForCTC", "Wav2Vec2BertForSequenceClassification",
    "Wav2Vec2BertForXVector", "Wav2Vec2BertModel", "Wav2Vec2ConformerForAudioFrameClassification",
    "Wav2Vec2ConformerForCTC", "Wav2Vec2ConformerForPreTraining",
    "Wav2Vec2ConformerForSequenceClassification", "Wav2Vec2ConformerForXVector", "Wav2Vec2ConformerModel",
    "Wav2Vec2ForAudioFrameClassification", "Wav2Vec2ForCTC", "Wav2Vec2ForPreTraining",
    "Wav2Vec2ForSequenceClassification", "Wav2Vec2ForXVector", "Wav2Vec2Model",
    "WhisperForAudioClassification", "WhisperForConditionalGeneration", "WhisperModel",
    }
)  # fmt: skip
#: They take features or pixels, and no model could be built or called.
UNKNOWN = frozenset(
    {
    "LlavaForConditionalGeneration", "LlavaModel", "LlavaNextForConditionalGeneration", "LlavaNextModel",
    "LlavaNextVideoForConditionalGeneration", "LlavaNextVideoModel", "LlavaOnevisionForConditionalGeneration",
    "LlavaOnevisionModel", "TimeSeriesTransformerForPrediction", "TimeSeriesTransformerModel",
    "VitMatteForImageMatting", "VitPoseForPoseEstimation",
    }
)  # fmt: skip
