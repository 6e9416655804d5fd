"""What transformers, trl and their releases removed and renamed, read from the releases themselves.

Each release's wheel is read, not installed: its modules are parsed and the arguments of training configs and trainers, the
methods of tokenizers, the tasks of pipelines and the public names are compared from release to release. What takes the
place of a removed argument is written here, by hand, and checked: the new name has to exist, and the first release that
has it is looked up. The tests of tests/lint/knowledge/test_migration_claims.py run the rows on the installed releases.

    python benchmarks/migration_facts.py --write      # writes telepathy_lint/knowledge/migration_{table,trl,names,moves}.py
    python benchmarks/migration_facts.py              # says what differs from them, exit 1 if something does
    python benchmarks/migration_facts.py --newest     # downloads the newest releases only, and says what they lost since
    python benchmarks/migration_facts.py --newest --write   # if they lost something, adds them to the releases, and writes

After the last, the difference of the written files is what a person has to review: rows with a new form are given one in NEW.
Wheels are kept in `--wheels FOLDER` (400 MB for all of them); missing ones are downloaded from the package index.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import re
import subprocess
import sys
import zipfile
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KNOWLEDGE = ROOT / "telepathy_lint" / "knowledge"
#: What the newest release read accepts, to compare a later one with.
SEEN = Path(__file__).with_name("migration_seen.json")
#: The releases that are read, oldest first; `--newest --write` adds to them.
RELEASES = Path(__file__).with_name("migration_releases.json")
Version = tuple[int, int]

#: How the old form of an argument becomes the new one, where that is certain. "rename" keeps the value; "switch" is for a flag:
#: True becomes the text, False goes; "drop" takes it out, whatever it was given. Anything else is said in words.
NEW: dict[tuple[str, str], tuple[str, str]] = {
    ("TrainingArguments", "evaluation_strategy"): ("rename", "eval_strategy"),
    ("TrainingArguments", "no_cuda"): ("rename", "use_cpu"),
    ("TrainingArguments", "per_gpu_train_batch_size"): ("rename", "per_device_train_batch_size"),
    ("TrainingArguments", "per_gpu_eval_batch_size"): ("rename", "per_device_eval_batch_size"),
    ("TrainingArguments", "push_to_hub_token"): ("rename", "hub_token"),
    ("TrainingArguments", "warmup_ratio"): ("rename", "warmup_steps"),
    ("TrainingArguments", "adafactor"): ("switch", 'optim="adafactor"'),
    ("TrainingArguments", "group_by_length"): ("switch", 'train_sampling_strategy="group_by_length"'),
    ("TrainingArguments", "include_inputs_for_metrics"): ("switch", 'include_for_metrics=["inputs"]'),
    ("TrainingArguments", "use_mps_device"): ("drop", "an Apple GPU is used where there is one"),
    ("TrainingArguments", "overwrite_output_dir"): ("drop", "Trainer never looked at it"),
    ("TrainingArguments", "logging_dir"): ("", "set the environment variable TENSORBOARD_LOGGING_DIR"),
    ("TrainingArguments", "push_to_hub_model_id"): ("", "pass hub_model_id, with the organization in front"),
    ("TrainingArguments", "push_to_hub_organization"): ("", "write the organization into hub_model_id"),
    ("TrainingArguments", "dispatch_batches"): ("", 'pass accelerator_config={"dispatch_batches": ...}'),
    ("TrainingArguments", "split_batches"): ("", 'pass accelerator_config={"split_batches": ...}'),
    ("TrainingArguments", "save_safetensors"): ("", "weights are always saved as safetensors"),
    ("TrainingArguments", "fp16_backend"): ("", "PyTorch's own mixed precision is always used"),
    ("TrainingArguments", "half_precision_backend"): ("", "PyTorch's own mixed precision is always used"),
    ("TrainingArguments", "fp16_opt_level"): ("", "it was for apex, which is no longer supported"),
    ("TrainingArguments", "torchdynamo"): ("", "pass torch_compile_backend"),
    ("TrainingArguments", "fsdp_min_num_params"): ("", 'pass fsdp_config={"min_num_params": ...}'),
    ("TrainingArguments", "fsdp_transformer_layer_cls_to_wrap"): (
        "",
        'pass fsdp_config={"transformer_layer_cls_to_wrap": ...}',
    ),
    ("TrainingArguments", "include_tokens_per_second"): ("", 'pass include_num_input_tokens_seen="all"'),
    ("TrainingArguments", "tpu_metrics_debug"): ("", 'pass debug="tpu_metrics_debug"'),
    ("TrainingArguments", "use_ipex"): ("", "PyTorch supports Intel GPUs itself"),
    ("TrainingArguments", "jit_mode_eval"): ("", "trace the model yourself"),
    ("TrainingArguments", "past_index"): ("", "keep the cache yourself"),
    ("SFTConfig", "max_seq_length"): ("rename", "max_length"),
    ("SFTConfig", "use_liger"): ("rename", "use_liger_kernel"),
    ("SFTConfig", "chars_per_token"): ("", "packing no longer needs it"),
    ("SFTConfig", "num_of_sequences"): ("", "packing no longer needs it"),
    ("DPOConfig", "use_liger_loss"): ("rename", "use_liger_kernel"),
    ("DPOConfig", "max_prompt_length"): ("", "cut prompts in the data; max_length cuts the whole"),
    ("DPOConfig", "max_completion_length"): ("", "cut completions in the data; max_length cuts the whole"),
    ("GRPOConfig", "use_liger_loss"): ("rename", "use_liger_kernel"),
    ("GRPOConfig", "wandb_log_unique_prompts"): ("rename", "log_unique_prompts"),
    ("GRPOConfig", "vllm_guided_decoding_regex"): ("rename", "vllm_structured_outputs_regex"),
    ("GRPOConfig", "vllm_max_model_len"): ("rename", "vllm_max_model_length"),
    ("GRPOConfig", "max_prompt_length"): ("", "filter or cut prompts in the data"),
    ("KTOConfig", "use_liger_loss"): ("rename", "use_liger_kernel"),
    ("CPOConfig", "max_prompt_length"): ("", "cut prompts in the data; max_length cuts the whole"),
    ("ORPOConfig", "max_prompt_length"): ("", "cut prompts in the data; max_length cuts the whole"),
    ("KTOConfig", "max_prompt_length"): ("", "cut prompts in the data; max_length cuts the whole"),
    ("GKDConfig", "max_seq_length"): ("rename", "max_length"),
    ("GKDConfig", "use_liger"): ("rename", "use_liger_kernel"),
    ("ModelConfig", "torch_dtype"): ("rename", "dtype"),
    ("SFTTrainer", "max_seq_length"): ("config", "max_length"),
}
#: Trainers and the config that took over their arguments.
CONFIG_OF = {
    name: f"{name.removesuffix('Trainer')}Config"
    for name in ("SFTTrainer", "DPOTrainer", "RewardTrainer", "KTOTrainer")
}


def number(text: str) -> Version:
    major, minor, *_ = text.split(".")
    return int(major), int(minor)


class Release:
    """One release's wheel."""

    def __init__(self, path: Path) -> None:
        self.package, version, *_ = path.name.split("-")
        self.version = number(version)
        self.full = version
        self._zip = zipfile.ZipFile(path)
        self._files = {
            name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name
            for name in self._zip.namelist()
            if name.endswith(".py")
        }
        self._parsed: dict[str, ast.Module] = {}

    @property
    def modules(self) -> set[str]:
        """The dotted names of the modules, without those that need TensorFlow or Flax, which are told by their names."""
        return set(self._files)

    def module(self, name: str) -> ast.Module:
        if name not in self._parsed:
            self._parsed[name] = ast.parse(self._zip.read(self._files[name]))
        return self._parsed[name]

    def text(self, name: str) -> str:
        return self._zip.read(self._files[name]).decode()

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """The classes of the modules that are compared, by name; trl's own trainers before its experimental ones."""
        if self.package == "peft":
            wanted = sorted(name for name in self._files if name.endswith(".config"))
        elif self.package == "trl":
            wanted = sorted(name for name in self._files if name.startswith("trl.trainer."))
            wanted += sorted(name for name in self._files if name.startswith("trl.experimental."))
        else:
            wanted = [f"transformers.{name}" for name in _COMPARED if f"transformers.{name}" in self._files]
        found: dict[str, ast.ClassDef] = {}
        for name in wanted:
            for stmt in self.module(name).body:
                if isinstance(stmt, ast.ClassDef):
                    found.setdefault(stmt.name, stmt)
                    if name.startswith("trl.experimental."):
                        # `class CPOConfig(_CPOConfig)` with a warning stayed where it was for some releases.
                        found.setdefault(f"_{stmt.name}", stmt)
        return found

    @cached_property
    def public_classes(self) -> set[str]:
        """The classes of trl that are not experimental."""
        wanted = [name for name in self._files if name.startswith("trl.trainer.")]
        return {
            stmt.name for name in wanted for stmt in self.module(name).body if isinstance(stmt, ast.ClassDef)
        }

    def fields(self, name: str) -> dict[str, str]:
        """What a dataclass takes, its own and inherited, each with its default as text."""
        node = self.classes.get(name)
        if node is None:
            return {}
        found: dict[str, str] = {}
        for base in node.bases:
            found |= self.fields(ast.unparse(base).rpartition(".")[2])
        for stmt in node.body:
            if not isinstance(stmt, ast.AnnAssign) or not isinstance(stmt.target, ast.Name):
                continue
            value = stmt.value
            if isinstance(value, ast.Call) and ast.unparse(value.func).endswith("field"):
                given = {keyword.arg: keyword.value for keyword in value.keywords}
                if "init" in given and ast.unparse(given["init"]) == "False":
                    continue
                value = given.get("default", given.get("default_factory"))
            found[stmt.target.id] = ast.unparse(value) if value is not None else "..."
        return found

    def parameters(self, name: str, method: str = "__init__") -> list[str] | None:
        """What a method takes by name, what its decorators still take included; None where it takes anything, or is absent."""
        node = self.classes.get(name)
        if node is None:
            return None
        for stmt in node.body:
            if isinstance(stmt, ast.FunctionDef) and stmt.name == method:
                if stmt.args.kwarg is not None and method == "__init__":
                    # `class KTOTrainer(_KTOTrainer)` warns, and hands on all that it gets.
                    handed_on = any(
                        isinstance(base, ast.Name) and base.id == f"_{name}" for base in node.bases
                    )
                    return self.parameters(f"_{name}") if handed_on else None
                taken = [each.arg for each in (*stmt.args.args[1:], *stmt.args.kwonlyargs)]
                for decorator in stmt.decorator_list:
                    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "deprecate_kwarg":
                        taken.append(ast.literal_eval(decorator.args[0]))
                return taken
        for base in node.bases:
            if (found := self.parameters(ast.unparse(base).rpartition(".")[2], method)) is not None:
                return found
        return None

    def methods(self, name: str) -> set[str]:
        """The public methods and properties of a class, inherited ones included."""
        node = self.classes.get(name)
        if node is None:
            return set()
        found = {
            each.name
            for each in node.body
            if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")
        }
        for base in node.bases:
            found |= self.methods(ast.unparse(base).rpartition(".")[2])
        return found

    def keys_of(self, module: str, table: str) -> set[str]:
        """The string keys of a dict that a module binds."""
        for stmt in self.module(module).body:
            targets = [stmt.target] if isinstance(stmt, ast.AnnAssign) else getattr(stmt, "targets", [])
            value = getattr(stmt, "value", None)
            if any(isinstance(each, ast.Name) and each.id == table for each in targets) and isinstance(
                value, ast.Dict
            ):
                return {key.value for key in value.keys if isinstance(key, ast.Constant)}
        return set()

    @cached_property
    def public(self) -> set[str]:
        """The names that `from transformers import ...` finds: those of the package's table, and, since 4.52, what models export."""
        found: set[str] = set()
        pending: list[ast.AST] = [self.module("transformers")]
        while pending:
            node = pending.pop()
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"^\w+$", node.value))
            # Words in functions are no names: they say what an alias ends with.
            pending += [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.FunctionDef)]
        if "define_import_structure" in self.text("transformers"):
            for name in self._files:
                if name.startswith("transformers.models."):
                    text = self.text(name)
                    for listed in re.findall(r"^__all__\s*(?:\+?=)\s*\[([^\]]*)\]", text, re.MULTILINE):
                        found |= set(re.findall(r"[\"'](\w+)[\"']", listed))
        return {name for name in found if not name.startswith("_")}

    def listed(self, name: str) -> set[str]:
        """The words in quotes in what the package's own module binds to a name; for a dict, those of its values."""
        for stmt in self.module(self.package).body:
            if isinstance(stmt, ast.Assign) and any(
                isinstance(each, ast.Name) and each.id == name for each in stmt.targets
            ):
                parts = stmt.value.values if isinstance(stmt.value, ast.Dict) else [stmt.value]
                return {
                    each.value
                    for part in parts
                    for each in ast.walk(part)
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
        return set()

    def defines(self, module: str, imported: bool = True) -> set[str]:
        """The functions and classes that a module has at its top, conditional ones and, where wanted, imported ones included."""
        found: set[str] = set()
        # A module that replaces itself with a lazy one has what it imports for type checkers, not what it uses itself.
        lazy = "sys.modules[__name__] = _LazyModule(" in self.text(module)
        pending: list[ast.AST] = [self.module(module)]
        while pending:
            parent = pending.pop()
            for stmt in ast.iter_child_nodes(parent):
                if isinstance(stmt, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                    found.add(stmt.name)
                elif (
                    isinstance(stmt, (ast.Import, ast.ImportFrom)) and lazy and isinstance(parent, ast.Module)
                ):
                    continue
                elif imported and isinstance(stmt, ast.If) and "is_sagemaker_mp" in ast.unparse(stmt.test):
                    continue  # it is there on SageMaker only
                elif isinstance(stmt, (ast.Import, ast.ImportFrom)) and imported:
                    found |= {alias.asname or alias.name.partition(".")[0] for alias in stmt.names}
                elif isinstance(stmt, (ast.Assign, ast.AnnAssign)) and imported:
                    targets = stmt.targets if isinstance(stmt, ast.Assign) else [stmt.target]
                    found |= {
                        each.id
                        for target in targets
                        for each in ast.walk(target)
                        if isinstance(each, ast.Name)
                    }
                elif isinstance(stmt, (ast.If, ast.Try, ast.With, ast.ExceptHandler)):
                    pending.append(stmt)
        return found

    @cached_property
    def own(self) -> set[str]:
        """The functions and classes of the modules whose parts people import."""
        known = [name for name in self.modules if re.fullmatch(_WELL_KNOWN, name)]
        return {each for name in known for each in self.defines(name, imported=False)}


_COMPARED = (
    "training_args", "training_args_seq2seq", "trainer", "trainer_seq2seq", "tokenization_utils_base",
    "generation.configuration_utils", "cache_utils",
)  # fmt: skip


def releases(package: str, versions: list[str], folder: Path) -> list[Release]:
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for version in versions:
        path = folder / f"{package}-{version}-py3-none-any.whl"
        if not path.exists():
            download(f"{package}=={version}", folder)
        found.append(Release(path))
    return found


def download(requirement: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), requirement]
    subprocess.run(command, check=True)


def newest(package: str, folder: Path) -> Release:
    """The newest release in the package index."""
    folder.mkdir(parents=True, exist_ok=True)
    download(package, folder)
    return max(map(Release, folder.glob(f"{package}-*.whl")), key=lambda each: (each.version, each.full))


# ---- the rows


def first_with(name: str, accepted: list[tuple[Version, set[str]]]) -> Version | None:
    """The first release from which on all accept a name."""
    since = None
    for version, names in accepted:
        if name not in names:
            since = None
        elif since is None:
            since = version
    return since


def argument_rows(
    owner: str,
    accepted: list[tuple[Version, set[str]]],
    defaults: dict[str, str],
    config: dict[str, Version] | None = None,
) -> list[tuple[object, ...]]:
    """(owner, name, removed, how, new or advice, since, default) for everything that was accepted once and is not any more."""
    present = [(version, names) for version, names in accepted if names]
    if not present or present[-1][0] != accepted[-1][0]:
        return []
    rows: list[tuple[object, ...]] = []
    for name in sorted(set().union(*(names for _, names in present)) - present[-1][1]):
        last = max(version for version, names in present if name in names)
        removed = next(version for version, names in present if version > last)
        how, new = NEW.get((owner, name), ("", ""))
        since: Version | None = None
        if name == "tokenizer":
            how, new = "rename", "processing_class"
        elif config and (how or name in config):
            how, new = how or "config", new or name
            since = config[new]
        if how in ("rename", "switch"):
            since = first_with(new.partition("=")[0], present)
            if (owner, name) == ("TrainingArguments", "warmup_ratio"):
                since = (5, 0)  # before, a float below 1 was no share of the steps
            if since is None:
                raise SystemExit(f"{owner} has no {new.partition('=')[0]!r}: mend NEW[{owner!r}, {name!r}]")
        rows.append((owner, name, removed, how, new, since, defaults.get(name, "")))
    return rows


def rows(transformers: list[Release], trl: list[Release]) -> dict[str, list[tuple[object, ...]]]:
    found: dict[str, list[tuple[object, ...]]] = {"transformers": [], "trl": []}
    for owner in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        defaults: dict[str, str] = {}
        for each in transformers:
            defaults |= each.fields(owner)
        accepted = [(each.version, set(each.fields(owner))) for each in transformers]
        if owner == "TrainingArguments":
            found["transformers"] += argument_rows(owner, accepted, defaults)
    for owner in ("Trainer", "Seq2SeqTrainer"):
        accepted = [(each.version, set(each.parameters(owner) or ())) for each in transformers]
        found["transformers"] += argument_rows(owner, accepted, {})
    names = sorted(
        {
            name
            for each in trl
            for name in each.public_classes
            if re.fullmatch(r"[A-Z]\w+(Config|Trainer)", name)
        }
    )
    for owner in names:
        if owner.endswith("Config"):
            defaults = {}
            for each in trl:
                defaults |= each.fields(owner)
            accepted = [(each.version, set(each.fields(owner))) for each in trl]
            # What a config no longer redefines it still has from TrainingArguments.
            inherited = set(transformers[-1].fields("TrainingArguments"))
            found["trl"] += argument_rows(owner, _with_inherited(accepted, owner, inherited), defaults)
        else:
            accepted = [(each.version, set(each.parameters(owner) or ())) for each in trl]
            config = None
            if owner in CONFIG_OF:
                inherited = set(transformers[-1].fields("TrainingArguments"))
                fields = [(each.version, set(each.fields(CONFIG_OF[owner])) | inherited) for each in trl]
                config = {
                    name: since
                    for name in set().union(*(each for _, each in fields))
                    if (since := first_with(name, fields))
                }
            found["trl"] += argument_rows(owner, accepted, {}, config)
    return found


def _with_inherited(
    accepted: list[tuple[Version, set[str]]], owner: str, inherited: set[str]
) -> list[tuple[Version, set[str]]]:
    """With what a config has from TrainingArguments in every release; a model's config has nothing from it."""
    if owner == "ModelConfig":
        return accepted
    return [(version, names | inherited if names else names) for version, names in accepted]


def alive(names: list[str], newest: str) -> set[str]:
    """What the installed transformers, the newest of those read, still finds: its aliases for old names are made as it runs."""
    done = subprocess.run(
        [sys.executable, "-c", _ALIVE], input="\n".join(names), capture_output=True, text=True, check=True
    )
    version, *found = done.stdout.split("\n")
    if version != newest:
        raise SystemExit(f"install transformers {newest}, the newest that is read, not {version}")
    return set(found)


_ALIVE = """
import importlib, logging, sys
import transformers
logging.disable(logging.CRITICAL)
print(transformers.__version__)

def lacks(name, error):
    # Otherwise it is there, and needs what is not installed.
    return error.name is None or f"{name}.".startswith(f"{error.name}.")

def gone(name):
    try:
        importlib.import_module(name)
        return False
    except ModuleNotFoundError as error:
        if not lacks(name, error):
            return False
    module, _, attribute = name.rpartition(".")
    try:
        getattr(importlib.import_module(module), attribute)
        return False
    except AttributeError:
        return True
    except ModuleNotFoundError as error:
        return lacks(name, error)

for name in sys.stdin.read().split():
    try:
        if gone(name):
            continue
    except Exception:
        pass
    print(name)
"""


def removed_names(transformers: list[Release]) -> tuple[dict[str, Version], dict[str, str]]:
    """Public names that are gone, by the release that lacks them, and the image processors that took over."""
    newest = transformers[-1].public
    gone: dict[str, Version] = {}
    for before, after in itertools.pairwise(transformers):
        for name in before.public - after.public:
            if name not in newest:
                gone[name] = after.version
    here = alive([f"transformers.{name}" for name in gone], transformers[-1].full)
    gone = {name: version for name, version in gone.items() if f"transformers.{name}" not in here}
    replaced = {
        name: new
        for name in gone
        if name.endswith("FeatureExtractor")
        and (new := name.replace("FeatureExtractor", "ImageProcessor")) in newest
        and new in transformers[0].public
    }
    return gone, replaced


def removed_modules(transformers: list[Release]) -> dict[str, Version]:
    """Modules that are gone, by the release that lacks them, without those inside a gone package and the scripts."""
    gone: dict[str, Version] = {}
    for before, after in itertools.pairwise(transformers):
        for name in before.modules - after.modules:
            if name not in transformers[-1].modules and not re.search(
                r"\.(modeling_tf|modeling_flax|convert)_", name
            ):
                gone[name] = after.version
    here = alive(list(gone), transformers[-1].full)
    return {
        name: version
        for name, version in gone.items()
        if name not in here and not any(name.startswith(f"{other}.") for other in gone if other not in here)
    }


def removed_from_modules(transformers: list[Release]) -> dict[str, Version]:
    """`module.name` for the functions and classes that a module no longer defines, of modules that are still there."""
    gone: dict[str, Version] = {}
    for before, after in itertools.pairwise(transformers):
        for module in before.modules & after.modules & transformers[-1].modules:
            if not re.fullmatch(_WELL_KNOWN, module):
                continue
            # What a model's module imports itself is taken from where it is; of the others much is taken second hand.
            lost = before.defines(module, ".models." not in module) - after.defines(module)
            for name in (lost & before.own) - transformers[-1].defines(module):
                if not name.startswith("_"):
                    gone[f"{module}.{name}"] = after.version
    here = alive(list(gone), transformers[-1].full)
    return {name: version for name, version in gone.items() if name not in here}


#: Modules whose parts people import.
_WELL_KNOWN = (
    r"transformers\.(?:models\.\w+\.modeling_(?:llama|mistral|mixtral|qwen2|gemma|gpt2|gpt_neox|opt|falcon|phi|bert|roberta|t5"
    r"|bart|whisper|clip|auto)|modeling_utils|trainer|trainer_utils|trainer_pt_utils|utils|file_utils|generation|generation\.utils"
    r"|pytorch_utils|tokenization_utils|tokenization_utils_base|cache_utils|optimization|integrations|training_args"
    r"|utils\.import_utils|utils\.hub)"
)


def moved_in_trl(trl: list[Release]) -> dict[str, tuple[Version, str]]:
    """trl's public trainers and configs that are gone from it, with the module of `trl.experimental` that has them."""
    gone: dict[str, tuple[Version, str]] = {}
    newest = trl[-1]
    kept = newest.public_classes
    for before, after in itertools.pairwise(trl):
        for name in before.public_classes - after.public_classes:
            if name not in kept and re.fullmatch(r"[A-Z]\w+(Config|Trainer)", name):
                homes = sorted(
                    {
                        ".".join(module.split(".")[:3])
                        for module in newest.modules
                        if module.startswith("trl.experimental.")
                        and re.search(rf"^class {name}\b", newest.text(module), re.MULTILINE)
                    }
                )
                gone[name] = after.version, homes[0] if len(homes) == 1 else ""
    return gone


def written(transformers: list[Release], trl: list[Release]) -> tuple[str, ...]:
    """The modules of knowledge, as text."""
    found = rows(transformers, trl)
    first, last = transformers[0], transformers[-1]
    methods = first.methods("PreTrainedTokenizerBase") | transformers[11].methods("PreTrainedTokenizerBase")
    gone_methods = sorted(
        name
        for name in methods - last.methods("PreTrainedTokenizerBase")
        if not re.fullmatch(
            r"(bos|eos|unk|sep|pad|cls|mask)_token(_id)?", name
        )  # they are looked up as the program runs
    )
    tasks = first.keys_of("transformers.pipelines", "SUPPORTED_TASKS") | first.keys_of(
        "transformers.pipelines", "TASK_ALIASES"
    )
    gone_tasks = sorted(
        tasks
        - last.keys_of("transformers.pipelines", "SUPPORTED_TASKS")
        - last.keys_of("transformers.pipelines", "TASK_ALIASES")
    )
    head = (
        f"Written by benchmarks/migration_facts.py, from transformers {first.full} to {last.full} and trl {trl[0].full} to "
        f"{trl[-1].full}. Do not edit."
    )
    lines = [
        '"""What transformers 5 and trl removed: arguments, methods and tasks.\n\n' + head + '\n"""\n',
        "from __future__ import annotations\n",
        "#: Owner, argument, release that removed it, how its value moves, the new form or advice, first release with the new form,",
        "#: the old default.",
        "Row = tuple[str, str, tuple[int, int], str, str, tuple[int, int] | None, str]",
    ]
    lines += ["TRANSFORMERS: tuple[Row, ...] = (", *(f"    {row!r}," for row in found["transformers"]), ")"]
    of_trl = [
        '"""What the configs and trainers of trl no longer take.\n\n' + head + '\n"""\n',
        "from __future__ import annotations\n",
        "from telepathy_lint.knowledge.migration_table import Row\n",
        "TRL: tuple[Row, ...] = (",
        *(f"    {row!r}," for row in found["trl"]),
        ")",
    ]
    lines.append("#: Methods and properties of tokenizers that transformers 5 no longer has.")
    lines += _set("METHODS", gone_methods)
    lines.append("#: Tasks of pipelines that the newest transformers no longer has.")
    lines += _set("TASKS", gone_tasks)
    names, replaced = removed_names(transformers)
    modules = removed_modules(transformers)
    tf = re.compile(r"TF[A-Z]|Flax[A-Z]")
    plain = {name: version for name, version in names.items() if not tf.match(name)}
    out = [
        '"""Names and modules of transformers 4.46 and later that the newest release no longer has.\n\n'
        + head
        + '\n"""\n',
        "from __future__ import annotations\n",
        "#: Public names, by the release that removed them; the classes of TensorFlow and Flax (`TF...`, `Flax...`) went with 5.0.",
        "NAMES: dict[tuple[int, int], str] = {",
    ]
    for version in sorted(set(plain.values())):
        out += [f"    {version!r}: (", *_words(sorted(n for n, v in plain.items() if v == version)), "    ),"]
    out += ["}", "#: Modules, by the release that removed them.", "MODULES: dict[tuple[int, int], str] = {"]
    for version in sorted(set(modules.values())):
        shorter = sorted(n.removeprefix("transformers.") for n, v in modules.items() if v == version)
        out += [f"    {version!r}: (", *_words(shorter), "    ),"]
    out += ["}"]
    more = [
        '"""What moved inside transformers and trl, and what modules that are still there no longer have.\n\n'
        + head
        + '\n"""\n',
        "from __future__ import annotations\n",
        "#: Functions and classes that their module no longer has, by the release that removed them or one after it.",
        "FROM_MODULES: dict[tuple[int, int], str] = {",
    ]
    # These are enough to say before or from 5 on; each of them is parsed.
    parts = removed_from_modules(
        [each for each in transformers if each.full in ("4.46.3", "4.57.6", "5.0.0", "5.24.0", last.full)]
    )
    for version in sorted(set(parts.values())):
        shorter = sorted(n.removeprefix("transformers.") for n, v in parts.items() if v == version)
        more += [f"    {version!r}: (", *_words(shorter), "    ),"]
    more += [
        "}",
        "#: Classes that the same class under another name replaces.",
        "RENAMED: dict[str, str] = {",
    ]
    more += [f"    {old!r}: {new!r}," for old, new in sorted(replaced.items())]
    more += ["}"]
    more.append(
        '#: The trainers and configs of trl that moved: the release, and their module ("" for those that are gone).'
    )
    more.append("TRL_MOVED: dict[str, tuple[tuple[int, int], str]] = {")
    more += [f"    {name!r}: {moved!r}," for name, moved in sorted(moved_in_trl(trl).items())]
    more.append("}")
    return tuple(_formatted("\n".join(each) + "\n") for each in (lines, of_trl, out, more))


def _set(name: str, values: list[str]) -> list[str]:
    return [f"{name} = frozenset({{", *(f"    {each!r}," for each in values), "})"]


def _words(names: list[str]) -> list[str]:
    """Words as lines of one string: thousands of literals would take longer to read."""
    lines, line = [], ""
    for name in names:
        if len(line) + len(name) > 100:
            lines.append(f'        "{line}"')
            line = ""
        line += f"{name} "
    return [*lines, f'        "{line.strip()}"']


def _formatted(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--stdin-filename", "telepathy_lint/knowledge/x.py", "-"],
        input=text, capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return done.stdout


# ---- the newest releases


#: Methods of Trainer that subclasses replace.
_REPLACED = ("compute_loss", "training_step", "prediction_step", "log", "_get_train_sampler", "_get_eval_sampler", "_save_checkpoint",
             "create_optimizer", "evaluation_loop", "get_train_dataloader")  # fmt: skip


def accepted(transformers: Release, trl: Release, peft: Release) -> dict[str, list[str]]:
    """What the rows and tables rest on, of one release of each."""
    found = {
        owner: sorted(transformers.fields(owner))
        for owner in ("TrainingArguments", "Seq2SeqTrainingArguments")
    }
    found |= {owner: sorted(transformers.parameters(owner) or ()) for owner in ("Trainer", "Seq2SeqTrainer")}
    for name in sorted(trl.public_classes):
        if re.fullmatch(r"[A-Z]\w+Config", name):
            found[f"trl.{name}"] = sorted(trl.fields(name))
        elif re.fullmatch(r"[A-Z]\w+Trainer", name):
            found[f"trl.{name}"] = sorted(trl.parameters(name) or ())
    found["tokenizers"] = sorted(transformers.methods("PreTrainedTokenizerBase"))
    found["tasks"] = sorted(transformers.keys_of("transformers.pipelines", "SUPPORTED_TASKS"))
    found["names"] = sorted(transformers.public)
    found |= {f"Trainer.{name}": transformers.parameters("Trainer", name) or [] for name in _REPLACED}
    known = sorted(name for name in transformers.modules if re.fullmatch(_WELL_KNOWN, name))
    found["parts"] = [
        f"{name}.{part}".removeprefix("transformers.")
        for name in known
        for part in sorted(transformers.defines(name, False))
        if not part.startswith("_")
    ]
    found["modules"] = sorted(
        name
        for name in transformers.modules
        if not re.search(r"\.models\..*\.|\.(modeling_tf|modeling_flax|convert)_", name)
    )
    found["trl"] = sorted(trl.listed("_import_structure"))
    found["trl modules"] = sorted(
        name for name in trl.modules if not re.search(r"\.(?:experimental|scripts|_compat)", name)
    )
    found["peft"] = sorted(peft.listed("__all__"))
    for name in found["peft"]:
        if name.endswith("Config") and (fields := peft.fields(name)):
            found[f"peft.{name}"] = sorted(fields)
    return found


def lost(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """What is in no release any more, as lines for a person to read."""
    return [
        f"{owner} lost {', '.join(gone)}"
        for owner, names in before.items()
        if (gone := sorted(set(names) - set(now.get(owner, ()))))
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheels", type=Path, default=Path(".cache") / "wheels")
    parser.add_argument("--write", action="store_true", help="write what differs")
    parser.add_argument(
        "--newest", action="store_true", help="compare with the newest releases of the package index"
    )
    options = parser.parse_args()
    read: dict[str, list[str]] = json.loads(RELEASES.read_text(encoding="utf-8"))
    differs = 0
    if options.newest:
        now = {package: newest(package, options.wheels) for package in read}
        seen = json.loads(SEEN.read_text(encoding="utf-8"))
        gone = lost(seen, accepted(now["transformers"], now["trl"], now["peft"]))
        said = ", ".join(f"{package} {release.full}" for package, release in now.items())
        print("\n".join(gone) or f"nothing was removed up to {said}")
        if not gone or not options.write:
            return 1 if gone else 0
        differs = 1
        for package, release in now.items():
            if number(read[package][-1]) < release.version:
                read[package].append(release.full)
        RELEASES.write_text(json.dumps(read, indent=0) + "\n", encoding="utf-8")
    transformers = releases("transformers", read["transformers"], options.wheels)
    trl = releases("trl", read["trl"], options.wheels)
    texts = dict(
        zip(
            ("migration_table.py", "migration_trl.py", "migration_names.py", "migration_moves.py"),
            written(transformers, trl),
            strict=True,
        )
    )
    for name, text in texts.items():
        path = KNOWLEDGE / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if before != text:
            differs = 1
            print(f"{name} differs from what the releases say")
        if options.write:
            path.write_text(text, encoding="utf-8")
    if options.write:
        (peft,) = releases("peft", read["peft"][-1:], options.wheels)
        found = accepted(transformers[-1], trl[-1], peft)
        SEEN.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    return differs if not options.write or options.newest else 0


if __name__ == "__main__":
    raise SystemExit(main())
