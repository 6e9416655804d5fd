"""The audit's first screen: recommended commands, excluded files, unusual loads, memory; and links to the code."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from telepathy_lint.audit.data import Place
from telepathy_lint.audit.facts import audit
from telepathy_lint.audit.host import Host, host_of, web_address
from telepathy_lint.audit.html import html
from telepathy_lint.audit.markdown import markdown
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.report import report
from telepathy_lint.audit.texts import without_comments
from telepathy_lint.commands.cli import run
from telepathy_lint.discovery.config import Configs

AUTO = '"auto"'
HEAD = "import torch\nfrom transformers import *\n"
LLM = 'AutoModelForCausalLM.from_pretrained("{id}", {settings})\n'


def audited(folder: Path, files: dict[str, str]) -> Audit:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return audit(str(folder), Configs(isolated=True), "H100-80GB", jobs=1)


def first(found: Audit) -> str:
    """The first screen as Markdown."""
    return markdown(report(found)).split("\n## ")[1]


def load(**settings: str) -> str:
    model_id = settings.pop("id", "org/some-7b")
    return LLM.format(id=model_id, settings=", ".join(f"{name}={value}" for name, value in settings.items()))


TRAIN = (
    HEAD + "model = " + load(device_map=AUTO) + 'tokenizer = AutoTokenizer.from_pretrained("org/some-7b")\n'
)
MERGE = (
    HEAD
    + "base = "
    + load(device_map=AUTO, torch_dtype="torch.float16")
    + "merged = PeftModel.from_pretrained(base, 'x').merge_and_unload()\nmerged.save_pretrained('out')\n"
)
DELTA = (
    HEAD
    + "base = "
    + load(torch_dtype="torch.int8")
    + "target = "
    + load(torch_dtype="torch.int8")
    + "for name, param in target.state_dict().items():\n    param.data -= base.state_dict()[name]\ntarget.save_pretrained('delta')\n"
)


# ---- commands


@pytest.mark.parametrize("number", range(3))
def test_every_command_changes_what_it_says(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands are run as they are printed, on copies of the project."""
    monkeypatch.chdir(tmp_path)
    files = {
        "train.py": TRAIN,
        "more/eval.py": TRAIN,
        "merge.py": MERGE,
        "delta.py": DELTA,
        "a b, c[1].py": DELTA,
    }
    audited(tmp_path / "lab", files)
    found = audit("lab", Configs(isolated=True), "H100-80GB", given=["--isolated"])
    assert len(found.actions) == 3
    assert first(found).count("\n1. **safe** ") == first(found).count("\n2. **unsafe** ") == 1
    assert [action.safety for action in found.actions] == ["safe", "unsafe", "unsafe"]
    action = found.actions[number]
    arguments = shlex.split(action.command)
    assert arguments[0] == "telepathy-lint" and action.fixes
    assert run([*arguments[1:], "--no-cache", "-q"]) in (0, 1)
    capsys.readouterr()
    changed = {name for name, text in files.items() if (tmp_path / "lab" / name).read_text() != text}
    assert changed == {"train.py", "more/eval.py"}  # never a file that writes weights
    assert len(changed) == action.files
    after = audit("lab", Configs(isolated=True), "H100-80GB")
    left = [one for one in after.findings if one.code in action.codes]
    assert len(left) == action.left


def test_safe_fixes_come_first_and_what_breaks_comes_before_the_rest(tmp_path: Path) -> None:
    body = HEAD + "".join(f"m{n} = {load(device_map=AUTO)}" for n in range(3))
    moved = f"{HEAD}moved = {load(device_map=AUTO).strip()}\nmoved.to('mps')\n"
    found = audited(tmp_path, {"train.py": body, "moved.py": moved})
    assert [(action.safety, action.codes) for action in found.actions][:2] == [
        ("safe", ("TLP101",)),
        ("unsafe", ("TLP106",)),
    ]


def test_a_command_that_changes_nothing_is_not_shown(tmp_path: Path) -> None:
    found = audited(tmp_path, {"delta.py": DELTA})
    assert found.findings and found.actions == ()
    text = first(found)
    assert "No command can fix the findings" in text
    assert "`delta.py` computes with weights" in text and "--fix" not in text
    assert "--fix" not in markdown(report(found)).split("## Recommendations")[1].split("## ")[0]


