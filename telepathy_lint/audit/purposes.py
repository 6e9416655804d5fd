"""Classifies a load by the purpose and size of its model, so that only similar loads are compared."""

from __future__ import annotations

import re

from telepathy_lint.audit.data import Load
from telepathy_lint.knowledge import transformers_names as catalog

GENERATIVE, VISION_LANGUAGE = "generative", "vision-language"
ENCODER, EMBEDDER, AUDIO, VISION = "encoder", "embedder", "audio", "vision"
#: The purpose of loads in scripts that change or write weights.
CONVERSION = "converted"

#: The purpose by a word in the class or task name; the first match counts.
_CLASSES = (
    (
        AUDIO,
        r"Wav2Vec|Hubert|WavLM|Whisper|Speech|Audio|CTC|Seamless|Musicgen|MusicGen|Bark|Encodec|Clap|UniSpeech|Moonshine"
        r"|Parakeet|TextToWaveform|TextToSpectrogram|XVector|Vits|Mimi|Voxtral|Pop2Piano",
    ),
    (
        VISION_LANGUAGE,
        r"Vision2Seq|ImageTextToText|Multimodal|Llava|Idefics|PaliGemma|VLFor|VL_|_VL|VLMoe|Mllama|InternVL|Blip|Fuyu|Kosmos|Pixtral"
        r"|VisionText|SmolVLM|VisualQuestion|DocumentQuestion|Pix2Struct|Florence|Aria",
    ),
    (
        VISION,
        r"Image|Vision|CLIP|Siglip|ViT|Dino|Swin|Beit|BEiT|Deit|DeiT|Sam(?:2|Hq)?Model|Detr|Segformer|ConvNext|ResNet|Depth|Video"
        r"|MaskFormer|Mask2Former|ObjectDetection|Segmentation|Keypoint",
    ),
    (
        ENCODER,
        r"SequenceClassification|TokenClassification|QuestionAnswering|MaskedLM|MultipleChoice|NextSentence|ForPreTraining",
    ),
    (GENERATIVE, r"CausalLM|Seq2SeqLM|ConditionalGeneration|LMHeadModel"),
    (EMBEDDER, r"SentenceTransformer|DPR|TextEncoder"),
    (ENCODER, r"(?:Bert|Roberta|Deberta|Electra|Albert|XLNet|Camembert|MPNet)\w*Model"),
    (GENERATIVE, r"(?:Llama|Mistral|Mixtral|Qwen|Gemma|GPT|Gpt|Phi|OPT|Falcon|Bloom|T5|Mamba)\w*Model"),
)
#: The same for model names, if the class is generic (AutoModel).
_NAMES = (
    (AUDIO, r"whisper|wav2vec|hubert|wavlm|speech|audio|clap-"),
    (VISION_LANGUAGE, r"llava|-vl\b|-vl-|paligemma|idefics|internvl|blip|smolvlm|pixtral|minicpm-v"),
    (VISION, r"clip|siglip|\bvit\b|vit-|dino|swin|resnet|convnext"),
    (EMBEDDER, r"embed|\bbge-|\be5-|\bgte-|sentence|minilm|mpnet|simcse|contriever|\bdpr|specter|colbert|jina|nomic|instructor"),
    (ENCODER, r"bert|electra"),
    (GENERATIVE, r"llama|qwen|mistral|mixtral|gemma|gpt|phi-|opt-|falcon|vicuna|pythia|\bt5|bloom|olmo|deepseek"),
)  # fmt: skip
_TASKS = (
    (AUDIO, "speech|audio"),
    (VISION_LANGUAGE, "image-text|image-to-text|visual-question|document-question|any-to-any"),
    (VISION, "image|depth|object|segmentation|video|mask-generation"),
    (EMBEDDER, "feature-extraction"),
    (GENERATIVE, "generation|conversational|summarization|translation"),
    (ENCODER, "classification|answering|fill-mask|ner|sentiment"),
)
#: In billions of parameters: models below the first are small, from the second on large; these are loaded
#: differently.
_SMALL, _LARGE = 1.0, 30.0
_WRITTEN_SIZE = re.compile(r"(?i)(?<![\w.])(?:\d+x)?(\d+(?:\.\d+)?)(b|m)(?![a-z\d])")


def purpose_of(load: Load) -> str:
    """The purpose of a load's model; EMBEDDER if unknown, as for AutoModel without a head."""
    name = catalog.last(load.callee.removesuffix(".from_pretrained"))
    if load.kind == "pipeline":
        if (found := _first(_TASKS, load.task)) is not None:
            return found
    elif (found := _first(_CLASSES, name)) is not None and (found != GENERATIVE or name != "AutoModel"):
        return found
    named = {found for one in load.ids if (found := _first(_NAMES, one.model_id.lower())) is not None}
    if len(named) == 1:
        return named.pop()
    return GENERATIVE if load.generative else EMBEDDER


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((purpose for purpose, pattern in table if text and re.search(pattern, text)), None)


def size_of(load: Load) -> str:
    """ "small" (below 1 billion parameters), "large" (from 30 billion), or "" for others and unknown sizes."""
    sizes = {_size(one.model_id) for one in load.ids}
    return sizes.pop() if len(sizes) == 1 and not (load.open and not load.ids) else ""


def _size(model_id: str) -> str:
    from telepathy_lint.audit.sizes import spec_of

    spec = spec_of(model_id)
    if spec is not None:
        billions = spec.params / 1e9
    elif (written := _WRITTEN_SIZE.search(model_id.rpartition("/")[2])) is not None:
        billions = float(written.group(1)) / (1 if written.group(2) in "bB" else 1000)
    else:
        return ""
    return "small" if billions < _SMALL else "large" if billions >= _LARGE else ""


__all__ = [
    "AUDIO",
    "CONVERSION",
    "EMBEDDER",
    "ENCODER",
    "GENERATIVE",
    "VISION",
    "VISION_LANGUAGE",
    "purpose_of",
    "size_of",
]
