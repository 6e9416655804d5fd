"""Short pieces of code, with what must be reported and what must not.

A comment `#> 102 104` says that exactly TLP102 and TLP104 are reported for a call that starts on its line; nothing is
reported on other lines. `CASES` is a list of (name, code, expected), where expected is a set of "line:code".
"""

from __future__ import annotations

import re

_MARK = re.compile(r"[ ]*#>((?: \d{3})+)[ ]*$", re.MULTILINE)
_HEAD = "import torch\nimport transformers\nfrom transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, pipeline\n"


def _read(code: str) -> tuple[str, set[str]]:
    """The code without its marks, and the expectations in them."""
    lines, expected = [], set()
    for number, line in enumerate(code.splitlines(), 1):
        mark = _MARK.search(line)
        if mark is not None:
            expected |= {f"{number}:TLP{found}" for found in mark[1].split()}
            line = line[: mark.start()]
        lines.append(line)
    return "\n".join(lines) + "\n", expected


def _cases(text: str, head: str = "") -> list[tuple[str, str, set[str]]]:
    """Cases separated by lines `=== name`."""
    found = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        code, expected = _read(head + body.strip("\n"))
        found.append((name.strip().replace(" ", "-"), code, expected))
    return found


# ---- callees: complete files, with their own imports

_CALLEES = r'''
=== import as
from transformers import AutoModel as Net
Net.from_pretrained("x")  #> 102 104
=== module attribute
import transformers as hf
hf.AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== submodule imported as
import transformers.models.llama.modeling_llama as ml
ml.LlamaForCausalLM.from_pretrained("x")  #> 102 104 105
=== submodule by full name
import transformers.models.llama
transformers.models.llama.LlamaForCausalLM.from_pretrained("x")  #> 102 104 105
=== from a submodule
from transformers.models.auto.modeling_auto import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== star import
from transformers import *
AutoModel.from_pretrained("x")  #> 102 104
=== two star imports
from transformers import *
from helpers import *
AutoModel.from_pretrained("x")  #> 102 104
=== star import of another package
from mymodels import *
AutoModelForCausalLM.from_pretrained("x")
=== import in a function
def load(name):
    from transformers import AutoModel
    return AutoModel.from_pretrained(name)  #> 102 104
=== import in a method
class Loader:
    def load(self):
        from transformers import AutoModelForCausalLM, AutoTokenizer
        self.tok = AutoTokenizer.from_pretrained(self.name)  #> 201
        self.net = AutoModelForCausalLM.from_pretrained(self.name)  #> 102 104 105
=== import with a fallback
try:
    from transformers import AutoModelForImageTextToText as Net
except ImportError:
    from transformers import AutoModelForVision2Seq as Net
Net.from_pretrained("x")  #> 102 104 105
=== import with a fallback to None
try:
    from transformers import AutoModelForCausalLM
except ImportError:
    AutoModelForCausalLM = None
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== import under a condition
import sys
if sys.version_info > (3, 8):
    from transformers import AutoModel
AutoModel.from_pretrained("x")  #> 102 104
=== one of two libraries
import os
if os.environ.get("MS"):
    from modelscope import AutoModelForCausalLM
else:
    from transformers import AutoModelForCausalLM
AutoModelForCausalLM.from_pretrained("x")
=== the later import wins
from transformers import AutoModel
from modelscope import AutoModel
AutoModel.from_pretrained("x")
=== the later import wins, the other way
from modelscope import AutoModel
from transformers import AutoModel
AutoModel.from_pretrained("x")  #> 102 104
=== own class of the same name
class AutoModel:
    @classmethod
    def from_pretrained(cls, name):
        return cls()
AutoModel.from_pretrained("x")
=== transformers without an import
model = transformers.AutoModel.from_pretrained("x")  #> 102 104
=== class in a name
from transformers import AutoModel
net = AutoModel
net.from_pretrained("x")  #> 102 104
=== class chosen by if
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
def load(name):
    if "t5" in name:
        net = AutoModelForSeq2SeqLM
    else:
        net = AutoModelForCausalLM
    return net.from_pretrained(name)  #> 102 104 105
=== class chosen by an expression
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
def load(name, t5):
    return (AutoModelForSeq2SeqLM if t5 else AutoModelForCausalLM).from_pretrained(name)  #> 102 104 105
=== only one alternative generates
from transformers import AutoModel, AutoModelForCausalLM
def load(name, base):
    net = AutoModel if base else AutoModelForCausalLM
    return net.from_pretrained(name)  #> 102 104
=== a local called cls in a method
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
class TestLoad:
    def test(self, name):
        cls = AutoModelForSeq2SeqLM if "t5" in name else AutoModelForCausalLM
        return cls.from_pretrained(name)  #> 102 104 105
=== class in an attribute
from transformers import AutoModel
class Loader:
    def __init__(self):
        self.net_class = AutoModel
    def load(self, name):
        return self.net_class.from_pretrained(name)  #> 102 104
=== class attribute
import transformers
class Loader:
    AUTO_MODEL_CLASS = transformers.AutoModelForCausalLM
    def load(self, name):
        return self.AUTO_MODEL_CLASS.from_pretrained(name)  #> 102 104 105
=== class attribute of a base
import transformers
class Base:
    AUTO_MODEL_CLASS = transformers.AutoModelForCausalLM
class Loader(Base):
    def load(self, name):
        return self.AUTO_MODEL_CLASS.from_pretrained(name)  #> 102 104 105
=== table of tuples
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer, LlamaConfig, LlamaForCausalLM, LlamaTokenizer
CLASSES = {
    "gpt2": (GPT2Config, GPT2LMHeadModel, GPT2Tokenizer),
    "llama": (LlamaConfig, LlamaForCausalLM, LlamaTokenizer),
}
def load(kind, name):
    config_class, model_class, tokenizer_class = CLASSES[kind]
    config = config_class.from_pretrained(name)
    tokenizer = tokenizer_class.from_pretrained(name)  #> 201
    return model_class.from_pretrained(name, config=config)  #> 102 104 105
=== table by a constant key
from transformers import AutoModel, AutoModelForCausalLM
NETS = {"base": AutoModel, "lm": AutoModelForCausalLM}
NETS["base"].from_pretrained("x")  #> 102 104
=== table by an unknown key
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
NETS = {"s2s": AutoModelForSeq2SeqLM, "lm": AutoModelForCausalLM}
def load(kind):
    return NETS[kind].from_pretrained("x")  #> 102 104 105
=== classes in a loop
from transformers import AutoModel, AutoModelForMaskedLM
for net in (AutoModel, AutoModelForMaskedLM):
    net.from_pretrained("x")  #> 102 104
=== getattr of the package
import transformers
getattr(transformers, "AutoModelForCausalLM").from_pretrained("x")  #> 102 104 105
=== getattr by a constant name
import transformers
CLASS = "LlamaForCausalLM"
net = getattr(transformers, CLASS)
net.from_pretrained("x")  #> 102 104 105
=== getattr by an unknown name
import transformers
def load(kind):
    return getattr(transformers, kind).from_pretrained("x")
=== class as a parameter
def load(net, name):
    return net.from_pretrained(name)
=== local subclass
from transformers import LlamaForCausalLM
class Steered(LlamaForCausalLM):
    pass
Steered.from_pretrained("x")  #> 102 104 105
=== subclass of a local subclass
from transformers import BertModel
class A(BertModel):
    pass
class B(A):
    pass
B.from_pretrained("x")  #> 102 104
=== subclass of PreTrainedModel
from transformers import PreTrainedModel
class Net(PreTrainedModel):
    pass
Net.from_pretrained("x")  #> 102 104
=== subclass of a class of the project
from .modeling import SteeredLlamaForCausalLM
class Net(SteeredLlamaForCausalLM):
    pass
Net.from_pretrained("x")
=== subclass of the hub's mixin
from huggingface_hub import PyTorchModelHubMixin
from torch import nn
class Net(nn.Module, PyTorchModelHubMixin):
    pass
Net.from_pretrained("x")
=== super in a subclass
from transformers import LlamaForCausalLM
class Net(LlamaForCausalLM):
    @classmethod
    def from_pretrained(cls, name):
        return super().from_pretrained(name)  #> 102 104 105
=== cls in a subclass
from transformers import LlamaForCausalLM
class Net(LlamaForCausalLM):
    @classmethod
    def load(cls, name):
        return cls.from_pretrained(name)  #> 102 104 105
=== cls in a class that is no model
class Net:
    @classmethod
    def load(cls, name):
        return cls.from_pretrained(name)
=== partial
import functools
import torch
from transformers import AutoModel
load = functools.partial(AutoModel.from_pretrained, torch_dtype=torch.bfloat16)
load("x")  #> 104
=== partial overridden
from functools import partial
from transformers import AutoModel
load = partial(AutoModel.from_pretrained, device_map="auto")
load("x", device_map=None)  #> 102 104
=== bound method
from transformers import AutoModel
load = AutoModel.from_pretrained
load("x")  #> 102 104
=== lambda
from transformers import AutoModel
load = lambda name: AutoModel.from_pretrained(name)  #> 102 104
load("x")
=== other libraries of the same manner
import torch
from auto_gptq import AutoGPTQForCausalLM
from ctransformers import AutoModelForCausalLM as CModel
from diffusers import DiffusionPipeline, UNet2DConditionModel
from intel_extension_for_transformers.transformers import AutoModelForCausalLM as IModel
from ipex_llm.transformers import AutoModelForCausalLM as XModel
from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel
from modelscope import AutoModelForCausalLM as MModel
from optimum.onnxruntime import ORTModelForCausalLM
from peft import AutoPeftModelForCausalLM, PeftModel
from sentence_transformers import SentenceTransformer
from trl import AutoModelForCausalLMWithValueHead
from unsloth import FastLanguageModel
AutoGPTQForCausalLM.from_pretrained("x", device_map="auto")
CModel.from_pretrained("x")
DiffusionPipeline.from_pretrained("x", torch_dtype=torch.float16)
UNet2DConditionModel.from_pretrained("x")
IModel.from_pretrained("x")
XModel.from_pretrained("x", load_in_4bit=True)
MambaLMHeadModel.from_pretrained("x", device="cuda", dtype=torch.float16)
MModel.from_pretrained("x", device_map="auto")
ORTModelForCausalLM.from_pretrained("x")
AutoPeftModelForCausalLM.from_pretrained("x", device_map="auto", torch_dtype=torch.float16)
base = PeftModel.from_pretrained(object(), "x", device_map={"": 0})
AutoModelForCausalLMWithValueHead.from_pretrained("x", device_map="auto")
model, tokenizer = FastLanguageModel.from_pretrained("x", load_in_4bit=True)
=== not models
from transformers import (AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoProcessor, GenerationConfig,
                          TFAutoModel, FlaxAutoModel, WhisperProcessor, CLIPImageProcessor)
AutoConfig.from_pretrained("x")
AutoFeatureExtractor.from_pretrained("x")
AutoImageProcessor.from_pretrained("x")
AutoProcessor.from_pretrained("x")
GenerationConfig.from_pretrained("x")
TFAutoModel.from_pretrained("x")
FlaxAutoModel.from_pretrained("x")
WhisperProcessor.from_pretrained("x")
CLIPImageProcessor.from_pretrained("x")
=== a tokenizer of another library
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
Tokenizer.from_pretrained("x")
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== from_config loads no weights
from transformers import AutoConfig, AutoModelForCausalLM
AutoModelForCausalLM.from_config(AutoConfig.from_pretrained("x"))
=== what stands in strings and comments
from transformers import AutoModel
def f():
    """Use AutoModel.from_pretrained("x").

    >>> AutoModel.from_pretrained("x")
    """
    # AutoModel.from_pretrained("x")
    return 'AutoModel.from_pretrained("x")'
=== a call in an f-string
from transformers import AutoModel
print(f"{AutoModel.from_pretrained('x').num_parameters()}")  #> 102 104
=== classes that generate
from transformers import (AutoModelForSeq2SeqLM, AutoModelForSpeechSeq2Seq, GPT2LMHeadModel, LlavaForConditionalGeneration,
                          MarianMTModel, Qwen2_5_VLForConditionalGeneration, T5ForConditionalGeneration)
AutoModelForSeq2SeqLM.from_pretrained("x")  #> 102 104 105
AutoModelForSpeechSeq2Seq.from_pretrained("x")  #> 102 104 105
GPT2LMHeadModel.from_pretrained("x")  #> 102 104 105
LlavaForConditionalGeneration.from_pretrained("x")  #> 102 104 105
MarianMTModel.from_pretrained("x")  #> 102 104 105
Qwen2_5_VLForConditionalGeneration.from_pretrained("x")  #> 102 104 105
T5ForConditionalGeneration.from_pretrained("x")  #> 102 104 105
=== a class that generates in spite of a suffix it shares
from transformers import ReformerModelWithLMHead
ReformerModelWithLMHead.from_pretrained("x")  #> 102 104 105
=== classes that do not count as generative
from transformers import (AutoModelForPreTraining, AutoModelForSequenceClassification, AutoModelWithLMHead, BarkModel,
                          EncoderDecoderModel, GPT2DoubleHeadsModel, T5EncoderModel, VisionEncoderDecoderModel, Wav2Vec2ForCTC)
AutoModelWithLMHead.from_pretrained("bert-base-uncased")  #> 102 104
AutoModelForPreTraining.from_pretrained("x")  #> 102 104
AutoModelForSequenceClassification.from_pretrained("x")  #> 102 104
BarkModel.from_pretrained("x")  #> 102 104
EncoderDecoderModel.from_pretrained("x")  #> 102 104
GPT2DoubleHeadsModel.from_pretrained("x")  #> 102 104
T5EncoderModel.from_pretrained("x")  #> 102 104
VisionEncoderDecoderModel.from_pretrained("x")  #> 102 104
Wav2Vec2ForCTC.from_pretrained("x")  #> 102 104
'''