def test_a_crash_of_a_fix_is_no_verified_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from telepathy_lint.audit import actions

    def crash(*_: object, **__: object) -> list[int]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(actions, "trial", crash)
    assert audited(tmp_path, {"train.py": TRAIN}).actions == ()


def test_options_that_chose_the_configuration_are_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    assert run(["audit", "--isolated", str(tmp_path)]) == 0
    commands = [
        line.strip() for line in capsys.readouterr().out.splitlines() if "telepathy-lint check" in line
    ]
    assert commands and all("--isolated" in command for command in commands)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (MERGE, "merges an adapter into the weights and saves them"),
        (DELTA, "computes with weights"),
        (HEAD + "m = " + load() + "m.half().save_pretrained('x')\n", "saves the weights it loaded"),
        (HEAD + "m = " + load() + "def main():\n    m.push_to_hub('me/x')\n", "saves the weights it loaded"),
    ],
)
def test_scripts_that_write_weights_are_known(tmp_path: Path, body: str, why: str) -> None:
    (found,) = audited(tmp_path, {"x.py": body}).conversions
    assert found.why == why


@pytest.mark.parametrize(
    "body",
    [
        HEAD + "m = " + load() + "m = m.merge_and_unload()\nm.generate(x)\n",  # for this run only
        HEAD + "m = " + load() + "Trainer(m).train()\nm.save_pretrained('x')\n",  # it trains
        HEAD + "m = " + load() + "tokenizer.save_pretrained('x')\n",
        HEAD + "m = " + load() + "# m.save_pretrained('x')\n",
        HEAD + "class Wrapped:\n    def __init__(self):\n        self.m = " + load() + "    def save(self):\n        self.m.save_pretrained('x')\n",
        HEAD + "m = " + load() + "torch.nn.init.zeros_(m.head.weight)\nm.head.weight.data *= 0.01\n",
    ],
)  # fmt: skip
def test_scripts_that_only_use_weights_are_not(tmp_path: Path, body: str) -> None:
    assert audited(tmp_path, {"x.py": body}).conversions == ()


# ---- like with like


def test_a_speech_model_in_float32_is_not_odd_beside_language_models(tmp_path: Path) -> None:
    language = "".join(f"m{n} = " + load(torch_dtype="torch.bfloat16") for n in range(4))
    others = (
        'w = WhisperForConditionalGeneration.from_pretrained("openai/whisper-small", torch_dtype=torch.float32)\n'
        'b = BertForSequenceClassification.from_pretrained("bert-base-uncased", torch_dtype=torch.float32)\n'
        'e = AutoModel.from_pretrained("BAAI/bge-small-en", torch_dtype=torch.float32)\n'
        'p = pipeline("automatic-speech-recognition", model="openai/whisper-tiny", torch_dtype=torch.float32)\n'
        'v = CLIPModel.from_pretrained("openai/clip-vit-base-patch32", torch_dtype=torch.float32)\n'
    )
    found = audited(tmp_path, {"x.py": HEAD + language + others})
    (dtype,) = (one for one in found.consistency if one.setting == "dtype")
    assert {(like.purpose, like.total) for like in dtype.alike} == {
        ("generative", 4), ("audio", 2), ("encoder", 1), ("embedder", 1), ("vision", 1),
    }  # fmt: skip
    assert dtype.odd == 0
    assert "Odd ones out" not in first(found)
    odd = audited(tmp_path, {"y.py": HEAD + "m = " + load(torch_dtype="torch.float32")})
    assert (
        "Odd ones out: dtype is bfloat16 in 4 of 5 loads of generative models, but 1 has float32 ([`y.py:3`])"
        in first(odd)
    )


def test_small_and_large_models_are_not_compared(tmp_path: Path) -> None:
    text = HEAD + "".join(f"m{n} = " + load(torch_dtype="torch.bfloat16") for n in range(3))
    text += "d = " + load(id="org/draft-125m", torch_dtype="torch.float32")
    text += "t = " + load(id="org/big-70b", torch_dtype="torch.float16")
    found = audited(tmp_path, {"x.py": text})
    (dtype,) = (one for one in found.consistency if one.setting == "dtype")
    assert [(like.size, like.total) for like in dtype.alike] == [("", 3), ("large", 1), ("small", 1)]
    assert dtype.odd == 0


