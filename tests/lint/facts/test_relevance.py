"""What the default leaves out: each kind of evidence silences its rule, and without it the rule speaks.

Each case is a small project. The rule must report the load of `main.py` (or of the notebook) when the evidence is taken
away, when the file is read strictly, and not otherwise.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import telepathy_lint
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


PIPE_OF_LLAMA = "from transformers import pipeline\n{} = pipeline('text-generation', model='meta-llama/Llama-3.1-8B-Instruct'{})\n"
CAPTIONS = (
    "from transformers import Blip2ForConditionalGeneration as Blip\nmodel = Blip.from_pretrained('{}', torch_dtype=torch.bfloat16)\n"
    "all.append(model.generate(**inputs, max_new_tokens=40))\n"
)
PINS = "[project]\nname = 'x'\ndependencies = ['transformers{}']\n"
GONE_MASKS = "from transformers.modeling_attn_mask_utils import AttentionMaskConverter\n"
STUB = f"{HEAD}model = AutoModelForCausalLM.from_pretrained('mistralai/Mistral-7B-Instruct-v0.3')\n"


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


def new(code: str) -> dict[str, str]:
    """The only file of a project for transformers 5."""
    return {**file(code), "requirements.txt": "transformers>=5.0\n"}


WITH_LLAMA = LOADS.replace("(name", "('meta-llama/Llama-3.1-8B'")
WITH_QWEN = LOADS.replace("(name", "('Qwen/Qwen2.5-7B-Instruct'")
WITHOUT_DTYPE = LOADS.replace(", torch_dtype=torch.bfloat16", "")
LOOKED_FOR = (
    "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
    "tokenizer = AutoTokenizer.from_pretrained('gpt2')\ntokenizer.add_tokens(['<here>'])\n"
    "model = AutoModelForCausalLM.from_pretrained('gpt2')\n{}"
)
FLOAT16 = f"{HEAD}def load(name):\n    model = {AUTO}\n    return 1\n".replace("bfloat16", "float16")
WITH_GEMMA_2 = LOADS.replace("(name", "('google/gemma-2-9b-it'")
WITH_PYTHIA = LOADS.replace("(name", "('EleutherAI/pythia-1b'")
BFLOAT16 = ", torch_dtype=torch.bfloat16"
COMPUTES = "from main import load\nmodel, tokenizer = load('x')\nmodel(**batch).loss.backward()\n"
WRAPPER = "class Steered:\n    def generate(self, x, persona):\n        return 1\n"
ANSWERS = "def answer(model):\n    return model.generate(ids)\n\n\ndef count(model):\n    return 1\n"
WITH_DEFAULT = "from transformers import {0}, AutoModelForCausalLM\ndef load(name='{1}'):\n    {2}return {0}.from_pretrained(name)\n"
BEAMS = (
    "from transformers import AutoModelFor{0}\n"
    "model = AutoModelFor{0}.from_pretrained(name)\nmodel.generate(ids, num_beams=4, max_new_tokens=9)\n"
)
GENERATES = "from main import load\nmodel, tokenizer = load('x')\nmodel.generate(ids{})\n"
STATED = ", do_sample=False, max_new_tokens=5"
OLD_IN_A_FUNCTION = (
    f"{HEAD}def build(name):\n    return AutoModelForCausalLM.from_pretrained(name, load_in_8bit=True)\n"
)
STUDENT = "from transformers import AutoModelForCausalLM as M\nclass Student:\n    def __init__(self, model):\n        self.lm = {}\n    def answer(self, ids):\n        return self.lm.generate(ids)\n"
RENAMED = f"{LOADS}parser.add_argument('--model_name', default='meta-llama/Meta-Llama-3.1-8B')\n"
NOTEBOOK = "run.ipynb"
#: A load with a device map to be filled in, in a script that nothing shows to be one process; and such scripts.
PLACED = (
    f"{HEAD}model = AutoModelForCausalLM.from_pretrained(name, device_map={{}}, torch_dtype=torch.bfloat16)\n"
)
TRAINS = file(f"{LOADS}Trainer(model).train()\n")
HELPED = file(HELPER, start="from main import load\nload('x')\n")
BARE = LOADS.replace(BFLOAT16, "")
BARE_LLAMA = WITH_LLAMA.replace(BFLOAT16, "")
WITH_GEMMA = LOADS.replace("(name", "('google/gemma-2-9b'") + "model.generate(ids)\n"
ATTENTIVE = "big = AutoModelForCausalLM.from_pretrained({}, attn_implementation='flash_attention_2')\n"
EAGER = ATTENTIVE.replace("flash_attention_2", "eager")
SPARSE = ATTENTIVE.replace("flash_attention_2", "sparse").format("'meta-llama/Llama-3.1-8B'")
OLD = f"{HEAD}AutoModelForCausalLM.from_pretrained(name"
OLD_TOKENIZER = f"{HEAD}AutoTokenizer.from_pretrained(name"
WITH_PIPELINES = LOADS.replace("\n", "\nfrom transformers import pipeline\n", 1)
UNPLACED = WITH_PIPELINES.replace("device_map='auto', ", "")
OLD_ID = "meta-llama/Meta-Llama-3.1-8B"
OLD_NAME = f"{HEAD}AutoTokenizer.from_pretrained('{OLD_ID}')\n"
#: Loads of a large model in two arms of a condition, and in two attempts; the first states what is filled in.
LARGE = "AutoModelForCausalLM.from_pretrained('meta-llama/Llama-3.1-8B')"
LARGE_FOLDER = "m = AutoModelForCausalLM.from_pretrained('out/x-8b')\n"
ARMS = f"{HEAD}if cuda:\n    m = {LARGE[:-1]}{{}})\nelse:\n    m = {LARGE}\n"
ATTEMPTS = f"{HEAD}try:\n    m = {LARGE[:-1]}{{}})\nexcept OSError:\n    m = {LARGE}\n"
MADE_UP = "AutoTokenizer.from_pretrained('meta-llama/Llama-3-8B')"
SOME = f"{HEAD}given = "
LOAD_GIVEN = "model = AutoModelForCausalLM.from_pretrained(name, **given)\n"
OLD_CALL = f"{OLD}, load_in_8bit=True)\n"
CLIP = (
    "import torch\nfrom transformers import CLIPModel\nmodel = CLIPModel.from_pretrained('openai/clip-vit-base-patch32')\n"
    "features = model.get_image_features(pixel_values=torch.zeros(1, 3, 224, 224))\n"
)
UNCALLED = OLD_CALL.replace("\nAuto", "\ndef load_it():\n    return Auto").replace("return", "model =")
METHOD = UNCALLED.replace("def load_it():\n", "class Loader:\n  def load_it(self):\n").replace(
    "    model", "      model"
)
METHOD_AND_FUNCTION = (
    METHOD.replace("load_it", "train").replace("load_in_8bit", "local_files_only")
    + "\nLoader().train()\n"
    + UNCALLED.replace("load_it", "train")
)
TRAINED = "from transformers import AutoModelForCausalLM, Trainer\nm = AutoModelForCausalLM.from_pretrained('{}')\nTrainer(model=m).train()\n"
VISION = "from transformers import AutoModelForVision2Seq\nm = AutoModelForVision2Seq.from_pretrained(name)\n"

AT_START = f"{HEAD}if __name__ == '__main__':\n    model = {LARGE}\n"
PLACED_AT_START = AT_START.replace("8B'", "8B', device_map='cuda:7'")
FLAGGED = f"{HEAD}if args.spread:\n    model = {LARGE[:-1]}, device_map='auto')\n    model(1)\n"
NAMED_BRANCH = (
    f"{HEAD}if args.model_name == 'acme/large':\n    model = {LARGE[:-1]}, device_map='auto')\n    model(1)\n"
)
STARTED = "torchrun --nproc_per_node 4 main.py --lr 1{}\n"
INSTALL = "%pip install -q {} peft\n"
FLOAT16_TRAINING = f"{HEAD}m = AutoModelForCausalLM.from_pretrained(name, torch_dtype=torch.float16)\nTrainer(model=m).train()\n"
REPEATED = (
    f"{HEAD}from transformers import pipeline\n"
    "model = wrapped.from_pretrained(name, torch_dtype=torch.bfloat16)\n"
    "ask = pipeline('text-generation', model=AutoModelForCausalLM.from_pretrained(name), tokenizer=tokenizer, torch_dtype=torch.{})\n"
)
SAID_AGAIN = (
    f"{HEAD}from transformers import pipeline\nmodel = AutoModelForCausalLM.from_pretrained(name, torch_dtype=torch.bfloat16)\n"
    "tokenizer = AutoTokenizer.from_pretrained(name)\n"
    "ask = pipeline('text-generation', model=model, tokenizer=tokenizer, model_kwargs={'torch_dtype': torch.bfloat16, MORE})\n"
)
REPEATED_MAP = REPEATED.replace("torch_dtype=torch.bfloat16", "device_map='auto'").replace(
    "torch_dtype=torch.{}", "device_map={}"
)
CLASSIFIES = (
    "from transformers import AutoModelForSequenceClassification\nclass Reader:\n    def __init__(self, path):\n"
    "        self.m = AutoModelForSequenceClassification.from_pretrained(path)\nit = {}('meta-llama/Meta-Llama-3-8B')\n"
)
ENDS = (
    "from transformers import AutoTokenizer, DataCollatorForLanguageModeling\n"
    "tokenizer = AutoTokenizer.from_pretrained('gpt2')\ntokenizer.pad_token = tokenizer.eos_token\n"
    "texts = [text + tokenizer.eos_token for text in texts]\n"
    "collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)\n"
)
LABELS_APART = "".join(ENDS.split("texts = [text + tokenizer.eos_token for text in texts]\n")) + (
    "inputs = tokenizer({})\nanswers = tokenizer(\n    {},\n    padding=(1 == 2),\n)\n"
    "row = {{'input_ids': inputs.input_ids, 'labels': answers.input_ids}}\n"
)
WRITTEN_ENDS = ENDS.replace("text + tokenizer.eos_token", "text + '{}'")
#: A load of a checkpoint, behind which a file saves one.
SAVED = "saved = AutoModelForCausalLM.from_pretrained(args.out)\nprint(saved)\n"
UNSEEN = f"{HEAD}model = load('meta-llama/Llama-3.1-8B')\n"
SHOWN = "out = model.generate(ids)\ntext = tokenizer.decode(out[0])\n"
JUDGES = "scores.append(score(model(ids).logits))\njson.dump(scores, file)\n"
GONE = "from transformers.modeling_attn_mask_utils import _prepare_4d_causal_attention_mask\nclass Mine:\n    pass\n"
PIPED = (
    f"{HEAD}from transformers import pipeline\nmodel = AutoModelForCausalLM.from_pretrained(name{{}})\n"
    "ask = pipeline('text-generation', model=model, tokenizer=tokenizer, {})\n"
)
LENGTHS = "from transformers import GenerationConfig\nc = GenerationConfig(do_sample=True, max_length=128, max_new_tokens=256)\n"
PADS = f"{HEAD}model = AutoModelForCausalLM.from_pretrained(name)\ntokenizer = AutoTokenizer.from_pretrained({{}})\nids = tokenizer(texts, padding=True)\n"
ADDED = "from transformers import AutoModelForCausalLM, AutoTokenizer\nmodel = AutoModelForCausalLM.from_pretrained('gpt2')\ntokenizer = AutoTokenizer.from_pretrained('gpt2')\ntokenizer.add_special_tokens({'pad_token': '[PAD]'})\n"
OLD_PPO = "from trl import PPOTrainer\nPPOTrainer(model)\n"
OLD_INT8 = "from transformers import AutoModel\nfrom peft import prepare_model_for_int8_training\nprepare_model_for_int8_training(model)\n"
WARMED = "from transformers import TrainingArguments\nTrainingArguments(output_dir='out', warmup_ratio=0.1)\n"
LISTS_TRL = "[project]\nname = 'x'\ndependencies = ['transformers>=4.40', 'trl>=0.9']\n"
PIPENV = '{"default": {"transformers": {"hashes": ["sha256:a"], "index": "pypi", "version": "==0"}}}'
LISTS_TF = LISTS_TRL.replace(", 'trl>=0.9'", "")
AT_A_COMMIT = "git+https://github.com/huggingface/transformers.git@3760afb21c1f4c14aa48c41d1b025702777b1c53"
LOCKS = '[[package]]\nname = "trl"\nversion = "{}"\n'
NAMED_PIPELINE = (
    f"{WITH_QWEN}from transformers import TextGenerationPipeline\npipeline = TextGenerationPipeline(model=model, tokenizer=tokenizer)\n"
    "all.append(pipeline(text{}))\nother = pipeline('text-classification', model='tomh/toxigen_roberta')\n"
)
FAMILIES = (
    "from transformers import AutoModelForCausalLM\nif '{}' in name.lower():\n    model = AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-7B-Instruct', torch_dtype='auto')\n"
    "if '{}' in name.lower():\n    all.append(model.generate(ids))\nelse:\n    all.append(model.generate(ids, do_sample=True))\n"
)
ALONE = f"{HEAD}model = AutoModelForCausalLM.from_pretrained(name, device_map='auto', torch_dtype=torch.bfloat16)\nTrainer(model, args=settings).train()\n"
ASKED = f"{WITH_QWEN}def ask(model):\n    return model.generate(ids)\n"
KEPT = "all.append(model.generate(ids))\n"
OLD_SFT = "import own\nfrom trl import SFTTrainer\ntrainer = SFTTrainer(own.model, max_seq_length=512)\n"
OLD_TRAINER = "import own\nfrom transformers import Trainer\ntrainer = Trainer(own.model, own.args, tokenizer=own.tokenizer)\n"
READS_A_CACHE = f"import own\n{LOADS.replace('(name', '(own.name')}old = own.cache.to_legacy_cache()\n"
MAKES_A_CACHE = "from own import other, past\nfrom transformers import DynamicCache\nif {}:\n    past = DynamicCache.from_legacy_cache(past)\n"
PIPELINE_OF_LLAMA = "from transformers import pipeline\npipe = pipeline('text-generation', model='meta-llama/Llama-2-7b-hf')\n"
IN_A_FUNCTION = "import own\nfrom transformers import Trainer\ndef run():\n    {}\n    return Trainer(own.model, tokenizer=own.tokenizer)\nrun()\n"
COLLATORS = {
    "parts/__init__.py": "",
    "parts/trl_data.py": "from .collators import collate\n",
    "parts/collators.py": "from trl import DataCollatorForCompletionOnlyLM\n",
    "parts/own_data.py": "from transformers import DataCollatorForLanguageModeling\n",
}
TEN = {f"step_{number}.py": "" for number in range(10)}
DEFINES_LOGS = "from transformers import TrainingArguments\ndef main():\n    return TrainingArguments('out', logging_dir='logs')\n"
IMPORTS = "import importlib, sys\nimportlib.import_module(sys.argv[1])\n"
CONFIGURED = f"{LOADS}model.config.{{}}\n"
LOGS = "from transformers import TrainingArguments\nargs = TrainingArguments('out', logging_dir='logs')\n"
OLD_LOGS = LOGS.replace("logging_dir='logs'", "no_cuda=True")
IMAGES = "from transformers import pipeline\nanswer = pipeline('vqa')\n"
OPTIMIZES = (
    "from transformers import TrainingArguments\nargs = TrainingArguments('out', optim='adamw_apex_fused')\n"
)


def at(code: str, *requirements: str) -> dict[str, str]:
    """A file of a project with these requirements."""
    return {**file(code), "README.md": "", "requirements.txt": "\n".join(requirements)}


#: The rules of a file with an old import, an old argument of a config and one of a load.
WHOLE = ("TLP107", "TLP401", "TLP402", "TLP404")

BRANCH = (
    f"{HEAD}def load(name, kind=1, small=False):\n    if small:\n        m = AutoModelForCausalLM.from_pretrained(name, load_in_8bit=True)\n"
    "    return 1\n"
)

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
    "the caller's device": Case(
        "TLP101", file(PLACED.format("{'': args.device}")), file(PLACED.format("{'': 1}"))
    ),
    "the device of a parameter": Case(
        "TLP101",
        file(PLACED.format("{'': device}").replace("model =", "def load(device):\n    return")),
        file(PLACED.format("{'': 'cuda:1'}").replace("model =", "def load(device):\n    return")),
    ),
    "the number of a GPU from the command line": Case(
        "TLP101", file(PLACED.format("f'cuda:{args.gpu}'")), file(PLACED.format("f'cuda:{1}'"))
    ),
    "the caller's device, unless the model is spread": Case(
        "TLP101",
        file(PLACED.format("'auto' if args.spread else {'': args.device}")),
        file(PLACED.format("'auto' if args.spread else {'': 1}")),
    ),
    "the device of another model": Case(
        "TLP101", file(PLACED.format("{'': other.device}")), file(PLACED.format("{'': 'cuda:1'}"))
    ),
    "what each GPU may hold": Case(
        "TLP101",
        file(LOADS.replace("'auto'", "'auto', max_memory={0: '10GB'}") + "Trainer(model).train()\n"),
        file(LOADS + "Trainer(model).train()\n"),
    ),
    "a launcher's GPU, else all": Case(
        "TLP101",
        file("import os\n" + PLACED.format("{'': int(os.environ['LOCAL_RANK'])} if ddp else 'auto'")),
        file("import os\n" + PLACED.format("{'': 1} if ddp else 'auto'")),
    ),
    # ---- one process, as the project starts it
    "a README with plain python": Case(
        "TLP101", {**TRAINS, "README.md": "    python main.py\n"}, {**TRAINS, "README.md": "    torchrun main.py\n"}
    ),
    "a job script": Case(
        "TLP101",
        {**TRAINS, "run.sh": "CUDA_VISIBLE_DEVICES=0 python -u main.py \\\n  --epochs 3\n"},
        {**TRAINS, "run.sh": "accelerate launch \\\n  --num_processes 4 main.py\n"},
    ),
    "a launcher with one process": Case(
        "TLP101",
        {**TRAINS, "run.sh": "torchrun --nproc_per_node=1 main.py\n"},
        {**TRAINS, "run.sh": "torchrun --nproc_per_node=2 main.py\n"},
    ),
    "a SLURM job with one task": Case(
        "TLP101",
        {**TRAINS, "job.sbatch": "#SBATCH --ntasks=1\nsrun python main.py\n"},
        {**TRAINS, "job.sbatch": "#SBATCH --ntasks=4\nsrun python main.py\n"},
    ),
    "a launcher of another file of the same name": Case(
        "TLP101",
        {"raft/main.py": TRAINS["main.py"], "sft/main.py": "", "run.sh": "deepspeed $DIR/main.py\n", "README.md": ""},
        {"raft/main.py": TRAINS["main.py"], "sft/main.py": "", "run.sh": "deepspeed raft/main.py\n", "README.md": ""},
    ),
    "a launcher of the file of that name beside it": Case(
        "TLP101",
        {"raft/main.py": TRAINS["main.py"], "sft/main.py": "", "sft/run.sh": "torchrun ./main.py\n", "README.md": ""},
        {"raft/main.py": TRAINS["main.py"], "sft/main.py": "", "raft/run.sh": "torchrun ./main.py\n", "README.md": ""},
    ),
    "a job with one task on each node": Case(
        "TLP101",
        {**TRAINS, "job.sbatch": "#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\nsrun python main.py\n"},
        {**TRAINS, "job.sbatch": "#SBATCH --nodes=4\n#SBATCH --ntasks-per-node=1\nsrun torchrun --nproc_per_node=8 main.py\n"},
    ),
    "a step of a job with its own number of tasks": Case(
        "TLP101",
        {**TRAINS, "job.sbatch": "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=8\nsrun --ntasks-per-node=1 python main.py\n"},
        {**TRAINS, "job.sbatch": "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\nsrun --ntasks-per-node=8 python main.py\n"},
    ),
    "a Makefile": Case(
        "TLP101",
        {**TRAINS, "Makefile": "train:\n\tpython main.py\n"},
        {**TRAINS, "Makefile": "train:\n\tdeepspeed --num_gpus 2 main.py\n"},
    ),
    "a container": Case(
        "TLP101",
        {**TRAINS, "Dockerfile": 'CMD ["python", "main.py"]\n'},
        {**TRAINS, "Dockerfile": 'CMD ["torchrun", "main.py"]\n'},
    ),
    "a README, and no launcher in the project": Case(
        "TLP101", {**TRAINS, "README.md": "Our experiments.\n"}, {**TRAINS, "README.md": "Run `torchrun main.py`.\n"}
    ),
    "a launcher that a document speaks of": Case(
        "TLP101",
        {**TRAINS, "README.md": "Use `python main.py`. We know of DeepSpeed and `torchrun`.\n"},
        {**TRAINS, "README.md": "Use `torchrun main.py`. We know of DeepSpeed.\n"},
    ),
    "settings without a launcher": Case(
        "TLP101",
        {**TRAINS, "README.md": "", "train.yaml": "deepspeed: null\n"},
        {**TRAINS, "README.md": "", "train.yaml": "command: deepspeed main.py\n"},
    ),
    "a usage of the script itself": Case(
        "TLP101",
        file(f'"""Usage: python main.py --epochs 3"""\n{TRAINS["main.py"]}'),
        TRAINS,
    ),
    "a launcher of another script": Case(
        "TLP101",
        {**TRAINS, "README.md": "`python main.py`, then `torchrun train.py`\n"},
        {**TRAINS, "README.md": "`python train.py`, then `torchrun main.py`\n"},
    ),
    "a launcher of a script that does not import the helper": Case(
        "TLP101",
        {**HELPED, "run.sh": "python main.py\ntorchrun other.py\n"},
        {**HELPED, "run.sh": "python main.py\ntorchrun start.py\n"},
    ),
    "a launcher without a script": Case(
        "TLP101",
        {**TRAINS, "run.sh": "python main.py\n"},
        {**TRAINS, "run.sh": "python main.py\ntorchrun main.py\n"},
    ),
    "several processes in another script": Case(
        "TLP101",
        {**TRAINS, "README.md": "", "other.py": "Accelerator()\n"},
        {**TRAINS, "README.md": "`accelerate launch other.py`", "other.py": "from main import model\nAccelerator()\n"},
    ),
    "a layout in one process": Case(
        "TLP101",
        {**file(PLACED.format("{'model': 0, 'lm_head': 1}")), "run.sh": "python main.py\n"},
        {**file(PLACED.format("{'model': 0, 'lm_head': 1}")), "run.sh": "torchrun main.py\n"},
    ),
    # ---- attention
    "a load that says how it computes": Case("TLP104", file(LOADS), file(BARE)),
    "a project around a load": Case("TLP104", {**file(BARE), "README.md": ""}, file(BARE)),
    "another script beside a load": Case("TLP104", file(BARE, other=""), file(BARE)),
    "such a model, at work": Case(
        "TLP104", file(BARE_LLAMA + "model.generate(ids)\n"), file(BARE_LLAMA + "print(model)\n")
    ),
    "the only ids of the file are of such models": Case(
        "TLP104",
        file("DEFAULT = 'Qwen/Qwen2.5-7B'\n" + BARE),
        file("DEFAULT = ('Qwen/Qwen2.5-7B', 'google/gemma-2-9b')\n" + BARE),
    ),
    "requirements without FlashAttention": Case(
        "TLP104",
        {**file(LOADS), "requirements.txt": "torch\ntransformers>=4.40\n# flash-attn\n"},
        {**file(LOADS), "requirements.txt": "torch\ntransformers>=4.40\nflash-attn\n"},
    ),
    "another module sets attention for the model": Case(
        "TLP104",
        file(WITH_LLAMA, other=EAGER.format("'meta-llama/Llama-3.1-70B'")),
        file(WITH_LLAMA, other=EAGER.format("'meta-llama/Llama-3.1-8B'")),
    ),
    "attention that another module is told": Case(
        "TLP104",
        {**file(WITH_LLAMA, other=SPARSE.replace("'sparse'", "chosen")), "README.md": ""},
        {**file(WITH_LLAMA, other=SPARSE), "README.md": ""},
    ),
    "FlashAttention, which changes no result": Case(
        "TLP104",
        {**file(WITH_LLAMA, other=ATTENTIVE.format("'meta-llama/Llama-3.1-8B'")), "README.md": ""},
        {**file(WITH_LLAMA, other=SPARSE), "README.md": ""},
    ),
    "eager attention, which changes no result": Case(
        "TLP104",
        {**file(WITH_LLAMA, other=EAGER.format("'meta-llama/Llama-3.1-8B'")), "README.md": ""},
        {**file(WITH_LLAMA, other=SPARSE), "README.md": ""},
    ),
    "soft-capped attention": Case(
        "TLP104",
        {**file(WITH_GEMMA), "requirements.txt": "transformers>=5.23\n"},
        {**file(WITH_GEMMA), "requirements.txt": "transformers>=4.40\n"},
    ),
    "soft-capped attention that is not computed": Case(
        "TLP104", file(WITH_GEMMA.replace("generate", "save_pretrained")), file(WITH_GEMMA)
    ),
    "a notebook's installations": Case(
        "TLP104",
        {NOTEBOOK: cells("!pip install -q transformers accelerate", BARE)},
        {NOTEBOOK: cells("!pip install -q transformers flash-attn", BARE)},
        NOTEBOOK,
    ),
    # ---- arguments that change nothing
    "arguments that happen anyway": Case(
        "TLP107", new(f"{OLD}, low_cpu_mem_usage=True)\n"), new(f"{OLD}, torch_dtype='auto')\n")
    ),
    "tokenizers that are fast anyway": Case(
        "TLP107", new(f"{OLD_TOKENIZER}, use_fast=True)\n"), new(f"{OLD_TOKENIZER}, use_fast=False)\n")
    ),
    "downloads that resume anyway": Case(
        "TLP107",
        {**new(f"{OLD}, resume_download=True)\n"), "requirements.txt": "transformers==4.57.0\n"},
        new(f"{OLD}, resume_download=True)\n"),
    ),
    "a checkpoint that is not converted": Case(
        "TLP107", new(f"{OLD}, from_tf=False)\n"), new(f"{OLD}, from_tf=True)\n")
    ),
    "a pipeline of a model that is placed": Case(
        "TLP108",
        file(WITH_PIPELINES + "pipe = pipeline('text-generation', model=model, device_map='auto')\n"),
        file(UNPLACED + "pipe = pipeline('text-generation', model=model, device_map='auto')\n"),
    ),
    "a pipeline of a model that is moved": Case(
        "TLP108",
        file(UNPLACED + "model.to('cuda')\npipe = pipeline('text-generation', model=model, device_map='auto')\n"),
        file(UNPLACED + "other.to('cuda')\npipe = pipeline('text-generation', model=model, device_map='auto')\n"),
    ),
    "a pipeline with the dtype of its model": Case(
        "TLP108",
        file(WITH_PIPELINES + "pipe = pipeline('text-generation', model=model, torch_dtype=torch.bfloat16)\n"),
        file(WITH_PIPELINES + "pipe = pipeline('text-generation', model=model, torch_dtype=torch.float16)\n"),
    ),
    "attention weights that the script gets": Case(
        "TLP108", file(f"{OLD}, output_attentions=True)\n"), file(f"{OLD}, output_attentions=True, attn_implementation='sdpa')\n")
    ),
    "a tokenizer's device map": Case(
        "TLP108", file(f"{OLD_TOKENIZER}, device_map='auto')\n"), file(f"{OLD_TOKENIZER}, load_in_8bit=True)\n")
    ),
    "a tokenizer with an argument of the model": Case(
        "TLP108",
        file(f"{OLD_TOKENIZER}, torch_dtype='auto')\n{OLD}, torch_dtype='auto')\n"),
        file(f"{OLD_TOKENIZER}, torch_dtype='auto')\n{OLD})\n"),
    ),
    # ---- decoding
    "a project in which nothing generates": Case(
        "TLP105", file(HELPER, train=COMPUTES.replace("load", "other")), file(HELPER)
    ),
    "a wrapper's own `generate`": Case(
        "TLP105",
        file(LOADS + "class Wrapper:\n    def generate(self, x):\n        return model.generate(x, do_sample=False)\nwrapper.generate('x')\n"),
        file(LOADS + "class Wrapper:\n    def generate(self, x):\n        return model.generate(x)\nwrapper.generate('x')\n"),
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
    "a cast in the same statement": Case(
        "TLP102",
        file(LOADS.replace(BFLOAT16 + ")", ").eval().to(device, torch.float32)")),
        file(LOADS.replace(BFLOAT16 + ")", ").eval().to(device)")),
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
        file(WITH_LLAMA.replace(BFLOAT16, ", quantization_config=config_of(args)"), helpers=""),
        file(WITH_LLAMA.replace(BFLOAT16, ", quantization_config=None"), helpers=""),
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
    # ---- what a project shows of a load
    "a model of unknown size in a project": Case(
        "TLP102", {**file(BARE), "README.md": ""}, {**file(BARE_LLAMA), "README.md": ""}
    ),
    "a model of fewer than three billion parameters in a project": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('acme/stories-2B'")), "README.md": ""},
        {**file(BARE.replace("(name", "('acme/stories-3B'")), "README.md": ""},
    ),
    "weights that are stored quantized": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('acme/stories-8B-bnb-4bit'")), "README.md": ""},
        {**file(BARE.replace("(name", "('acme/stories-8B-bits'")), "README.md": ""},
    ),
    "the dtype of the checkpoint, from transformers 5 on": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers>=5.0\n", "README.md": ""},
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers>=4.50,<5\n", "README.md": ""},
    ),
    "a release that the project pins, with which its results were measured": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers==4.50.0\n", "README.md": ""},
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers>=4.50.0,<4.52\n", "README.md": ""},
    ),
    "the dtype of the checkpoint, if transformers 5 may be installed": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers>=4.50\n", "README.md": ""},
        {**file(BARE.replace("(name", "('acme/stories-8B'")), "requirements.txt": "transformers>=4.50,<5\n", "README.md": ""},
    ),
    "two files that pin both majors": Case(
        "TLP102",
        {
            **file(BARE.replace("(name", "('acme/stories-8B'")),
            "requirements.txt": "transformers==5.5.4\n",
            "requirements_2.txt": "transformers==4.57.0\n",
            "README.md": "",
        },
        {
            **file(BARE.replace("(name", "('acme/stories-8B'")),
            "requirements.txt": "transformers==4.50.0\n",
            "requirements_2.txt": "transformers==4.57.0\n",
            "README.md": "",
        },
    ),
    "code of a checkpoint that picks half precision": Case(
        "TLP102",
        file(BARE.replace("(name", "(name, trust_remote_code=True") + "if 'chatglm' in name:\n    pass\n"),
        file(BARE.replace("(name", "(name, trust_remote_code=True") + "if 'glm' in name:\n    pass\n"),
    ),
    "the arm for the CPU": Case(
        "TLP102", {**file(ARMS.format(", torch_dtype=torch.float16")), "README.md": ""}, {**file(ARMS.format("")), "README.md": ""}
    ),
    "a second attempt": Case(
        "TLP102",
        {**file(ATTEMPTS.format(", torch_dtype=torch.float16")), "README.md": ""},
        {**file(ATTEMPTS.format("")), "README.md": ""},
    ),
    "a look at what was saved": Case(
        "TLP102",
        {**file(f"{HEAD}m.save_pretrained('out/x-8b')\n{LARGE_FOLDER}"), "README.md": ""},
        {**file(f"{HEAD}m.save_pretrained('out/y-8b')\n{LARGE_FOLDER}"), "README.md": ""},
    ),
    "the only id of the file": Case(
        "TLP102",
        {**file(BARE + "IDS = 'Qwen/Qwen2.5-7B', 'Qwen/Qwen2.5-14B'\n"), "README.md": ""},
        {**file(BARE + "IDS = 'Qwen/Qwen2.5-7B'\n"), "README.md": ""},
    ),
    "a requirement without a release": Case(
        "TLP102",
        {**file(BARE_LLAMA), "README.md": "", "requirements.txt": "transformers\n"},
        {**file(BARE_LLAMA), "README.md": "", "requirements.txt": "torch\n"},
    ),
    "a requirement without a release, where another library leaves out transformers 5": Case(
        "TLP102",
        {**file(BARE_LLAMA), "README.md": "", "requirements.txt": "transformers\nhuggingface-hub\n"},
        {**file(BARE_LLAMA), "README.md": "", "requirements.txt": "transformers\nhuggingface-hub<1.0\n"},
    ),
    "float16 mixed precision": Case(
        "TLP102",
        {**file(f"{BARE_LLAMA}arguments = TrainingArguments(fp16=True)\n"), "README.md": ""},
        {**file(f"{BARE_LLAMA}arguments = TrainingArguments(fp16=False)\n"), "README.md": ""},
    ),
    "a notebook for trying things": Case(
        "TLP102",
        {"llama_playground.ipynb": cells(BARE_LLAMA), "README.md": ""},
        {"llama_ground.ipynb": cells(BARE_LLAMA), "README.md": ""},
        "llama_playground.ipynb",
    ),
    "soft-capping in a release that keeps it": Case(
        "TLP104",
        {**file(WITH_GEMMA), "README.md": "", "requirements.txt": "transformers==4.46.1\n"},
        {**file(WITH_GEMMA), "README.md": "", "requirements.txt": "transformers==4.50.1\n"},
    ),
    "soft-capping in a project of transformers 5": Case(
        "TLP104",
        {**file(WITH_GEMMA), "README.md": "", "requirements.txt": "transformers>=5.5\n"},
        {**file(WITH_GEMMA), "README.md": "", "requirements.txt": "transformers>=5.5,<5.20\n"},
    ),
    "soft-capping in the newest release": Case(
        "TLP104",
        {**file(WITH_GEMMA), "README.md": "", "requirements.txt": "transformers\n"},
        {**file(WITH_GEMMA), "README.md": ""},
    ),
    "a checkpoint that is float32": Case(
        "TLP102",
        {**file(BARE.replace("(name", "('google/flan-t5-3b'")), "README.md": ""},
        {**file(BARE.replace("(name", "('google/flan-3b'")), "README.md": ""},
    ),
    "a load that only fills the cache": Case(
        "TLP102",
        {**file(f"{HEAD}{LARGE}\n"), "README.md": ""},
        {**file(f"{HEAD}model = {LARGE}\n"), "README.md": ""},
    ),
    "the generation of a model that is not known to sample": Case(
        "TLP105",
        {**file(LOADS + "model.generate(ids)\n"), "README.md": ""},
        {**file(WITH_QWEN + "model.generate(ids)\n"), "README.md": ""},
    ),
    "sampling that its publisher asks for": Case(
        "TLP105",
        {**file(WITH_QWEN.replace("Qwen/Qwen2.5-7B-Instruct", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B") + "model.generate(ids)\n"), "README.md": ""},
        {**file(WITH_QWEN + "model.generate(ids)\n"), "README.md": ""},
    ),
    "a look at one answer in a notebook": Case(
        "TLP105",
        {NOTEBOOK: cells(WITH_QWEN, "out = model.generate(ids)\nprint(out)", "for x in y: keep.append(x)"), "README.md": ""},
        {NOTEBOOK: cells(WITH_QWEN, "for x in y: keep.append(model.generate(x))", "print(keep)"), "README.md": ""},
        NOTEBOOK,
    ),
    "a function of a notebook whose answers are only shown": Case(
        "TLP105",
        {NOTEBOOK: cells(WITH_QWEN, "def ask(ids):\n    return model.generate(ids)", "print(ask(1))"), "README.md": ""},
        {NOTEBOOK: cells(WITH_QWEN, "def ask(ids):\n    return model.generate(ids)", "table.to_csv(ask(1))"), "README.md": ""},
        NOTEBOOK,
    ),
    "sampling that a call asks for": Case(
        "TLP105",
        {**file(WITH_QWEN + "keep.append(model.generate(ids, temperature=0.7))\n"), "README.md": ""},
        {**file(WITH_QWEN + "keep.append(model.generate(ids, temperature=0.0))\n"), "README.md": ""},
    ),
    "a call of another load of the same name": Case(
        "TLP105",
        {**file(WITH_QWEN + "keep(model(ids))\nmodel = AutoModelForCausalLM.from_pretrained('out')\nkeep.append(model.generate(ids))\n"), "README.md": ""},
        {**file(WITH_QWEN + "keep(model(ids))\nother = AutoModelForCausalLM.from_pretrained('out')\nkeep.append(model.generate(ids))\n"), "README.md": ""},
    ),
    "answers that a project's script prints and nothing keeps": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}def ask(x):\n    return model.generate(x)\nprint(ask(input()))\n"), "README.md": ""},
        {**file(f"{WITH_QWEN}def ask(x):\n    return model.generate(x)\nprint(ask(input()))\n", run="import main\nkeep.append(main.ask(1))\n"), "README.md": ""},
    ),
    "the hidden states of a prompt": Case(
        "TLP105",
        {**file(WITH_QWEN + "x = model.generate(ids, max_new_tokens=1, output_hidden_states=True)\nkeep.append(x)\n"), "README.md": ""},
        {**file(WITH_QWEN + "x = model.generate(ids, max_new_tokens=9, output_hidden_states=True)\nkeep.append(x)\n"), "README.md": ""},
    ),
    "a notebook's cell that has run": Case(
        "TLP102",
        {NOTEBOOK: cells(BARE_LLAMA).replace('"execution_count": null', '"execution_count": 3'), "README.md": ""},
        {NOTEBOOK: cells(BARE_LLAMA), "README.md": ""},
        NOTEBOOK,
    ),
    "a launcher's command in a comment": Case(
        "TLP101",
        {**file(WITH_LLAMA.replace("torch_dtype", "device_map='auto', torch_dtype")), "README.md": "", "run.sh": "# torchrun main.py\npython main.py\n"},
        {**file(WITH_LLAMA.replace("torch_dtype", "device_map='auto', torch_dtype")), "README.md": "", "run.sh": "# torchrun main.py\ntorchrun main.py\n"},
    ),
    "greedy decoding that is stated": Case(
        "TLP204",
        {**file(f"{LOADS}model.generate(ids, do_sample=False, temperature=0.7)\n"), "README.md": ""},
        file(f"{LOADS}model.generate(ids, do_sample=False, temperature=0.7)\n"),
    ),
    "more files of a repository without documents": Case(
        "TLP201",
        {**file(WITH_LLAMA + "tokenizer(texts, padding=True)\n", a=""), ".git": ""},
        {**file(WITH_LLAMA + "tokenizer(texts, padding=True)\n"), ".git": ""},
    ),
    "an archive in a repository without documents": Case(
        "TLP107",
        {"archive/run.py": OLD_CALL, "a.py": "", ".git": ""},
        {"src/run.py": OLD_CALL, "a.py": "", ".git": ""},
    ),
    "a module that only defines, and that nothing imports": Case(
        "TLP107",
        {"llama.py": OLD_IN_A_FUNCTION, "main.py": "from other import build\nprint(build, 'meta-llama/x')\n", "README.md": ""},
        {"llama.py": OLD_IN_A_FUNCTION, "main.py": "from models.llama import build\nprint(build)\n", "README.md": ""},
        "llama.py",
    ),
    "a module that only defines, in a project that imports by name": Case(
        "TLP107",
        {"llama.py": OLD_IN_A_FUNCTION, "main.py": "print('build')\n", "README.md": ""},
        {"llama.py": OLD_IN_A_FUNCTION, "main.py": "print(importlib.import_module(name), 'build')\n", "README.md": ""},
        "llama.py",
    ),
    "a module that nothing imports, and that does something by itself": Case(
        "TLP107",
        {"llama.py": OLD_IN_A_FUNCTION, "main.py": "print('build')\n", "README.md": ""},
        {"llama.py": OLD_IN_A_FUNCTION + "print(build())\n", "main.py": "print('build')\n", "README.md": ""},
        "llama.py",
    ),
    "a slow tokenizer": Case(
        "TLP107",
        {**new(f"{OLD_TOKENIZER}, use_fast=False)\n"), "README.md": ""},
        new(f"{OLD_TOKENIZER}, use_fast=False)\n"),
    ),
    "a generation in another module with a model that it loads itself": Case(
        "TLP105",
        file(HELPER, run="from main import load\nfrom student import Student\nmodel, tokenizer = load('x')\nStudent(model)\n", student=STUDENT.format("M.from_pretrained('a')")),
        file(HELPER, run="from main import load\nfrom student import Student\nmodel, tokenizer = load('x')\nStudent(model)\n", student=STUDENT.format("model")),
    ),
    "a generation in another module": Case(
        "TLP105",
        {**file(WITH_QWEN, run="from main import model\nmodel.generate(ids)\n"), "README.md": ""},
        {**file(WITH_QWEN + "model.generate(ids)\n", run="from main import model\n"), "README.md": ""},
    ),
    "a call of `generate` in a project": Case(
        "TLP203", {**file(BEAMS.format("CausalLM")), "README.md": ""}, file(BEAMS.format("CausalLM"))
    ),
    "padding in a project": Case(
        "TLP201",
        {**file(WITH_LLAMA + "tokenizer(texts, padding=True)\n"), "README.md": ""},
        file(WITH_LLAMA + "tokenizer(texts, padding=True)\n"),
    ),
    "a project's move of a model": Case(
        "TLP106", {**file(LOADS + "model.to('cuda')\n"), "README.md": ""}, file(LOADS + "model.to('cuda')\n")
    ),
    "a cache path in a project": Case(
        "TLP304",
        {**file(f"{OLD}, cache_dir='/ceph/me/models')\n"), "README.md": ""},
        file(f"{OLD}, cache_dir='/ceph/me/models')\n"),
    ),
    "an argument that only some runs pass": Case(
        "TLP107",
        {**file(f"{SOME}{{}}\nif small:\n    given['load_in_8bit'] = True\n{LOAD_GIVEN}"), "README.md": ""},
        {**file(f"{SOME}{{'load_in_8bit': True}}\n{LOAD_GIVEN}"), "README.md": ""},
    ),
    "an argument that a branch takes out": Case(
        "TLP107",
        {**file(f"{SOME}{{'load_in_8bit': True}}\nif small:\n    given.pop('load_in_8bit')\n{LOAD_GIVEN}"), "README.md": ""},
        {**file(f"{SOME}{{'load_in_8bit': True}}\nif small:\n    given.pop('other')\n{LOAD_GIVEN}"), "README.md": ""},
    ),
    "a class that only transformers 5 removes": Case(
        "TLP107",
        {**file(VISION), "requirements.txt": "transformers==4.48.3\n"},
        {**file(VISION), "requirements.txt": "transformers>=4.48.3\n"},
    ),
    "a release that an install script checks out": Case(
        "TLP107",
        {**file(OLD_CALL), "install.sh": "cd transformers && git checkout v4.31.0 && pip install -e . && cd ..\n"},
        {**file(OLD_CALL), "install.sh": "cd transformers && cd ../peft && git checkout v0.5.0\n"},
    ),
    "an exact release before the one that removed an argument": Case(
        "TLP401", at(LOGS, "transformers==5.3.0"), at(LOGS, "transformers==5.15.0")
    ),
    "an exact release before the one that removed a value": Case(
        "TLP401", at(OPTIMIZES, "transformers==5.7.1"), at(OPTIMIZES, "transformers==5.8.0")
    ),
    "an exact release before the one that removed a task": Case(
        "TLP405", at(IMAGES, "transformers==5.2.0"), at(IMAGES, "transformers>=4.40")
    ),
    "an exact release before the one that removed a name": Case(
        "TLP404",
        at(f"from transformers import MambaCache\n{LOADS}", "transformers==5.4.0"),
        at(f"from transformers import MambaCache\n{LOADS}", "transformers==5.5.0"),
    ),
    "exact releases of several parts": Case(
        "TLP401",
        {**at(LOGS, "transformers==5.3.0"), "requirements_gpu.txt": "transformers==5.4.0\n"},
        {**at(LOGS, "transformers==5.3.0"), "requirements_gpu.txt": "transformers>=5.4.0\n"},
    ),
    "an exact release that a file installs": Case(
        "TLP401",
        {NOTEBOOK: cells(INSTALL.format("transformers==5.3.0"), LOGS), "requirements.txt": "transformers>=5.0\n"},
        {NOTEBOOK: cells(INSTALL.format("transformers>=5.3.0"), LOGS), "requirements.txt": "transformers>=5.0\n"},
        NOTEBOOK,
    ),
    "a token id in a config that nobody may ask for": Case(
        "TLP406",
        new(CONFIGURED.format("forced_bos_token_id = ids.get(language)")),
        new(CONFIGURED.format("forced_bos_token_id = ids_of.convert_tokens_to_ids('de')")),
    ),
    "a token id in a config, restored": Case(
        "TLP406",
        new("saved = keep()\n" + CONFIGURED.format("forced_bos_token_id = first if first is not None else saved")),
        new("saved = 3\n" + CONFIGURED.format("forced_bos_token_id = 5 if first is not None else saved")),
    ),
    "a token id in a config, behind a check": Case(
        "TLP406",
        new("first = 2\n" + CONFIGURED.replace("model.c", "if first is not None:\n    model.c").format("forced_bos_token_id = first")),
        new("first = 2\n" + CONFIGURED.format("forced_bos_token_id = first")),
    ),
    "a setting in a config, behind a check": Case(
        "TLP406",
        new(CONFIGURED.replace("model.c", "if args.length:\n    model.c").format("max_length = args.length")),
        new(CONFIGURED.format("max_length = args.length")),
    ),
    "a setting in a config that is None by default": Case(
        "TLP406",
        new("length = None\nif long:\n    length = 9\n" + CONFIGURED.format("max_length = length")),
        new("length = 5\nif long:\n    length = 9\n" + CONFIGURED.format("max_length = length")),
    ),
    "a release before all that the table speaks of": Case(
        "TLP107", at(OLD_CALL, "transformers==3.3.1"), at(OLD_CALL, "transformers>=3.3.1")
    ),
    "an end before all that the table speaks of": Case(
        "TLP107",
        at(OLD_CALL, "transformers>=4.20,<4.36"),
        at(f"{OLD}, use_flash_attention_2=True)\n", "transformers>=4.53,<4.57"),
    ),
    "a name that peft lacked before transformers 5 came": Case(
        "TLP401",
        at(f"from peft import prepare_model_for_int8_training\n{OLD_LOGS}", "transformers>=4.28"),
        at(f"from peft import prepare_model_for_kbit_training\n{OLD_LOGS}", "transformers>=4.28"),
    ),
    "a call of what peft lacked before transformers 5 came": Case(
        "TLP107",
        at(f"import peft\n{OLD_CALL}peft.prepare_model_for_int8_training(model)\n", "transformers>=4.28"),
        at(f"import peft\n{OLD_CALL}peft.prepare_model_for_kbit_training(model)\n", "transformers>=4.28"),
    ),
    "a name that transformers lacked before 5 came": Case(
        "TLP402",
        at(f"from transformers import is_torch_tpu_available\n{OLD_TRAINER}", "transformers>=4.28"),
        at(f"from transformers import is_torch_xla_available\n{OLD_TRAINER}", "transformers>=4.28"),
    ),
    "a module that transformers lacked before 5 came": Case(
        "TLP401",
        at(f"from transformers.modeling_bert import BertModel\n{OLD_LOGS}", "transformers>=3.0"),
        at(f"try:\n    from transformers.modeling_bert import BertModel\nexcept ImportError:\n    pass\n{OLD_LOGS}", "transformers>=3.0"),
    ),
    "older libraries in a module of the project": Case(
        "TLP401",
        {**at(f"from parts.trl_data import collate\n{OLD_LOGS}", "transformers>=4.28"), **COLLATORS},
        {**at(f"from parts.own_data import collate\n{OLD_LOGS}", "transformers>=4.28"), **COLLATORS},
    ),
    "torch that transformers 5 cannot use": Case(
        "TLP107",
        at(OLD_CALL, "transformers>=4.30", "torch==2.2.0"),
        at(OLD_CALL, "transformers>=4.30", "torch==2.6.0"),
    ),
    "torch in the README that transformers 5 cannot use": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": "Install `torch==2.2.0`:\n"},
        {**file(OLD_CALL), "README.md": "Install `torch>=2.2.0`:\n"},
    ),
    "an exact release of trl before the one that removed an argument": Case(
        "TLP402",
        at(OLD_SFT, "transformers>=4.40", "trl==0.12.0"),
        at(OLD_SFT, "transformers>=4.40", "trl==0.13.0"),
    ),
    "an exact release of trl before the one that removed a name": Case(
        "TLP404",
        at(f"from trl import DataCollatorForCompletionOnlyLM\n{LOADS}", "transformers>=4.40", "trl<0.20"),
        at(f"from trl import DataCollatorForCompletionOnlyLM\n{LOADS}", "transformers>=4.40", "trl<0.21"),
    ),
    "an exact release of peft before the one that removed a name": Case(
        "TLP404",
        at(f"from peft import prepare_model_for_int8_training\n{LOADS}", "transformers>=4.40", "peft==0.9.0"),
        at(f"from peft import prepare_model_for_int8_training\n{LOADS}", "transformers>=4.40", "peft==0.10.0"),
    ),
    "requirements that transformers 5 cannot meet": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": "", "requirements.txt": "transformers>=4.40\nhuggingface-hub<1.0\n"},
        {**file(OLD_CALL), "README.md": "", "requirements.txt": "transformers>=4.40\nhuggingface-hub<2.0\n"},
    ),
    "a project's training in float16": Case(
        "TLP103",
        {**file(FLOAT16_TRAINING), "README.md": ""},
        file(FLOAT16_TRAINING),
    ),
    "a map that only some runs pass": Case(
        "TLP101",
        {**file(f"{SOME}{{}}\nif small:\n    given['device_map'] = 'auto'\n{LOAD_GIVEN}"), "run.sh": STARTED.format("")},
        {**file(f"{SOME}{{'device_map': 'auto'}}\n{LOAD_GIVEN}"), "run.sh": STARTED.format("")},
    ),
    "a measurement of time": Case(
        "TLP105",
        {**file(WITH_QWEN + "start = time.time()\nx = model.generate(ids)\nprint(time.time() - start)\nlog.append(1)\n"), "README.md": ""},
        {**file(WITH_QWEN + "start = time.time()\nx = tokenizer.decode(model.generate(ids)[0])\nlog.append(x)\n"), "README.md": ""},
    ),
    "what a load states, said again to a pipeline": Case(
        "TLP108",
        {**file(REPEATED.format("bfloat16")), "README.md": ""},
        {**file(REPEATED.format("float16")), "README.md": ""},
    ),
    "what a pipeline does of itself, among what a load states": Case(
        "TLP108",
        {**file(SAID_AGAIN.replace("MORE", "'skip_special_tokens': True")), "README.md": ""},
        {**file(SAID_AGAIN.replace("MORE", "'attn_implementation': 'eager'")), "README.md": ""},
    ),
    "a device map that a load states, said again to a pipeline": Case(
        "TLP108",
        {**file(REPEATED_MAP.format('"auto"')), "README.md": ""},
        {**file(REPEATED_MAP.format("'cuda'")), "README.md": ""},
    ),
    "the token of the stored login": Case(
        "TLP107",
        {**file(f"{OLD_TOKENIZER}, use_auth_token=True)\n"), "README.md": ""},
        {**file(f"{OLD_TOKENIZER}, use_auth_token=token)\n"), "README.md": ""},
    ),
    "a large model that the file gives to another class": Case(
        "TLP102",
        {**file(CLASSIFIES.format("Writer")), "README.md": ""},
        {**file(CLASSIFIES.format("Reader")), "README.md": ""},
    ),
    "a folder that a script only makes": Case(
        "TLP105",
        {**file(WITH_QWEN + "save_dir = 'out'\nprint(model.generate(ids))\n"), "README.md": ""},
        {**file(WITH_QWEN + "save_it(model.generate(ids))\nprint(1)\n"), "README.md": ""},
    ),
    "a release that a script's image installs": Case(
        "TLP107",
        {**file(f"image = debian.pip_install('torch', 'transformers==4.30.2')\n{OLD_CALL}"), "README.md": ""},
        {**file(f"image = debian.pip_install('torch', 'transformers')\n{OLD_CALL}"), "README.md": ""},
    ),
    "a release that a script's image installs, in a list of several lines": Case(
        "TLP107",
        {**file(f"image = debian.pip_install(\n    'torch',  # for CUDA\n    'transformers==4.30.2',\n)\n{OLD_CALL}"), "README.md": ""},
        {**file(f"image = debian.pip_install(\n    'torch',\n)\nneeds = [\n    'transformers==4.30.2',\n]\n{OLD_CALL}"), "README.md": ""},
    ),
    "a release that the images of all programs around a module install": Case(
        "TLP107",
        {**file(OLD_CALL, a="image.pip_install('transformers==4.30.2')\nimport main\n"), "README.md": ""},
        {**file(OLD_CALL, a="image.pip_install('transformers==4.30.2')\nimport main\n", b="import main\n"), "README.md": ""},
    ),
    "a temperature of zero that a greedy checkpoint ignores": Case(
        "TLP204",
        {**file(LOADS + "model.generate(ids, temperature=0, max_new_tokens=9)\n"), "README.md": ""},
        {**file(WITH_QWEN + "model.generate(ids, temperature=0, max_new_tokens=9)\n"), "README.md": ""},
    ),
    "code that drops the end of a text": Case(
        "TLP202",
        file(ENDS + "ids = [one for one in ids if one < tokenizer.vocab_size]\n"),
        file(ENDS + "ids = [one for one in ids if one < limit]\n"),
    ),
    "a training whose model is thrown away": Case(
        "TLP202",
        {**file(ENDS), "README.md": ""},
        {**file(ENDS + "trainer.save_model('out')\n"), "README.md": ""},
    ),
    # ---- code that the project keeps and does not run
    "an import that is gone": Case(
        "TLP107",
        {**file(f"from acme.data.sets import X\n{OLD_CALL}"), "acme/__init__.py": "", "acme/old.py": "", "README.md": ""},
        {**file(f"from acme.data.sets import X\n{OLD_CALL}"), "acme/__init__.py": "", "acme/data/sets.py": "", "README.md": ""},
    ),
    "a branch that is turned off at the top": Case(
        "TLP107",
        {**file(BRANCH + "small = False\nload(x, y, small=small)\n"), "README.md": ""},
        {**file(BRANCH + "small = True\nload(x, y, small=small)\n"), "README.md": ""},
    ),
    "a branch that is turned off, and on again": Case(
        "TLP107",
        {**file(BRANCH + "small = False\nload(x, y, small=small)\n"), "README.md": ""},
        {**file(BRANCH + "small = False\nsmall |= is_small()\nload(x, y, small=small)\n"), "README.md": ""},
    ),
    "a branch that no caller takes": Case(
        "TLP107",
        {**file(BRANCH, other="from main import load\nload('x')\n"), "README.md": ""},
        {**file(BRANCH, other="from main import load\nload('x', small=True)\n"), "README.md": ""},
    ),
    "a Python that no newer release takes": Case(
        "TLP107",
        {**file(f"{OLD}, use_flash_attention_2=True)\n"), "README.md": "conda create -n acme python=3.8"},
        {**file(f"{OLD}, use_flash_attention_2=True)\n"), "README.md": "conda create -n acme python=3.9"},
    ),
    "a limit of memory that no run had": Case(
        "TLP108",
        {**file(LOADS.replace("device_map='auto'", "max_memory={0: '10GB'}")), "README.md": ""},
        {**file(LOADS.replace("device_map='auto'", "attn_implementation='flash_attn'")), "README.md": ""},
    ),
    "a fork of transformers": Case(
        "TLP107",
        {**file(f"import transformers.adapters.composition as ac\n{OLD_CALL}"), "README.md": ""},
        {**file(f"import transformers.models.llama as ac\n{OLD_CALL}"), "README.md": ""},
    ),
    "a backup in mixed case": Case(
        "TLP107", {"BackUp/main.py": OLD_CALL, "README.md": ""}, {"BackEnd/main.py": OLD_CALL, "README.md": ""}
    ),
    "a folder of what was put back": Case(
        "TLP107", {"_back/main.py": OLD_CALL, "README.md": ""}, {"back_translation/main.py": OLD_CALL, "README.md": ""}
    ),
    "a file of a backup in mixed case": Case(
        "TLP107", {"src/main_BackUp.py": OLD_CALL, "README.md": ""}, {"src/main_Setup.py": OLD_CALL, "README.md": ""}
    ),
    "an archive in mixed case": Case(
        "TLP107", {"OldNotebooks/main.py": OLD_CALL, "README.md": ""}, {"Olden/main.py": OLD_CALL, "README.md": ""}
    ),
    "an archive": Case("TLP107", {"archive/main.py": OLD_CALL, "README.md": ""}, {"src/main.py": OLD_CALL, "README.md": ""}),
    "scripts of those who made a data set": Case(
        "TLP107", {"data/raw/val/main.py": OLD_CALL, "README.md": ""}, {"data/val/main.py": OLD_CALL, "README.md": ""}
    ),
    "a copy beside results": Case(
        "TLP107", {"output/x/main.py": OLD_CALL, "README.md": ""}, {"putout/x/main.py": OLD_CALL, "README.md": ""}
    ),
    "an old version of a file": Case(
        "TLP107", {"main_old.py": OLD_CALL, "README.md": ""}, {"main_bold.py": OLD_CALL, "README.md": ""}
    ),
    "a method that nothing calls": Case(
        "TLP107",
        {**file(METHOD), "README.md": "It uses Loader."},
        {**file(METHOD), "README.md": "It uses Loader.load_it."},
    ),
    "a legacy folder": Case(
        "TLP107", {"legacy code/main.py": OLD_CALL, "README.md": ""}, {"code/main.py": OLD_CALL, "README.md": ""}
    ),
    "a comment about full precision": Case(
        "TLP102",
        {**file(f"{HEAD}# Load the model in full precision\nm = {LARGE}\n"), "README.md": ""},
        {**file(f"{HEAD}# Load the model\nm = {LARGE}\n"), "README.md": ""},
    ),
    "a fork that is pinned": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": "", "requirements.txt": "-e git+https://github.com/acme/transformers.git@v4.33.3.1\n"},
        {**file(OLD_CALL), "README.md": "", "requirements.txt": "transformers>=4.33\n"},
    ),
    "an argument that a pinned release takes": Case(
        "TLP107",
        {**file(f"{OLD}, use_flash_attention_2=True)\n"), "README.md": "", "requirements.txt": "transformers==4.34.0\n"},
        {**file(f"{OLD}, use_flash_attention_2=True)\n"), "README.md": "", "requirements.txt": "transformers==4.54.0\n"},
    ),
    "a project's tokenizer that ignores an argument": Case(
        "TLP108",
        {**file(f"{OLD_TOKENIZER}, load_in_8bit=True)\n"), "README.md": ""},
        file(f"{OLD_TOKENIZER}, load_in_8bit=True)\n"),
    ),
    "an id in other letter case": Case(
        "TLP301",
        {**file(f"{HEAD}{MADE_UP.replace('Llama-3-8B', 'LLaMA-3.1-8b')}\n"), "README.md": ""},
        {**file(f"{HEAD}{MADE_UP}\n"), "README.md": ""},
    ),
    "a length that is the same": Case(
        "TLP207",
        file(LOADS + "model.generate(ids, do_sample=False, max_length=90, max_new_tokens=90)\n"),
        file(LOADS + "model.generate(ids, do_sample=False, max_length=80, max_new_tokens=90)\n"),
    ),
    "a length that asks for more than what takes effect": Case(
        "TLP207",
        {**file(LOADS + "model.generate(ids, do_sample=False, max_length=900, max_new_tokens=90)\n"), "README.md": ""},
        {**file(LOADS + "model.generate(ids, do_sample=False, max_length=80, max_new_tokens=90)\n"), "README.md": ""},
    ),
    "the same in a script of which nothing else is known": Case(
        "TLP207",
        {**file(LOADS + "model.generate(ids, do_sample=False, max_length=900, max_new_tokens=90)\n"), "README.md": ""},
        file(LOADS + "model.generate(ids, do_sample=False, max_length=900, max_new_tokens=90)\n"),
    ),
    "a device map in a repository with more files": Case(
        "TLP101",
        {**file(TRAINS["main.py"], other=""), ".git": ""},
        {**file(TRAINS["main.py"]), ".git": ""},
    ),
    "a model of unknown size in a repository with more files": Case(
        "TLP102",
        {**file(WITHOUT_DTYPE, other=""), ".git": ""},
        {**file(WITHOUT_DTYPE.replace("(name", "('meta-llama/Llama-2-7b-hf'"), other=""), ".git": ""},
    ),
    # ---- what the readers of the twenty-ninth and the thirtieth draw would not act on
    "a name that nothing defines, read before the call": Case(
        "TLP402",
        at(f"print(scripts_args)\n{OLD_TRAINER}", "transformers>=4.40"),
        at(f"def show():\n    print(scripts_args)\n{OLD_TRAINER}", "transformers>=4.40"),
    ),
    "a name that nothing defines, among the arguments": Case(
        "TLP402",
        at(OLD_TRAINER.replace("own.args", "args.training"), "transformers>=4.40"),
        at(OLD_TRAINER.replace("own.args", "own.args if own.args else args"), "transformers>=4.40"),
    ),
    "a name that nothing defines, in the function of the call": Case(
        "TLP402",
        at(IN_A_FUNCTION.format("print(args)"), "transformers>=4.40"),
        at(IN_A_FUNCTION.format("try:\n        print(args)\n    except NameError:\n        pass"), "transformers>=4.40"),
    ),
    "a name that may come from a star import": Case(
        "TLP402",
        at(f"import own\nprint(args)\n{OLD_TRAINER}", "transformers>=4.40"),
        at(f"from own import *\nprint(args)\n{OLD_TRAINER}", "transformers>=4.40"),
    ),
    "a script that is left over": Case(
        "TLP401",
        {**TEN, "extra.py": LOGS, "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "extra.py": LOGS, "README.md": "\n".join(f"python {each}" for each in [*TEN][1:])},
        "extra.py",
    ),
    "a notebook that is left over": Case(
        "TLP401",
        {**TEN, "extra.ipynb": cells(LOGS), "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "extra.ipynb": cells(LOGS), "README.md": "\n".join(f"python {each}" for each in [*TEN][1:])},
        "extra.ipynb",
    ),
    "a notebook beside ten scripts that are named, with a link": Case(
        "TLP401",
        {**TEN, "the first.ipynb": cells(LOGS), "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "the first.ipynb": cells(LOGS), "README.md": "\n".join(f"python {each}" for each in TEN) + "\n[open](https://x.org/the%20first.ipynb)\n"},
        "the first.ipynb",
    ),
    "a script beside ten that are named": Case(
        "TLP401",
        {**TEN, "extra.py": LOGS, "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "extra.py": LOGS, "README.md": "\n".join(f"python {each}" for each in [*TEN, "extra.py"])},
        "extra.py",
    ),
    "a script beside ten that are named, and one that another runs": Case(
        "TLP401",
        {**TEN, "extra.py": LOGS, "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "extra.py": LOGS, "step_1.py": "run('extra.py')\n", "README.md": "\n".join(f"python {each}" for each in TEN)},
        "extra.py",
    ),
    "a module that code may import by its name, and a script": Case(
        "TLP401",
        {**TEN, "extra.py": f"{DEFINES_LOGS}if __name__ == '__main__':\n    main()\n", "step_1.py": IMPORTS, "README.md": "\n".join(f"python {each}" for each in TEN)},
        {**TEN, "extra.py": DEFINES_LOGS, "step_1.py": IMPORTS, "README.md": "\n".join(f"python {each}" for each in TEN)},
        "extra.py",
    ),
    "a script of older transformers": Case(
        "TLP107",
        at(f"from transformers import AdamW\n{OLD_CALL}", "transformers>=4.28"),
        at(f"from transformers import Adafactor\n{OLD_CALL}", "transformers>=4.28"),
    ),
    "a script of older transformers, by a module": Case(
        "TLP107",
        at(f"from transformers.optimization import AdamW\n{OLD_CALL}", "transformers>=4.28"),
        at(f"from transformers.optimization import Adafactor\n{OLD_CALL}", "transformers>=4.28"),
    ),
    "a library that cannot be installed beside transformers 5": Case(
        "TLP401",
        {**file(f"import steering_vectors\n{WARMED}", a=""), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
        {**file(f"import steering_vectors\n{WARMED}", steering_vectors=""), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
    ),
    "a library of that name in a folder that the script adds to its path": Case(
        "TLP401",
        {**file(f"import adapters\n{WARMED}", other=""), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
        {**file(f"import adapters\n{WARMED}"), "lib/adapters.py": "", "README.md": "", "requirements.txt": "transformers>=4.40\n"},
    ),
    "such a library in a project that needs transformers 5": Case(
        "TLP401",
        {**file(f"import adapters\n{WARMED}", other=""), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
        {**file(f"import adapters\n{WARMED}", other=""), "README.md": "", "requirements.txt": "transformers>=5.5\n"},
    ),
    "such a library in a release before it left out transformers 5": Case(
        "TLP401",
        {**file(f"import circuit_tracer\n{WARMED}", other=""), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
        {**file(f"import circuit_tracer\n{WARMED}", other=""), "README.md": "", "requirements.txt": "transformers>=4.40\ncircuit-tracer==0.4.0\n"},
    ),
    "such a library in a module that the script imports": Case(
        "TLP107",
        {**file(f"from steered import load\n{OLD_CALL}", steered="from steering_vectors import train\n"), "README.md": ""},
        {**file(f"from steered import load\n{OLD_CALL}", steered="from steering import train\n"), "README.md": ""},
    ),
    "a token that was blanked out, where it is ignored": Case(
        "TLP107",
        {**file(f"TOKEN = ''\n{OLD_TOKENIZER}, use_auth_token=TOKEN)\n", other=""), "README.md": ""},
        {**file(f"TOKEN = 'hf_a'\n{OLD_TOKENIZER}, use_auth_token=TOKEN)\n", other=""), "README.md": ""},
    ),
    "a script alone that gets the newest release": Case(
        "TLP102",
        {**file(BARE), "requirements.txt": "transformers\n"},
        file(BARE),
    ),
    "a language's BERT": Case(
        "TLP104",
        file(BARE.replace("AutoModelForCausalLM", "AutoModel").replace("(name", "('csebuetnlp/banglabert_small'")),
        file(BARE.replace("AutoModelForCausalLM", "AutoModel").replace("(name", "('csebuetnlp/bangla_small'")),
    ),
    "a cache that is a tuple": Case(
        "TLP410",
        at(MAKES_A_CACHE.format("isinstance(past, tuple)"), "transformers>=4.40"),
        at(MAKES_A_CACHE.format("isinstance(other, tuple)"), "transformers>=4.40"),
    ),
    "a script of older datasets": Case(
        "TLP107",
        at(f"from datasets import load_metric\n{OLD_CALL}", "transformers>=4.28"),
        at(f"from datasets import load_dataset\n{OLD_CALL}", "transformers>=4.28"),
    ),
    "the first Qwen, whose tokenizer has no end of texts": Case(
        "TLP202",
        file(ENDS.replace("gpt2", "Qwen/Qwen-7B-Chat").replace("+ tokenizer.eos_token", "+ '<|im_end|>'")),
        file(ENDS.replace("gpt2", "Qwen/Qwen1.5-7B-Chat").replace("+ tokenizer.eos_token", "+ '<|im_end|>'")),
    ),
    "ends in labels that the collator replaces": Case(
        "TLP202",
        file(LABELS_APART.format("text", "text + tokenizer.eos_token")),
        file(LABELS_APART.format("text + tokenizer.eos_token", "text + tokenizer.eos_token")),
    ),
    "ends that only the labels have": Case(
        "TLP202",
        file(LABELS_APART.format("text", "text + tokenizer.eos_token")),
        file("answers = tokenizer(text + tokenizer.eos_token)\n".join(ENDS.split("texts = [text + tokenizer.eos_token for text in texts]\n"))
             + "ids = asked + answers\nlabels = [-100] * len(asked) + answers\nrow = {'input_ids': ids, 'labels': labels}\n"),
    ),
    "a lock file of pdm": Case(
        "TLP401",
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TF, "pdm.lock": LOCKS.replace("trl", "transformers").format("5.5.4")},
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TF, "pdm.lock": LOCKS.replace("trl", "transformers").format("5.20.0")},
    ),
    "a lock file of pipenv": Case(
        "TLP401",
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TF, "Pipfile.lock": PIPENV.replace("0", "5.5.4")},
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TF, "Pipfile.lock": PIPENV.replace("0", "5.20.0")},
    ),
    "a GPU of the rank's number": Case(
        "TLP101",
        {**file(PLACED.format("'cuda:{}'.format(accelerator.process_index)")), "run.sh": STARTED.format("")},
        {**file(PLACED.format("'cuda:{}'.format(number)")), "run.sh": STARTED.format("")},
    ),
    "a GPU that is computed from the rank's number": Case(
        "TLP101",
        {**file(PLACED.format("f'cuda:{local_rank}'")), "run.sh": STARTED.format("")},
        {**file("f = open(f'log_{local_rank}.txt')\n" + PLACED.format("f'cuda:{local_rank % 2}'")), "run.sh": STARTED.format("")},
    ),
    "a GPU of the rank's number in an f-string": Case(
        "TLP101",
        {**file(PLACED.format("f'cuda:{local_rank}'")), "run.sh": STARTED.format("")},
        {**file(PLACED.format("f'cuda:{1}'")), "run.sh": STARTED.format("")},
    ),
    "a branch for a model that the launcher does not give": Case(
        "TLP101",
        {**file(NAMED_BRANCH), "run.sh": "model=acme/small\ntorchrun main.py --model_name $model --limit 1\n"},
        {**file(NAMED_BRANCH), "run.sh": "model=$1\ntorchrun main.py --model_name $model --limit 1\n"},
    ),
    "a branch for a model that the launcher does not give, and one in another script's variable": Case(
        "TLP101",
        {**file(NAMED_BRANCH), "run.sh": "model=acme/small\ntorchrun main.py --model_name $model\n"},
        {**file(NAMED_BRANCH), "run.sh": "model=acme/small\nsource env.sh\ntorchrun main.py --model_name $model\n"},
    ),
    "a branch for a model that the launcher does not give, by its argument": Case(
        "TLP101",
        {**file(NAMED_BRANCH), "run.sh": "torchrun main.py --model-name acme/small\n"},
        {**file(NAMED_BRANCH), "run.sh": "torchrun main.py --model-name acme/large\n"},
    ),
    "a place for the model's name": Case(
        "TLP101",
        {**file(NAMED_BRANCH), "run.sh": "torchrun main.py --model-name acme/small\n"},
        {**file(NAMED_BRANCH), "run.sh": "torchrun main.py --model-name MODEL_NAME\n"},
    ),
    "a branch for a model, or for another option": Case(
        "TLP101",
        {**file(NAMED_BRANCH.replace(":", " and args.big:", 1)), "run.sh": "torchrun main.py --model-name acme/small --big\n"},
        {**file(NAMED_BRANCH.replace(":", " or args.big:", 1)), "run.sh": "torchrun main.py --model-name acme/small --big\n"},
    ),
    "a branch for all models but one": Case(
        "TLP101",
        {**file(NAMED_BRANCH), "run.sh": "torchrun main.py --model-name acme/small\n"},
        {**file(NAMED_BRANCH.replace("if ", "if not ")), "run.sh": "torchrun main.py --model-name acme/small\n"},
    ),
    "an old name beside the present one": Case(
        "TLP302",
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODEL_SIZES = {{'{OLD_ID}': 8, 'meta-llama/Llama-3.1-8B': 8}}\n"),
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODEL_SIZES = {{'{OLD_ID}': 8, 'meta-llama/Llama-3.1-70B': 70}}\n"),
    ),
    "an id that is only looked up": Case(
        "TLP301",
        {**file(f"{HEAD}MODEL_SIZES = {{'meta-llama/Llama-3.2-8B': 8, 'gpt2': 1}}\n"), "README.md": ""},
        {**file(f"{HEAD}MODEL_SIZES = {{'meta-llama/Llama-3.2-8B': 'large', 'gpt2': 'small'}}\n"), "README.md": ""},
    ),
    # ---- what a reader of repositories of no draw would not act on
    "the device map of a model that is loaded in 8 bits": Case(
        "TLP108",
        {**file(PIPED.format(", load_in_8bit=True", "device_map='auto'")), "README.md": ""},
        {**file(PIPED.format("", "device_map='auto'")), "README.md": ""},
    ),
    "the dtype of a model that is loaded in 8 bits": Case(
        "TLP108",
        {**file(PIPED.format(", load_in_8bit=True", "torch_dtype=torch.float16")), "README.md": ""},
        {**file(PIPED.format("", "torch_dtype=torch.float16")), "README.md": ""},
    ),
    "the dtype of a small model": Case(
        "TLP108",
        {**file(PIPED.format("", "torch_dtype=torch.float16").replace("name", "'gpt2'")), "README.md": ""},
        {**file(PIPED.format("", "torch_dtype=torch.float16").replace("name", "'meta-llama/Llama-3.1-8B'")), "README.md": ""},
    ),
    "a pipeline, whose newest releases follow the checkpoint": Case(
        "TLP102",
        at(PIPELINE_OF_LLAMA, "transformers>=4.40,<5"),
        at(PIPELINE_OF_LLAMA, "transformers>=4.40,<4.50"),
    ),
    # ---- what a review found
    "an id of a dict of numbers, whose keys a loop goes through": Case(
        "TLP301",
        {**file(f"{HEAD}MODEL_SIZES = {{'meta-llama/Llama-3.2-8B': 8}}\n"), "README.md": ""},
        {**file(f"{HEAD}MODEL_SIZES = {{'meta-llama/Llama-3.2-8B': 8}}\nfor name, size in MODEL_SIZES.items():\n    run(name)\n"), "README.md": ""},
    ),
    "an old name in a dict, whose keys a loop goes through": Case(
        "TLP302",
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODEL_SIZES = {{'{OLD_ID}': 8, 'meta-llama/Llama-3.1-8B': 8}}\n"),
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODEL_SIZES = {{'{OLD_ID}': 8, 'meta-llama/Llama-3.1-8B': 8}}\nfor name in MODEL_SIZES:\n    run(name)\n"),
    ),
    "a token that is looked for, and written in a prompt": Case(
        "TLP208",
        file(LOOKED_FOR.format("at = words.index('<here>')\n")),
        file(LOOKED_FOR.format("at = words.index('<here>')\nprompt = 'a <here>'\n")),
    ),
    "a name that may be defined where it is read": Case(
        "TLP402",
        at(IN_A_FUNCTION.format("print(args)"), "transformers>=4.40"),
        at(IN_A_FUNCTION.format("with own.suppress(NameError):\n        print(args)"), "transformers>=4.40"),
    ),
    "a name of an annotation": Case(
        "TLP402",
        at(f"print(args)\n{OLD_TRAINER}", "transformers>=4.40"),
        at(f"from __future__ import annotations\ndef show(x: args) -> args: ...\n{OLD_TRAINER}", "transformers>=4.40"),
    ),
    "the first Qwen, and a model that is named for it": Case(
        "TLP202",
        file(ENDS.replace("gpt2", "Qwen/Qwen-7B-Chat").replace("+ tokenizer.eos_token", "+ '<|im_end|>'")),
        file(ENDS.replace("gpt2", "open-r1/OpenR1-Qwen-7B").replace("+ tokenizer.eos_token", "+ '<|im_end|>'")),
    ),
    "a penalty in a project": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}all.append(model.generate(ids, do_sample=False))\n"), "README.md": ""},
        file(f"{WITH_QWEN}all.append(model.generate(ids, do_sample=False))\n"),
    ),
    "a penalty where the answer is only looked at": Case(
        "TLP105",
        file(f"{WITH_QWEN}print(model.generate(ids, do_sample=False))\n"),
        file(f"{WITH_QWEN}all.append(model.generate(ids, do_sample=False))\n"),
    ),
    "a token that is looked for in the texts": Case(
        "TLP208",
        file(LOOKED_FOR.format("at = words.index('<here>')\n")),
        file(LOOKED_FOR.format("words.append('<here>')\n")),
    ),
    "the training of a checkpoint that may be float32": Case(
        "TLP407",
        {**file(TRAINED.format("acme/bart")), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
        {**file(TRAINED.format("meta-llama/Llama-3.2-1B")), "README.md": "", "requirements.txt": "transformers>=4.40\n"},
    ),
    "a copy of a framework": Case(
        "TLP107",
        {"verl/main.py": OLD_CALL, "verl/__init__.py": "", "README.md": ""},
        {"verl/main.py": OLD_CALL, "verl/__init__.py": "", "setup.py": "setup(\n    name='verl',\n)\n"},
    ),
    "a copy of a framework, with its version": Case(
        "TLP107",
        {"verl-main/main.py": OLD_CALL, "verl-main/pyproject.toml": "", "README.md": ""},
        {"verl-mine/main.py": OLD_CALL, "verl-mine/pyproject.toml": "", "README.md": ""},
        "verl-main/main.py",
    ),
    "an attempt": Case(
        "TLP107",
        {**file(ATTEMPTS.format(", use_auth_token=True")), "README.md": ""},
        {**file(ATTEMPTS.format(", use_auth_token=True").replace(f"m = {LARGE}\n", "raise\n")), "README.md": ""},
    ),
    "a name that a test makes up": Case(
        "TLP301",
        file(f"{HEAD}def test_it():\n    assert {MADE_UP}\n"),
        file(f"{HEAD}def run_it():\n    assert {MADE_UP}\n"),
    ),
    "a function that nothing calls": Case(
        "TLP107",
        {**file(UNCALLED, other="def loads(): pass\n"), "README.md": "Run main."},
        {**file(UNCALLED, other="from main import load_it\n"), "README.md": "Run main."},
    ),
    "a function that no document mentions": Case(
        "TLP107",
        {**file(UNCALLED), "README.md": "Call `load`."},
        {**file(UNCALLED), "README.md": "Call `load_it`."},
    ),
    "a function that a decorator registers": Case(
        "TLP107",
        {**file(UNCALLED), "README.md": ""},
        {**file(UNCALLED.replace("def load_it", "@app.command()\ndef load_it")), "README.md": ""},
    ),
    "a function that is called by its name": Case(
        "TLP107",
        {**file(UNCALLED), "README.md": ""},
        {**file(UNCALLED + "fire.Fire()\n"), "README.md": ""},
    ),
    "a class without a base that nothing uses": Case(
        "TLP107",
        {**file(UNCALLED.replace("def load_it():", "class Loader:")), "README.md": ""},
        {**file(UNCALLED.replace("def load_it():", "class Loader(Base):")), "README.md": ""},
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
    "nothing but Python files": Case(
        "TLP101", {**TRAINS, "README.md": "", "other.py": ""}, {**TRAINS, "other.py": ""}
    ),
    "a notebook of its own": Case(
        "TLP104",
        {**file(WITH_LLAMA), NOTEBOOK: cells(ATTENTIVE.format("'meta-llama/Llama-3.1-8B'"))},
        file(WITH_LLAMA, other=ATTENTIVE.format("'meta-llama/Llama-3.1-8B'")),
    ),
    "computed with in the module that imports": Case(
        "TLP105", file(HELPER, train=COMPUTES), file(HELPER, train=COMPUTES + "model.generate(ids)\n")
    ),
    "generates in the module that imports, and says how": Case(
        "TLP105", file(HELPER, run=GENERATES.format(STATED)), file(HELPER, run=GENERATES.format(""))
    ),
    "a module that generates, and cannot get the model": Case(
        "TLP105",
        file(HELPER, train=COMPUTES, other=ANSWERS),
        file(HELPER, train="import other\nother.answer(1)\n" + COMPUTES, other=ANSWERS),
    ),
    "a function of an imported module that no file uses": Case(
        "TLP105",
        file(HELPER, train="import other\nother.count(1)\n" + COMPUTES, other=ANSWERS),
        file(HELPER, train="from other import answer\n" + COMPUTES, other=ANSWERS),
    ),
    "a notebook of the project": Case(
        "TLP105",
        {**file(HELPER), NOTEBOOK: cells(GENERATES.format(STATED))},
        {**file(HELPER), NOTEBOOK: cells(GENERATES.format(""))},
    ),
    "settings that another module writes": Case(
        "TLP105",
        file(HELPER, run="import how\n" + GENERATES.format(", **how.gen_kwargs"), how="gen_kwargs = {'do_sample': False}\n"),
        file(HELPER, run="gen_kwargs = {'top_p': 0.5}\n" + GENERATES.format(", **gen_kwargs")),
    ),
    "the tokenizer's output is no setting": Case(
        "TLP105",
        file(HELPER, run=GENERATES.format(", **settings") + "settings = {'do_sample': False}\n"),
        file(HELPER, run=GENERATES.format(", **inputs") + "settings = {'top_p': 1}\n"),
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
    "a wrapper of the project with arguments of its own": Case(
        "TLP105",
        file(HELPER, run="import wrapper\n" + GENERATES.format(", persona='x'"), wrapper=WRAPPER),
        file(HELPER, run="import wrapper\n" + GENERATES.format(", max_new_tokens=9, num_beams=1"), wrapper=WRAPPER),
    ),
    "a call that warms the model up": Case(
        "TLP105",
        file(HELPER, run=COMPUTES + "model.generate(ids, max_new_tokens=1)\n"),
        file(HELPER, run=COMPUTES + "first = model.generate(ids, max_new_tokens=1)\n"),
    ),
    "vLLM's own `generate`": Case(
        "TLP105",
        file(HELPER, run="from main import load\nfrom vllm import LLM\nllm = LLM('x')\nllm.generate(texts)\n"),
        file(HELPER, run="from main import load\nllm = load('x')\nllm.generate(texts)\n"),
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
    "set by the module that imports": Case(
        "TLP201",
        file(HELPER, run="from main import load\n_, tok = load('x')\ntok.pad_token = tok.eos_token\ntok(['x'], padding=True)\n"),
        file(HELPER, run="from main import load\n_, tok = load('x')\ntok(['x'], padding=True)\n"),
    ),
    # ---- small models, old names
    "an encoder's class": Case(
        "TLP102",
        file("from transformers import RobertaModel\nRobertaModel.from_pretrained(name)\n"),
        file("from transformers import T5Model\nT5Model.from_pretrained(name)\n"),
    ),
    "a model under its old name": Case("TLP302", file(OLD_NAME), file(OLD_NAME + "os.environ['HF_HUB_OFFLINE'] = '1'\n")),
    "an old name by default": Case(
        "TLP302", file(RENAMED), file(RENAMED + "load(local_files_only=True)\n")
    ),
    "two names in the project": Case(
        "TLP302",
        file(OLD_NAME + f"SIZES = {{'{OLD_ID}': 8}}\n"),
        file(OLD_NAME + f"SIZES = {{'{OLD_ID}': 8}}\n", other="name = 'meta-llama/Llama-3.1-8B'\n"),
    ),
    "two names that are not compared": Case(
        "TLP302",
        file(OLD_NAME, other="name = 'meta-llama/Llama-3.1-8B'\n"),
        file(OLD_NAME + f"if name == '{OLD_ID}': pass\n", other="name = 'meta-llama/Llama-3.1-8B'\n"),
    ),
    "two names in a list of names": Case(
        "TLP302",
        file(OLD_NAME + f"NAMES = ['{OLD_ID}']\n", other="name = 'meta-llama/Llama-3.1-8B'\n"),
        file(OLD_NAME + f"size = SIZES['{OLD_ID}']\n", other="name = 'meta-llama/Llama-3.1-8B'\n"),
    ),
    "a job that is offline": Case(
        "TLP302",
        {**file(OLD_NAME), "run.sh": "export HF_HUB_OFFLINE=0\n", "README.md": "Or HF_HUB_OFFLINE=1.\n"},
        {**file(OLD_NAME), "run.sh": "export HF_HUB_OFFLINE=1\n"},
    ),
    "a script that is offline": Case(
        "TLP302",
        file(OLD_NAME, other="os.environ['TRANSFORMERS_OFFLINE'] = '1'\n"),
        file(OLD_NAME, other="import main\nos.environ['TRANSFORMERS_OFFLINE'] = '1'\n"),
    ),
    # ---- what a launcher does not reach
    "a module's try of itself, which the launched script does not reach": Case(
        "TLP101",
        {**file(PLACED_AT_START, train="import main\n"), "run.sh": "torchrun train.py\n"},
        {**file(PLACED_AT_START, train="import main\n"), "run.sh": "torchrun main.py\n"},
    ),
    "an option that no command of the launcher sets": Case(
        "TLP101",
        {**file(FLAGGED), "run.sh": STARTED.format("") + "python main.py --spread\n"},
        {**file(FLAGGED), "run.sh": STARTED.format("") + STARTED.format(" --spread")},
    ),
    "an option that a variable may set": Case(
        "TLP101",
        {**file(FLAGGED), "run.sh": STARTED.format(" --name $NAME")},
        {**file(FLAGGED), "run.sh": STARTED.format(" $EXTRA_ARGS")},
    ),
    "a class of a package of which the launched script uses another": Case(
        "TLP101",
        {"parts/main.py": HELPER, "parts/__init__.py": "from parts.main import load\n", "train.py": "from parts import other\n", "run.sh": "torchrun train.py\n"},
        {"parts/main.py": HELPER, "parts/__init__.py": "from parts.main import load\n", "train.py": "from parts import load\n", "run.sh": "torchrun train.py\n"},
        "parts/main.py",
    ),
    "the GPU that is current": Case(
        "TLP101",
        {**file(PLACED.format("'cuda'")), "run.sh": "torchrun main.py\n"},
        {**file(PLACED.format("'cuda:0'")), "run.sh": "torchrun main.py\n"},
    ),
    "a module's try of itself": Case(
        "TLP102",
        {**file(AT_START, train="import main\n"), "README.md": "`python train.py`"},
        {**file(AT_START, train="import main\n"), "README.md": "`python main.py`"},
    ),
    "a program that nothing imports": Case(
        "TLP102",
        {**file(AT_START, train="import main\n"), "README.md": ""},
        {**file(AT_START, train="import other\n"), "README.md": ""},
    ),
    # ---- what the code itself installs or the project says to install
    "a notebook that installs a release": Case(
        "TLP107",
        {NOTEBOOK: cells(INSTALL.format("transformers==4.30.2"), OLD_CALL), "README.md": "", "requirements.txt": "transformers>=4.30\n"},
        {NOTEBOOK: cells(INSTALL.format("transformers>=4.30.2"), OLD_CALL), "README.md": "", "requirements.txt": "transformers>=4.30\n"},
        NOTEBOOK,
    ),
    "a script that installs a release": Case(
        "TLP107",
        {**file(f"run([sys.executable, '-m', 'pip', 'install', 'transformers==4.30.2'])\n{OLD_CALL}"), "README.md": ""},
        {**file(f"run([sys.executable, '-m', 'pip', 'install', 'transformers-x==4.30.2'])\n{OLD_CALL}"), "README.md": ""},
    ),
    "a name in a notebook that installs a release which has it": Case(
        "TLP404",
        {NOTEBOOK: cells("!pip install 'transformers<5,>=4.40'", "from transformers import AdamW"), "requirements.txt": "transformers>=4.30\n"},
        {NOTEBOOK: cells("!pip install 'transformers<6,>=4.40'", "from transformers import AdamW"), "requirements.txt": "transformers>=4.30\n"},
        NOTEBOOK,
    ),
    "instructions that install a release": Case(
        "TLP107",
        {**file(OLD_CALL), "INSTALL.md": "pip install \\\n  transformers==4.28.0 datasets==2.11.0\n"},
        {**file(OLD_CALL), "INSTALL.md": "pip install \\\n  transformers datasets==2.11.0\n"},
    ),
    "instructions beside a requirement file": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": "pip install transformers>=4.28", "requirements.txt": "transformers==4.28.0\n"},
        {**file(OLD_CALL), "README.md": "pip install transformers==4.28.0", "requirements.txt": "transformers>=4.28\n"},
    ),
    # ---- code of others, and small things
    "another project in a folder for the code of others": Case(
        "TLP107",
        {"external/x/src/main.py": OLD_CALL, "external/x/README.md": "", "README.md": ""},
        {"external/x/src/main.py": OLD_CALL, "internal/x/README.md": "", "README.md": ""},
    ),
    "a copied distribution in the checkout of a repository that is named for it": Case(
        "TLP107",
        {
            "tools/x/main.py": OLD_CALL,
            "tools/x/setup.py": "setup(name='x', url='https://github.com/them/x')\n",
            "README.md": "",
            ".git/config": "[remote]\n\turl = https://github.com/us/x-tried.git\n",
        },
        {
            "tools/x/main.py": OLD_CALL,
            "tools/x/setup.py": "setup(name='x', url='https://github.com/them/x')\n",
            "README.md": "",
            ".git/config": "[remote]\n\turl = https://github.com/us/x.git\n",
        },
    ),
    "a distribution from another repository": Case(
        "TLP107",
        {
            "tools/x/main.py": OLD_CALL,
            "tools/x/setup.py": "setup(name='x', url='https://github.com/them/x')\n",
            "README.md": "git clone https://github.com/us/ours.git\n",
        },
        {
            "tools/x/main.py": OLD_CALL,
            "tools/x/setup.py": "setup(name='x', url='https://github.com/us/x')\n",
            "README.md": "git clone https://github.com/us/ours.git\n",
        },
    ),
    "a model whose name is not read": Case(
        "TLP102",
        {**file(f"{HEAD}def fetch():\n    m = {LARGE}\n    print('done')\nfetch()\n"), "README.md": ""},
        {**file(f"{HEAD}def fetch():\n    m = {LARGE}\n    print(m, 'done')\nfetch()\n"), "README.md": ""},
    ),
    "a test with a name that every release takes": Case(
        "TLP107",
        new(f"import pytest\n{LOADS}def test_it():\n    assert model\n"),
        new(f"import pytest\n{LOADS}def tests():\n    assert model\n"),
    ),
    "a project with a name that every release takes": Case(
        "TLP107",
        {**new(f"{OLD}, torch_dtype='auto')\n"), "README.md": ""},
        new(f"{OLD}, torch_dtype='auto')\n"),
    ),
    "a script that ends the other ranks": Case(
        "TLP101",
        {
            **file(f"{LOADS}if rank != 0:\n    # one process for now\n    exit()\n"),
            "README.md": "torchrun --nproc_per_node 4 main.py\n",
        },
        {
            **file(f"{LOADS}if rank != 0:\n    # one process for now\n    print()\n"),
            "README.md": "torchrun --nproc_per_node 4 main.py\n",
        },
    ),
    "a folder for what is not kept": Case(
        "TLP107", {"tmp/main.py": OLD_CALL, "README.md": ""}, {"stamp/main.py": OLD_CALL, "README.md": ""}
    ),
    "a load that asks for hidden states": Case(
        "TLP102",
        {**file(f"{HEAD}m = {LARGE[:-1]}, output_hidden_states=True)\n"), "README.md": ""},
        {**file(f"{HEAD}m = {LARGE[:-1]}, output_hidden_states=False)\n"), "README.md": ""},
    ),
    "a cast to a constant of the file": Case(
        "TLP102",
        {**file(f"{HEAD}m = {LARGE}\nm = m.to(DTYPE)\n"), "README.md": ""},
        {**file(f"{HEAD}m = {LARGE}\nm = m.to(DEVICE)\n"), "README.md": ""},
    ),
    "an empty token": Case(
        "TLP108",
        file(f"{WITH_PIPELINES}TOKEN = ''\npipe = pipeline('text-generation', 'gpt2', use_auth_token=TOKEN)\n"),
        file(f"{WITH_PIPELINES}TOKEN = 'hf_x'\npipe = pipeline('text-generation', 'gpt2', use_auth_token=TOKEN)\n"),
    ),
    "an old id among aliases": Case(
        "TLP302",
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODEL_ALIASES = ['{OLD_ID}']\n"),
        file(f"os.environ['HF_HUB_OFFLINE'] = '1'\n{HEAD}MODELS = ['{OLD_ID}']\n"),
    ),
    "an end of beam search where there is one beam": Case(
        "TLP207",
        file(f"{LOADS}model.generate(ids, num_beams=1, early_stopping=True)\n"),
        file(f"{LOADS}model.generate(ids, num_beams=1, length_penalty=2.0)\n"),
    ),
    "a class that takes the old name of the dtype": Case(
        "TLP107",
        new("from transformers import LlamaForCausalLM\nm = LlamaForCausalLM.from_pretrained(name, torch_dtype='auto')\n"),
        new("from transformers import AutoModelForCausalLM as M\nm = M.from_pretrained(name, torch_dtype='auto')\n"),
    ),
    "a script that a README calls a legacy one": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '├── main.py    # Legacy evaluation\n'},
        {**file(OLD_CALL), "README.md": '├── main.py    # Evaluates legacy checkpoints\n'},
    ),
    "a script that a README calls deprecated, behind its description": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '- `main.py`: trains the model (deprecated)\n'},
        {**file(OLD_CALL), "README.md": '- `main.py`: drops columns of the data (deprecated) before training\n'},
    ),
    "a script that a README keeps for reference": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '`main.py` trained the first model and is kept for reference.\n'},
        {**file(OLD_CALL), "README.md": '`main.py` trained the first model and keeps the references.\n'},
    ),
    "a script that a README says is not usable": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '> **Note:** `main.py` is scaffolding and is currently not usable.\n'},
        {**file(OLD_CALL), "README.md": '> **Note:** `main.py` is usable, `other.py` is currently not usable.\n'},
    ),
    "a script that a README lists among those no longer used": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '| main.py | no longer used |\n'},
        {**file(OLD_CALL), "README.md": '| main.py --no-longer | used |\n'},
    ),
    "a script that a README says was used once": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": 'The obsolete `main.py` trains.\n'},
        {**file(OLD_CALL), "README.md": 'Not obsolete: see the paper. `main.py` trains.\n'},
    ),
    "a script whose folder a README writes": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": '- [run](./main.py), legacy\n'},
        {**file(OLD_CALL), "README.md": '- [run](old/main.py), legacy\n'},
    ),
    "a script that a README calls archived, with others of its name": Case(
        "TLP107",
        {**file(OLD_CALL), "README.md": "main.py (archived)\n"},
        {**file(OLD_CALL), "sub/main.py": "", "README.md": "main.py (archived)\n"},
    ),
    "the archive of a repository beside a README": Case(
        "TLP107",
        {"esm-main/main.py": OLD_CALL, "esm-main/README.md": "", "README.md": ""},
        {"esm-main/main.py": OLD_CALL, "README.md": ""},
    ),
    "the archive of a repository": Case(
        "TLP107",
        {"esm-master/main.py": OLD_CALL, "esm-master/setup.py": "", "README.md": ""},
        {"esm-master/main.py": OLD_CALL, "esm-master/setup.py": ""},
    ),
    "an old name in other letter case, which the hub finds": Case(
        "TLP301",
        {**file(f"{HEAD}AutoTokenizer.from_pretrained('meta-llama/meta-Llama-3.1-8B')\n"), "README.md": ""},
        {**file(f"{HEAD}AutoTokenizer.from_pretrained('meta-llama/meta-Llama-3.2-8B')\n"), "README.md": ""},
    ),
    "an old name in a notebook that loads nothing": Case(
        "TLP302",
        {"plot.ipynb": cells(f"MODEL_RENAME = {{'{OLD_ID}': 'Llama 8B'}}\nprint(MODEL_RENAME['{OLD_ID}'])\n"), "other.py": "name = 'meta-llama/Llama-3.1-8B'\n", "README.md": ""},
        {"plot.ipynb": cells(f"MODEL_RENAME = {{'{OLD_ID}': 'Llama 8B'}}\nprint(MODEL_RENAME['{OLD_ID}'])\nmodel = load_model(name)\n"), "other.py": "name = 'meta-llama/Llama-3.1-8B'\n", "README.md": ""},
        "plot.ipynb",
    ),
    "a notebook that installs an old trl": Case(
        "TLP404",
        {"ppo.ipynb": cells("!pip install -q trl==0.9.6\n", "from trl import PPOTrainer\nPPOTrainer()\n"), "requirements.txt": "trl>=0.7\n"},
        {"ppo.ipynb": cells("!pip install -q trl>=0.9.6\n", "from trl import PPOTrainer\nPPOTrainer()\n"), "requirements.txt": "trl>=0.7\n"},
    ),
    "a script that runs pip for an old trl": Case(
        "TLP404",
        {"main.py": "import os\nos.system('pip install peft==0.10 trl==0.9.6')\nfrom trl import PPOTrainer\nPPOTrainer()\n", "requirements.txt": "trl>=0.7\n"},
        {"main.py": "import os\nprint('pip install peft==0.10 trl==0.9.6')\nfrom trl import PPOTrainer\nPPOTrainer()\n", "requirements.txt": "trl>=0.7\n"},
    ),
    "a script with requirements of its own": Case(
        "TLP404",
        {"train_ppo.py": "from trl import PPOTrainer\nPPOTrainer()\n", "requirements.txt": "trl==0.29\n", "ppo_requirements.txt": "trl==0.9.6\n"},
        {"train_sft.py": "from trl import PPOTrainer\nPPOTrainer()\n", "requirements.txt": "trl==0.29\n", "ppo_requirements.txt": "trl==0.9.6\n"},
    ),
    "a copy that a browser has numbered": Case(
        "TLP107", {"main (1).py": OLD_CALL, "README.md": ""}, {"main (a).py": OLD_CALL, "README.md": ""}
    ),
    "what is left over beside contrastive search": Case(
        "TLP204",
        file(f"{LOADS}model.generate(ids, do_sample=False, temperature=0.1, top_k=3, penalty_alpha=0.6)\n"),
        file(f"{LOADS}model.generate(ids, do_sample=False, temperature=0.1, top_k=3)\n"),
    ),
    # ---- what the readers of the fourteenth to seventeenth draws would not act on
    "scripts that a document names, beside one that it does not": Case(
        "TLP102",
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py and evaluate.py."},
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py, evaluate.py and main.py."},
    ),
    "scripts that a document names, beside one that nothing imports": Case(
        "TLP102",
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py and evaluate.py."},
        {**file(BARE_LLAMA, train="from main import model\n", evaluate="x = 1\n"), "README.md": "Run train.py and evaluate.py."},
    ),
    "scripts that a document names, beside one that it draws": Case(
        "TLP102",
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py and evaluate.py."},
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "├── main.py\n├── train.py\n├── evaluate.py\n"},
    ),
    "a single script that a document names": Case(
        "TLP102",
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py and evaluate.py."},
        {**file(BARE_LLAMA, train="x = 1\n", evaluate="x = 1\n"), "README.md": "Run train.py."},
    ),
    "a model that runs under autocast": Case(
        "TLP102",
        {**file(BARE_LLAMA + "with torch.autocast('cuda', dtype=torch.bfloat16):\n    model(ids)\n"), "README.md": ""},
        {**file(BARE_LLAMA + "# with torch.autocast('cuda', dtype=torch.bfloat16):\nmodel(ids)\n"), "README.md": ""},
    ),
    "a model that runs with autocast turned off": Case(
        "TLP102",
        {**file(BARE_LLAMA + "with torch.autocast('cuda'):\n    model(ids)\n"), "README.md": ""},
        {**file(BARE_LLAMA + "with torch.autocast('cuda', enabled=False):\n    model(ids)\n"), "README.md": ""},
    ),
    "a checkpoint that the file saves": Case(
        "TLP102",
        {**file(f"{UNSEEN}{SAVED}model.save_pretrained(args.out)\n"), "README.md": ""},
        {**file(f"{UNSEEN}{SAVED}model.save_pretrained(args.other)\n"), "README.md": ""},
    ),
    "a checkpoint that the file saves in a dtype that it states": Case(
        "TLP102",
        {**file(f"{UNSEEN}{SAVED}model.save_pretrained(args.out)\n"), "README.md": ""},
        {**file(f"{WITH_LLAMA}{SAVED}model.save_pretrained(args.out)\n"), "README.md": ""},
    ),
    "an answer of a script that is only printed": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}{SHOWN}print(text)\n{JUDGES}"), "README.md": ""},
        {**file(f"{WITH_QWEN}{SHOWN}print(text)\nall.append(text)\n{JUDGES}"), "README.md": ""},
    ),
    "a function of a name that objects have too": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\n", other="from main import LIMIT\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\n", other="from main import train\n"), "README.md": ""},
    ),
    "a function whose name is a word of the documents": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\n"), "README.md": "How to train a model."},
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\n"), "README.md": "Call `train`."},
    ),
    "a function whose name is a string elsewhere": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train"), other="from main import X\nd = load('x', split='train')\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train"), other="import main\ngetattr(main, 'train')()\n"), "README.md": ""},
    ),
    "a function whose name is a string elsewhere, and an attribute of its module": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train"), other="from main import X\nd = load('x', split='train')\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train"), other="import main\nmain.train()\n"), "README.md": ""},
    ),
    "a function with the name of a method that is called": Case(
        "TLP107",
        {**file(METHOD_AND_FUNCTION), "README.md": ""},
        {**file(METHOD_AND_FUNCTION + "train()\n"), "README.md": ""},
    ),
    "a function whose name is a word of a comment": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train"), other="from main import X  # to train\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train"), other="from main import (\n    X,\n    train,\n)\n"), "README.md": ""},
    ),
    "a function whose module has another name": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train"), other="from main import X  # to train\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train"), other="import main as m\nm.train()\n"), "README.md": ""},
    ),
    "a function of a module that is imported whole": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train"), other="from main import X  # to train\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train"), other="from main import *\ntrain()\n"), "README.md": ""},
    ),
    "a function of a name that objects have too, called in its file": Case(
        "TLP107",
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\n"), "README.md": ""},
        {**file(UNCALLED.replace("load_it", "train") + "trainer.train()\ntrain()\n"), "README.md": ""},
    ),
    "a dataclass that nothing uses": Case(
        "TLP107",
        {**file(METHOD.replace("class", "@dataclasses.dataclass\nclass")), "README.md": ""},
        {**file(METHOD.replace("class", "@registry.add\nclass")), "README.md": ""},
    ),
    "a module that a document only draws": Case(
        "TLP404",
        {"llama_mine.py": GONE, **file("x = 1\n"), "README.md": "├── llama_mine.py  # a copy\n", "requirements.txt": "transformers>=4.30\n"},
        {"llama_mine.py": GONE, **file("x = 1\n"), "README.md": "Run llama_mine.py\n", "requirements.txt": "transformers>=4.30\n"},
        path="llama_mine.py",
    ),
    "the dtype of a model whose load states another": Case(
        "TLP108",
        {**file(PIPED.format(", torch_dtype='auto'", "torch_dtype=torch.bfloat16")), "README.md": ""},
        {**file(PIPED.format("", "torch_dtype=torch.bfloat16")), "README.md": ""},
    ),
    "the device map of a small model": Case(
        "TLP108",
        {**file(PIPED.format("", "device_map='auto'").replace("name", "'gpt2'")), "README.md": ""},
        {**file(PIPED.format("", "device_map='auto'").replace("name", "'meta-llama/Llama-3.1-8B'")), "README.md": ""},
    ),
    "a length that the project takes out of its settings": Case(
        "TLP207",
        {**file(LENGTHS, other="settings.pop('max_length')\n"), "README.md": ""},
        {**file(LENGTHS, other="settings.pop('min_length')\n"), "README.md": ""},
    ),
    "the tokenizer of a checkpoint that a script has saved": Case(
        "TLP201",
        file(PADS.format("args.model_dir")),
        file(PADS.format("args.model_name")),
    ),
    "the tokenizer in a folder": Case("TLP201", file(PADS.format("'./out'")), file(PADS.format("'acme/out'"))),
    "the end of another model's texts": Case(
        "TLP202",
        file(WRITTEN_ENDS.format("<|im_end|>").replace("gpt2", "mistralai/Mistral-7B-v0.1")),
        file(WRITTEN_ENDS.format("</s>").replace("gpt2", "mistralai/Mistral-7B-v0.1")),
    ),
    "the end of a model's texts that was distilled from another": Case(
        "TLP202",
        file(WRITTEN_ENDS.format("<|endoftext|>").replace("gpt2", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")),
        file(WRITTEN_ENDS.format("<|endoftext|>").replace("gpt2", "Qwen/Qwen2.5-7B")),
    ),
    # ---- what the readers of the twentieth draw would not act on
    "a function that generates and is never called": Case(
        "TLP105",
        {**file(ASKED + "train(model)\n"), "README.md": ""},
        {**file(ASKED + "train(model)\nall.append(ask(model))\n"), "README.md": ""},
    ),
    "an answer of a function that is only printed": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}def main():\n    out = model.generate(ids)\n    print(out)\n{JUDGES}main()\n"), "README.md": ""},
        {**file(f"{WITH_QWEN}def main():\n    out = model.generate(ids)\n    return out\n{JUDGES}main()\n"), "README.md": ""},
    ),
    "an answer in a loop that is only printed": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}out = model.generate(ids)\nprint(out)\n{JUDGES}"), "README.md": ""},
        {**file(f"{WITH_QWEN}for ids in all:\n    out = model.generate(ids)\n    print(out)\n{JUDGES}"), "README.md": ""},
    ),
    "answers to a few texts that are only printed": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}def main():\n    texts = ['a', 'b']\n    for text in texts:\n        out = model.generate(text)\n        print(out)\n{JUDGES}main()\n"), "README.md": ""},
        {**file(f"{WITH_QWEN}def main():\n    texts = ['a', b]\n    for text in texts:\n        out = model.generate(text)\n        print(out)\n{JUDGES}main()\n"), "README.md": ""},
    ),
    "data that are drawn without a seed": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}text = random.choice(texts)\n{KEPT}"), "README.md": ""},
        {**file(f"{WITH_QWEN}random.seed(1)\ntext = random.choice(texts)\n{KEPT}"), "README.md": ""},
    ),
    "a seed of torch": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}torch.manual_seed(1)\n{KEPT}"), "README.md": ""},
        {**file(f"{WITH_QWEN}# torch.manual_seed(1)\n{KEPT}"), "README.md": ""},
    ),
    "a file with soft-capping that samples": Case(
        "TLP104",
        {**file(WITH_GEMMA + "model.generate(ids, do_sample=True)\n"), "README.md": "", "requirements.txt": "transformers>=4.53,<5\n"},
        {**file(WITH_GEMMA + "model.generate(ids, do_sample=False)\n"), "README.md": "", "requirements.txt": "transformers>=4.53,<5\n"},
    ),
    "scripts that are rough": Case("TLP107", {"rough_scripts/main.py": OLD_CALL, "README.md": ""}, {"through/main.py": OLD_CALL, "README.md": ""}),
    "the end of texts of a model that was tuned": Case(
        "TLP202",
        file(WRITTEN_ENDS.format("</s>").replace("gpt2", "teknium/OpenHermes-2.5-Mistral-7B")),
        file(WRITTEN_ENDS.format("</s>").replace("gpt2", "mistralai/Mistral-7B-v0.1")),
    ),
    "the end of texts of a model that only words of the code name": Case(
        "TLP202",
        file("from transformers import AutoModelForCausalLM\n" + WRITTEN_ENDS.format("<|im_end|>").replace("gpt2", "acme/mistral_7b")),
        file("from transformers import AutoModelForCausalLM\n" + WRITTEN_ENDS.format("</s>").replace("gpt2", "acme/mistral_7b")),
    ),
    "a trl that an accelerate leaves out": Case(
        "TLP402",
        {**file(OLD_SFT), "README.md": "", "requirements.txt": "trl\ntransformers>=4.40\naccelerate==0.21.0\n"},
        {**file(OLD_SFT), "README.md": "", "requirements.txt": "trl\ntransformers>=4.40\naccelerate==0.34.0\n"},
    ),
    "a trl that a transformers leaves out": Case(
        "TLP402",
        {**file(OLD_SFT), "README.md": "", "requirements.txt": "trl\ntransformers>=4.40,<4.46\n"},
        {**file(OLD_SFT), "README.md": "", "requirements.txt": "trl\ntransformers>=4.40\n"},
    ),
    # ---- what the readers of the twenty-first draw would not act on
    "a command for the script of this name in another repository": Case(
        "TLP101",
        {**file(ALONE), "README.md": "```sh\naccelerate launch main.py --tasks all\n```\n"},
        {**file(ALONE), "README.md": "```sh\naccelerate launch main.py\n```\n"},
    ),
    "a command with options that the script reads": Case(
        "TLP101",
        {**file(ALONE), "README.md": "```sh\naccelerate launch main.py --tasks all\n```\n"},
        {**file(ALONE + "args = parser.parse_args()\n"), "README.md": "```sh\naccelerate launch main.py --tasks all\n```\n"},
    ),
    "a command with options that an imported module may read": Case(
        "TLP101",
        {**file(ALONE + "import options\n"), "README.md": "```sh\naccelerate launch main.py --tasks all\n```\n"},
        {**file(ALONE + "import options\n", options="x = 1\n"), "README.md": "```sh\naccelerate launch main.py --tasks all\n```\n"},
    ),
    "a chat": Case(
        "TLP105",
        {**file(f"{WITH_QWEN}while True:\n    texts.append(input('You: '))\n    print(model.generate(ids(texts)))\n"), "README.md": ""},
        {**file(f"{WITH_QWEN}while True:\n    texts.append(input('You: '))\n    json.dump(model.generate(ids(texts)), file)\n"), "README.md": ""},
    ),
    "a folder of an earlier year": Case(
        "TLP107",
        {"llms-year1-2023-2024/main.py": OLD_CALL, "llms-year2-2024-2025/main.py": "x = 1\n", "README.md": ""},
        {"llms-year1-2023-2024/main.py": OLD_CALL, "vision-year2-2024-2025/main.py": "x = 1\n", "README.md": ""},
        path="llms-year1-2023-2024/main.py",
    ),
    "a folder of the latest year": Case(
        "TLP107",
        {"lab2023/main.py": OLD_CALL, "lab2024/main.py": "x = 1\n", "README.md": ""},
        {"lab2023/main.py": OLD_CALL, "lab2022/main.py": "x = 1\n", "README.md": ""},
        path="lab2023/main.py",
    ),
    # ---- what the readers of the twenty-second draw would not act on
    "a token for a tokenizer that a script has saved": Case(
        "TLP107",
        {**file(f"{HEAD}AutoTokenizer.from_pretrained(model_dir, use_auth_token=token)\n"), "README.md": ""},
        {**file(f"{HEAD}AutoTokenizer.from_pretrained(model_name, use_auth_token=token)\n"), "README.md": ""},
    ),
    "a pad token that is replaced at once": Case(
        "TLP208",
        file(ADDED + "tokenizer.pad_token = tokenizer.eos_token\nmodel(ids)\n"),
        file(ADDED + "tokenizer.padding_side = 'left'\nmodel(ids)\n"),
    ),
    "a lock file of an older trl": Case(
        "TLP404",
        {**file(OLD_PPO), "README.md": "", "pyproject.toml": LISTS_TRL, "uv.lock": LOCKS.format("0.25.1")},
        {**file(OLD_PPO), "README.md": "", "pyproject.toml": LISTS_TRL, "uv.lock": LOCKS.format("0.29.0")},
    ),
    "a lock file of an older transformers": Case(
        "TLP401",
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TRL, "uv.lock": LOCKS.replace("trl", "transformers").format("5.5.4")},
        {**file(WARMED), "README.md": "", "pyproject.toml": LISTS_TRL, "uv.lock": LOCKS.replace("trl", "transformers").format("5.20.0")},
    ),
    "a commit of a library": Case(
        "TLP404",
        {**file(OLD_INT8), "README.md": "", "requirements.txt": "transformers>=4.28\ngit+https://github.com/huggingface/peft.git@e536616888d51b\n"},
        {**file(OLD_INT8), "README.md": "", "requirements.txt": "transformers>=4.28\ngit+https://github.com/huggingface/peft.git@main\n"},
    ),
    "a commit of transformers": Case(
        "TLP401",
        {**file(WARMED), "README.md": "transformers >= 5.0.0", "requirements.txt": f"transformers @ {AT_A_COMMIT}\n"},
        {**file(WARMED), "README.md": "transformers >= 5.0.0", "requirements.txt": "transformers\n"},
    ),
    "a commit of transformers below one of a release": Case(
        "TLP401",
        {"part/main.py": WARMED, "README.md": "", "requirements.txt": "transformers>=5\n", "part/requirements.txt": f"-e {AT_A_COMMIT}\n"},
        {"part/main.py": WARMED, "README.md": "", "requirements.txt": "transformers>=5\n", "part/requirements.txt": "torch\n"},
        "part/main.py",
    ),
    "float32 in a release that a commit does not tell": Case(
        "TLP102",
        at(BARE_LLAMA, f"transformers @ {AT_A_COMMIT}"),
        at(BARE_LLAMA, "torch"),
    ),
    "soft-capping in a release that a commit does not tell": Case(
        "TLP104",
        at(WITH_GEMMA, f"transformers @ {AT_A_COMMIT}"),
        at(WITH_GEMMA, "torch"),
    ),
    "a commit of transformers beside the newest release": Case(
        "TLP107",
        {**at(OLD_CALL, f"transformers @ {AT_A_COMMIT}")},
        {**at(OLD_CALL, "transformers"), "requirements-dev.txt": f"transformers @ {AT_A_COMMIT}\n"},
    ),
    "a commit of transformers above a part with a release of its own": Case(
        "TLP107",
        {"part/main.py": OLD_CALL, "README.md": "", "requirements.txt": f"transformers @ {AT_A_COMMIT}\n"},
        {"part/main.py": OLD_CALL, "README.md": "", "requirements.txt": f"transformers @ {AT_A_COMMIT}\n", "part/requirements.txt": "transformers>=4.30\n"},
        "part/main.py",
    ),
    "a commit of transformers for uv": Case(
        "TLP107",
        {**file(OLD_CALL), "pyproject.toml": f"{LISTS_TF}[tool.uv.sources]\ntransformers = {{ git = 'https://x.y/z', rev = '3760afb' }}\n"},
        {**file(OLD_CALL), "pyproject.toml": f"{LISTS_TF}[tool.uv.sources]\ntransformers = {{ git = 'https://x.y/z', rev = 'main' }}\n"},
    ),
    "a tag of a library": Case(
        "TLP404",
        {**file(OLD_INT8), "README.md": "", "requirements.txt": "transformers>=4.28\ngit+https://github.com/huggingface/peft.git@v0.4.0\n"},
        {**file(OLD_INT8), "README.md": "", "requirements.txt": "transformers>=4.28\ngit+https://github.com/huggingface/peft.git@v0.14.0\n"},
    ),
    "pipelines beside a pipeline of their name": Case(
        "TLP105",
        {**file(NAMED_PIPELINE.format(", do_sample=True")), "README.md": ""},
        {**file(NAMED_PIPELINE.format("")), "README.md": ""},
    ),
    # ---- what the readers of the twenty-third draw called false
    "a branch for other models": Case(
        "TLP105",
        {**file(FAMILIES.format("llama", "qwen3")), "README.md": ""},
        {**file(FAMILIES.format("qwen3", "qwen3")), "README.md": ""},
    ),
    "a branch for other models, and one for a task": Case(
        "TLP105",
        {**file(FAMILIES.format("llama", "qwen3")), "README.md": ""},
        {**file(FAMILIES.format("llama", "qwen3").replace("'qwen3' in name", "'answer' in task")), "README.md": ""},
    ),
    "a branch for other models, where all are loaded": Case(
        "TLP105",
        {**file(FAMILIES.format("llama", "qwen3")), "README.md": ""},
        {**file(FAMILIES.format("llama", "qwen3").replace("if 'llama' in name.lower()", "if True")), "README.md": ""},
    ),
    "a branch for other models, of a script alone": Case(
        "TLP105", file(FAMILIES.format("qwen", "qwen3")), file(FAMILIES.format("qwen3", "qwen3"))
    ),
    # ---- what is left of the draws before the twenty-fourth, and what its readers would not act on
    "an id that is one of several": Case(
        "TLP105",
        {**file(f"IDS = ['meta-llama/Llama-3.1-8B', 'meta-llama/Llama-2-7b-hf']\n{LOADS}all.append(model.generate(ids))\n"), "README.md": ""},
        {**file(f"IDS = ['meta-llama/Llama-3.1-8B']\n{LOADS}all.append(model.generate(ids))\n"), "README.md": ""},
    ),
    "a temperature for another call": Case(
        "TLP105",
        {**file(f"{WITH_LLAMA}all.append(model.generate(ids, temperature=0.7))\nall.append(model.generate(ids))\n"), "README.md": ""},
        {**file(f"{WITH_LLAMA}all.append(model.generate(ids, temperature=0))\nall.append(model.generate(ids))\n"), "README.md": ""},
    ),
    "a temperature of the pipeline": Case(
        "TLP105",
        {**file(PIPE_OF_LLAMA.format("pipe", ", temperature=0.8") + "all.append(pipe(text))\n"), "README.md": ""},
        {**file(PIPE_OF_LLAMA.format("pipe", "") + "all.append(pipe(text))\n"), "README.md": ""},
    ),
    "a pipeline that another module calls": Case(
        "TLP105",
        {**file(PIPE_OF_LLAMA.format("pipe", ""), app="from main import pipe\nall.append(pipe(text, do_sample=True))\n"), "README.md": ""},
        {**file(PIPE_OF_LLAMA.format("pipe", "") + "all.append(pipe(text))\n", app="from main import pipe\n"), "README.md": ""},
    ),
    "BLIP-2 ships no sampling": Case(
        "TLP105", file(CAPTIONS.format("Salesforce/blip2-opt-2.7b")), file(CAPTIONS.format("acme/blip2"))
    ),
    "what an expression reads in one case": Case(
        "TLP410",
        new(f"{LOADS}length = given if given is not None else model.config.max_length\n"),
        new(f"{LOADS}length = model.config.max_length\n"),
    ),
    "what is read behind `or`": Case(
        "TLP410", new(f"{LOADS}length = given or model.config.max_length\n"), new(f"{LOADS}length = model.config.max_length or given\n")
    ),
    "soft-capping in training": Case(
        "TLP104",
        {**at(f"{WITH_GEMMA_2}loss = model(**batch).loss\nloss.backward()\n", "transformers==4.51.2")},
        {**at(f"{WITH_GEMMA_2}loss = model(**batch).loss\nprint(loss)\n", "transformers==4.51.2")},
    ),
    "a rename in a pinned release": Case(
        "TLP107",
        {**file(LOADS), "requirements.toml": "", "pyproject.toml": PINS.format("==4.56.2")},
        {**file(LOADS), "requirements.toml": "", "pyproject.toml": PINS.format(">=4.56")},
    ),
    "a module with documented classes that nothing imports": Case(
        "TLP404",
        {"layers.py": f"{GONE_MASKS}\n@add_start_docstrings('A layer.')\nclass Layer:\n    pass\n", "README.md": ""},
        {"layers.py": f"{GONE_MASKS}\n@register('layer')\nclass Layer:\n    pass\n", "README.md": ""},
        path="layers.py",
    ),
    "a load that nothing uses yet": Case(
        "TLP102",
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "train.py": STUB + "model(ids)\n"},
        {**at(STUB + "print(model(ids))\n", "transformers>=4.40,<5"), "README.md": "", "train.py": STUB + "model(ids)\n"},
    ),
    "a load that nothing uses, in a module that nothing imports": Case(
        "TLP102",
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "other.py": f"import os\n{STUB}"},
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "other.py": f"from main import model\n{STUB}"},
    ),
    "a load whose weights TransformerLens copies": Case(
        "TLP102",
        {**at(STUB + "lens = HookedTransformer.from_pretrained(name, hf_model=model)\n", "transformers>=4.40,<5"), "README.md": ""},
        {**at(STUB + "lens = Lens(name, model=model)\n", "transformers>=4.40,<5"), "README.md": ""},
    ),
    # ---- what the readers of the twenty-fifth draw would not act on
    "a release that a lock file pins": Case(
        "TLP102",
        {**at(STUB, "transformers>=4.45,<5"), "README.md": "", "uv.lock": LOCKS.replace("trl", "transformers").format("4.46.3")},
        {**at(STUB, "transformers>=4.45,<5"), "README.md": "", "uv.lock": LOCKS.format("0.12.0")},
    ),
    "texts that are cut to a few tokens": Case(
        "TLP202",
        file(ENDS + "ids = tokenizer(texts, truncation=True, padding='max_length', max_length=32)\n"),
        file(ENDS + "ids = tokenizer(texts, truncation=True, padding='max_length', max_length=512)\n"),
    ),
    "the first GPU, in a repository with more files": Case(
        "TLP101",
        {**file(TRAINS["main.py"].replace("'auto'", "'cuda:0'"), other=""), ".git": ""},
        {**file(TRAINS["main.py"].replace("'auto'", "'cuda:0'")), ".git": ""},
    ),
    # ---- what the readers of the twenty-eighth draw would not act on
    "a token of the environment": Case(
        "TLP107",
        {**file(f"{HEAD}token = os.environ['HF_TOKEN']\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
        {**file(f"{HEAD}token = os.environ['MY_TOKEN']\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
    ),
    "a module that was not published": Case(
        "TLP107",
        {**file(f"from utils.prompter import Prompter\n{OLD_CALL}"), "README.md": ""},
        {**file(f"from utils.prompter import Prompter\n{OLD_CALL}", utils__prompter="class Prompter:\n    pass\n"), "README.md": ""},
    ),
    "requirements in a folder for the setup": Case(
        "TLP107",
        {**file(f"{OLD}, load_in_8bit=True)\n"), "README.md": "", "setup/requirements.txt": "transformers==4.36.2\n"},
        {**file(f"{OLD}, load_in_8bit=True)\n"), "README.md": "", "data/requirements.txt": "transformers==4.36.2\n"},
    ),
    # ---- what looks like evidence, and is none
    "a load that nothing uses, and an attribute of a class": Case(
        "TLP102",
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "other.py": STUB},
        {**at(STUB.replace("model =", "class Service:\n    def run(self, ids):\n        return self.model(ids)\n    model =") + "print(Service().run(ids))\n", "transformers>=4.40,<5"), "README.md": "", "other.py": STUB},
    ),
    "a load that nothing uses, and one of a package": Case(
        "TLP102",
        {"pkg/__init__.py": STUB, "requirements.txt": "transformers>=4.40,<5", "README.md": "", "other.py": STUB},
        {"pkg/__init__.py": STUB, "requirements.txt": "transformers>=4.40,<5", "README.md": "", "other.py": f"from pkg import model\n{STUB}"},
        path="pkg/__init__.py",
    ),
    "a load that nothing uses, and one of a list of imports": Case(
        "TLP102",
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "other.py": STUB},
        {**at(STUB, "transformers>=4.40,<5"), "README.md": "", "other.py": f"from . import (\n    one,\n    main,\n)\n{STUB}"},
    ),
    "TransformerLens, and a variable of this name": Case(
        "TLP102",
        {**at(STUB + "lens = HookedTransformer.from_pretrained(name, hf_model=model)\n", "transformers>=4.40,<5"), "README.md": ""},
        {**at(STUB.replace("model =", "hf_model =") + "print(hf_model(ids))\n", "transformers>=4.40,<5"), "README.md": ""},
    ),
    "a call for hidden states, and a comment": Case(
        "TLP102",
        {**at(STUB + "print(model(ids, output_hidden_states=True))\n", "transformers>=4.40,<5"), "README.md": ""},
        {**at(STUB + "print(model(ids))  # output_hidden_states=True was slow\n", "transformers>=4.40,<5"), "README.md": ""},
    ),
    "a login, and a function of this name": Case(
        "TLP107",
        {**file(f"{HEAD}from huggingface_hub import login\nlogin(token)\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
        {**file(f"{HEAD}import huggingface_hub\ndef login(user):\n    pass\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
    ),
    "a login, and one of another service": Case(
        "TLP107",
        {**file(f"{HEAD}import huggingface_hub\nhuggingface_hub.login(token)\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
        {**file(f"{HEAD}from wandb import login\nlogin()\nAutoTokenizer.from_pretrained('gpt2', use_auth_token=token)\n"), "README.md": ""},
    ),
    "texts that are cut to a few tokens, and to as many as an option says": Case(
        "TLP202",
        file(ENDS + "ids = tokenizer(texts, truncation=True, max_length=32)\n"),
        file(ENDS + "ids = tokenizer(texts, truncation=True, max_length=args.length)\nq = tokenizer(q, truncation=True, max_length=32)\n"),
    ),
    "the first GPU as a dict, in a repository with more files": Case(
        "TLP101",
        {**file(TRAINS["main.py"].replace("'auto'", "{'': 0}"), other=""), ".git": ""},
        {**file(TRAINS["main.py"].replace("'auto'", "{'': 0}")), ".git": ""},
    ),
    "a module that was not published, and one that a script fetches": Case(
        "TLP107",
        {**file(f"from utils.prompter import Prompter\n{OLD_CALL}"), "README.md": ""},
        {**file(f"from utils.prompter import Prompter\n{OLD_CALL}"), "README.md": "", "run.sh": "export PYTHONPATH=../shared\n"},
    ),
    "Gemma 2 with two billion parameters in float16": Case(
        "TLP103",
        file(LOADS.replace("(name", "('google/gemma-2-2b-it'").replace("torch.bfloat16", "torch.float16")),
        file(LOADS.replace("(name", "('google/gemma-2-27b-it'").replace("torch.bfloat16", "torch.float16")),
    ),
}  # fmt: skip


def codes(folder: Path, files: dict[str, str], case: Case, strict: bool = False) -> set[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    # Without a README, a repository of several files would not be bare, but a folder of a package is.
    (folder / (".git" if "README.md" in files else "pyproject.toml")).touch()
    at = case.path if case.path in files else next(iter(files))
    path = str(folder / at)
    plan = Selection(Configs()).plan(path)
    source = open_source(path, (folder / at).read_bytes())
    settings = plan.settings._replace(strict=strict)
    return {each.code for each in engine.lint(source, select([case.rule]), settings, project=Modules())}


@pytest.mark.parametrize("strict", [False, True])
def test_a_result_that_the_code_looks_into_first_is_no_tensor(strict: bool, tmp_path: Path) -> None:
    case = Case("TLP410", {}, {})
    reads = new(f"{CLIP}print(features.shape if features is not None else 1)\n")
    asks = new(f"{CLIP}print(features.shape if hasattr(features, 'shape') else 1)\n")
    assert codes(tmp_path / "a", reads, case, strict=strict) == {"TLP410"}
    assert codes(tmp_path / "b", asks, case, strict=strict) == set()


@pytest.mark.parametrize("strict", [False, True])
def test_hooks_of_the_forward_get_what_generate_asks_for(strict: bool, tmp_path: Path) -> None:
    case = Case("TLP207", {}, {})
    asks = f"{LOADS}model.generate(ids, max_new_tokens=9, output_attentions=True)\n"
    hooked = asks.replace("model.generate", "model.model.register_forward_hook(print)\nmodel.generate")
    assert codes(tmp_path / "a", file(asks), case, strict=strict) == {"TLP207"}
    assert codes(tmp_path / "b", file(hooked), case, strict=strict) == set()


@pytest.mark.parametrize("name", CASES)
def test_evidence_silences_and_the_lack_of_it_does_not(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    (tmp_path / "strict").mkdir()
    assert codes(tmp_path / "without", case.without, case) == {case.rule}
    assert codes(tmp_path / "with", case.evidence, case) == set()
    assert codes(tmp_path / "strict", case.evidence, case, strict=True) == {case.rule}


@pytest.mark.parametrize(
    ("requirement", "reported"),
    [
        ("transformers==3.3.1", False),
        ("transformers>=4.20,<=4.35", False),
        ("transformers==4.36.0", True),
        ("transformers>=3.3.1", True),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_argument_had_an_effect_in_old_releases(
    requirement: str, reported: bool, strict: bool, tmp_path: Path
) -> None:
    case = Case("TLP107", {}, {})
    mirrored = at(f"{OLD}, mirror='tuna')\n", requirement)
    assert codes(tmp_path, mirrored, case, strict=strict) == ({"TLP107"} if reported else set())


SLOW = "from transformers import AutoTokenizer\ntokenizer = AutoTokenizer.from_pretrained('acme/glm'{})\nids = tokenizer.build_inputs_with_special_tokens([1])\n"
KEPT_ENDS = f"{ENDS}Trainer({{}}).train()\nmodel.save_pretrained('a')\n"
LOGGED = "import wandb\nfrom transformers import AutoTokenizer\nfrom trl import PPOConfig, PPOTrainer\nconfig = PPOConfig({})\n"


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("rule", "sure", "unsure"),
    [
        ("TLP202", KEPT_ENDS.format("model, data_collator=collator"), KEPT_ENDS.format("model")),
        ("TLP403", SLOW.format(""), SLOW.format(", trust_remote_code=True")),
        ("TLP403", SLOW.format(""), "import transformers\n" + SLOW.partition("\n")[2].partition("\n")[2]),
        ("TLP407", LOGGED.format("lr=1"), LOGGED.format("model_name='gpt2', log_with='wandb'")),
    ],
    ids=[
        "a collator that no trainer gets",
        "a tokenizer with code of its own",
        "a tokenizer from elsewhere",
        "the config of an older trl",
    ],
)
def test_what_is_not_so_is_not_reported(
    rule: str, sure: str, unsure: str, strict: bool, tmp_path: Path
) -> None:
    case = Case(rule, {}, {})
    (tmp_path / "sure").mkdir()
    (tmp_path / "unsure").mkdir()
    assert codes(tmp_path / "sure", at(sure, "transformers>=4.40"), case, strict=strict) == {rule}
    assert codes(tmp_path / "unsure", at(unsure, "transformers>=4.40"), case, strict=strict) == set()


def test_the_cost_of_many_calls_beside_an_undefined_name_is_in_proportion(tmp_path: Path) -> None:
    loads = "from transformers import AutoTokenizer\ntokenizer = AutoTokenizer.from_pretrained('gpt2')\n"
    later = "def show():\n    return missing\nshow\n"
    code = f"{loads}{later}" + "print(tokenizer.batch_encode_plus(['a']))\n" * 1200
    start = time.process_time()
    assert codes(tmp_path, at(code, "transformers>=4.40"), Case("TLP403", {}, {})) == {"TLP403"}
    assert time.process_time() - start < 5  # it was 38 s where each call searched all before it


def test_a_long_chain_with_an_undefined_name_is_read(tmp_path: Path) -> None:
    code = "value = missing" + ".part(1)" * 700 + f"\n{OLD_TRAINER}"
    assert codes(tmp_path, at(code, "transformers>=4.40"), Case("TLP402", {}, {})) == set()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(("method", "reported"), [("to_cache", True), ("to_legacy_cache", False)])
def test_a_method_of_a_class_of_the_project_is_not_that_of_a_cache(
    method: str, reported: bool, strict: bool, tmp_path: Path
) -> None:
    shared = f"class Shared:\n    def {method}(self):\n        return ()\n"
    project = {**at(READS_A_CACHE, "transformers>=4.40"), "own.py": shared}
    assert codes(tmp_path, project, Case("TLP410", {}, {}), strict=strict) == (
        {"TLP410"} if reported else set()
    )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from peft import prepare_model_for_int8_training\n", {"TLP404"}),
        ("from transformers import is_torch_tpu_available\n", {"TLP404"}),
        (
            "import own\nfrom trl import setup_chat_format, SFTTrainer\nSFTTrainer(own.model, max_seq_length=5)\n",
            {"TLP402", "TLP404"},
        ),
    ],
)
def test_the_import_that_fails_and_what_trl_removed_are_reported(
    code: str, found: set[str], tmp_path: Path
) -> None:
    project = at(f"{code}{OLD_LOGS}{OLD_CALL}", "transformers>=4.28")
    given = {rule: codes(tmp_path / rule, project, Case(rule, {}, {})) for rule in WHOLE}
    assert {rule for rule in WHOLE if given[rule]} == found


@pytest.mark.parametrize(
    ("other", "after"),
    [
        ("datasets==2.1.0", False),
        ("datasets==2.20.0", True),
        ("datasets>=2.1.0", True),
        ("sentence-transformers==3.0.1", False),
        ("sentence_transformers~=5.2", True),
        ("unbabel-comet>=2.2.6", False),
        ("unbabel_comet", False),
        ("gradio==5.40.0", False),
        ("gradio==4.44.0", True),
        ("vllm==0.12.0", False),
        ("vllm>=0.6", True),
        ("adapters-of-mine==1.0", True),
        ("flair", False),
        ("steering_vectors", False),
        ("spacy-transformers==1.3.9", False),
        ("circuit-tracer==0.4.0", True),
        ("flair==0.11.3", True),
        ("facenet-pytorch==2.6.0", False),
        ("pytorch==2.2", False),
        ("petals>=2.0", False),
        ("pyreft==0.1.0", False),
        ("whisperx==3.1.1", True),
        ("whisperx==3.7.9", False),
        ("adapters==0.2.2", False),
        ("sae-lens==5.1.0", False),
        ("sae-lens==6.40.0", True),
        ("optimum==1.20.0", False),
        ("optimum>=1.20", True),
        ("openrlhf==0.8.2", False),
        ("transformer-lens==2.16.1", False),
        ("transformer-lens>=2.0", True),
        ("llama-index-llms-huggingface==0.6.1", False),
        ("langchain-huggingface==1.0.1", False),
    ],
)
def test_other_libraries_leave_out_transformers_5(other: str, after: bool, tmp_path: Path) -> None:
    """Their metadata says so."""
    for name, text in at(f"{OLD}, load_in_8bit=True)\nx = 1\n", "transformers>=4.40", other).items():
        (tmp_path / name).write_text(text)
    settings = Selection(Configs()).plan(str(tmp_path / "main.py")).settings
    assert (settings.five == "admits", settings.is_before_5) == (after, not after)


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ("datasets==2.1.0", {"TLP404", "TLP409"}),
        ("unbabel-comet", {"TLP404", "TLP409"}),
        ("adapters==0.2.2", set()),  # it holds transformers at 4.40
        ("tokenizers==0.13.3", set()),
    ],
)
def test_what_transformers_4_removed_is_reported_where_another_library_leaves_out_5(
    other: str, found: set[str], tmp_path: Path
) -> None:
    code = (
        "import own\nfrom transformers import Trainer\nfrom transformers.utils import send_example_telemetry\nsend_example_telemetry('x', own.args)\n"
        "class Weighted(Trainer):\n    def compute_loss(self, model, inputs, return_outputs=False):\n        return model(**inputs).loss\n"
        "Weighted(own.model, own.args, compute_metrics=own.metrics).train()\n"
    )
    for name, text in at(code, "transformers>=4.40", other).items():
        (tmp_path / name).write_text(text)
    plan = Selection(Configs()).plan(str(tmp_path / "main.py"))
    source = open_source(plan.path, (tmp_path / "main.py").read_bytes())
    given = engine.lint(source, plan.rules, plan.settings, project=Modules())
    assert {each.code for each in given if each.code.startswith("TLP4")} == found


@pytest.mark.parametrize(
    "tied", ["huggingface-hub<1.0", "torch==2.2.0", "pip3 install torch==1.9.0+cu111 torchvision==0.10.0"]
)
def test_what_trl_removed_is_reported_where_another_library_leaves_out_transformers_5(
    tied: str, tmp_path: Path
) -> None:
    code = f"{OLD_TRAINER}{OLD_SFT}{OLD_LOGS}"
    for name, text in at(code, "transformers>=4.40", tied).items():
        (tmp_path / name).write_text(text)
    plan = Selection(Configs()).plan(str(tmp_path / "main.py"))
    source = open_source(plan.path, (tmp_path / "main.py").read_bytes())
    found = engine.lint(source, plan.rules, plan.settings, project=Modules())
    assert [(each.code, each.line) for each in found if each.code.startswith("TLP4")] == [("TLP402", 6)]


@pytest.mark.parametrize("rule", ["TLP101", "TLP102", "TLP104", "TLP105", "TLP201"])
def test_a_bare_script_gets_every_finding(rule: str, tmp_path: Path) -> None:
    assert codes(tmp_path, file(BARE), Case(rule, {}, {})) == {rule}


# ---- loads that an owner would leave as they are


@pytest.mark.parametrize(
    ("code", "reported"),
    [
        ("m = {}\n", True),
        ("m = {}.to(torch.bfloat16)\n", False),
        ("m = {}.eval().half()\n", False),
        ("m = {}\nm.to(dtype=torch.bfloat16)\n", False),
        ("m = {}\nm.to('cuda')\n", True),
        ("m = {}\nn = 1\nm.bfloat16()\n", False),
        ("m = {}\nm.cuda()\nm.bfloat16()\n", True),
        ("m = {}\nprint(m(ids))\nm.bfloat16()\n", True),
        ("import pytest\n@pytest.fixture\ndef model():\n    return {}\n", False),
        ("def test_it():\n    m = {}\n    assert m\n", False),
        ("def test_it():\n    return {}\n", True),
    ],
)
def test_a_dtype_that_makes_no_difference(code: str, reported: bool) -> None:
    load = "AutoModelForCausalLM.from_pretrained('meta-llama/Llama-3.1-8B')"
    found = telepathy_lint.lint(
        "import torch\nfrom transformers import AutoModelForCausalLM\n" + code.format(load)
    )
    assert ("TLP102" in {each.code for each in found}) == reported


@pytest.mark.parametrize(("base", "reported"), [("PreTrainedModel", False), ("LlamaForCausalLM", True)])
def test_the_author_of_a_model_chose_its_dtype(base: str, reported: bool) -> None:
    found = telepathy_lint.lint(
        f"from transformers import {base}\nclass Coder({base}):\n    pass\nm = Coder.from_pretrained(path)\n"
    )
    assert ("TLP102" in {each.code for each in found}) == reported


def test_a_notebook_generates_with_the_model_that_it_loaded_last(tmp_path: Path) -> None:
    load = "model = AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-7B-Instruct', torch_dtype='auto')\n"
    first = "pipe = pipeline('text-generation', model='meta-llama/Llama-3.2-1B-Instruct')\n"
    asks, settings = "all.append(pipe(texts, max_new_tokens=9))\n", "settings = {'do_sample': False}\n"
    again = f"pipe = pipeline('text-generation', model=model, tokenizer=tokenizer)\n{settings}all.append(pipe(texts, **settings))\n"
    writes = "inputs = {name: each.cuda() for name, each in inputs.items()}\nall.append(model.generate(**inputs, max_new_tokens=9))\n"
    head = f"{HEAD}from transformers import pipeline\n"
    (tmp_path / "README.md").write_text("")
    (tmp_path / ".git").mkdir()
    path = tmp_path / "run.ipynb"
    path.write_text(cells(head, first, asks, load, writes, load.replace("7B", "3B"), again))
    source = open_source(str(path), path.read_bytes())
    found = engine.lint(
        source, select(["TLP105"]), Selection(Configs()).plan(str(path)).settings, project=Modules()
    )
    assert [(each.cell, each.message.rpartition(", and ")[2].rpartition(": ")[2]) for each in found] == [
        (1, "line 1 of the 3rd code cell generates without do_sample, so two runs differ"),
        (3, "line 2 of the 5th code cell generates without do_sample, so two runs differ"),
    ]


@pytest.mark.parametrize(
    ("settings", "reported"),
    [("", True), ("settings = {'do_sample': False}\n", False), ("settings = {'max_new_tokens': 9}\n", True)],
)
def test_settings_that_the_file_does_not_write_may_state_the_decoding(settings: str, reported: bool) -> None:
    found = telepathy_lint.lint(
        "from transformers import AutoModelForCausalLM\nm = AutoModelForCausalLM.from_pretrained('x')\n"
        f"{settings}answers.append(m.generate(**ids, **{'settings' if settings else 'cfg.generate_kwargs'}))\n"
    )
    assert ("TLP105" in {each.code for each in found}) == (reported and bool(settings))


def test_a_file_with_more_paths_of_its_machine_is_bound_to_it() -> None:
    load = "from transformers import AutoModel\nm = AutoModel.from_pretrained('x', cache_dir='/ceph/me/models')\n"
    assert "TLP304" in {each.code for each in telepathy_lint.lint(load)}
    assert "TLP304" not in {each.code for each in telepathy_lint.lint(load + "data = '/ceph/me/data'\n")}


@pytest.mark.parametrize(
    ("use", "reported"),
    [
        ("print({})\n", False),
        ("answers = []\nanswers.append({})\n", True),
        ("def ask():\n    return {}\n", True),
    ],
)
def test_an_answer_that_is_only_printed(use: str, reported: bool) -> None:
    found = telepathy_lint.lint(
        "from transformers import AutoModelForCausalLM\nm = AutoModelForCausalLM.from_pretrained('x')\nm.eval()\n"
        + use.format("m.generate(ids)")
    )
    assert ("TLP105" in {each.code for each in found}) == reported


@pytest.mark.parametrize(
    ("requirement", "after"), [("tokenizers==0.13.3", False), ("tokenizers>=0.22", True)]
)
def test_a_project_that_cannot_get_transformers_5_is_not_told_of_it(
    requirement: str, after: bool, tmp_path: Path
) -> None:
    """Neither where its requirements list no release of transformers: tokenizers 0.13 leaves out transformers 5."""
    (tmp_path / "main.py").write_text(STUB + "print(model(ids))\n")
    (tmp_path / "requirements.txt").write_text(f"{requirement}\n")
    path = str(tmp_path / "main.py")
    found = engine.lint(
        open_source(path, (tmp_path / "main.py").read_bytes()),
        select(["TLP102"]),
        Selection(Configs()).plan(path).settings,
        project=Modules(),
    )
    assert ["5.x follows" in each.message for each in found] == [after]


@pytest.mark.parametrize(
    "text",
    [
        "keywords = ['adapters', 'lora']\n",
        "description = 'Adapters for language models'\n",
        "name = 'adapters'\n",
        "[project.optional-dependencies]\nadapters = ['peft']\n",
        "[[tool.mypy.overrides]]\nmodule = ['flair', 'whisperx']\n",
    ],
)
def test_a_word_of_a_project_is_no_requirement(text: str, tmp_path: Path) -> None:
    listed = "[project]\ndependencies = ['transformers>=4.40']\n"
    (tmp_path / "pyproject.toml").write_text(listed + text)
    (tmp_path / "main.py").write_text(OLD_CALL)
    assert Selection(Configs()).plan(str(tmp_path / "main.py")).settings.five == "admits"


@pytest.mark.parametrize("beside", ["optimum>=1.24", "transformer-lens>=1.0"])
def test_new_releases_hold_nothing_back(beside: str, tmp_path: Path) -> None:
    for name, text in at(OLD_CALL, "transformers>=4.40", "huggingface-hub<1.0", beside).items():
        (tmp_path / name).write_text(text)
    assert Selection(Configs()).plan(str(tmp_path / "main.py")).settings.stage == "others"