# ---- pipelines

_PIPELINES = r"""
=== pipeline with an id
from transformers import pipeline
pipeline("text-generation", model="gpt2")  #> 102 104 105
=== pipeline by another name
from transformers import pipeline as pipe
def build():
    from transformers import pipeline as make
    return make("text-generation", model="gpt2")  #> 102 104 105
pipe("text-generation", model="gpt2")  #> 102 104 105
=== another pipeline by another name
from sklearn.pipeline import make_pipeline as pipe
from elsewhere import pipeline as line
pipe("text-generation", model="gpt2")
line("text-generation", model="gpt2")
=== pipeline with a positional id
from transformers import pipeline
pipeline("summarization", "x/y")  #> 102 104 105
=== pipeline through the package
import transformers
transformers.pipeline("feature-extraction", model="x/y")  #> 102 104
=== pipeline of the submodule
from transformers.pipelines import pipeline
pipeline("translation_en_to_de", model="x/y")  #> 102 104 105
=== pipeline without a model
from transformers import pipeline
pipeline("sentiment-analysis")
=== pipeline with model_kwargs in a dict that it spreads
import torch
from transformers import pipeline
given = {"torch_dtype": torch.bfloat16, "model_kwargs": {"attn_implementation": "sdpa"}}
pipeline("fill-mask", model="x", **given)
pipeline("fill-mask", model="x", **{"model_kwargs": {"torch_dtype": torch.float16, "device_map": "auto"}})  #> 101 103 104
pipeline("fill-mask", model="x", **dict(model_kwargs=dict(torch_dtype="auto", attn_implementation="eager")))  #> 103
pipeline("fill-mask", model="x", **{"model_kwargs": None})  #> 102 104
pipeline("fill-mask", model="x", **{"model_kwargs": loading()})
=== pipeline with model_kwargs that are changed elsewhere
import torch
from transformers import pipeline
loading = {}
loading["attn_implementation"] = "sdpa"
given = {"torch_dtype": torch.bfloat16, "model_kwargs": loading}
pipeline("fill-mask", model="x", **given)
=== pipeline with model_kwargs that are changed by their key
import torch
from transformers import pipeline
given = {"torch_dtype": torch.bfloat16, "model_kwargs": {}}
given["model_kwargs"]["attn_implementation"] = "sdpa"
pipeline("fill-mask", model="x", **given)
=== pipeline with one of two model_kwargs
import torch
from transformers import pipeline
one = {"model_kwargs": {"torch_dtype": torch.float16}} if fast else {"model_kwargs": {"attn_implementation": "sdpa"}}
pipeline("fill-mask", model="x", **one)  #> 103
=== pipeline given an object
from transformers import AutoModelForCausalLM, pipeline
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
pipeline("text-generation", model=model, device_map="auto")
=== pipeline given an attribute that holds an object
from transformers import AutoModelForCausalLM, pipeline
class Chat:
    def __init__(self):
        self.model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
        self.pipe = pipeline("text-generation", model=self.model)
=== pipeline given an adapter
from peft import PeftModel
from transformers import pipeline
merged = PeftModel.from_pretrained(object(), "x").merge_and_unload()
pipeline("text-generation", model=merged)
=== pipeline given a new object
from transformers import BertConfig, BertForMaskedLM, pipeline
encoder_model = BertForMaskedLM(BertConfig())
pipeline("fill-mask", model=encoder_model)
=== pipeline given an object of a function of the file
from transformers import AutoModelForCausalLM, pipeline
def load_model(name):
    return AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
pipeline("text-generation", model=load_model("x"))
=== pipeline given what may be either
from transformers import pipeline
def load(thing):
    return pipeline("text-generation", model=thing)
=== pipeline given a parameter whose default is an id
from transformers import pipeline
def transcriber(model="openai/whisper-base.en", other=None, empty=""):
    pipeline("automatic-speech-recognition", model=other)
    pipeline("automatic-speech-recognition", model=empty)
    return pipeline("automatic-speech-recognition", model=model, device_map={"": 0})  #> 101 102 104
=== pipeline given a parameter that is tested to be an id
from transformers import Pipeline, pipeline
class Captions:
    def __init__(self, model, other):
        if isinstance(model, Pipeline):
            self.pipe = pipeline("image-to-text", model=model)
        elif isinstance(model, str) and model:
            self.pipe = pipeline("image-to-text", model=model)  #> 102 104 105
        elif isinstance(other, str) or model:
            self.pipe = pipeline("image-to-text", model=other)
        else:
            self.pipe = pipeline("image-to-text", model=model)
def caption(model, built):
    if isinstance(model, str):
        built = build(model)
        pipeline("image-to-text", model=built)
    else:
        pipeline("image-to-text", model=model)
    return pipeline("image-to-text", model=model) if isinstance(model, str) else model  #> 102 104 105
=== pipeline with an id of a widget
import streamlit as st
from transformers import pipeline
model_name = st.selectbox("model", ["gpt2", "opt"])
pipeline("text-generation", model=model_name)  #> 102 104 105
=== a name that holds an id
from transformers import pipeline
model = "gpt2"
pipeline("text-generation", model=model)  #> 102 104 105
=== an id as a parameter
from transformers import pipeline
def load(model_name):
    return pipeline("text-generation", model=model_name)  #> 102 104 105
=== an id of the arguments
from transformers import pipeline
def load(args):
    return pipeline("text-generation", model=args.model_path)  #> 102 104 105
=== what model_kwargs say
import torch
from transformers import pipeline
pipeline(  #> 101 105
    "text-generation",
    model="gpt2",
    device_map="auto",
    model_kwargs={"torch_dtype": torch.bfloat16, "attn_implementation": "sdpa"},
)
pipeline("text-generation", model="gpt2", model_kwargs={"torch_dtype": torch.float16})  #> 103 104 105
=== model_kwargs that cannot be seen
from transformers import pipeline
def load(extra):
    pipeline("text-generation", model="gpt2", model_kwargs=extra)
    pipeline("text-generation", model="gpt2", model_kwargs=extra, device_map="auto")  #> 101
=== a custom task
from transformers import pipeline
pipeline("rep-reading", model="gpt2")  #> 102 104
=== a task that cannot be seen
from transformers import pipeline
def load(task):
    return pipeline(task, model="gpt2")  #> 102 104
=== a device is no device map
import torch
from transformers import pipeline
pipeline("text-generation", model="gpt2", device=0, torch_dtype=torch.float16)  #> 103 104 105
=== other pipelines
import torch
from diffusers import StableDiffusionPipeline
from lmdeploy import pipeline
pipe = StableDiffusionPipeline.from_pretrained("x", torch_dtype=torch.float16)
pipe("prompt")
pipeline("x/y", log_level="INFO")
=== a pipeline object that is called
from diffusers import DiffusionPipeline
from transformers import AutoModel
pipeline = DiffusionPipeline.from_pretrained("x")
pipeline("a cat", model="x")
AutoModel.from_pretrained("x")  #> 102 104
=== own function of the name
from transformers import AutoModel
def pipeline(task, model):
    return task, model
pipeline("text-generation", model="gpt2")
AutoModel.from_pretrained("x")  #> 102 104
"""

# ---- from here on the code follows four lines of imports

_DEVICE_MAPS = r"""
=== map as a string
AutoModel.from_pretrained("x", device_map="auto")  #> 101 102 104
=== map as a number
AutoModel.from_pretrained("x", device_map=0)  #> 101 102 104
=== map as a dict
AutoModel.from_pretrained("x", device_map={"": 0})  #> 101 102 104
=== map as a dict of anything
def load(accelerator, local_rank):
    AutoModel.from_pretrained("x", device_map={"": accelerator.process_index})  #> 101 102 104
    AutoModel.from_pretrained("x", device_map={"": local_rank})  #> 101 102 104
=== map as an f-string
def load(rank):
    AutoModel.from_pretrained("x", device_map=f"cuda:{rank}")  #> 101 102 104
=== map None
AutoModel.from_pretrained("x", device_map=None)  #> 102 104
=== map by condition
AutoModel.from_pretrained("x", device_map="auto" if torch.cuda.is_available() else None)  #> 101 102 104
=== map in a name
device = "cuda" if torch.cuda.is_available() else "cpu"
AutoModel.from_pretrained("x", device_map=device)  #> 101 102 104
=== map by branches
def load(single):
    if single:
        where = {"": 0}
    else:
        where = "auto"
    return AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== map of a module constant
DEVICE_MAP = "auto"
def load():
    return AutoModel.from_pretrained("x", device_map=DEVICE_MAP)  #> 101 102 104
=== map of a class constant
class Loader:
    DEVICE_MAP = "auto"
    def load(self):
        return AutoModel.from_pretrained("x", device_map=self.DEVICE_MAP)  #> 101 102 104
=== map set in the constructor
class Loader:
    def __init__(self):
        self.device_map = "auto"
    def load(self):
        return AutoModel.from_pretrained("x", device_map=self.device_map)  #> 101 102 104
=== map with an annotation
where: str = "auto"
AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== map in a loop
for where in ("auto", "balanced"):
    AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== the caller's map
def load(device_map="auto"):
    return AutoModel.from_pretrained("x", device_map=device_map)  #> 102 104
=== the caller's map or a literal
def load(device_map=None):
    if device_map is None:
        device_map = "auto"
    return AutoModel.from_pretrained("x", device_map=device_map)  #> 102 104
=== a map of the command line
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--device_map", default="auto")
args = parser.parse_args()
AutoModel.from_pretrained("x", device_map=args.device_map)  #> 102 104
=== a map of the command line or a literal
def load(args):
    AutoModel.from_pretrained("x", device_map=args.device_map or "auto")  #> 102 104
    AutoModel.from_pretrained("x", device_map=args.device_map if args.device_map else "auto")  #> 102 104
=== a map of a dataclass field
from dataclasses import dataclass
@dataclass
class Loader:
    device_map: str = "auto"
    def load(self):
        return AutoModel.from_pretrained("x", device_map=self.device_map)  #> 102 104
=== a map of the environment
import os
AutoModel.from_pretrained("x", device_map=os.environ.get("DEVICE_MAP", "auto"))  #> 102 104
=== a map made by a helper
from accelerate import infer_auto_device_map
def load(model, accelerator):
    AutoModel.from_pretrained("x", device_map=infer_auto_device_map(model))  #> 102 104
    AutoModel.from_pretrained("x", device_map=accelerator.device)  #> 102 104
    AutoModel.from_pretrained("x", device_map=torch.device("cuda"))  #> 102 104
=== a map computed entry by entry
def load(layers):
    where = {}
    for index in range(layers):
        where[f"layers.{index}"] = index % 2
    return AutoModel.from_pretrained("x", device_map=where)  #> 102 104
=== a map rebound from a parameter by global
WHERE = "auto"
def choose(where):
    global WHERE
    WHERE = where
def load():
    return AutoModel.from_pretrained("x", device_map=WHERE)  #> 102 104
=== a name that is rebound before
def load(args):
    where = "auto"
    where = args.device_map
    return AutoModel.from_pretrained("x", device_map=where)  #> 102 104
=== a name that is rebound after
def load(args):
    where = "auto"
    model = AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
    where = args.device_map
    return model, where
"""