def test_values_decided_elsewhere_are_never_the_common_choice(tmp_path: Path) -> None:
    body = (
        HEAD
        + "def f(dtype, **kwargs):\n"
        + "".join(f"    a{n} = {load(torch_dtype='dtype')}" for n in range(4))
    )
    body += "m = " + load(torch_dtype="torch.bfloat16")
    text = markdown(report(audited(tmp_path, {"x.py": body})))
    assert "dtype is bfloat16 in 1 of 5 loads of generative models, decided elsewhere in 4" in text
    assert "is cannot be seen" not in text and "is the caller's choice in" not in text


def test_either_order_of_a_choice_is_the_same(tmp_path: Path) -> None:
    one = load(torch_dtype="torch.float16 if gpu else torch.float32")
    other = load(torch_dtype="torch.float32 if cpu else torch.float16")
    found = audited(tmp_path, {"x.py": HEAD + "a = " + one + "b = " + other})
    (dtype,) = (each for each in found.consistency if each.setting == "dtype")
    assert [value for value, _ in dtype.groups] == ["float16 or float32"]


def test_names_of_one_dtype_are_one_value(tmp_path: Path) -> None:
    body = HEAD + "".join(f"m{n} = {load(torch_dtype=dtype)}" for n, dtype in enumerate(DTYPES))
    (dtype,) = (one for one in audited(tmp_path, {"x.py": body}).consistency if one.setting == "dtype")
    assert [value for value, _ in dtype.groups] == ["float16"]


DTYPES = ("torch.float16", "torch.half", "'float16'", "'torch.float16'")


def test_one_load_is_not_called_consistent(tmp_path: Path) -> None:
    text = markdown(report(audited(tmp_path, {"x.py": HEAD + "m = " + load(torch_dtype="torch.float32")})))
    assert "dtype is float32 in the only load of generative models" in text
    assert "all 1" not in text and "onsistent" not in text


# ---- ticks and findings


def test_no_tick_stands_above_a_finding(tmp_path: Path) -> None:
    """If all loads have the same wrong value, they are consistent, but the box must not be checked."""
    body = HEAD + "".join(f"m{n} = {load(device_map=AUTO, torch_dtype='torch.int8')}" for n in range(3))
    body += 'import os\nos.environ["HF_HOME"] = "/scratch/me"\n'
    found = audited(tmp_path, {"x.py": body})
    text = markdown(report(found)).split("## Validation checklist")[1].split("\n## ")[0]
    ticked = "\n".join(line for line in text.splitlines() if line.startswith("- [x]"))
    for code in {one.code for one in found.findings}:
        assert code in text and code not in ticked
    for right in (
        "sets its dtype",
        "hard-codes its devices",
        "sets its attention",
        "generation config",
        "cache path",
    ):
        assert right in text and right not in ticked
    assert "✅ dtype" not in markdown(report(found))


def test_a_project_without_findings_has_ticks(tmp_path: Path) -> None:
    body = (
        HEAD
        + "m = AutoModelForSequenceClassification.from_pretrained('org/x', torch_dtype=torch.bfloat16, attn_implementation='sdpa')\n"
    )
    found = audited(tmp_path, {"x.py": body})
    assert found.findings == ()
    text = markdown(report(found))
    assert "- [x] Every model load sets its dtype" in text and "- [x] No other rule reports anything" in text
    assert "no rule reports any of the 1 call" in first(found)


# ---- ids


def test_comments_name_no_models(tmp_path: Path) -> None:
    files = {
        "conf/a.yaml": '# model: google/gemma-7b\nmodel: google/gemma-2-9b  # was google/gemma-2b\nnote: "a # google/gemma-3-1b"\n',
        "conf/b.toml": '# model = "google/gemma-7b"\nmodel = "Qwen/Qwen2.5-3B" # Qwen/Qwen2.5-7B\n',
        "run.sh": "#!/bin/bash\n# python x.py --model google/gemma-7b\nMODEL=tiiuae/falcon-7b # tiiuae/falcon-40b\necho ${MODEL#tiiuae/}\n",
    }
    ids = {model.model_id for model in audited(tmp_path, files).models}
    assert ids == {"google/gemma-2-9b", "google/gemma-3-1b", "Qwen/Qwen2.5-3B", "tiiuae/falcon-7b"}


