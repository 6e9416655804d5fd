"""Evidence that prevents an unsafe fix: the finding is still reported and names the line, in each format."""

from __future__ import annotations

import json

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.facts import evidence
from telepathy_lint.findings.result import FileFinding, FileResult
from telepathy_lint.knowledge import input_casts
from telepathy_lint.output import FORMATS, Report, render
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

HEAD = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

DTYPE = torch.float16
tok = AutoTokenizer.from_pretrained("gpt2")
model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto", torch_dtype=DTYPE)
"""
#: A line that comes behind the loads -> its kind of evidence, and the codes whose fix it holds back.
LINES = {
    "h = model(x).last_hidden_state.cpu().numpy()": ("numpy", "103"),
    "accelerator = Accelerator(mixed_precision='fp16')": ("float16-amp", "103"),
    "arguments = TrainingArguments('out', fp16=True)": ("float16-amp", "103"),
    "arguments = TrainingArguments('out', fp16=flag)": ("float16-amp", "103"),
    "scaler = torch.cuda.amp.GradScaler()": ("float16-amp", "103"),
    "with torch.autocast('cuda', torch.float16): pass": ("float16-amp", "103"),
    "with torch.cuda.amp.autocast(): pass": ("float16-amp", "103"),
    "trainer = lightning.Trainer(precision='16-mixed')": ("float16-amp", "103 201"),
    "config = {'fp16': {'enabled': True}}": ("float16-amp", "103"),
    "optimizer = torch.optim.AdamW(model.parameters())": ("training", "103"),
    "optimizer = bnb.optim.AdamW8bit(model.parameters())": ("training", "103"),
    "trainer = SFTTrainer(model)": ("training", "103 201"),
    "model.save_pretrained('out')": ("saving", "103 201"),
    "model.push_to_hub('me/mine')": ("saving", "103 201"),
    "model = model.merge_and_unload()": ("saving", "103 201"),
    "delta = {k: v for k, v in model.state_dict().items()}": ("saving", "103 201"),
    "torch.save(model, 'x.pt')": ("saving", "103 105 201"),
    "head = torch.nn.Linear(8, 2)": ("modules", "103"),
    "class Head(nn.Module): pass": ("modules", "103"),
    "model(inputs_embeds=soft)": ("modules", "103"),
    "head = Linear(8, 2); from torch.nn import Linear": ("modules", "103"),
    "arguments = {'inputs_embeds': soft}": ("modules", "103"),
    "noise = torch.randn(1, 8)": ("modules", "103"),
    "direction = torch.load('direction.pt')": ("modules", "103"),
    "model.load_state_dict(state)": ("modules", "103"),
    "rows = np.asarray(model(x).last_hidden_state)": ("numpy", "103"),
    "rows = np.stack([state[0] for state in states])": ("numpy", "103"),
    "np.save('rows.npy', h)": ("numpy", "103"),
    "model.register_forward_hook(steer)": ("hooks", "103"),
    "scores = h @ directions.T": ("products", "103"),
    "scores = torch.einsum('bd,kd->bk', h, directions)": ("products", "103"),
    "scores = torch.nn.functional.linear(h, weight)": ("products", "103"),
    "u, s, v = torch.linalg.svd(h)": ("floats-only", "103"),
    "middle = h.quantile(0.5)": ("floats-only", "103"),
    "memory = torch.zeros(4, 8)\nmemory[ids] = h": ("products", "103"),
    "memory.masked_scatter_(mask, h)": ("products", "103"),
    "import torch.nn as N; head = N.Linear(8, 2)": ("modules", "103"),
    "from torch import nn as layers; head = layers.Linear(8, 2)": ("modules", "103"),
    "import numpy as onp; rows = onp.asarray(h)": ("numpy", "103"),
    "from numpy import stack as pile; rows = pile(states)": ("numpy", "103"),
    "from torch import einsum as sum_up; scores = sum_up('bd,kd->bk', h, directions)": ("products", "103"),
    "from torch import linalg as L; u, s, v = L.svd(h)": ("floats-only", "103"),
    "assert model.dtype == torch.float32": ("checks", "103"),
    "optimizer = getattr(torch.optim, name)(model.parameters())": ("training", "103"),
    "pickle.dump(model, file)": ("saving", "103 105 201"),
    "torch.jit.save(traced, 'x.ts')": ("saving", "103 201"),
    "getattr(model, 'save_pretrained')('out')": ("saving", "103 201"),
    "torch.save({'model': model, 'step': 3}, 'x.pt')": ("saving", "103 105 201"),
    "torch.save(model.state_dict(), 'x.pt')": ("saving", "103 201"),
    "print(model.generation_config.to_dict())": ("pickling", "105"),
    "settings = {'temperature': 0.7}": ("sampling", "105"),
    "model.generate(x, num_return_sequences=3)": ("sampling", "105"),
    "settings = dict(max_length=20)": ("length", "105"),
    "soft = torch.zeros(1, 4, 8, dtype=DTYPE)": ("other-tensors", "103"),
    "model.generate(x, temperature=0.7)": ("sampling", "105"),
    "arguments = Seq2SeqTrainingArguments('out', generation_max_length=225)": ("length", "105"),
    "model.generate(x, max_length=20)": ("length", "105"),
}
#: Lines that look alike and hold nothing back.
HARMLESS = (
    "ids = model(x).logits.argmax(-1).numpy()",
    "h = model(x).last_hidden_state.float().cpu().numpy()",
    "h = model(x).last_hidden_state.to(torch.float32).numpy()",
    "arguments = TrainingArguments('out', bf16=True)",
    "arguments = TrainingArguments('out', fp16=False)",
    "with torch.autocast('cuda', dtype=torch.bfloat16): pass",
    "other = AutoModelForCausalLM.from_pretrained('gpt2', torch_dtype=DTYPE)",
    "model.generate(x, do_sample=True, temperature=0.7, max_new_tokens=5)",
    "model.generate(x, num_return_sequences=3, num_beams=3)",
    "settings = {'temperature': 0.7, 'do_sample': True}",
    "options = {'max_length': 20, 'truncation': True}",
    "losses = np.array([loss.item() for loss in losses])",
    "table = np.array([[1.0, 2.0], [3.0, 4.0]])",
    "similar = h @ h.T",
    "u, s, v = torch.linalg.svd(h.float())",
    "size = torch.linalg.norm(h)",
    "noise = torch.randn(1, 8, dtype=torch.bfloat16)",
    "ids = torch.tensor([[1, 2]])",
    "memory = torch.zeros(4, 8)\nmemory[0:2] = h",
    "memory = torch.zeros(4, 8, dtype=h.dtype)\nmemory[ids] = h",
    "table = {}\ntable[name] = h",
    "from numpy import asarray",
    "import numpy as onp; rows = onp.asarray(h.float())",
    "# model.save_pretrained('out'), torch.optim.AdamW(...)",
    "text = 'model.save_pretrained()'",
)
CODES = ("TLP101", "TLP103", "TLP105", "TLP201")


def found(code: str, **settings: object) -> dict[str, object]:
    """The fix of each finding at the two loads in HEAD, by code."""
    source = Source("script.py", code.encode())
    lines = engine.lint(source, registry.select(CODES), Settings(strict=True)._replace(**settings))
    return {one.code: one.fix for one in lines if one.line in (5, 6)}


@pytest.mark.parametrize("line", LINES)
def test_evidence_holds_back_the_fixes_that_it_is_about(line: str) -> None:
    kind, codes = LINES[line]
    held = {f"TLP{code}" for code in codes.split()}
    fixes = found(f"{HEAD}{line}\n")
    assert {code for code, fix in fixes.items() if fix.safety == "display"} == held  # type: ignore[attr-defined]
    reasons = [fix.reason for fix in fixes.values() if fix.safety == "display"]  # type: ignore[attr-defined]
    assert all(
        evidence.KINDS[kind] in reason
        or "line 7 " in reason
        or "line 8 " in reason
        or "would override it" in reason
        for reason in reasons
    )
    # The fix of what is not held back goes through, and takes nothing else along.
    assert fixes["TLP101"].safety == "safe" or "Trainer" in line or "ccelerat" in line  # type: ignore[attr-defined]
    source = Source("script.py", f"{HEAD}{line}\n".encode())
    text = engine.fix(source, registry.select(CODES), Settings(strict=True), unsafe=True).text
    assert ("DTYPE)" in text.splitlines()[5] or "torch_dtype=DTYPE" in text) == ("TLP103" in held)
    assert ("generation_config=None" in text) == ("TLP105" in held)
    assert ("load_tokenizer(" in text) == ("TLP201" not in held)


#: What comes behind a load with a device map -> the kind of evidence against another map, None where it is none.
PLACING = {
    ('"cuda:0"', "model.register_forward_hook(steer)"): "hooks",
    ('"cuda:0"', "w = model.lm_head.weight[3]"): "weights",
    ('{"": 0}', "w = model.model.layers[3].mlp.down_proj.weight"): "weights",
    ('{"": 0}', "w = model.get_input_embeddings().weight"): None,
    ('{"": 0}', "a = model.state_dict(); b = other.state_dict()\nfor k in a: a[k].add_(b[k])"): "weights",
    ('{"": 0}', "a = model.state_dict(); b = other.state_dict()\nd = {k: a[k] - b[k] for k in a}"): "weights",
    ('{"": 0}', "a = model.state_dict(); b = other.state_dict()\nprint(len(a), len(b))"): None,
    ('{"": 0}', "a = model.state_dict()\nfor k in a: a[k].mul_(2)"): None,
    ('"cuda:0"', "other = x.to('cuda:1')"): "layout",
    ('"auto"', "print(model.hf_device_map)"): "map-read",
    ('{"": 0}', "rank = int(os.environ['RANK']); x.to('cuda:0')"): "devices",
    ('{"": 0}', "rank = int(os.environ['RANK']); x.cuda()"): "devices",
    ('"auto"', "rank = int(os.environ['LOCAL_RANK']); x = torch.ones(3, device='cuda')"): "devices",
    ('"auto"', "rank = int(os.environ['LOCAL_RANK']); x.to(f'cuda:{rank}')"): "devices",
    ('"auto"', "device = 'cuda'; rank = 0; init_process_group()\ndevice = torch.device('cuda')\nx.to(device)"): "devices",
    ('"cuda" if torch.cuda.is_available() else "cpu"', "x.to('cpu')"): "devices",
    ('"auto" if torch.cuda.is_available() else None', "device = 'cpu'\nx.to(device)"): "devices",
    ('{"": rank}', "accelerator = Accelerator(); rank = accelerator.process_index; x.to('cuda')"): "devices",
    ('{"": PartialState().local_process_index}', "x.to(accelerator.device)"): "devices",
    ('{"": PartialState().process_index}', "device = accelerator.device\nx.to(device)"): "devices",
    ('{"": args.local_rank}', "torch.cuda.set_device(args.local_rank); x.cuda()"): "devices",
    ('{"": torch.cuda.current_device()}', "torch.cuda.set_device(gpu); x.cuda()"): "devices",
    ('f"cuda:{gpu}"', "gpu = int(os.environ['SLURM_LOCALID'])\nx.to(torch.cuda.current_device())"): "devices",
    ('{"": accelerator.device}', "accelerator = Accelerator(); x.to(accelerator.device)"): "devices",
    ('{"": torch.cuda.current_device()}', "x.cuda()"): None,
    ('{"": args.local_rank}', "torch.cuda.set_device(args.local_rank); x.to(model.device)"): None,
    ('{"": local_rank}', "device = model.device\nx.to(device, torch.bfloat16)"): None,
    ('{"": PartialState().process_index}', "trainer = SFTTrainer(model)"): None,
    ('"cuda:0"', "x.to('cuda:0')"): None,
    ('"cuda" if torch.cuda.is_available() else "cpu"', "x.to(model.device)"): None,
    ('"cuda" if torch.cuda.is_available() else "cpu"', "device = model.device\nx.to(device)"): None,
    ('"auto"', "model.register_forward_hook(steer); w = model.lm_head.weight[3]"): None,
    ('"auto"', "rank = int(os.environ['RANK']); x.to(model.device).to(torch.bfloat16)"): None,
    ('"auto"', "accelerator = Accelerator(); rank = accelerator.process_index; x.to('cuda')"): None,
    ('"auto"', "trainer = Trainer(model); x.to('cuda')"): None,
}  # fmt: skip


@pytest.mark.parametrize(("device_map", "line"), PLACING)
def test_evidence_against_another_device_map(device_map: str, line: str) -> None:
    kind = PLACING[device_map, line]
    head = HEAD.replace('"auto"', device_map)
    fix = found(f"{head}{line}\n")["TLP101"]
    assert (fix.safety == "display") == (kind is not None), fix  # type: ignore[attr-defined]
    if kind is not None:
        assert evidence.KINDS[kind] in fix.reason  # type: ignore[attr-defined]
        despite = found(f"{head}{line}\n", unsafe_fixes_despite=(kind,))["TLP101"]
        assert despite.safety != "display"  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_like_evidence_holds_nothing_back(line: str) -> None:
    fixes = found(f"{HEAD}{line}\n")
    assert [code for code, fix in fixes.items() if fix.safety == "display"] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kind", [kind for kind in evidence.KINDS if kind in {shown for shown, _ in LINES.values()}]
)
def test_an_owner_can_overrule_one_kind(kind: str) -> None:
    # The line with the fewest other kinds beside this one.
    line = next(line for line, (shown, _) in LINES.items() if shown == kind and "Trainer" not in line)
    fixes = found(f"{HEAD}{line}\n", unsafe_fixes_despite=(kind,))
    assert [code for code, fix in fixes.items() if fix.safety == "display"] == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        ('WhisperForConditionalGeneration.from_pretrained("openai/whisper-small"', "inputs"),
        ('AutoModelForCTC.from_pretrained("facebook/wav2vec2-base"', "inputs"),
        ('AutoModel.from_pretrained("openai/clip-vit-base-patch32"', "inputs"),
        ('AutoModelForImageClassification.from_pretrained("x"', "inputs"),
        ('pipeline("automatic-speech-recognition", model="x"', "inputs"),
        ('pipeline("question-answering", model="x"', "numpy"),
        ('pipeline("text-classification", model="x"', None),
        ('AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B-Instruct-AWQ"', "quantized"),
        ('AutoModelForCausalLM.from_pretrained("ISTA-DASLab/Llama-2-7B-SpQR"', "quantized"),
        ('AutoModelForCausalLM.from_pretrained("gpt2"', None),
        ('AutoModelForImageTextToText.from_pretrained("x"', None),
        ('AutoModelForVision2Seq.from_pretrained("x"', None),
        ('AutoModelForSequenceClassification.from_pretrained("bert-base-uncased"', None),
    ],
)
@pytest.mark.parametrize("dtype", ["", ", torch_dtype=torch.float16"])
def test_models_that_do_not_bear_bfloat16(load: str, kind: str | None, dtype: str) -> None:
    code = f"import torch\nfrom transformers import *\nmodel = {load}{dtype})\n"
    source = Source("script.py", code.encode())
    (one,) = engine.lint(source, registry.select(["TLP102", "TLP103"]), Settings(strict=True))
    assert one.fix is not None
    subject = "the pipeline " if kind == "numpy" else ""
    assert one.fix.reason == (f"{subject}{evidence.KINDS[kind]}" if kind else None)


def test_every_format_names_the_line() -> None:
    source = Source("script.py", f"{HEAD}model.save_pretrained('out')\n".encode())
    violations = engine.lint(source, registry.select(["TLP103"]), Settings(strict=True))
    result = FileResult("script.py", tuple(FileFinding(each) for each in violations))
    for name in FORMATS:
        text = "".join(render(name, Report([result])))
        assert "line 7 saves, merges or reads weights" in text, name
    (entry,) = json.loads("".join(render("json", Report([result]))))
    assert entry["fix"] == {
        "safety": "display",
        "message": "not fixed: line 7 saves, merges or reads weights or settings",
        "reason": "line 7 saves, merges or reads weights or settings",
        "edits": [],
    }


def test_the_table_of_inputs_says_one_thing_of_a_class() -> None:
    assert not input_casts.CASTING & input_casts.FAILING
    assert not (input_casts.CASTING | input_casts.FAILING) & input_casts.UNKNOWN
    assert {"WhisperForConditionalGeneration", "Wav2Vec2ForCTC", "ResNetModel"} <= input_casts.FAILING
    assert {"CLIPModel", "ViTForImageClassification"} <= input_casts.CASTING
    assert not {"BertModel", "LlamaForCausalLM", "T5ForConditionalGeneration"} & (
        input_casts.FAILING | input_casts.UNKNOWN
    )


def test_the_loaders_call_takes_features_as_the_class_does() -> None:
    """Found by benchmarks/broken_fixes.py: another finding's fix came first, and the class stood in an argument then."""
    code = """\
import torch
from transformers import AutoModelForSpeechSeq2Seq
from telepathy_runtime import load_model
model = load_model("acme/model", model_class=AutoModelForSpeechSeq2Seq, torch_dtype=torch.float32)
"""
    lines = engine.lint(Source("x.py", code.encode()), registry.select(["TLP103"]), Settings(strict=True))
    assert [(one.code, one.fix.safety) for one in lines if one.fix] == [("TLP103", "display")]