_DTYPES = r"""
=== dtype missing, halved later
AutoModel.from_pretrained("x").half().cuda()  #> 102 104
AutoModel.from_pretrained("x").to(torch.bfloat16)  #> 102 104
=== dtype missing, quantized
from transformers import BitsAndBytesConfig
AutoModel.from_pretrained("x", quantization_config=BitsAndBytesConfig(load_in_4bit=True))  #> 102 104
=== dtype under a default
torch.set_default_dtype(torch.bfloat16)
AutoModel.from_pretrained("x")  #> 102 104
=== bfloat16
AutoModel.from_pretrained("x", torch_dtype=torch.bfloat16)  #> 104
AutoModel.from_pretrained("x", dtype="bfloat16")  #> 104
AutoModel.from_pretrained("x", dtype=getattr(torch, "bfloat16"))  #> 104
=== other dtypes
AutoModel.from_pretrained("x", torch_dtype=torch.float16)  #> 103 104
AutoModel.from_pretrained("x", dtype=torch.half)  #> 103 104
AutoModel.from_pretrained("x", dtype=torch.float32)  #> 103 104
AutoModel.from_pretrained("x", dtype="auto")  #> 103 104
AutoModel.from_pretrained("x", dtype="float16")  #> 103 104
AutoModel.from_pretrained("x", dtype=getattr(torch, "float16"))  #> 103 104
=== torch under other names
import torch as t
from torch import bfloat16, float16
AutoModel.from_pretrained("x", dtype=t.float16)  #> 103 104
AutoModel.from_pretrained("x", dtype=float16)  #> 103 104
AutoModel.from_pretrained("x", dtype=bfloat16)  #> 104
=== bfloat16 in one arm
AutoModel.from_pretrained("x", dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32)  #> 104
=== bfloat16 in no arm
AutoModel.from_pretrained("x", dtype=torch.float16 if torch.cuda.is_available() else torch.float32)  #> 103 104
=== bfloat16 in a branch
dtype = torch.float16
if torch.cuda.is_bf16_supported():
    dtype = torch.bfloat16
AutoModel.from_pretrained("x", dtype=dtype)  #> 104
=== float16 in every branch
if torch.cuda.is_available():
    dtype = torch.float16
else:
    dtype = torch.float32
AutoModel.from_pretrained("x", dtype=dtype)  #> 103 104
=== the caller's dtype
def load(dtype=torch.float16):
    return AutoModel.from_pretrained("x", dtype=dtype)  #> 104
=== a dtype of a config
def load(cfg, args):
    AutoModel.from_pretrained("x", dtype=cfg.dtype)  #> 104
    AutoModel.from_pretrained("x", dtype=getattr(torch, args.dtype))  #> 104
    AutoModel.from_pretrained("x", dtype=args.dtype if args.dtype in ("auto", None) else getattr(torch, args.dtype))  #> 104
=== a dtype of a helper
def load(pick):
    return AutoModel.from_pretrained("x", dtype=pick())  #> 104
=== a dtype out of a table by the caller
DTYPES = {"fp16": torch.float16, "fp32": torch.float32}
def load(precision):
    return AutoModel.from_pretrained("x", dtype=DTYPES[precision])  #> 104
=== a dtype out of a table by a constant
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
AutoModel.from_pretrained("x", dtype=DTYPES["fp16"])  #> 103 104
AutoModel.from_pretrained("x", dtype=DTYPES["bf16"])  #> 104
=== a dtype in a class constant
class Loader:
    DTYPE = torch.float16
    def load(self):
        return AutoModel.from_pretrained("x", dtype=self.DTYPE)  #> 103 104
=== a dtype in an attribute from a parameter
class Loader:
    def __init__(self, dtype=torch.float16):
        self.dtype = dtype
    def load(self):
        return AutoModel.from_pretrained("x", dtype=self.dtype)  #> 104
"""

_ATTENTION = r"""
=== attention given
def load(args):
    AutoModel.from_pretrained("x", dtype=torch.bfloat16, attn_implementation="sdpa")
    AutoModel.from_pretrained("x", dtype=torch.bfloat16, attn_implementation=args.attention)
    AutoModel.from_pretrained("x", dtype=torch.bfloat16, _attn_implementation="eager")
=== the old switch does not count
AutoModel.from_pretrained("x", dtype=torch.bfloat16, use_flash_attention_2=True)  #> 104
=== attention set on the config
from transformers import AutoConfig
config = AutoConfig.from_pretrained("x")
config._attn_implementation = "eager"
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)
=== attention given to the config
from transformers import AutoConfig
config = AutoConfig.from_pretrained("x", attn_implementation="eager")
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)
AutoModel.from_pretrained("x", dtype=torch.bfloat16)  #> 104
=== attention spread into the config
from transformers import AutoConfig
common = {"cache_dir": "c", "attn_implementation": "eager"}
config = AutoConfig.from_pretrained("x", **common)
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)
=== a spread without attention
from transformers import AutoConfig
common = {"cache_dir": "c"}
config = AutoConfig.from_pretrained("x", **common)
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)  #> 104
=== what the config is given cannot be seen
from transformers import AutoConfig
def load(name, **kwargs):
    config = AutoConfig.from_pretrained(name, **kwargs)
    return AutoModel.from_pretrained(name, dtype=torch.bfloat16, config=config)
class Generator:
    def load(self, name):
        self.config = AutoConfig.from_pretrained(name, **self.arguments())
        self.model = AutoModel.from_pretrained(name, dtype=torch.bfloat16, config=self.config)
=== attention set on another config
from transformers import AutoConfig
config = AutoConfig.from_pretrained("x")
other = AutoConfig.from_pretrained("y")
other._attn_implementation = "eager"
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)  #> 104
=== a config without attention
from transformers import AutoConfig
config = AutoConfig.from_pretrained("x")
config.use_cache = False
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)  #> 104
=== attention set on the config by setattr
from transformers import AutoConfig
config = AutoConfig.from_pretrained("x")
setattr(config, "_attn_implementation", "eager")
AutoModel.from_pretrained("x", dtype=torch.bfloat16, config=config)
=== a monkeypatch does not count
from llama_flash_attn_monkey_patch import replace_llama_attn_with_flash_attn
replace_llama_attn_with_flash_attn()
AutoModel.from_pretrained("x", dtype=torch.bfloat16)  #> 104
"""

_KWARGS = r"""
=== spread display
AutoModel.from_pretrained("x", **{"device_map": "auto", "torch_dtype": torch.float16})  #> 101 103 104
=== spread dict call
AutoModel.from_pretrained("x", **dict(device_map="auto"))  #> 101 102 104
=== spread name
kwargs = {"device_map": "auto"}
AutoModel.from_pretrained("x", **kwargs)  #> 101 102 104
=== spread module constant
LOAD = dict(torch_dtype=torch.bfloat16, attn_implementation="sdpa")
def load():
    return AutoModel.from_pretrained("x", **LOAD)
=== item written
kwargs = {}
kwargs["torch_dtype"] = torch.float16
AutoModel.from_pretrained("x", **kwargs)  #> 103 104
=== item written after the call
kwargs = {}
AutoModel.from_pretrained("x", **kwargs)  #> 102 104
kwargs["torch_dtype"] = torch.float16
=== update
kwargs = {"torch_dtype": torch.float16}
kwargs.update(device_map="auto")
kwargs.update({"torch_dtype": torch.bfloat16})
AutoModel.from_pretrained("x", **kwargs)  #> 101 104
=== merged in place
kwargs = {"torch_dtype": torch.float16}
kwargs |= {"device_map": "auto"}
AutoModel.from_pretrained("x", **kwargs)  #> 101 103 104
=== merged
base = {"torch_dtype": torch.bfloat16}
AutoModel.from_pretrained("x", **{**base, "device_map": "auto"})  #> 101 104
AutoModel.from_pretrained("x", **(base | {"device_map": "auto"}))  #> 101 104
=== setdefault
kwargs = {}
kwargs.setdefault("device_map", "auto")
AutoModel.from_pretrained("x", **kwargs)  #> 101 102 104
=== pop
kwargs = {"device_map": "auto", "torch_dtype": torch.bfloat16}
kwargs.pop("device_map")
AutoModel.from_pretrained("x", **kwargs)  #> 104
=== del
kwargs = {"device_map": "auto"}
del kwargs["device_map"]
AutoModel.from_pretrained("x", **kwargs)  #> 102 104
=== overwritten
kwargs = {"device_map": "auto"}
kwargs["device_map"] = None
AutoModel.from_pretrained("x", **kwargs)  #> 102 104
=== overwritten by the caller
def load(args):
    kwargs = {"device_map": "auto"}
    kwargs["device_map"] = args.device_map
    return AutoModel.from_pretrained("x", **kwargs)  #> 102 104
=== copied
base = {"torch_dtype": torch.float16}
kwargs = base.copy()
kwargs["device_map"] = "auto"
AutoModel.from_pretrained("x", **kwargs)  #> 101 103 104
AutoModel.from_pretrained("x", **base)  #> 103 104
=== written under a condition
def load(gpu):
    kwargs = {}
    if gpu:
        kwargs["device_map"] = "auto"
        kwargs["torch_dtype"] = torch.float16
    return AutoModel.from_pretrained("x", **kwargs)  #> 101 103 104
=== one of two dicts
def load(gpu):
    if gpu:
        kwargs = {"device_map": "auto", "torch_dtype": torch.float16}
    else:
        kwargs = {"torch_dtype": torch.float32}
    return AutoModel.from_pretrained("x", **kwargs)  #> 101 103 104
=== several spreads
where = {"device_map": "auto"}
how = {"torch_dtype": torch.bfloat16, "attn_implementation": "sdpa"}
AutoModel.from_pretrained("x", **where, **how)  #> 101
=== kwargs of an attribute
class Loader:
    def __init__(self):
        self.kwargs = {"device_map": "auto"}
    def load(self):
        return AutoModel.from_pretrained("x", **self.kwargs)  #> 101 102 104
=== kwargs that cannot be seen
def load(kwargs):
    AutoModelForCausalLM.from_pretrained("x", **kwargs)
    AutoModelForCausalLM.from_pretrained("x", device_map="auto", torch_dtype=torch.float16, **kwargs)  #> 101 103
=== a visible entry of kwargs that cannot be seen
def load(kwargs):
    kwargs["device_map"] = "auto"
    return AutoModel.from_pretrained("x", **kwargs)  #> 101
=== kwargs of the arguments
def load(args):
    AutoModel.from_pretrained("x", **vars(args))
    AutoModel.from_pretrained("x", **args.model_kwargs)
=== kwargs made by a comprehension
def load(options):
    return AutoModel.from_pretrained("x", **{key: value for key, value in options})
=== kwargs of an imported helper
from helpers import load_kwargs
AutoModel.from_pretrained("x", **load_kwargs())
=== visible kwargs extended by hidden ones
def load(extra):
    kwargs = {"torch_dtype": torch.float16}
    kwargs.update(extra)
    return AutoModel.from_pretrained("x", **kwargs)
=== hidden kwargs extended by visible ones
def load(extra):
    kwargs = dict(extra)
    kwargs.update({"torch_dtype": torch.float16})
    return AutoModel.from_pretrained("x", **kwargs)  #> 103
=== unpacked positional arguments
def load(*args):
    return AutoModel.from_pretrained(*args)  #> 102 104
"""