def test_blanks_for_comments_keep_every_line_in_its_place() -> None:
    text = "a: 1 # one\n# two\nb: \"x # y\"\nc: 'x # y' #z\n"
    assert without_comments(text) == "a: 1      \n     \nb: \"x # y\"\nc: 'x # y'   \n"


def test_models_of_any_organisation_are_named(tmp_path: Path) -> None:
    files = {
        "conf/a.yaml": "model_name_or_path: acme-lab/foo-7b\noutput_dir: acme-lab/out\ntokenizer: 'acme-lab/bar'\nmodel_path: outputs/best\n",
        "run.sh": "python train.py --model_name_or_path my-lab/own-1b --model_dir out/x\nMODEL_PATH=checkpoints/last\n",
        "train.py": HEAD + "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--model_name_or_path')\n"
        "args = parser.parse_args()\nm = AutoModelForCausalLM.from_pretrained(args.model_name_or_path)\n",
    }  # fmt: skip
    found = audited(tmp_path, files)
    assert {model.model_id for model in found.models} == {"acme-lab/foo-7b", "acme-lab/bar", "my-lab/own-1b"}
    assert [
        place.path for model in found.models if model.model_id == "my-lab/own-1b" for place in model.loads
    ] == ["train.py"]
    text = markdown(report(found))
    assert "3 models not listed, so their memory is not known" in text
    for model in found.models:
        assert f"`{model.model_id}`" in text.split("\n## Memory\n")[1]


def test_a_bundle_of_another_library_is_no_id(tmp_path: Path) -> None:
    body = (
        HEAD
        + 'NAMES = {"en": "WAV2VEC2_ASR_BASE_960H", "de": "org/wav2vec2-de"}\nm = Wav2Vec2ForCTC.from_pretrained(NAMES[lang])\n'
    )
    assert [model.model_id for model in audited(tmp_path, {"x.py": body}).models] == ["org/wav2vec2-de"]


# ---- links


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:me/repo.git", "https://github.com/me/repo"),
        ("https://github.com/me/repo", "https://github.com/me/repo"),
        ("https://me:secret-token@github.com/me/repo.git", "https://github.com/me/repo"),
        ("ssh://git@github.com:22/me/repo.git", "https://github.com/me/repo"),
        ("https://gitlab.example.org/group/sub/repo.git/", "https://gitlab.example.org/group/sub/repo"),
        ("git@bitbucket.org:me/repo.git", "https://bitbucket.org/me/repo"),
        ("https://codeberg.org/me/repo.git", "https://codeberg.org/me/repo"),
        ("/srv/git/repo.git", None),
        ("https://example.org/me/repo.git", None),
        ("https://github.com/../../x", None),
        ("javascript:alert(1)//github.com/a/b", None),
    ],
)
def test_remotes_become_pages_without_secrets(remote: str, page: str | None) -> None:
    assert web_address(remote) == page


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("https://github.com/me/repo", "https://github.com/me/repo/blob/abc/sub/a%20b.py#L3"),
        ("https://gitlab.com/me/repo", "https://gitlab.com/me/repo/-/blob/abc/sub/a%20b.py#L3"),
        ("https://bitbucket.org/me/repo", "https://bitbucket.org/me/repo/src/abc/sub/a%20b.py#lines-3"),
        ("https://codeberg.org/me/repo", "https://codeberg.org/me/repo/src/commit/abc/sub/a%20b.py#L3"),
    ],
)
def test_a_place_has_an_address_on_every_host(page: str, address: str) -> None:
    assert Host(page, "abc", "sub").address(Place("a b.py", 3)) == address
    assert "#" not in Host(page, "abc").address(Place("n.ipynb", 3, 1))  # shown as a whole


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git = tmp_path / "repo" / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs" / "heads" / "main").write_text(f"{COMMIT}\n")
    (git / "config").write_text(
        '[core]\n\tbare = false\n[remote "fork"]\n\turl = git@github.com:other/fork.git\n'
        '[remote "origin"]\n\turl = git@github.com:me/repo.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
    )
    (tmp_path / "repo" / "lab").mkdir()
    (tmp_path / "repo" / "lab" / "train.py").write_text(TRAIN)
    return tmp_path / "repo"


