"""Models that are small in any dtype, by their ids, classes and pipeline tasks, without a table of all models.

Small means at most about 1.5 billion parameters. Most of these checkpoints are float32 themselves, so that all releases
of transformers load the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: The number of parameters up to which a model counts as small: gpt2-xl, Whisper large and Qwen2.5-1.5B are.
MOST_PARAMETERS = 1_600_000_000
_UNITS = {"m": 1e6, "b": 1e9}
#: A number of parameters in an id: `-125m`, `_60M`, `0.5B`; also that of the experts of a mixture.
_SIZE = r"(?i)(?<![a-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?|\d+b\d+)([mb])?(?![a-z0-9])"
#: Names of models, without their publishers.
_FAMILIES = (
    r"(?i)(?:^|[/_-])(?:"
    r"(?:distil)?gpt-?2(?!\d)(?:-(?:small|medium|large|xl))?|dialogpt-(?:small|medium|large)|gpt-neo-1\.3B|openai-gpt"
    r"|(?:\w*-)?(?:flan-|m|by|vi|code|u)?t5p?(?:-v1[._]1)?-(?:small|base|large)|monot5-(?:small|base|large)"
    r"|m?bart(?:-|$)|distilbart|(?:bigbird-)?pegasus|led-(?:base|large)|prophetnet|opus-mt|marian"
    r"|blenderbot(?:_small|-400m|-90m)"
    r"|\w*bert(?:a|weet|v\d+)?(?:-|_|$)(?!xx?l)|\w*deberta|electra|albert|xlnet|longformer|bigbird|mpnet|minilm|unixcoder"
    r"|bge-(?:small|base|large|m3|reranker-(?:base|large|v2-m3))|(?:multilingual-)?e5-(?:small|base|large)"
    r"|gte-(?:small|base|large|multilingual)|arctic-embed|dragon-(?:plus|roberta)|contriever|specter2?|splade"
    r"|cross-encoder|msmarco|ms-marco|nomic-embed|jina-(?:embeddings-v[23]|reranker)|mxbai|sup-simcse|labse"
    r"|clip-vit-(?:base|large)|siglip2?-(?:base|large|so400m)|dinov2|vit-|deit|beit|swin|convnext|resnet|efficientnet|detr"
    r"|segformer|sam-vit|blip-|git-(?:base|large)|trocr|donut|nougat|layoutlm|owlvit|owlv2|grounding-dino|dpt-"
    r"|(?:distil-)?whisper|wav2vec2|hubert|wavlm|speecht5|mms-(?:tts|300m)|ast-finetuned"
    r")"
)
#: Large models whose ids contain a name from above.
_LARGE = r"(?i)mistral|llama|qwen|gemma|vicuna|falcon|bge-en-icl|(?<!gpt2)-xx?l\b|bigG|-giant|vit-g"
#: Classes whose published checkpoints are that small.
_CLASSES = (
    r"For(?:TokenClassification|MaskedLM|QuestionAnswering|ImageClassification(?:WithTeacher)?|ObjectDetection|(?:Semantic|Instance|Universal|Image|Panoptic)Segmentation|DepthEstimation"
    r"|AudioClassification|AudioFrameClassification|AudioXVector|CTC|VideoClassification|MaskGeneration|MaskedImageModeling"
    r"|ZeroShot(?:ImageClassification|ObjectDetection)|KeypointDetection|NextSentencePrediction|MultipleChoice)$"
    r"|(?:^|\.)(?:CLIP|Siglip2?|Dinov2|Sam|Wav2Vec2|Hubert|WavLM|EfficientNet|GroundingDino|OwlViT|Owlv2|DPT|Mask2Former|OneFormer|LayoutLM\w*?"
    r"|Deberta(?:V2)?|Albert|XLNet|Longformer|BigBird|SpeechT5|Vits|Whisper|DPR|GPT2|OpenAIGPT|ModernBert"
    r"|VisionEncoderDecoder|ConditionalDetr|DeformableDetr|Detr|Bert|Roberta|XLMRoberta(?!XL)|Camembert|Electra|MPNet|ViT|DeiT|Beit|Swin|ConvNext"
    r"|ResNet|Segformer|TableTransformer|Yolos|DistilBert|MobileBert|MobileNetV[12]|MobileViT|M?Bart|Marian|Pegasus|LED)[A-Z]\w*"
)
#: Classes for checkpoints of any size.
_OF_ANY_SIZE = frozenset({"AutoModel", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM"})
#: Pipelines whose usual models are.
_TASKS = (
    r"(?:zero-shot-)?(?:image|audio|video)-(?:classification|segmentation|feature-extraction|to-image)|(?:zero-shot-)?object-detection|ner|token-classification|fill-mask|question-answering|depth-estimation"
    r"|mask-generation|automatic-speech-recognition|zero-shot-classification|sentiment-analysis|summarization|translation\w*"
)


def is_small(model_id: str) -> bool:
    """Whether the id names a small model, by a number of parameters in it or by its family."""
    name = model_id.rpartition("/")[2]
    size = parameters_in(name)
    if size is not None:
        return size <= MOST_PARAMETERS
    return re.search(_FAMILIES, model_id) is not None and re.search(_LARGE, model_id) is None


def parameters_in(name: str) -> float | None:
    """The largest number of parameters that a name states; None if it states none."""
    sizes = []
    for experts, number, unit in re.findall(_SIZE, name):
        whole, b, part = number.lower().partition("b")  # bloom-1b7
        if unit or b:
            value = float(f"{whole}.{part}") if b else float(number)
            sizes.append(value * _UNITS[unit.lower() if unit else "b"] * int(experts or 1))
    return max(sizes, default=None)


def has_small_class(classes: Iterable[str]) -> bool:
    """Whether all these classes only have checkpoints that are small."""
    names = list(classes)
    if any(name.rpartition(".")[2] in _OF_ANY_SIZE for name in names):
        return False
    return all(re.search(_CLASSES, name) for name in names)


def is_small_task(task: str) -> bool:
    """Whether a pipeline's task is one for small models."""
    return re.fullmatch(_TASKS, task) is not None