_GENERATION = r"""
=== generation config passed
from transformers import GenerationConfig
AutoModelForCausalLM.from_pretrained("x", generation_config=GenerationConfig())  #> 102 104
=== generation config assigned
from transformers import GenerationConfig
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model.generation_config = GenerationConfig.from_pretrained("x")
=== generation config changed
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model.generation_config.max_new_tokens = 20
=== generation config updated
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model.generation_config.update(max_new_tokens=20)
=== generation config set by setattr
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
setattr(model, "generation_config", None)
=== generation config changed under a name
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
settings = model.generation_config
settings.do_sample = False
=== generation config only read
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
print(model.generation_config.eos_token_id)
=== generation config passed to generate
from transformers import GenerationConfig
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model.generate(generation_config=GenerationConfig(do_sample=False))
=== generate without a config
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model.generate(max_new_tokens=20, do_sample=False)
=== generate with a second positional text
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model.generate(object(), "what is this?", tokenizer=None)
=== generate of something that holds the model
class Bridge(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.width = model.config.hidden_size
    def generate(self, hidden, mask, steps=1):
        return hidden
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
bridge = Bridge(model)
bridge.generate(torch.ones(1), torch.ones(1), steps=3)
=== generate with a mask in second place
def answer(ids, attention_mask):
    model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
    return model.generate(ids, attention_mask)
=== generate with a visible dict
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
options = {"generation_config": object()}
model.generate(**options)
=== generate with a visible dict of other things
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
options = {"max_new_tokens": 3}
model.generate(**options)
=== one of two models
first = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
second = AutoModelForCausalLM.from_pretrained("y")  #> 102 104 105
first.generation_config.do_sample = False
second.generate()
=== through a chain
model = AutoModelForCausalLM.from_pretrained("x").eval().cuda()  #> 102 104
model.generation_config.do_sample = False
=== through an alias
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
other = model
other.generation_config.do_sample = False
=== through an adapter
from peft import PeftModel, get_peft_model
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model = PeftModel.from_pretrained(model, "a").merge_and_unload()
model.generation_config.do_sample = False
=== through DDP
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
wrapped = torch.nn.parallel.DistributedDataParallel(model)
wrapped.module.generation_config.do_sample = False
=== through a function
def load(name):
    return AutoModelForCausalLM.from_pretrained(name)  #> 102 104
model = load("x")
model.generation_config.do_sample = False
=== through a tuple
def load(name):
    tokenizer = AutoTokenizer.from_pretrained(name, pad_token="<pad>")
    model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104
    return tokenizer, model
tokenizer, model = load("x")
model.generation_config.do_sample = False
=== through a parameter
def prepare(net):
    net.generation_config.do_sample = False
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
prepare(model)
=== through an attribute
class Chat:
    def __init__(self):
        self.model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
    def answer(self, config):
        return self.model.generate(generation_config=config)
=== through a list
models = [AutoModelForCausalLM.from_pretrained(name) for name in ("x", "y")]  #> 102 104
for model in models:
    model.generation_config.do_sample = False
=== through a dict
models = {}
models["a"] = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
models["a"].generation_config.do_sample = False
=== a pipeline in an attribute
class Chat:
    def __init__(self):
        self.pipe = pipeline("text-generation", model="x")  #> 102 104
    def answer(self, text, config):
        return self.pipe(text, generation_config=config)
class Other:
    def __init__(self):
        self.generator = pipeline("text-generation", model="x")  #> 102 104 105
    def answer(self, text):
        return self.generator(text)
=== through a pipeline's arguments for generate
from transformers import GenerationConfig
greedy = GenerationConfig(do_sample=False)
caption = pipeline("image-to-text", model="x")  #> 102 104
caption(image, generate_kwargs={"generation_config": greedy})
given = dict(generation_config=greedy)
other = pipeline("image-to-text", model="y")  #> 102 104
other(image, generate_kwargs=given)
third = pipeline("image-to-text", model="z")  #> 102 104 105
third(image, generate_kwargs={"max_new_tokens": 9})
=== a pipeline in a dict
pipes = {"a": pipeline("text-generation", model="x")}  #> 102 104
pipes["a"](text, generation_config=greedy)
=== through a dict for a pipeline
summarize = pipeline("summarization", model="x")  #> 102 104
summarize(text, **{"generation_config": greedy})
=== a config for a trainer
from transformers import GenerationConfig, Seq2SeqTrainer, Seq2SeqTrainingArguments
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
arguments = Seq2SeqTrainingArguments("o", generation_config=GenerationConfig(max_length=3))
Seq2SeqTrainer(model=model, args=arguments)
=== attributes of unrelated classes
class First(torch.nn.Module):
    def __init__(self, name):
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104
    def answer(self, config):
        return self.model.generate(generation_config=config)
class Second(torch.nn.Module):
    def __init__(self, name):
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
    def answer(self):
        return self.model.generate()
=== attributes of related classes
class Base:
    def answer(self, config):
        return self.model.generate(generation_config=config)
class Chat(Base):
    def __init__(self, name):
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104
"""

_TOKENIZERS = r"""
=== never set
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model.generate(pad_token_id=tokenizer.eos_token_id)
model.config.pad_token_id = tokenizer.pad_token_id
=== no model that generates
tokenizer = AutoTokenizer.from_pretrained("x")
AutoModel.from_pretrained("x")  #> 102 104
=== beside a pipeline that generates
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
pipeline("text-generation", model="x", tokenizer=tokenizer)  #> 102 104 105
=== beside another library's model
from unsloth import FastLanguageModel
tokenizer = AutoTokenizer.from_pretrained("x")
FastLanguageModel.from_pretrained("x")
=== set
tokenizer = AutoTokenizer.from_pretrained("x")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by its id
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model.config.pad_token_id = tokenizer.pad_token_id = 0
=== set at the load
AutoTokenizer.from_pretrained("x", pad_token="<pad>")
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== only asked
size = len(AutoTokenizer.from_pretrained("x"))
stop = AutoTokenizer.from_pretrained("x").eos_token_id
AutoTokenizer.from_pretrained("x").save_pretrained("copy")  #> 201
ids = AutoTokenizer.from_pretrained("x").encode("a")  #> 201
batch = AutoTokenizer.from_pretrained("x")(["a", "bc"])  #> 201
kept = use(AutoTokenizer.from_pretrained("x"))  #> 201
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by a special token
tokenizer = AutoTokenizer.from_pretrained("x")
tokenizer.add_special_tokens({"pad_token": "[PAD]"})
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by special tokens in a dict
tokenizer = AutoTokenizer.from_pretrained("x")
special = dict()
if tokenizer.pad_token is None:
    special["pad_token"] = "[PAD]"
tokenizer.add_special_tokens(special)
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== other special tokens
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
tokenizer.add_special_tokens({"bos_token": "<s>"})
tokenizer.add_tokens(["<image>"])
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by setattr
tokenizer = AutoTokenizer.from_pretrained("x")
setattr(tokenizer, "pad_token", "</s>")
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set in a tuple
tokenizer = AutoTokenizer.from_pretrained("x")
tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== one of two tokenizers
first = AutoTokenizer.from_pretrained("x")
second = AutoTokenizer.from_pretrained("y")  #> 201
first.pad_token = first.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== both in a loop
first = AutoTokenizer.from_pretrained("x")
second = AutoTokenizer.from_pretrained("y")
for tokenizer in (first, second):
    tokenizer.pad_token = tokenizer.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set after either branch
from transformers import LlamaTokenizer
def load(name):
    if "llama" in name:
        tokenizer = LlamaTokenizer.from_pretrained(name)
    else:
        tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
=== set in one branch
from transformers import LlamaTokenizer
def load(name):
    if "llama" in name:
        tokenizer = LlamaTokenizer.from_pretrained(name)
        tokenizer.pad_token_id = 0
    else:
        tokenizer = AutoTokenizer.from_pretrained(name)  #> 201
    return tokenizer, AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
=== the name holds another tokenizer when it is set
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
print(len(tokenizer))
tokenizer = AutoTokenizer.from_pretrained("y")
tokenizer.pad_token = "</s>"
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by a function of the file
def prepare(tok):
    tok.pad_token = tok.eos_token
tokenizer = AutoTokenizer.from_pretrained("x")
prepare(tokenizer)
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set on what a function returns
def load(name):
    return AutoTokenizer.from_pretrained(name)
tokenizer = load("x")
tokenizer.pad_token = tokenizer.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set in another method
class Chat:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(name)
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
    def prepare(self):
        self.tokenizer.pad_token = self.tokenizer.eos_token
=== set in an unrelated class
class First:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(name)
        self.tokenizer.pad_token = self.tokenizer.eos_token
class Second:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(name)  #> 201
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
=== set through the pipeline
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
pipe = pipeline("text-generation", model=model, tokenizer=tokenizer)
pipe.tokenizer.pad_token_id = model.config.eos_token_id
=== set by the chat format of trl
from trl import setup_chat_format
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model, tokenizer = setup_chat_format(model, tokenizer)
=== set by the function of alpaca
def smart_tokenizer_and_embedding_resize(special_tokens_dict, tokenizer, model):
    added = tokenizer.add_special_tokens(special_tokens_dict)
    model.resize_token_embeddings(len(tokenizer) + added)
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
smart_tokenizer_and_embedding_resize(dict(pad_token="[PAD]"), tokenizer, model)
=== families that ship one
AutoTokenizer.from_pretrained("Qwen/Qwen2.5-7B-Instruct")
AutoTokenizer.from_pretrained("google/gemma-2-9b-it")
AutoTokenizer.from_pretrained("llava-hf/llama3-llava-next-8b-hf")
AutoTokenizer.from_pretrained("llava-hf/LLaVA-NeXT-Video-7B-32K-hf")  #> 201
AutoTokenizer.from_pretrained("xtuner/llava-phi-3-mini-hf")  #> 201
AutoTokenizer.from_pretrained("meta-llama/Llama-3.1-8B")  #> 201
AutoTokenizer.from_pretrained("mistralai/Mistral-7B-v0.3")  #> 201
AutoTokenizer.from_pretrained("gpt2")  #> 201
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== families through a constant
NAME = "google/gemma-2-2b"
AutoTokenizer.from_pretrained(NAME)
AutoModelForCausalLM.from_pretrained(NAME)  #> 102 104 105
=== classes of tokenizers
from transformers import GPT2Tokenizer, GPT2TokenizerFast, LlamaTokenizer
GPT2Tokenizer.from_pretrained("x")  #> 201
GPT2TokenizerFast.from_pretrained("x")  #> 201
LlamaTokenizer.from_pretrained("x")  #> 201
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== the processor's tokenizer is another
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained("x")
processor.tokenizer.pad_token = "</s>"
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== kwargs of a tokenizer that cannot be seen
def load(kwargs):
    AutoTokenizer.from_pretrained("x", **kwargs)
    AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
"""