def test_the_host_is_read_from_the_repository(repository: Path) -> None:
    assert host_of(str(repository)) == Host("https://github.com/me/repo", COMMIT)
    assert host_of(str(repository / "lab")) == Host("https://github.com/me/repo", COMMIT, "lab")
    git = repository / ".git"
    (git / "refs" / "heads" / "main").unlink()
    assert host_of(str(repository)) is None  # no commit yet
    (git / "packed-refs").write_text(
        f"# pack-refs with: peeled fully-peeled sorted\n{COMMIT} refs/heads/main\n"
    )
    assert host_of(str(repository)) == Host("https://github.com/me/repo", COMMIT)
    (git / "HEAD").write_text(f"{COMMIT}\n")
    shutil.rmtree(git / "refs")
    assert host_of(str(repository)) == Host("https://github.com/me/repo", COMMIT)


def test_a_worktree_has_the_remote_of_its_repository(repository: Path, tmp_path: Path) -> None:
    own = repository / ".git" / "worktrees" / "wt"
    own.mkdir(parents=True)
    (own / "HEAD").write_text("ref: refs/heads/main\n")
    (own / "commondir").write_text("../..\n")
    (tmp_path / "wt").mkdir()
    (tmp_path / "wt" / ".git").write_text(f"gitdir: {own}\n")
    assert host_of(str(tmp_path / "wt")) == Host("https://github.com/me/repo", COMMIT)


def test_the_page_links_to_the_host(repository: Path) -> None:
    pytest.importorskip("jinja2")
    found = audit(str(repository / "lab"), Configs(isolated=True), "H100-80GB", jobs=1)
    page = html(report(found))
    assert f'href="https://github.com/me/repo/blob/{COMMIT}/lab/train.py#L3"' in page
    assert 'href="./' not in page
    assert 'class="copy"' in page and "<wbr>" in page
    assert "[`train.py:3`]: ./train.py#L3" in markdown(report(found))  # a document lies beside the code


def test_on_a_terminal_paths_are_plain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path / "lab", {"train.py": TRAIN})
    monkeypatch.chdir(tmp_path)
    assert run(["audit", "--isolated", "lab"]) == 0
    assert "[`train.py:3`]: ./lab/train.py#L3" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert run(["audit", "--isolated", "lab"]) == 0
    text = capsys.readouterr().out
    assert "`lab/train.py:3`" in text  # as the terminal finds it from here
    assert "#L3" not in text and "[`" not in text


def test_labels_that_markdown_takes_for_one_keep_their_own_targets(tmp_path: Path) -> None:
    found = audited(tmp_path, {"a.py": TRAIN, "A.py": TRAIN, "x[1].py": TRAIN, "x|y.py": TRAIN})
    text = markdown(report(found))
    assert "[`A.py:3`]: ./A.py#L3" in text and "[a.py:3](./a.py#L3)" in text
    assert "(./x%5B1%5D.py#L3)" in text and "(./x%7Cy.py#L3)" in text


# ---- the document


def test_the_json_has_the_actions_and_old_documents_still_compare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path, {"train.py": TRAIN, "merge.py": MERGE})
    output = tmp_path / "audit.json"
    assert run(["audit", "--isolated", "--format", "json", "-o", str(output), str(tmp_path)]) == 0
    document = json.loads(output.read_text())
    assert document["schema"] == 1
    assert document["actions"][0]["safety"] == "safe" and document["actions"][0]["fixes"] > 0
    assert document["actions"][0]["left_out"] == ["merge.py"]
    assert document["conversions"][0]["place"]["path"] == "merge.py"
    assert {one["fix"] for one in document["findings"]} <= {"safe", "unsafe", None}
    for key in ("actions", "conversions", "repository"):
        del document[key]  # as an earlier release wrote it
    for one in document["consistency"]:
        del one["alike"]
    output.write_text(json.dumps(document))
    assert (
        run(
            [
                "audit",
                "--isolated",
                "--against",
                str(output),
                "--fail-on-worse",
                "-o",
                str(tmp_path / "a.md"),
                str(tmp_path),
            ]
        )
        == 0
    )
    assert "Nothing got better, nothing got worse" in capsys.readouterr().err


def test_an_unknown_gpu_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--isolated", "--gpu", "H100-80", str(tmp_path)]) == 2
    assert "H100-80GB" in capsys.readouterr().err
