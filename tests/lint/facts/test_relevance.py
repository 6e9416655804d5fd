"""What the default leaves out: each kind of evidence silences its rule, and without it the rule speaks.

Each case is a small project. The rule must report the load of `main.py` (or of the notebook) when the evidence is taken
away, when the file is read strictly, and not otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from telepathy_lint import engine
from telepathy_lint.discovery.config import Configs
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.run.selection import Selection
from telepathy_lint.sites import Modules

AUTO = "AutoModelForCausalLM.from_pretrained(name, device_map='auto', torch_dtype=torch.bfloat16)"
HEAD = "import torch\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n"
LOADS = f"{HEAD}tokenizer = AutoTokenizer.from_pretrained(name)\nmodel = {AUTO}\n"
HELPER = f"{HEAD}def load(name):\n    return {AUTO}, AutoTokenizer.from_pretrained(name)\n"


class Case(NamedTuple):
    rule: str
    #: What silences the rule.
    evidence: dict[str, str]
    #: The same without the evidence, or with something that speaks against it.
    without: dict[str, str]
    path: str = "main.py"


def file(code: str, **others: str) -> dict[str, str]:
    return {"main.py": code, **{name.replace("__", "/") + ".py": text for name, text in others.items()}}


def cells(*sources: str) -> str:
    made = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in sources
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


WITH_LLAMA = LOADS.replace("(name", "('meta-llama/Llama-3.1-8B'")
WITH_QWEN = LOADS.replace("(name", "('Qwen/Qwen2.5-7B-Instruct'")
FLOAT16 = f"{HEAD}def load(name):\n    model = {AUTO}\n    return 1\n".replace("bfloat16", "float16")
WITH_PYTHIA = LOADS.replace("(name", "('EleutherAI/pythia-1b'")
BFLOAT16 = ", torch_dtype=torch.bfloat16"
COMPUTES = "from main import load\nmodel, tokenizer = load('x')\nmodel(**batch).loss.backward()\n"
ANSWERS = "def answer(model):\n    return model.generate(ids)\n\n\ndef count(model):\n    return 1\n"
WITH_DEFAULT = "from transformers import {0}, AutoModelForCausalLM\ndef load(name='{1}'):\n    {2}return {0}.from_pretrained(name)\n"
BEAMS = (
    "from transformers import AutoModelFor{0}\n"
    "model = AutoModelFor{0}.from_pretrained(name)\nmodel.generate(ids, num_beams=4, max_new_tokens=9)\n"
)
GENERATES = "from main import load\nmodel, tokenizer = load('x')\nmodel.generate(ids{})\n"
STATED = ", do_sample=False, max_new_tokens=5"
RENAMED = f"{LOADS}parser.add_argument('--model_name', default='meta-llama/Meta-Llama-3.1-8B')\n"
NOTEBOOK = "run.ipynb"

CASES = {
    # ---- one process
    "inputs follow the model": Case(
        "TLP101", file(LOADS + "inputs = tokenizer('x').to(model.device)\n"), file(LOADS + "inputs = tokenizer('x')\n")
    ),
    "results are kept": Case("TLP101", file(LOADS + "json.dump(model(1), out)\n"), file(LOADS + "model(1)\n")),
    "results are kept, by each process of a launcher": Case(
        "TLP101",
        file(LOADS + "json.dump(model(1), out)\n"),
        file(LOADS + "rank = int(os.environ['LOCAL_RANK'])\njson.dump(model(1), out)\n"),
    ),
    "one visible GPU": Case(
        "TLP101",
        file(f"os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n{LOADS}Trainer(model).train()\n"),
        file(f"os.environ['CUDA_VISIBLE_DEVICES'] = '0,1'\n{LOADS}Trainer(model).train()\n"),
    ),
    "the first GPU by a name": Case(
        "TLP101",
        file("DEVICE = torch.device('cuda:0' if ok else 'cpu')\n" + LOADS.replace("'auto'", "{'': DEVICE}") + "json.dump(1, out)\n"),
        file("DEVICE = torch.device('cuda:1' if ok else 'cpu')\n" + LOADS.replace("'auto'", "{'': DEVICE}") + "json.dump(1, out)\n"),
    ),
    "the first GPU, else the CPU": Case(
        "TLP101",
        file("PLACE = 'cuda:0' if ok else 'cpu'\n" + LOADS.replace("'auto'", "PLACE") + "json.dump(1, out)\n"),
        file("PLACE = 'cuda:0' if ok else 'mps'\n" + LOADS.replace("'auto'", "PLACE") + "json.dump(1, out)\n"),
    ),
    "cells of a script": Case("TLP101", file(f"# %%\n{LOADS}model.generate(ids)\n"), file(f"{LOADS}model.generate(ids)\n")),
    "a notebook that starts a launcher": Case(
        "TLP101",
        {NOTEBOOK: cells(LOADS, "model.generate(ids)")},
        {NOTEBOOK: cells(LOADS, "!torchrun train.py", "model.generate(ids)")},
        NOTEBOOK,
    ),
    "a notebook that uses what it loads": Case(
        "TLP101", {NOTEBOOK: cells(LOADS, "model.generate(ids)")}, {NOTEBOOK: cells(LOADS)}, NOTEBOOK
    ),
    "a notebook's kernel": Case(
        "TLP101",
        {NOTEBOOK: cells(LOADS, "Trainer(model).train()")},
        {NOTEBOOK: cells(LOADS, "notebook_launcher(train)")},
        NOTEBOOK,
    ),
    "the process's own device": Case(
        "TLP101",
        file(LOADS.replace("'auto'", "{'': training_args.device}")),
        file(LOADS.replace("'auto'", "{'': 0}")),
    ),
    "a helper of programs of one process": Case(
        "TLP101",
        file(HELPER, evaluate="from main import load\nmodel, _ = load('x')\njson.dump(model(1), out)\n"),
        file(HELPER, train="from main import load\nmodel, _ = load('x')\nTrainer(model).train()\n"),
    ),
    "a helper that a launched program imports through another": Case(
        "TLP101",
        file(HELPER + "json.dump(1, out)\n", run="from main import load\njson.dump(load('x'), out)\n"),
        file(
            HELPER + "json.dump(1, out)\n",
            run="from main import load\njson.dump(load('x'), out)\n",
            start="import run\nimport torch.distributed\n",
        ),
    ),
    # ---- attention
    "a model for which every release picks SDPA": Case(
        "TLP104", file(WITH_LLAMA + "model.generate(ids)\n"), file(LOADS + "model.generate(ids)\n")
    ),
    "such a model, at work": Case("TLP104", file(WITH_LLAMA + "model.generate(ids)\n"), file(WITH_LLAMA)),
    "such a model, and FlashAttention": Case(
        "TLP104",
        file(WITH_LLAMA + "model.generate(ids)\n"),
        file(WITH_LLAMA + "model.generate(ids)  # flash_attention_2 is faster\n"),
    ),
    "the only ids of the file are of such models": Case(
        "TLP104",
        file("DEFAULT = 'Qwen/Qwen2.5-7B'\n" + LOADS),
        file("DEFAULT = ('Qwen/Qwen2.5-7B', 'google/gemma-2-9b')\n" + LOADS),
    ),
    "requirements without FlashAttention": Case(
        "TLP104",
        {**file(LOADS), "requirements.txt": "torch\ntransformers>=4.40\n"},
        {**file(LOADS), "requirements.txt": "torch\ntransformers>=4.40\nflash-attn\n"},
    ),
    "FlashAttention by hand": Case(
        "TLP104",
        {**file(LOADS), "requirements.txt": "transformers\n"},
        {**file(LOADS), "requirements.txt": "transformers\n", "README.md": "Then pip install flash-attn.\n"},
    ),
    "requirements that do not list transformers": Case(
        "TLP104",
        {**file(LOADS), "requirements.txt": "transformers\n"},
        {**file(LOADS), "requirements.txt": "sentence-transformers\n"},
    ),
    "a notebook's installations": Case(
        "TLP104",
        {NOTEBOOK: cells("!pip install -q transformers accelerate", LOADS)},
        {NOTEBOOK: cells("!pip install -q transformers flash-attn", LOADS)},
        NOTEBOOK,
    ),
    # ---- decoding
    "computed with in the module that imports": Case(
        "TLP105", file(HELPER, train=COMPUTES), file(HELPER, train=COMPUTES + "model.generate(ids)\n")
    ),
    "generates in the module that imports, and says how": Case(
        "TLP105", file(HELPER, run=GENERATES.format(STATED)), file(HELPER, run=GENERATES.format(""))
    ),
    "a project in which nothing generates": Case(
        "TLP105", file(HELPER, train=COMPUTES.replace("load", "other")), file(HELPER)
    ),
    "a module that generates, and cannot get the model": Case(
        "TLP105",
        file(HELPER, train=COMPUTES, other=ANSWERS),
        file(HELPER, train="import other\nother.answer(1)\n" + COMPUTES, other=ANSWERS),
    ),
    "a function of an imported module that no file uses": Case(
        "TLP105",
        file(HELPER, train="import other\nother.count(1)\n" + COMPUTES, other=ANSWERS),
        file(HELPER, train="import more\n" + COMPUTES, more="from other import answer\n", other=ANSWERS),
    ),
    "a notebook of the project": Case(
        "TLP105",
        {**file(HELPER), NOTEBOOK: cells(GENERATES.format(STATED))},
        {**file(HELPER), NOTEBOOK: cells(GENERATES.format(""))},
    ),
    "settings that another module writes": Case(
        "TLP105",
        file(HELPER, run="import how\n" + GENERATES.format(", **how.gen_kwargs"), how="gen_kwargs = {'do_sample': False}\n"),
        file(HELPER, run="import how\n" + GENERATES.format(", **how.gen_kwargs"), how="gen_kwargs = {'top_p': 0.5}\n"),
    ),
    "the tokenizer's output is no setting": Case(
        "TLP105",
        file(HELPER, run=GENERATES.format(", **settings") + "settings = {'do_sample': False}\n"),
        file(HELPER, run=GENERATES.format(", **inputs") + "settings = {'do_sample': False}\n"),
    ),
    "a call that is commented out": Case(
        "TLP105",
        file(HELPER, run=COMPUTES + "# model.generate(ids)\n"),
        file(HELPER, run=COMPUTES + "model.generate(ids)\n"),
    ),
    "a call in a docstring": Case(
        "TLP105",
        file(HELPER, run=COMPUTES + 'def f():\n    """Like model.generate(ids), for one text."""\n'),
        file(HELPER, run=COMPUTES + 'def f():\n    return model.generate(ids)\n'),
    ),
    "a wrapper's own `generate`": Case(
        "TLP105",
        file(LOADS + "class Wrapper:\n    def generate(self, x):\n        return model.generate(x, do_sample=False)\nwrapper.generate('x')\n"),
        file(LOADS + "class Wrapper:\n    def generate(self, x):\n        return model.generate(x)\nwrapper.generate('x')\n"),
    ),
    "a pipeline that a function of the project makes": Case(
        "TLP105",
        file(HELPER, run="from main import load\nfrom transformers import pipeline\npipe = pipeline('text-generation', model=load(1))\npipe('x', do_sample=False)\n"),
        file(HELPER, run="from main import load\nfrom transformers import pipeline\npipe = pipeline('text-generation', model=load(1))\npipe('x', temperature=1)\n"),
    ),
    "a pipeline that does not generate": Case(
        "TLP105",
        file(HELPER, run="from main import load\nfrom transformers import pipeline\npipe = pipeline('fill-mask', model='a')\npipe('x')\n"),
        file(HELPER, run="from main import load\nfrom transformers import pipeline\npipe = pipeline(model=load(1))\npipe('x')\n"),
    ),
    "vLLM's own `generate`": Case(
        "TLP105",
        file(HELPER, run="from main import load\nfrom vllm import LLM\nllm = LLM('x')\nllm.generate(texts)\n"),
        file(HELPER, run="from main import load\nllm = load('x')\nllm.generate(texts)\n"),
    ),
    "a reference model of a trainer": Case(
        "TLP105",
        file(LOADS + "other.generate(ids)\nDPOTrainer(policy, ref_model=model).train()\n"),
        file(LOADS + "other.generate(ids)\nPPOTrainer(policy, ref_model=model).train()\n"),
    ),
    "a repetition penalty of the checkpoint": Case(
        "TLP105",
        file(WITH_QWEN + "model.generate(ids, do_sample=False, repetition_penalty=1.0)\n"),
        file(WITH_QWEN + "model.generate(ids, do_sample=False)\n"),
    ),
    "a repetition penalty beside sampling": Case(
        "TLP105",
        file(WITH_QWEN + "model.generate(ids, do_sample=True, temperature=0.7)\n"),
        file(WITH_QWEN + "model.generate(ids, do_sample=False, temperature=None)\n"),
    ),
    "a repetition penalty of the only checkpoint that is named": Case(
        "TLP105",
        file(LOADS + "DEFAULT = 'Qwen/Qwen3-8B'\nmodel.generate(ids, do_sample=False)\n"),
        file(LOADS + "DEFAULT = 'Qwen/Qwen2.5-1.5B-Instruct'\nmodel.generate(ids, do_sample=False)\n"),
    ),
    "in a package": Case(
        "TLP105",
        {"tools/main.py": HELPER, "tools/__init__.py": "", "run.py": GENERATES.format(STATED).replace("main", "tools.main")},
        {"tools/main.py": HELPER, "tools/__init__.py": "", "run.py": GENERATES.format("").replace("main", "tools.main")},
        "tools/main.py",
    ),
    "handed to a function of the project that computes": Case(
        "TLP105",
        file(LOADS + "from losses import measure\nmeasure(model)\n", losses="def measure(m):\n    return m(1).loss\n"),
        file(
            LOADS + "from losses import measure\nmeasure(model)\n",
            losses="def measure(m):\n    return m(1).loss, m.generate(1)\n",
        ),
    ),
    "a checkpoint that ships greedy decoding": Case(
        "TLP105",
        file(WITH_PYTHIA + "model.generate(ids)\n"),
        file(LOADS + "model.generate(ids)\n"),
    ),
    "a pipeline of the model that says how": Case(
        "TLP105",
        file(LOADS + "reader = pipeline(model=model, tokenizer=tokenizer, do_sample=True, max_new_tokens=9)\n"),
        file(LOADS + "reader = pipeline(model=model, tokenizer=tokenizer)\n"),
    ),
    "weights that are looked into": Case(
        "TLP105", file(LOADS + "head = model.lm_head.weight\n"), file(LOADS + "model.eval()\n")
    ),
    "a notebook that only trains": Case(
        "TLP105",
        {NOTEBOOK: cells(LOADS, "DPOTrainer(model=model, train_dataset=data).train()")},
        {NOTEBOOK: cells(LOADS, "trainer = DPOTrainer(model=model)", "trainer.model.generate(ids)")},
        NOTEBOOK,
    ),
    "a notebook that only embeds": Case(
        "TLP105",
        {NOTEBOOK: cells(LOADS, "vector = model(**tokenizer('a', return_tensors='pt'))[0]")},
        {NOTEBOOK: cells(LOADS, "vector = model.generate(**tokenizer('a', return_tensors='pt'))[0]")},
        NOTEBOOK,
    ),
    "functions of the file whose names say generate": Case(
        "TLP105",
        file(LOADS + "print(model(ids).logits)\ndef generate_report(x):\n    return x\ngenerate_report(1)\n"),
        file(LOADS + "from texts import generate_report\nprint(model(ids).logits)\ngenerate_report(model)\n"),
    ),
    "a trainer's model that is saved": Case(
        "TLP105",
        file(LOADS + "trainer = SFTTrainer(model=model)\ntrainer.train()\ntrainer.model.save_pretrained('a')\n"),
        file(LOADS + "trainer = SFTTrainer(model=model)\ntrainer.train()\ntrainer.model.generate(ids)\n"),
    ),
    "beams of an encoder-decoder": Case(
        "TLP203",
        file(BEAMS.format("Seq2SeqLM")),
        file(BEAMS.format("CausalLM")),
    ),
    "an ignored value that asks for the same": Case(
        "TLP204",
        file(LOADS + "model.generate(ids, do_sample=False, temperature=0.0, top_k=1)\n"),
        file(LOADS + "model.generate(ids, do_sample=False, temperature=0.0, top_p=0.9)\n"),
    ),
    # ---- padding
    "a project in which nothing pads": Case(
        "TLP201",
        file(HELPER, run="from main import load\n_, tok = load('x')\nprint(tok)\n"),
        file(HELPER, run="from main import load\n_, tok = load('x')\nDataCollatorForSeq2Seq(tok)\n"),
    ),
    "a module that pads, and cannot get the tokenizer": Case(
        "TLP201",
        file(HELPER, run="from main import load\nprint(load('x'))\n", other="tok(texts, padding=True)\n"),
        file(HELPER, run="from main import load\nimport other\nprint(load('x'))\n", other="tok(texts, padding=True)\n"),
    ),
    "a file that refuses a tokenizer without a pad token": Case(
        "TLP201",
        file(LOADS + "if tokenizer.pad_token is None:\n    raise ValueError('no pad token')\nuse(tokenizer(texts, padding=True))\n"),
        file(LOADS + "if tokenizer.pad_token is None:\n    print('no pad token')\nuse(tokenizer(texts, padding=True))\n"),
    ),
    "a family that ships a pad token": Case(
        "TLP201",
        file(LOADS.replace("(name", "('deepseek-ai/DeepSeek-R1-Distill-Llama-8B'") + "tokenizer(texts, padding=True)\n"),
        file(LOADS.replace("(name", "('meta-llama/Llama-3.1-8B'") + "tokenizer(texts, padding=True)\n"),
    ),
    "such a family as the default of a parameter": Case(
        "TLP201",
        file(WITH_DEFAULT.format("AutoTokenizer", "acme/gemma-tuned", "AutoModelForCausalLM.from_pretrained(1)\n    tok(x, padding=True)\n    ")),
        file(WITH_DEFAULT.format("AutoTokenizer", "acme/llama-tuned", "AutoModelForCausalLM.from_pretrained(1)\n    tok(x, padding=True)\n    ")),
    ),
    "the only ids of the file are of such families": Case(
        "TLP201",
        file(LOADS + "DEFAULT = 'Qwen/Qwen3-8B'\ntokenizer(texts, padding=True)\n"),
        file(LOADS + "DEFAULT = 'Qwen/Qwen3-8B', 'gpt2'\ntokenizer(texts, padding=True)\n"),
    ),
    "single texts": Case(
        "TLP201",
        file(LOADS + "ids = tokenizer('x', return_tensors='pt')\nsplit(tokenizer)\n"),
        file(LOADS + "split(tokenizer)\n"),
    ),
    "padded": Case(
        "TLP201",
        file(LOADS + "ids = tokenizer('x', return_tensors='pt')\nsplit(tokenizer)\n"),
        file(LOADS + "ids = tokenizer(['x'], padding=True)\nsplit(tokenizer)\n"),
    ),
    "set by the module that imports": Case(
        "TLP201",
        file(HELPER, run="from main import load\n_, tok = load('x')\ntok.pad_token = tok.eos_token\ntok(['x'], padding=True)\n"),
        file(HELPER, run="from main import load\n_, tok = load('x')\ntok(['x'], padding=True)\n"),
    ),
    "an embedder's tokenizer": Case(
        "TLP201",
        file(LOADS.replace("AutoTokenizer.from_pretrained(name", "AutoTokenizer.from_pretrained('thenlper/gte-small'")),
        file(LOADS),
    ),
    "a pad token for `generate` alone": Case(
        "TLP201",
        file(LOADS + "ids = tokenizer('x')\nsplit(tokenizer)\nmodel.generate(ids, pad_token_id=tokenizer.pad_token_id)\n"),
        file(LOADS + "ids = tokenizer('x')\nsplit(tokenizer)\nrows = [i + [tokenizer.pad_token_id] for i in ids]\n"),
    ),
    "a pipeline of single texts": Case(
        "TLP201",
        file(LOADS + "pipe = pipeline('text-generation', model=model, tokenizer=tokenizer)\n"),
        file(LOADS + "pipe = pipeline('text-generation', model=model, tokenizer=tokenizer, batch_size=8)\n"),
    ),
    # ---- precision
    "a stated dtype": Case(
        "TLP103",
        file(LOADS.replace("torch.bfloat16", "'auto'")),
        file(LOADS.replace("torch.bfloat16", "torch.int8")),
    ),
    "float16 that does not overflow": Case(
        "TLP103",
        file(WITH_LLAMA.replace("torch.bfloat16", "torch.float16")),
        file(LOADS.replace("(name", "('google/gemma-3-4b-it'").replace("torch.bfloat16", "torch.float16")),
    ),
    "float16 of weights that are not trained": Case(
        "TLP103",
        file(LOADS.replace("torch.bfloat16", "torch.float16")),
        file(LOADS.replace("torch.bfloat16", "torch.float16") + "AdamW(model.parameters()).step()\n"),
    ),
    "an overflowing model in float32": Case(
        "TLP103",
        file(LOADS.replace("(name", "('google/gemma-2-9b'").replace("torch.bfloat16", "torch.float32")),
        file(LOADS.replace("(name", "('google/gemma-2-9b'").replace("torch.bfloat16", "torch.float16")),
    ),
    "float16 of weights that another function trains under the same name": Case(
        "TLP103",
        file(FLOAT16 + "def train(model):\n    AdamW(model.parameters()).step()\n"),
        file(FLOAT16.replace("    return", "    AdamW(model.parameters()).step()\n    return")),
    ),
    "a cast to float32 in the same statement": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16 + ")", ").eval().to(device, torch.float32)")),
        file(LOADS.replace(BFLOAT16 + ")", ").eval().to(device, torch.bfloat16)")),
    ),
    "a small model as the default of a parameter": Case(
        "TLP102",
        file(WITH_DEFAULT.format("AutoModel", "acme/bert-base", "")),
        file(WITH_DEFAULT.format("AutoModel", "acme/encoder", "")),
    ),
    "an embedder": Case(
        "TLP102",
        file("from transformers import AutoModel\nm = AutoModel.from_pretrained(name)\nm(1).last_hidden_state[:, 0]\n"),
        file("from transformers import AutoModel\nm = AutoModel.from_pretrained(name)\nm(1).last_hidden_state[:, -1]\n"),
    ),
    "a size in an id": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16, "").replace("(name", "('acme/stories-60M'")),
        file(LOADS.replace(BFLOAT16, "").replace("(name", "('acme/stories-6B'")),
    ),
    "an id of a small family": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16, "").replace("(name", "('acme/t5-base-titles'")),
        file(LOADS.replace(BFLOAT16, "").replace("(name", "('acme/t5-xxl-titles'")),
    ),
    "the only ids of the file are of small models": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16, "") + "DEFAULT = 'gpt2'\n"),
        file(LOADS.replace(BFLOAT16, "") + "DEFAULTS = 'gpt2', 'mistralai/Mistral-7B-v0.1'\n"),
    ),
    "a class of image classifiers": Case(
        "TLP102",
        file("from transformers import AutoModelForImageClassification\nAutoModelForImageClassification.from_pretrained(name)\n"),
        file("from transformers import AutoModelForPreTraining\nAutoModelForPreTraining.from_pretrained(name)\n"),
    ),
    "a classifier of texts": Case(
        "TLP102",
        file("from transformers import AutoModelForSequenceClassification\nAutoModelForSequenceClassification.from_pretrained(name)\n"),
        file("from transformers import AutoModelForSequenceClassification\nAutoModelForSequenceClassification.from_pretrained(name or 'Qwen/Qwen3-8B')\n"),
    ),
    "a task of small models": Case(
        "TLP102",
        file("from transformers import pipeline\npipeline('zero-shot-classification', model='acme/x')\n"),
        file("from transformers import pipeline\npipeline('image-text-to-text', model='acme/x')\n"),
    ),
    "a helper's quantization config": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16, ", quantization_config=config_of(args)"), helpers=""),
        file(LOADS.replace(BFLOAT16, ", quantization_config=None"), helpers=""),
    ),
    "a known small model": Case(
        "TLP102",
        file(WITH_LLAMA.replace(BFLOAT16, "").replace("meta-llama/Llama-3.1-8B", "Qwen/Qwen2.5-0.5B")),
        file(WITH_LLAMA.replace(BFLOAT16, "")),
    ),
    "the checkpoint's own bfloat16, from transformers 5 on": Case(
        "TLP102",
        {**file(WITH_LLAMA.replace(BFLOAT16, "")), "requirements.txt": "transformers>=5.0\n"},
        {**file(WITH_LLAMA.replace(BFLOAT16, "")), "requirements.txt": "transformers>=4.50\n"},
    ),
    # ---- small models, old names
    "an encoder's class": Case(
        "TLP102",
        file("from transformers import RobertaModel\nRobertaModel.from_pretrained(name)\n"),
        file("from transformers import T5Model\nT5Model.from_pretrained(name)\n"),
    ),
    "the only name of the model": Case(
        "TLP302",
        file(RENAMED),
        file(RENAMED + "os.environ['HF_HUB_OFFLINE'] = '1'\n"),
    ),
    "two names in the project": Case(
        "TLP302",
        file(RENAMED),
        file(
            RENAMED,
            other="model_name = 'meta-llama/Llama-3.1-8B'\n",
        ),
    ),
}  # fmt: skip


def codes(folder: Path, files: dict[str, str], case: Case, strict: bool = False) -> set[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".git").mkdir()
    path = str(folder / case.path)
    plan = Selection(Configs()).plan(path)
    source = open_source(path, (folder / case.path).read_bytes())
    settings = plan.settings._replace(strict=strict)
    return {each.code for each in engine.lint(source, select([case.rule]), settings, project=Modules())}


@pytest.mark.parametrize("name", CASES)
def test_evidence_silences_and_the_lack_of_it_does_not(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    (tmp_path / "strict").mkdir()
    assert codes(tmp_path / "without", case.without, case) == {case.rule}
    assert codes(tmp_path / "with", case.evidence, case) == set()
    assert codes(tmp_path / "strict", case.evidence, case, strict=True) == {case.rule}


@pytest.mark.parametrize("rule", ["TLP101", "TLP102", "TLP104", "TLP105", "TLP201"])
def test_a_bare_script_gets_every_finding(rule: str, tmp_path: Path) -> None:
    bare = LOADS.replace(", torch_dtype=torch.bfloat16", "")
    assert codes(tmp_path, file(bare), Case(rule, {}, {})) == {rule}