_WRAPPERS = r"""
=== a wrapper is reported where it is called
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
load("x")  #> 102 104
load("y", torch_dtype=torch.float16, device_map="auto")  #> 101 103 104
=== what a wrapper itself passes
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, device_map="auto", **kwargs)  #> 101
load("x", torch_dtype=torch.bfloat16, attn_implementation="sdpa")
=== a wrapper that passes nothing on
def load(name, **kwargs):
    print(kwargs)
    return AutoModel.from_pretrained(name)  #> 102 104
load("x", device_map="auto")
=== parameters of a wrapper
def load(name, dtype=torch.float16, device_map="auto"):
    return AutoModel.from_pretrained(name, torch_dtype=dtype, device_map=device_map)  #> 104
load("x")
=== methods of the same name elsewhere
import json
import torch
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
torch.load("a")
json.load(open("b"))
load("x")  #> 102 104
=== a function called get
def get(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
settings = {}
settings.get("x")
=== a method and its namesakes
import json
class Loader:
    def load(self, name, **kwargs):
        self.model = AutoModel.from_pretrained(name, **kwargs)
    def run(self, path):
        torch.load(path)
        json.load(path)
        self.load("x")  #> 102 104
class Other:
    def load(self, name):
        return name
Other().load("x")
other = Other()
other.load("x")
loader = Loader()
loader.load("x", torch_dtype=torch.bfloat16)  #> 104
=== the constructor of the base class
class Net(torch.nn.Module):
    def __init__(self, name, **kwargs):
        super().__init__()
        self.model = AutoModel.from_pretrained(name, **kwargs)
=== constructors
class Net(torch.nn.Module):
    def __init__(self, name, **kwargs):
        super().__init__()
        self.model = AutoModel.from_pretrained(name, **kwargs)
Net("x", torch_dtype=torch.bfloat16)  #> 104
=== from_pretrained of a class beside others
from peft import PeftModel
from transformers import AutoConfig
class Net(transformers.LlamaForCausalLM):
    @classmethod
    def from_pretrained(cls, name, *args, **kwargs):
        config = AutoConfig.from_pretrained(name)
        return super().from_pretrained(name, *args, config=config, **kwargs)
PeftModel.from_pretrained(object(), "x")
=== a conditional expression of two loads
def load(gpu):
    return AutoModel.from_pretrained("x", device_map="auto") if gpu else AutoModel.from_pretrained("x")  #> 101 102 104
"""


# ---- second round: rarer shapes of the same questions

_MORE_CALLEES = r"""
=== table with a default
from transformers import AutoModel, AutoModelForMaskedLM
NETS = {"base": AutoModel}
def load(kind):
    return NETS.get(kind, AutoModelForMaskedLM).from_pretrained("x")  #> 102 104
=== table of tuples by constants
from transformers import GPT2LMHeadModel, GPT2Tokenizer
CLASSES = {"gpt2": (GPT2LMHeadModel, GPT2Tokenizer)}
CLASSES["gpt2"][0].from_pretrained("x")  #> 102 104 105
CLASSES["gpt2"][1].from_pretrained("x")  #> 201
=== imported into the module by a function
def prepare():
    global AutoModel
    from transformers import AutoModel
def load():
    return AutoModel.from_pretrained("x")  #> 102 104
=== imported for types and where it is used
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from transformers import AutoModel
def load():
    from transformers import AutoModel
    return AutoModel.from_pretrained("x")  #> 102 104
=== a function that is async
from transformers import AutoModel
async def load():
    return AutoModel.from_pretrained("x")  #> 102 104
=== own class that passes on what it gets
from transformers import AutoModelForCausalLM
class My(AutoModelForCausalLM):
    @classmethod
    def from_pretrained(cls, *args, **kwargs):
        model = AutoModelForCausalLM.from_pretrained(*args, **kwargs)
        return model
My.from_pretrained("x")  #> 102 104 105
=== static and class methods that pass on
from transformers import AutoModel
class Nets:
    @staticmethod
    def create(name, **kwargs):
        return AutoModel.from_pretrained(name, **kwargs)
    @classmethod
    def make(cls, name, **kwargs):
        return AutoModel.from_pretrained(name, **kwargs)
Nets.create("x")  #> 102 104
Nets.make("x")  #> 102 104
nets = Nets()
nets.make("y")  #> 102 104
=== a module of the package in a name
import transformers
hub = transformers
hub.AutoModel.from_pretrained("x")  #> 102 104
=== a class that is None first
from transformers import AutoModel
net = None
def load():
    net = AutoModel
    return net.from_pretrained("x")  #> 102 104
=== a class that is None first in a branch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
def load(name):
    net = None
    if "t5" in name:
        net = AutoModelForSeq2SeqLM
    elif "gpt" in name:
        net = AutoModelForCausalLM
    return net.from_pretrained(name)  #> 102 104 105
=== a class by match
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
def load(kind):
    match kind:
        case "s2s":
            net = AutoModelForSeq2SeqLM
        case _:
            net = AutoModelForCausalLM
    return net.from_pretrained("x")  #> 102 104 105
=== a nested class and a nested function
from transformers import AutoModel
class Outer:
    class Inner:
        def load(self):
            def really():
                return AutoModel.from_pretrained("x")  #> 102 104
            return really()
=== a call over several lines
from transformers import AutoModel
model = (
    AutoModel  #> 102 104
    .from_pretrained(  # the weights
        "x",
    )
    .eval()
)
"""

_MORE_VALUES = r"""
=== map by concatenation
def load(rank):
    AutoModel.from_pretrained("x", device_map="cuda:" + str(rank))  #> 101 102 104
    AutoModel.from_pretrained("x", device_map="cuda:%d" % rank)  #> 101 102 104
    AutoModel.from_pretrained("x", device_map="cuda:{}".format(rank))  #> 101 102 104
=== map rebound under main
DEVICE = "cuda"
def load():
    return AutoModel.from_pretrained("x", device_map=DEVICE)  #> 102 104
if __name__ == "__main__":
    import argparse
    parser = argparse.ArgumentParser()
    DEVICE = parser.parse_args().device
    load()
=== map literal or parameter
def load(device_map, single):
    where = {"": 0} if single else device_map
    return AutoModel.from_pretrained("x", device_map=where)  #> 102 104
=== map under a final annotation
from typing import Final
DEVICE: Final = "cuda"
AutoModel.from_pretrained("x", device_map=DEVICE)  #> 101 102 104
=== map by a walrus
AutoModel.from_pretrained("x", device_map=(where := "auto"))  #> 101 102 104
=== map by try
try:
    import accelerate
    where = "auto"
except ImportError:
    where = None
AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== map by match
def load(kind):
    match kind:
        case "one":
            where = {"": 0}
        case _:
            where = "auto"
    return AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== map of a nested function
def outer():
    where = "auto"
    def load():
        return AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
    return load
=== map of an outer parameter
def outer(where):
    def load():
        return AutoModel.from_pretrained("x", device_map=where)  #> 102 104
    return load
=== dtype nested with bfloat16
def load(args):
    dtype = torch.float16 if args.fp16 else (torch.bfloat16 if args.bf16 else torch.float32)
    return AutoModel.from_pretrained("x", dtype=dtype)  #> 104
=== dtype float16 or auto
def load(args):
    return AutoModel.from_pretrained("x", dtype=torch.float16 if args.fp16 else "auto")  #> 103 104
=== dtype by elif
def load(args):
    if args.fp16:
        dtype = torch.float16
    elif args.bf16:
        dtype = torch.bfloat16
    else:
        dtype = torch.float32
    return AutoModel.from_pretrained("x", dtype=dtype)  #> 104
=== dtype by a table with a default
def load(precision):
    dtype = {"fp16": torch.float16}.get(precision, torch.float32)
    return AutoModel.from_pretrained("x", dtype=dtype)  #> 104
=== dtype of a function of the file
def pick():
    return torch.float16
AutoModel.from_pretrained("x", dtype=pick())  #> 104
=== dtype by a walrus
AutoModel.from_pretrained("x", dtype=(dtype := torch.float16))  #> 103 104
=== dtype in parentheses and quotes
AutoModel.from_pretrained("x", torch_dtype=(torch.float16))  #> 103 104
AutoModel.from_pretrained("x", torch_dtype="torch.bfloat16")  #> 104
=== spread by condition
def load(gpu):
    return AutoModel.from_pretrained("x", **({"device_map": "auto"} if gpu else {}))  #> 101 102 104
=== spread of a dict by condition
def load(gpu):
    kwargs = {} if gpu else {"device_map": "cpu"}
    return AutoModel.from_pretrained("x", **kwargs)  #> 101 102 104
=== spread of a dict made from another
base = {"torch_dtype": torch.bfloat16}
kwargs = dict(base, device_map="auto")
AutoModel.from_pretrained("x", **kwargs)  #> 101 104
=== spread of an annotated dict
from typing import Any
kwargs: dict[str, Any] = {"torch_dtype": torch.float16}
AutoModel.from_pretrained("x", **kwargs)  #> 103 104
=== spread of a dict that is logged
import json
kwargs = {"torch_dtype": torch.float16}
print(kwargs, json.dumps(list(kwargs)), len(kwargs))
AutoModel.from_pretrained("x", **kwargs)  #> 103 104
=== spread of a dict filled in a loop
def load(names):
    kwargs = {}
    for name in names:
        kwargs[name] = True
    return AutoModel.from_pretrained("x", **kwargs)
=== spread of a nested table
CONFIG = {"model": {"device_map": "auto"}, "other": {}}
AutoModel.from_pretrained("x", **CONFIG["model"])  #> 101 102 104
=== spread of a class constant
class Loader:
    KWARGS = {"torch_dtype": torch.float16}
    def load(self):
        return AutoModel.from_pretrained("x", **self.KWARGS)  #> 103 104
=== spread after an explicit argument
kwargs = {"attn_implementation": "sdpa"}
AutoModel.from_pretrained("x", torch_dtype=torch.bfloat16, **kwargs)
=== kwargs or an empty dict
def load(kwargs=None):
    kwargs = kwargs or {}
    return AutoModel.from_pretrained("x", **kwargs)
=== kwargs popped from hidden ones
def load(**kwargs):
    dtype = kwargs.pop("torch_dtype", torch.float16)
    return AutoModel.from_pretrained("x", torch_dtype=dtype, device_map=kwargs.get("device_map", "auto"))  #> 104
"""

_MORE_FLOWS = r"""
=== a cached function returns both
import functools
@functools.lru_cache
def load(name):
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104
    return tokenizer, model
tokenizer, model = load("x")
tokenizer.pad_token = tokenizer.eos_token
model.generation_config.do_sample = False
=== globals of an app
model = None
tokenizer = None
def startup():
    global model, tokenizer
    tokenizer = AutoTokenizer.from_pretrained("x")
    model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
    tokenizer.pad_token = tokenizer.eos_token
def answer(config):
    return model.generate(generation_config=config)
=== a dict of an app
state = {}
def startup():
    state["tokenizer"] = AutoTokenizer.from_pretrained("x")
    state["model"] = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
    state["tokenizer"].pad_token = "</s>"
=== state of an app
def startup(app):
    app.state.tokenizer = AutoTokenizer.from_pretrained("x")
    app.state.model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
    app.state.tokenizer.pad_token = "</s>"
def answer(app, config):
    return app.state.model.generate(generation_config=config)
=== a thread generates
from threading import Thread
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
def stream(config, inputs):
    Thread(target=model.generate, kwargs=dict(inputs, generation_config=config)).start()
=== a thread generates with a dict
from threading import Thread
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
def stream(config, inputs):
    options = {"input_ids": inputs, "generation_config": config}
    Thread(target=model.generate, kwargs=options).start()
=== a thread generates without a config
from threading import Thread
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
def stream(inputs):
    Thread(target=model.generate, kwargs={"input_ids": inputs, "max_new_tokens": 3}).start()
=== generate in a name
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
run = model.generate
def answer(config):
    return run(generation_config=config)
=== generate in a partial
from functools import partial
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
def answer(config):
    return partial(model.generate, generation_config=config)
=== the config is its second argument
from transformers import GenerationConfig
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
config = GenerationConfig(do_sample=False)
model.generate(torch.ones(1), config)
=== a bundle
from dataclasses import dataclass
@dataclass
class Bundle:
    model: object
    tokenizer: object
def load(name):
    return Bundle(model=AutoModelForCausalLM.from_pretrained(name), tokenizer=AutoTokenizer.from_pretrained(name))  #> 102 104 105
bundle = load("x")
bundle.tokenizer.pad_token = bundle.tokenizer.eos_token
=== a namespace
from types import SimpleNamespace
kit = SimpleNamespace()
kit.tokenizer = AutoTokenizer.from_pretrained("x")
kit.model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
kit.tokenizer.pad_token = "</s>"
=== a base class loads, a subclass sets
class Base:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(name)
        self.model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
class Chat(Base):
    def __init__(self, name):
        super().__init__(name)
        self.tokenizer.pad_token = self.tokenizer.eos_token
=== a property
class Chat:
    def __init__(self, name):
        self._tokenizer = AutoTokenizer.from_pretrained(name)
        self._model = AutoModelForCausalLM.from_pretrained(name)  #> 102 104 105
    @property
    def tokenizer(self):
        return self._tokenizer
    def prepare(self):
        self.tokenizer.pad_token = self.tokenizer.eos_token
=== a lazy attribute
class Chat:
    def __init__(self):
        self.model = None
    def load(self):
        if self.model is None:
            self.model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
        return self.model
    def answer(self, config):
        return self.load().generate(generation_config=config)
=== a closure
def main():
    tokenizer = AutoTokenizer.from_pretrained("x")
    model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
    def prepare(config):
        tokenizer.pad_token = "</s>"
        return model.generate(generation_config=config)
    prepare(None)
=== set by a walrus
if (tokenizer := AutoTokenizer.from_pretrained("x")).pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== handed on at once
def prepare(tokenizer):
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
tokenizer = prepare(AutoTokenizer.from_pretrained("x"))
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== handed to a function that only reads
def count(tokenizer):
    return len(tokenizer)
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
count(tokenizer)
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set in a loop over names
tokenizers = {}
for name in ("x", "y"):
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.pad_token = tokenizer.eos_token
    tokenizers[name] = tokenizer
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set in a loop over a dict
tokenizers = {name: AutoTokenizer.from_pretrained(name) for name in ("x", "y")}
for tokenizer in tokenizers.values():
    tokenizer.pad_token = tokenizer.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set after accelerate
from accelerate import Accelerator
accelerator = Accelerator()
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model = accelerator.prepare(model)
accelerator.unwrap_model(model).generation_config.do_sample = False
tokenizer.pad_token = "</s>"
=== a compiled model
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model = torch.compile(model)
model.generation_config.do_sample = False
=== two functions with the same local name
def first():
    tokenizer = AutoTokenizer.from_pretrained("x")
    tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
def second():
    tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
    return tokenizer, AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== one function for two tokenizers
def load(name):
    return AutoTokenizer.from_pretrained(name)
first = load("x")
second = load("y")
first.pad_token = first.eos_token
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== a student and a teacher
teacher = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
student = AutoModelForCausalLM.from_pretrained("y")  #> 102 104
def answer(net, config):
    return net.generate(generation_config=config)
answer(student, None)
teacher.generate(max_new_tokens=3)
=== a wrapper class and its model
class Steered(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
    def generate(self, inputs, config):
        return self.model.generate(inputs, generation_config=config)
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
steered = Steered(model)
=== a callback with a config
from transformers import GenerationConfig, TrainerCallback
class Sample(TrainerCallback):
    def __init__(self, trainer):
        self.generation_config = GenerationConfig(max_length=3)
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
callback = Sample(model)
"""

