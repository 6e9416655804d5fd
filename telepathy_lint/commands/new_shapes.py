"""Code with one site of each kind, for the rule and fixtures that `telepathy-lint new` writes."""

from __future__ import annotations

from telepathy_lint.hints import NamedTuple

_MODEL = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("gpt2"{map})
"""
_TRAINING = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-7B")
model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B", dtype=torch.bfloat16)
data = texts.map(lambda row: tokenizer(row["text"], padding="max_length", max_length=2048))
"""


class Shape(NamedTuple):
    """Code that contains one site of a kind."""

    #: The lines before the site.
    before: str
    #: The site's line, with `{more}` for additional arguments.
    line: str
    #: The lines after the site.
    after: str = ""


#: Code for each kind of call.
CALLS = {
    "model": Shape(
        "from transformers import AutoModelForCausalLM\n\n",
        'model = AutoModelForCausalLM.from_pretrained("gpt2"{more})',
    ),
    "tokenizer": Shape(
        "from transformers import AutoTokenizer\n\n",
        'tokenizer = AutoTokenizer.from_pretrained("gpt2"{more})',
    ),
    "pipeline": Shape(
        "from transformers import pipeline\n\n",
        'ask = pipeline("text-generation", model="gpt2"{more})',
    ),
    "config": Shape(
        "from transformers import AutoConfig\n\n",
        'config = AutoConfig.from_pretrained("gpt2"{more})',
    ),
    "processor": Shape(
        "from transformers import AutoProcessor\n\n",
        'processor = AutoProcessor.from_pretrained("openai/whisper-tiny"{more})',
    ),
    "generation_config": Shape(
        "from transformers import GenerationConfig\n\n",
        'config = GenerationConfig.from_pretrained("gpt2"{more})',
    ),
    "move": Shape(_MODEL.format(map=', device_map="auto"'), 'model.to("cuda"{more})'),
    "generate": Shape(
        _MODEL.format(map=""),
        "print(model.generate(do_sample=False, max_new_tokens=40{more}))",
    ),
    "decoding": Shape(
        "from transformers import GenerationConfig\n\n",
        "config = GenerationConfig(do_sample=False{more})",
    ),
    "collator": Shape(
        "from transformers import AutoTokenizer, DataCollatorForLanguageModeling\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("gpt2")\n',
        "collator = DataCollatorForLanguageModeling(tokenizer, mlm=False{more})",
    ),
    "training": Shape(
        _TRAINING,
        'arguments = TrainingArguments("out", per_device_train_batch_size=8{more})',
        "Trainer(model=model, args=arguments, train_dataset=data).train()\n",
    ),
}
#: For each kind of site that is not a call: code with such a site, and code without one.
PLACES = {
    "path": (Shape("import os\n\n", 'os.environ["HF_HOME"] = "x"'), 'os.environ.setdefault("HF_HOME", "x")'),
    "identifier": (
        Shape("", 'MODELS = {{"small": "meta-llama/Meta-Llama-3.1-8B"}}'),
        'MODELS = {"small": "meta-llama/Llama-3.1-8B"}',
    ),
}