# ---- files that put another function in the place of a class's

_REPLACED = r"""
=== assigned
AutoModel.from_pretrained("x")
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
original = AutoModel.from_pretrained
AutoModel.from_pretrained = classmethod(lambda cls, name: cls())
def f():
    return AutoModel.from_pretrained("y")
=== assigned through the module
transformers.AutoModel.from_pretrained=fake
AutoModel.from_pretrained("x")
=== assigned in a function
def patched():
    AutoModel.from_pretrained = fake
AutoModel.from_pretrained("x")
=== compared and kept are no replacements
if AutoModel.from_pretrained == fake:
    pass
loaders = {"from_pretrained": AutoModel.from_pretrained}
getattr(AutoModel, "from_pretrained")
AutoModel.from_pretrained("x")  #> 102 104
=== another object's
Thing.from_pretrained = fake
setattr(thing, "from_pretrained", fake)
AutoModel.from_pretrained("x")  #> 102 104
=== setattr
def f():
    setattr(AutoModel, "from_pretrained", fake)
AutoModel.from_pretrained("x")
=== a test's monkeypatch holds for the test
def test_one(monkeypatch):
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", fake)
    AutoModelForCausalLM.from_pretrained("x")
    AutoModel.from_pretrained("x")  #> 102 104
    def inside():
        return AutoModelForCausalLM.from_pretrained("x")
def test_two():
    AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== monkeypatch by one string
def test_one(monkeypatch):
    monkeypatch.setattr("transformers.AutoModel.from_pretrained", fake)
    AutoModel.from_pretrained("x")
=== monkeypatch over several classes
def test_one(monkeypatch):
    for cls in (AutoModel, AutoTokenizer):
        monkeypatch.setattr(cls, "from_pretrained", fake)
    AutoModel.from_pretrained("x")
    AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== a fixture holds for the file
import pytest
@pytest.fixture(autouse=True)
def no_loading(monkeypatch):
    monkeypatch.setattr(AutoModel, "from_pretrained", fake)
def test_one():
    AutoModel.from_pretrained("x")
=== what is set up holds for the file
import unittest
from unittest.mock import patch
class Test(unittest.TestCase):
    def setUp(self):
        self.patcher = patch.object(AutoModel, "from_pretrained")
        self.patcher.start()
    def test_one(self):
        AutoModel.from_pretrained("x")
=== a context manager of the file's own
from contextlib import contextmanager
from unittest import mock
@contextmanager
def offline():
    with mock.patch.object(AutoModel, "from_pretrained"):
        yield
with offline():
    AutoModel.from_pretrained("x")
=== with patch
from unittest import mock
with mock.patch("transformers.AutoModel.from_pretrained") as fake, open("x"):
    AutoModel.from_pretrained("x")
    AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
AutoModel.from_pretrained("x")  #> 102 104
=== patch as decorator
from unittest.mock import patch
@patch.object(AutoModel, "from_pretrained")
def test_one(fake):
    AutoModel.from_pretrained("x")
def test_two():
    AutoModel.from_pretrained("x")  #> 102 104
=== patch over several lines on a class
import unittest.mock
@unittest.mock.patch(
    "transformers.AutoModel.from_pretrained",
    fake,
)
class Test:
    def test_one(self):
        AutoModel.from_pretrained("x")
=== patch entered by a stack
def test_one(stack, mocker):
    stack.enter_context(unittest.mock.patch("transformers.AutoModel.from_pretrained"))
    AutoModel.from_pretrained("x")
=== mocker
def test_one(mocker):
    mocker.patch.object(AutoModel, "from_pretrained", return_value=1)
    AutoModel.from_pretrained("x")
=== patching another class
def test_one(mocker):
    mocker.patch("transformers.AutoConfig.from_pretrained")
    AutoModel.from_pretrained("x")  #> 102 104
=== the class all models come from
from transformers import PreTrainedModel
PreTrainedModel.from_pretrained = fake
AutoModelForCausalLM.from_pretrained("x")
=== a class of the file
class Mine(AutoModelForCausalLM):
    pass
Mine.from_pretrained("x")
Mine.from_pretrained = fake
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== a string that ends so
print("use AutoModel.from_pretrained")
parse("transformers.AutoModel.from_pretrained")
AutoModel.from_pretrained("x")  #> 102 104
=== a function that loads what is replaced
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
AutoModel.from_pretrained = fake
load("x", device_map="auto")
"""

# ---- files that put something else in the place of a class, or of all of transformers

_REPLACED_PARTS = r"""
=== a test's monkeypatch
def test_one(monkeypatch):
    monkeypatch.setattr(transformers, "AutoModel", Fake)
    transformers.AutoModel.from_pretrained("x")
    transformers.AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
def test_two():
    transformers.AutoModel.from_pretrained("x")  #> 102 104
=== what was imported before stays what it was
def test_one(monkeypatch):
    monkeypatch.setattr(transformers, "AutoModel", Fake)
    AutoModel.from_pretrained("x")  #> 102 104
=== what is imported there is the other
def test_one(monkeypatch):
    monkeypatch.setattr("transformers.AutoModelForCausalLM", Fake)
    from transformers import AutoModel as Net, AutoModelForCausalLM as Generator
    Generator.from_pretrained("x")
    Net.from_pretrained("x")  #> 102 104
=== imported before it is replaced
def test_one(monkeypatch):
    from transformers import AutoModel as Net
    monkeypatch.setattr("transformers.AutoModel", Fake)
    Net.from_pretrained("x")  #> 102 104
=== a function that imports late
from unittest import mock
def load():
    from transformers import AutoModel as Net
    return Net.from_pretrained("x")  #> 102 104
@mock.patch("transformers.AutoModel")
def test_one(fake):
    from transformers import AutoModel as Net
    return Net.from_pretrained("x")
=== a fixture holds for what is looked up in functions
import pytest
from transformers import AutoModel as Net
Net.from_pretrained("x")  #> 102 104
transformers.AutoModel.from_pretrained("x")  #> 102 104
@pytest.fixture(autouse=True)
def no_loading(monkeypatch):
    monkeypatch.setattr(transformers, "AutoModel", Fake)
def test_one():
    Net.from_pretrained("x")  #> 102 104
    transformers.AutoModel.from_pretrained("x")
=== with a class patched
from unittest.mock import patch
with patch("transformers.AutoModel") as fake:
    transformers.AutoModel.from_pretrained("x")
    AutoModel.from_pretrained("x")  #> 102 104
transformers.AutoModel.from_pretrained("x")  #> 102 104
=== with patch.object on another name of the package
import transformers as hf
from unittest.mock import patch
def test_one():
    with patch.object(hf, "AutoModel"):
        hf.AutoModel.from_pretrained("x")
    hf.AutoModel.from_pretrained("x")  #> 102 104
=== patch.multiple
from unittest.mock import patch
with patch.multiple("transformers", AutoModel=Fake, create=True):
    transformers.AutoModel.from_pretrained("x")
    transformers.AutoTokenizer.from_pretrained("x").create
    transformers.AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== a class decorated
from unittest import mock
@mock.patch("transformers.AutoModel", Fake)
class Test:
    def test_one(self):
        transformers.AutoModel.from_pretrained("x")
=== a pipeline patched
def test_one(mocker):
    mocker.patch("transformers.pipeline")
    transformers.pipeline("text-generation", "x")
    pipeline("text-generation", "x")  #> 102 104 105
=== a class assigned
transformers.AutoModel = Fake
def load():
    return transformers.AutoModel.from_pretrained("x")
transformers.AutoModel.from_pretrained("x")
AutoModel.from_pretrained("x")  #> 102 104
=== assigned before an import
transformers.AutoModel = Fake
from transformers import AutoModel as Net
Net.from_pretrained("x")
=== a class assigned in a function
import transformers as hf
hf.AutoModel.from_pretrained("x")  #> 102 104
def load():
    hf.AutoModel = Fake
    return hf.AutoModel.from_pretrained("x")
=== rebound
AutoModel.from_pretrained("x")  #> 102 104
AutoModel = Fake
AutoModel.from_pretrained("x")
=== compared and kept
if transformers.AutoModel == Fake:
    classes = {"transformers": transformers.AutoModel}
print("transformers.AutoModel", setattr, patch)
transformers.AutoModel.from_pretrained("x")  #> 102 104
=== another module's name
def test_one(monkeypatch):
    monkeypatch.setattr("lab.models.AutoModel", Fake)
    monkeypatch.setattr(lab, "AutoModel", Fake)
    transformers.AutoModel.from_pretrained("x")  #> 102 104
    AutoModel.from_pretrained("x")  #> 102 104
=== another attribute
def test_one(monkeypatch):
    monkeypatch.setattr(transformers, "__version__", "5.0")
    monkeypatch.setattr("transformers.utils.logging.info", print)
    transformers.AutoModel.from_pretrained("x")  #> 102 104
=== a name that cannot be told
def test_one(monkeypatch, name):
    monkeypatch.setattr(transformers, name, Fake)
    transformers.AutoModel.from_pretrained("x")
=== names in a loop
def test_one(monkeypatch):
    for name in ("AutoModel", "AutoConfig"):
        monkeypatch.setattr(transformers, name, Fake)
    transformers.AutoModel.from_pretrained("x")
    transformers.AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== where a module further down has it
def test_one(monkeypatch):
    monkeypatch.setattr("transformers.models.auto.modeling_auto.AutoModel", Fake)
    transformers.AutoModel.from_pretrained("x")
def test_two(monkeypatch):
    from transformers.models.auto.modeling_auto import AutoModel as Net
    monkeypatch.setattr("transformers.AutoModel", Fake)
    Net.from_pretrained("x")  #> 102 104
=== a class chosen before
def test_one(monkeypatch):
    chosen = transformers.AutoModel
    monkeypatch.setattr(transformers, "AutoModel", Fake)
    chosen.from_pretrained("x")  #> 102 104
=== a class chosen behind
def test_one(monkeypatch):
    monkeypatch.setattr(transformers, "AutoModel", Fake)
    chosen = getattr(transformers, "AutoModel") if fast else transformers.AutoModel
    chosen.from_pretrained("x")
=== a module in the package's place
import sys
sys.modules["transformers"] = fake
import transformers as hf
from transformers import AutoModel as Net
hf.AutoModel.from_pretrained("x")
Net.from_pretrained("x")
transformers.AutoModel.from_pretrained("x")  #> 102 104
AutoModel.from_pretrained("x")  #> 102 104
=== set as an item for one test
import sys
def test_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", fake)
    from transformers import AutoModel as Net
    Net.from_pretrained("x")
    AutoModel.from_pretrained("x")  #> 102 104
def test_two():
    from transformers import AutoModel as Net
    Net.from_pretrained("x")  #> 102 104
=== patch.dict
from unittest.mock import patch
MODULES = {"transformers": None, "torch": None}
def test_one():
    with patch.dict("sys.modules", MODULES):
        from transformers import AutoModel as Net
        Net.from_pretrained("x")
    from transformers import AutoModel as Other
    Other.from_pretrained("x")  #> 102 104
=== only if it is not there
import sys
sys.modules.setdefault("transformers", stub)
sys.modules.update({"transformers": stub})
import transformers as hf
hf.AutoModel.from_pretrained("x")
=== taken out, and another part put in
import sys
del sys.modules["transformers"]
sys.modules.pop("transformers")
sys.modules["transformers.utils"] = fake
options.update({"transformers": 1})
import transformers as hf
hf.AutoModel.from_pretrained("x")  #> 102 104
"""

# ---- narrow ways through the scan, one for each of its turns that no other case takes

_NARROW = r"""
=== a walrus in a with header
with open(place := "auto") as file:
    AutoModel.from_pretrained("x", device_map=place)  #> 101 102 104
=== a walrus in a with header over another value
place = "auto"
with open(place := pick()):
    pass
AutoModel.from_pretrained("x", device_map=place)  #> 102 104
=== a walrus in a case's guard
place = "auto"
match value:
    case 1 if (place := pick()):
        AutoModel.from_pretrained("x", device_map=place)  #> 102 104
    case [_]:
        AutoModel.from_pretrained("x", device_map="auto")  #> 101 102 104
=== a name that a case captures
place = "auto"
match value:
    case [place]:
        AutoModel.from_pretrained("x", device_map=place)  #> 102 104
=== a class handed by position
from elsewhere import Other
def load(name, cls=AutoModel):
    return cls.from_pretrained(name)
load("x", Other)
=== a class handed by position to a method
from elsewhere import Other
class Loader:
    def load(self, name, cls=AutoModel):
        return cls.from_pretrained(name)
Loader().load("x", Other)
=== another argument of a method is no class
from elsewhere import Other
class Loader:
    def load(self, name, cls=AutoModel, where=None):
        return cls.from_pretrained(name)  #> 102 104
Loader().load("x", AutoModel, Other)
=== a class as a default by keyword only
def load(name, *, fast, cls=AutoModel):
    return cls.from_pretrained(name)  #> 102 104
=== a walrus around cls
class Net(transformers.PreTrainedModel):
    @classmethod
    def load(cls, name):
        return (net := cls).from_pretrained(name)
=== a model or a tokenizer
for cls in (AutoModel, AutoTokenizer):
    cls.from_pretrained("x")
=== two spreads of which the first cannot be seen
def load(options):
    AutoModel.from_pretrained("x", **options, **{"revision": "main"})
    AutoModel.from_pretrained("x", **{"revision": "main"}, **options)
=== spread of a key that cannot be seen
def load(key):
    AutoModel.from_pretrained("x", **{key: 1})
=== a dict handed to a function that may change it
from elsewhere import mangle
options = {"device_map": "auto", "torch_dtype": torch.float16}
mangle(options)
AutoModel.from_pretrained("x", **options)
=== a dict emptied
options = {"device_map": "auto", "torch_dtype": torch.float16}
options.clear()
AutoModel.from_pretrained("x", **options)  #> 102 104
=== a dict looked at by a function
options = {"device_map": "auto", "torch_dtype": torch.float16}
print(sum(map(len, options)), max(options), options.keys())
AutoModel.from_pretrained("x", **options)  #> 101 103 104
=== copied by the module copy
import copy
OPTIONS = {"device_map": "auto", "torch_dtype": torch.float16}
AutoModel.from_pretrained("x", **copy.deepcopy(OPTIONS))  #> 101 103 104
PLACES = {"": 0}
AutoModel.from_pretrained("x", device_map=copy.copy(PLACES))  #> 101 102 104
=== written before a walrus
options = {"torch_dtype": torch.float16}
options["device_map"] = "auto"
AutoModel.from_pretrained("x", **(given := options))  #> 101 103 104
=== a method of a dict that is no copy
PLACES = {"a": {"": 0}}
AutoModel.from_pretrained("x", device_map=PLACES.popitem())  #> 102 104
=== a constant of the class by cls
class Loader:
    WHERE = "auto"
    @classmethod
    def load(cls):
        return AutoModel.from_pretrained("x", device_map=cls.WHERE)  #> 101 102 104
=== a negated name
def load(rank):
    AutoModel.from_pretrained("x", device_map=-rank)  #> 102 104
=== a bound method that may be another's
from elsewhere import other, fast
load = AutoModel.from_pretrained
if fast:
    load = other
load("x")
=== rebound before a try
dtype = torch.bfloat16
dtype = torch.float16
try:
    print()
except OSError:
    pass
AutoModel.from_pretrained("x", torch_dtype=dtype)  #> 103 104
=== rebound in a try
dtype = torch.bfloat16
try:
    dtype = torch.float16
except OSError:
    raise
AutoModel.from_pretrained("x", torch_dtype=dtype)  #> 103 104
=== set through dunder methods
options = {}
options.__setitem__("device_map", "auto")
AutoModel.from_pretrained("x", **options)  #> 101 102 104
=== a walrus under a condition
if (where := "auto"):
    pass
AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== written at the top and spread in a function
OPTIONS = {"torch_dtype": torch.float16}
OPTIONS["device_map"] = "auto"
def load():
    return AutoModel.from_pretrained("x", **OPTIONS)  #> 101 103 104
=== a text that is added to
def load(rank):
    where = "cuda:"
    where += str(rank)
    AutoModel.from_pretrained("x", device_map=where)  #> 102 104
=== a branch that returns
def load(fast):
    dtype = torch.bfloat16
    if fast:
        return None
    else:
        dtype = torch.float16
    return AutoModel.from_pretrained("x", torch_dtype=dtype)  #> 103 104
=== an else that returns
def load(fast):
    dtype = torch.bfloat16
    if fast:
        dtype = torch.float16
    else:
        return None
    return AutoModel.from_pretrained("x", torch_dtype=dtype)  #> 103 104
=== generation config written out
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
print(model.generation_config.to_dict(), model.generation_config.to_json_string())
model.generation_config.to_diff_dict()
model.generation_config.save_pretrained("out")
=== a second argument of another method
def score(model, generation_config_name):
    return model.score("text", generation_config_name)
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
score(model, "greedy")
=== a config of any name is its second argument
from transformers import GenerationConfig
greedy = GenerationConfig(do_sample=False)
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
model.generate(ids, greedy)
=== handed to a class whose name speaks of padding
from helpers import PadTokenizer
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
PadTokenizer(tokenizer)
=== what a pipeline's model pads with
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
pipe = pipeline("text-generation", model=model, tokenizer=tokenizer)
pipe.model.config.pad_token_id = 0
pipe.model.generation_config.pad_token_id = 0
pipe.model.text_config.pad_token_id = 0
=== generate in functools.partial
import functools
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
answer = functools.partial(model.generate, generation_config=greedy)
=== set by a special token, by keyword
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
tokenizer.add_special_tokens(special_tokens_dict={"pad_token": "<pad>"})
=== no special token added
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
tokenizer.add_special_tokens()
=== items of a list beside another
parts = {}
parts["a"] = AutoTokenizer.from_pretrained("x")
other = AutoTokenizer.from_pretrained("y")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
both = [parts["a"], other]
parts["a"].pad_token = "<pad>"
=== items written in a tuple
parts = {}
parts["a"], parts["b"] = AutoTokenizer.from_pretrained("x"), 3
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
parts["a"].pad_token = "<pad>"
=== a method is no attribute
class Lazy:
    def tokenizer(self):
        return AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
bundle = make()
bundle.tokenizer.pad_token = "<pad>"
=== wrapped again and again
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
for adapter in adapters:
    model = attach(model, adapter)
model.generation_config.do_sample = False
=== unpacked again and again
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
while nested:
    tokenizer = tokenizer[0]
tokenizer.pad_token = "<pad>"
=== handed over in a dict
def prepare(tokenizer):
    tokenizer.pad_token = "<pad>"
parts = {"tokenizer": AutoTokenizer.from_pretrained("x")}
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
prepare(**parts)
=== handed over in a list
def prepare(tokenizer):
    tokenizer.pad_token = "<pad>"
parts = [AutoTokenizer.from_pretrained("x")]
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
prepare(*parts)
=== set on what a base class holds
class Lab(Base):
    def prepare(self):
        self.tokenizer.pad_token = "<pad>"
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== set by a function whose parameter is called self
def prepare(self):
    self.tokenizer.pad_token = "<pad>"
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
=== bound under a condition at the top and spread in a function
if fast:
    OPTIONS = {"device_map": "auto"}
def load():
    return AutoModel.from_pretrained("x", **OPTIONS)  #> 101 102 104
=== own from_pretrained of a subclass
class Net(transformers.PreTrainedModel):
    @classmethod
    def from_pretrained(cls, name):
        return super().from_pretrained(name)  #> 102 104
Net.from_pretrained("x")
=== None or a dict
def load(fast):
    options = None
    if fast:
        options = {"device_map": "auto", "torch_dtype": torch.float16}
    return AutoModel.from_pretrained("x", **options)  #> 101 103 104
=== what nothing binds, spread in a method
class Lab:
    def load(self):
        return AutoModel.from_pretrained("x", **hidden)
=== an attribute of a parameter called self, spread
def load(self):
    return AutoModel.from_pretrained("x", **self.options)
=== a dict of the class by cls
class Lab:
    @classmethod
    def set_up(cls):
        options = {"torch_dtype": torch.float16}
        options["device_map"] = "auto"
        cls.options = options
    @classmethod
    def load(cls):
        return AutoModel.from_pretrained("x", **cls.options)  #> 101 103 104
=== a dict of another object in a method
class Lab:
    def set_up(self):
        options = {"torch_dtype": torch.float16}
        self.options = options
    def load(self, other):
        return AutoModel.from_pretrained("x", **other.options)
=== an attribute of an object of the module
args.where = "auto"
def load():
    return AutoModel.from_pretrained("x", device_map=args.where)  #> 101 102 104
=== a text made of a text
AutoModel.from_pretrained("x", device_map=str("auto"))  #> 101 102 104
AutoModel.from_pretrained("x", device_map=str(where))  #> 102 104
=== a map made of another
PLACES = {"": 0}
AutoModel.from_pretrained("x", device_map=PLACES.copy())  #> 101 102 104
AutoModel.from_pretrained("x", device_map=PLACES | {"head": 1})  #> 101 102 104
AutoModel.from_pretrained("x", device_map=places.copy())  #> 102 104
=== a dict filled in one method and spread in another
class Lab:
    def set_up(self):
        options = {"torch_dtype": torch.float16}
        options["device_map"] = "auto"
        options.update(attn_implementation="sdpa")
        self.options = options
    def load(self):
        return AutoModel.from_pretrained("x", **self.options)  #> 101 103
=== a partial called with what cannot be seen
from functools import partial
load = partial(AutoModel.from_pretrained, "x")
load(**hidden)
load()  #> 102 104
=== the loader's own call with a class that cannot be seen
from telepathy_runtime import load_model
load_model("x", model_class=unknown, device_map="auto")  #> 101
load_model("x", device_map="auto")  #> 101
=== the name of an exception
where = "auto"
try:
    run()
except OSError as where:
    AutoModel.from_pretrained("x", device_map=where)  #> 102 104
AutoModel.from_pretrained("y", device_map="cuda")  #> 101 102 104
=== a name of the module in a class body that binds it later
WHERE = "auto"
class Lab:
    net = AutoModel.from_pretrained("x", device_map=WHERE)  #> 101 102 104
    WHERE = None
=== a dict of an attribute written where it is spread
class Lab:
    def load(self):
        self.options = {"torch_dtype": torch.float16}
        self.options["device_map"] = "auto"
        return AutoModel.from_pretrained("x", **self.options)  #> 101 103 104
=== the pad token is only read
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
tokenizer.name = tokenizer.pad_token
=== set by its inner name
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
tokenizer._pad_token = "<pad>"
=== attention set on the config by its inner names
config = transformers.AutoConfig.from_pretrained("x")
config._attn_implementation = "sdpa"
AutoModel.from_pretrained("x", config=config)  #> 102
other = transformers.AutoConfig.from_pretrained("y")
other._attn_implementation_internal = "sdpa"
AutoModel.from_pretrained("y", config=other)  #> 102
=== a dict of options is no generation config
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
model.generate(ids, options={"generation_config": 3})
=== set on one of two that are zipped
a = AutoTokenizer.from_pretrained("x")
b = AutoTokenizer.from_pretrained("y")  #> 201
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
for one, other in zip([a], [b]):
    one.pad_token = "<pad>"
=== set on what is counted
a = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
for index, one in enumerate([a]):
    one.pad_token = "<pad>"
=== handed through in its place
tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
net, padded = prepare(model, tokenizer)
padded.pad_token = "<pad>"
=== merged in place with what cannot be seen
options = {"torch_dtype": torch.float16}
options |= make(device_map="auto")
AutoModel.from_pretrained("x", **options)
=== a key that is one of two
def load(fast):
    key = "device_map" if fast else "token"
    AutoModel.from_pretrained("x", **{key: "auto"})  #> 101 102 104
=== a method of the class by cls
class Lab:
    @classmethod
    def load(cls, **kwargs):
        return AutoModel.from_pretrained("x", **kwargs)
    @classmethod
    def run(cls):
        return cls.load(device_map="auto")  #> 101 102 104
=== a pipeline of one of two packages
try:
    from transformers import pipeline
except ImportError:
    from mine import pipeline
pipeline("text-generation", model="x")
=== an entry that is added to
options = {"device_map": "cuda:"}
options["device_map"] += "0"
AutoModel.from_pretrained("x", **options)  #> 102 104
=== the end of a loop by continue
dtype = torch.float16
for each in range(3):
    dtype = torch.float16
    if each:
        dtype = torch.bfloat16
        continue
    dtype = torch.float16
AutoModel.from_pretrained("x", torch_dtype=dtype)  #> 104
=== a wrapper that takes something out
def load(name, **kwargs):
    kwargs.pop("device_map", None)
    return AutoModel.from_pretrained(name, **kwargs)
load("x", device_map="auto")
=== a method of the class or of another object
class Lab:
    def load(self, **kwargs):
        return AutoModel.from_pretrained("x", **kwargs)
def run(fast, other):
    lab = Lab if fast else other
    return lab.load(device_map="auto")
=== a parameter of a wrapper is not passed on
def load(name, device_map=None, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
load("x", device_map="auto")  #> 102 104
=== a partial of a wrapper
from functools import partial
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
short = partial(load, "x", device_map="auto")
everything = map(load, names)
=== a name of the class body in the class body
class Lab:
    WHERE = "auto"
    net = AutoModel.from_pretrained("x", device_map=WHERE)  #> 101 102 104
    def load(self):
        return AutoModel.from_pretrained("x", device_map=WHERE)  #> 102 104
=== a walrus over what was there
where = "auto"
if (where := given()):
    pass
AutoModel.from_pretrained("x", device_map=where)  #> 102 104
=== a negative number
AutoModel.from_pretrained("x", device_map=-1)  #> 101 102 104
=== a patch in a class body holds for the file
from unittest.mock import patch
class Case:
    patcher = patch("transformers.AutoModel.from_pretrained")
    def run(self):
        AutoModel.from_pretrained("x")
AutoModel.from_pretrained("y")
=== spread of an attribute of a result
AutoModel.from_pretrained("x", **make().options)
=== a dict under self that is written through another name
class Lab:
    def __init__(self):
        self.options = {"torch_dtype": torch.float16}
    def change(self, other):
        other.options["device_map"] = "auto"
    def load(self):
        return AutoModel.from_pretrained("x", **self.options)
=== a function of the file or another
from elsewhere import other
def load(name, **kwargs):
    return AutoModel.from_pretrained(name, **kwargs)
if fast:
    load = other
load("x", device_map="auto")
=== an object of the class or of another
from elsewhere import Other
class Lab:
    def load(self, **kwargs):
        return AutoModel.from_pretrained("x", **kwargs)
def run(fast):
    lab = Lab() if fast else Other()
    return lab.load(device_map="auto")
=== functions that only look at a dict
options = {"device_map": "auto", "torch_dtype": torch.float16}
print(options), len(options), str(options), repr(options), dict(options), list(options), sorted(options), set(options)
tuple(options), bool(options), isinstance(options, dict), type(options), hasattr(options, "a"), getattr(options, "a")
any(options), all(options), iter(options), enumerate(options), zip(options), id(options), vars(options), max(options)
min(options), sum(options), map(str, options), filter(None, options), copy(options), copy.deepcopy(options)
json.dumps(options), json.dump(options, out), pprint(options), pformat(options), log.info(options), log.debug(options)
log.warning(options), log.warn(options), log.error(options), log.log(1, options), "".format(options), "".join(options)
run.update(options), asdict(options), out.write(options), all_of_them.extend(options)
options.items(), options.keys(), options.values(), options.get("a"), table.get(options)
AutoModel.from_pretrained("x", **options)  #> 101 103 104
=== a dict put into a list, by which it may be written
options = {"device_map": "auto", "torch_dtype": torch.float16}
all_of_them.append(options)
AutoModel.from_pretrained("x", **options)
"""

_HEADED = (
    _DEVICE_MAPS,
    _DTYPES,
    _ATTENTION,
    _KWARGS,
    _GENERATION,
    _TOKENIZERS,
    _WRAPPERS,
    _REPLACED,
    _REPLACED_PARTS,
    _MORE_VALUES,
    _MORE_FLOWS,
    _NARROW,
)

CASES: list[tuple[str, str, set[str]]] = [
    case
    for text, head in (
        (_CALLEES, ""),
        (_PIPELINES, ""),
        (_MORE_CALLEES, ""),
        *((text, _HEAD) for text in _HEADED),
    )
    for case in _cases(text, head)
]


# ---- notebooks: cells separated by lines `---`, marks as above; expected "cell:line:code"

_NOTEBOOKS = r"""
=== one namespace
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
---
where = "auto"
---
AutoModel.from_pretrained("x", device_map=where)  #> 101 102 104
=== the tokenizer is set in a later cell
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("x")
---
AutoModelForCausalLM.from_pretrained("x")  #> 102 104 105
---
tokenizer.pad_token = tokenizer.eos_token
=== cells in order
from modelscope import AutoModel
AutoModel.from_pretrained("x")
---
from transformers import AutoModel
AutoModel.from_pretrained("x")  #> 102 104
=== magics
%load_ext autoreload
%autoreload 2
!pip install -q transformers \
    accelerate
files = !ls
from transformers import AutoModel
AutoModel.from_pretrained?
AutoModel.from_pretrained("x")  #> 102 104
=== a cell with a magic
from transformers import AutoModel
---
%%time
AutoModel.from_pretrained("x")  #> 102 104
---
%%capture output
AutoModel.from_pretrained("y")  #> 102 104
=== cells that are not Python
from transformers import AutoModel
---
%%bash
python -c 'AutoModel.from_pretrained("x")'
---
%%writefile load.py
AutoModel.from_pretrained("x")
---
AutoModel.from_pretrained("x")  #> 102 104
=== await at the top
from transformers import AutoModel
model = await load(AutoModel.from_pretrained("x"))  #> 102 104
=== a cell that does not parse
from transformers import AutoModel
---
trainer = Trainer(model=model, ...)
---
AutoModel.from_pretrained("x")  #> 102 104
=== a shell command without its mark
pip install transformers
---
from transformers import AutoModel
AutoModel.from_pretrained("x")  #> 102 104
=== output pasted into a cell
from transformers import AutoModel
model = AutoModel.from_pretrained("x")  #> 102 104
---
Some weights of the model checkpoint weren't used.
=== a cell that leaves a string open
from transformers import AutoModel
---
def draw(video):
    '''Prepares a picture.
---
AutoModel.from_pretrained("x")  #> 102 104
---
def show(video):
    '''Shows it.'''
AutoModel.from_pretrained("y")  #> 102 104
=== magics inside blocks
from transformers import AutoModel
import sys
if "google.colab" in sys.modules:
    !pip install transformers
    %cd /content
else:
    pass
for name in ("x", "y"):
    !echo {name}
    AutoModel.from_pretrained(name)  #> 102 104
=== help and values of magics
from transformers import AutoModel
?AutoModel
AutoModel??
took = %timeit -o sum(range(3))
%timeit AutoModel.from_pretrained("x")
AutoModel.from_pretrained("x");  #> 102 104
=== a comment above a cell magic
from transformers import AutoModel
---
# how long?
%time AutoModel.from_pretrained("x")
AutoModel.from_pretrained("y")  #> 102 104
=== cells that are switched off
from transformers import AutoModel
---
%%script false --no-raise-error
AutoModel.from_pretrained("x")
---
%%html
<b>AutoModel.from_pretrained("x")</b>
---
AutoModel.from_pretrained("y")  #> 102 104
=== cells that only hold shell commands
!nvidia-smi
---
!pip install -q "transformers>=4.40" it's-not-closed
---
from transformers import AutoModel
AutoModel.from_pretrained("y")  #> 102 104
=== a name from a later cell
def load():
    return AutoModel.from_pretrained("x", device_map=WHERE)  #> 101 102 104
---
from transformers import AutoModel
WHERE = "auto"
---
load()
=== a name rebound in a later cell
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("x")  #> 201
---
tokenizer = AutoTokenizer.from_pretrained("y")
tokenizer.pad_token = tokenizer.eos_token
---
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
---
model.generation_config.do_sample = False
---
model = AutoModelForCausalLM.from_pretrained("y")  #> 102 104 105
=== a function that uses the notebook's model
from transformers import AutoModelForCausalLM, GenerationConfig
model = AutoModelForCausalLM.from_pretrained("x")  #> 102 104
---
def answer(prompt):
    return model.generate(prompt, generation_config=GenerationConfig(max_new_tokens=3))
---
answer("hello")
=== an indented cell
from transformers import AutoModel
---
    AutoModel.from_pretrained("x")  #> 102 104
"""


def _notebooks(text: str) -> list[tuple[str, list[str], set[str]]]:
    found = []
    for part in re.split(r"^=== ", text, flags=re.MULTILINE)[1:]:
        name, _, body = part.partition("\n")
        cells, expected = [], set()
        for index, cell in enumerate(body.strip("\n").split("\n---\n")):
            code, lines = _read(cell)
            cells.append(code.rstrip("\n"))
            expected |= {f"{index}:{line}" for line in lines}
        found.append((name.strip().replace(" ", "-"), cells, expected))
    return found


NOTEBOOKS: list[tuple[str, list[str], set[str]]] = _notebooks(_NOTEBOOKS)
