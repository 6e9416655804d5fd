"""Tests whether load_model loads everything that from_pretrained loads: every small architecture, with every setting.

    python -m benchmarks.loader_matrix [--python INTERPRETER ...] [--only NAME ...] [--folder DIR] [--rows
    FILE [--table]]

For each model type in the installed transformers, a tiny random checkpoint is built from its config class,
and loaded with the class that an Auto class selects: by from_pretrained (`raw`), by load_model with four None
(compared with raw: class, weights, buffers, configs, placement), with its defaults, and with each of the four
settings alone. Generative classes come first. Nothing is downloaded. `--rows` saves all rows, and a later run
with the same file continues there. Pass the interpreters of several environments to get a column per release.

A model type is left out if its config cannot be made small by rule, or if from_pretrained cannot load it;
both are counted. Exits with 1 if raw works and load_model does not, or if the results with four None differ.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RAW = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}
#: Name of a case -> arguments of load_model.
CASES: dict[str, dict[str, Any]] = {
    "four None": RAW,
    "default": {},
    "dtype": {name: value for name, value in RAW.items() if name != "dtype"},
    "device_map": {name: value for name, value in RAW.items() if name != "device_map"},
    "attn_implementation": {name: value for name, value in RAW.items() if name != "attn_implementation"},
    "generation_config": {name: value for name, value in RAW.items() if name != "generation_config"},
    "training": {"purpose": "training"},
    "adapters": {"purpose": "finetune-adapters"},
}
#: Auto classes in the order of preference for a model type.
AUTO = (
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    "AutoModelForImageTextToText",
    "AutoModelForVision2Seq",
    "AutoModelForSpeechSeq2Seq",
    "AutoModelForTextToWaveform",
    "AutoModelForMaskedLM",
    "AutoModelForCTC",
    "AutoModelForSequenceClassification",
    "AutoModelForImageClassification",
    "AutoModelForSemanticSegmentation",
    "AutoModelForObjectDetection",
    "AutoModelForDepthEstimation",
    "AutoModelForPreTraining",
    "AutoModel",
)
LARGEST = 4_000_000  # parameters
SECONDS = 90  # timeout per model type

#: Name of a config field, or its end -> its small value. The first match counts.
SMALL: tuple[tuple[tuple[str, ...], int], ...] = (
    (("num_key_value_heads", "num_kv_heads", "attention_kv_heads"), 2),
    (("vocab_size",), 256),
    (("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length"), 64),
    (("head_dim", "d_kv", "qk_nope_head_dim", "v_head_dim", "attention_head_dim", "kv_channels"), 8),
    (("qk_rope_head_dim", "rotary_dim"), 4),
    (("q_lora_rank", "kv_lora_rank", "time_step_rank", "lora_rank"), 16),
    (("attention_heads", "n_head", "num_heads", "n_heads", "_heads"), 4),
    (("num_hidden_layers", "n_layer", "n_layers", "num_layers", "_layers", "_blocks", "num_layer"), 2),
    (("intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size", "mlp_dim", "feed_forward_size"), 64),
    (("n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"), 4),
    (("num_experts_per_tok", "moe_k", "top_k_experts", "moe_topk"), 2),
    (("n_group", "topk_group"), 1),
    (("hidden_size", "d_model", "n_embd", "embed_dim", "projection_dim", "embedding_size", "_hidden_size", "hidden_dim"), 32),
    (("image_size",), 32),
    (("patch_size",), 8),
)  # fmt: skip


def shrink(content: dict[str, Any]) -> dict[str, Any]:
    """Replace numbers in the `content` of a config by small ones, including nested configs."""
    small: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict) and ("model_type" in value or name.endswith("_config")):
            small[name] = shrink(value)
            continue
        small[name] = value
        if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
            continue
        found = next((size for names, size in SMALL if any(name.endswith(end) for end in names)), None)
        if found is not None:
            small[name] = min(value, found)
    vocabulary = small.get("vocab_size")
    for name, value in list(small.items()):
        token = name.endswith(("token_id", "token_index"))
        if token and isinstance(vocabulary, int):
            if isinstance(value, int) and value >= vocabulary:
                small[name] = vocabulary - 1
            elif isinstance(value, list):
                small[name] = [min(one, vocabulary - 1) for one in value if isinstance(one, int)]
    layers = small.get("num_hidden_layers") or small.get("n_layer")
    for name, value in list(small.items()):  # one entry for each layer
        if (
            isinstance(layers, int)
            and isinstance(value, list)
            and name in ("layer_types", "layers_block_type", "mlp_layer_types")
        ):
            small[name] = value[:layers]
    return small


def model_types() -> list[tuple[str, str]]:
    """(model type, Auto class) for everything in the installed transformers."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    found = []
    for kind in sorted(CONFIG_MAPPING_NAMES):
        for order, name in enumerate(AUTO):
            auto = getattr(transformers, name, None)
            try:
                if auto is not None and transformers.CONFIG_MAPPING[kind] in auto._model_mapping:
                    found.append((order, kind, name))
                    break
            except Exception:
                break  # the config needs packages that are not installed
    return [(kind, name) for _, kind, name in sorted(found)]


def build(kind: str, auto: str, folder: Path) -> str:
    """Save a tiny random checkpoint and return the name of its class."""
    import torch
    import transformers

    config_class = transformers.CONFIG_MAPPING[kind]
    content = shrink(config_class().to_dict())
    for name in ("transformers_version", "architectures", "dtype", "torch_dtype"):
        content.pop(name, None)
    config = config_class.from_dict(content)
    cls = getattr(transformers, auto)._model_mapping[config_class]
    cls = cls[0] if isinstance(cls, (list, tuple)) else cls
    with torch.device("meta"):
        large = sum(parameter.numel() for parameter in cls(config).parameters())
    if large > LARGEST:
        raise ValueError(f"{large} parameters")
    torch.manual_seed(0)
    cls(config).save_pretrained(folder)
    return str(cls.__name__)


def differences(ours: Any, raw: Any) -> list[str]:
    """The differences between two loaded models; nothing if they are bitwise equal."""
    import torch

    found = []
    if type(ours) is not type(raw):
        return [f"class {type(ours).__name__}"]
    for what in ("state_dict", "named_buffers", "named_parameters"):
        mine, theirs = dict(getattr(ours, what)()), dict(getattr(raw, what)())
        if list(mine) != list(theirs):
            found.append(f"{what}: names")
            continue
        for name, tensor in mine.items():
            other = theirs[name]
            same = (tensor.dtype, tensor.device, tensor.shape, tensor.requires_grad) == (
                other.dtype, other.device, other.shape, other.requires_grad,
            )  # fmt: skip
            if not same or not torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(other)):
                found.append(f"{what}: {name}")
    if ours.config.to_dict() != raw.config.to_dict():
        found.append("config")
    for name in ("_attn_implementation",):
        if getattr(ours.config, name, None) != getattr(raw.config, name, None):
            found.append(name)
    mine, theirs = (getattr(model, "generation_config", None) for model in (ours, raw))
    if (mine and mine.to_dict()) != (theirs and theirs.to_dict()):
        found.append("generation_config")
    if getattr(ours, "hf_device_map", None) != getattr(raw, "hf_device_map", None):
        found.append("hf_device_map")
    if ours.training != raw.training:
        found.append("training")
    return found


def examine(kind: str, auto: str, folder: Path) -> dict[str, Any]:
    """One row: the result for the model type in each case ("same", "works" or the error)."""
    import torch
    import transformers

    from telepathy_runtime import load_model

    row: dict[str, Any] = {"model_type": kind, "auto": auto}
    try:
        name = build(kind, auto, folder)
    except Exception as error:
        return row | {"not built": f"{type(error).__name__}: {error}"[:200]}
    cls = getattr(transformers, auto)
    row["class"] = name
    try:
        torch.manual_seed(1)
        raw = cls.from_pretrained(folder)
    except Exception as error:
        return row | {"raw": f"{type(error).__name__}: {error}"[:200]}
    row["raw"] = "works"
    for case, arguments in CASES.items():
        try:
            torch.manual_seed(1)
            ours = load_model(folder, model_class=cls, **arguments)
        except TimeoutError:
            raise  # not a result of this case: the machine is busy, or the model is large
        except Exception as error:
            row[case] = f"{type(error).__name__}: {error}"[:300]
            continue
        row[case] = "works"
        if case == "four None":
            different = differences(ours, raw)
            row[case] = f"differs: {', '.join(different[:3])}" if different else "same"
    return row


def _stop(number: int, frame: Any) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def work(only: list[str], folder: Path, done: set[str]) -> None:
    """Print a line of JSON for each model type that is not `done`."""
    signal.signal(signal.SIGALRM, _stop)
    for kind, auto in model_types():
        if kind in done or (only and kind not in only):
            continue
        print(json.dumps({"begun": kind}), flush=True)
        place = folder / kind
        signal.alarm(SECONDS)
        try:
            row = examine(kind, auto, place)
        except TimeoutError as error:
            row = {"model_type": kind, "auto": auto, "not built": str(error)}
        finally:
            signal.alarm(0)
            shutil.rmtree(place, ignore_errors=True)
        print(json.dumps(row), flush=True)


def run(
    interpreter: str, only: list[str], folder: Path, kept: Path | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """The transformers version of `interpreter`, and its rows; a model type that crashes the process is not built."""
    version = _version(interpreter)
    rows: list[dict[str, Any]] = []
    if kept is not None and kept.exists():
        all_kept = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in all_kept if row.pop("transformers") == version]
    last = ""

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        if kept is not None:
            with kept.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"transformers": version, **row}) + "\n")

    environ = {
        **os.environ,
        "OMP_NUM_THREADS": "1",  # tiny tensors: threads would only wait for each other
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONPATH": str(ROOT),
    }
    while True:
        seen = [row["model_type"] for row in rows]
        command = [
            interpreter,
            "-W",
            "ignore",
            "-m",
            "benchmarks.loader_matrix",
            "--work",
            str(folder),
            "--done",
            *seen,
        ]
        command += ["--only", *only] if only else []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if not line.startswith("{"):
                    continue  # output of a model's own code
                found = json.loads(line)
                last = found.get("begun", last)
                if "model_type" in found:
                    keep(found)
        if process.returncode == 0:
            return version, rows
        if not last or last in {row["model_type"] for row in rows}:
            raise RuntimeError(f"{interpreter} ended with {process.returncode}")
        keep({"model_type": last, "not built": f"the process ended with {process.returncode}"})


def _version(interpreter: str) -> str:
    """The transformers version that `interpreter` imports."""
    code = "from importlib.metadata import version; print(version('transformers'))"
    return subprocess.run(
        [interpreter, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def failures(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """(model type, case, result) if raw works and load_model does not, or the results with four None differ."""
    for row in rows:
        if row.get("raw") == "works":
            for case in CASES:
                if row[case] not in ("works", "same"):
                    yield row["model_type"], case, row[case]


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """The Markdown table, with one column per release."""
    lines = [f"| | {' | '.join(found)} |", f"| --- |{' --- |' * len(found)}"]

    def line(name: str, counts: list[str]) -> None:
        lines.append(f"| {name} | {' | '.join(counts)} |")

    loaded = {version: [row for row in rows if row.get("raw") == "works"] for version, rows in found.items()}
    line("model types", [str(len(rows)) for rows in found.values()])
    line("built tiny", [str(sum("not built" not in row for row in rows)) for rows in found.values()])
    line("raw works", [str(len(rows)) for rows in loaded.values()])
    for case in CASES:
        good = "same" if case == "four None" else "works"
        line(
            f"{case}{': the same as raw' if case == 'four None' else ''}",
            [f"{sum(row[case] == good for row in rows)} of {len(rows)}" for rows in loaded.values()],
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="INTERPRETER")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="model types")
    parser.add_argument("--folder", type=Path, help="where the checkpoints are built (a temporary folder)")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="keep every row, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="only the table of what --rows holds")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--done", nargs="*", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(arguments.only, arguments.work, set(arguments.done))
        return 0
    found: dict[str, list[dict[str, Any]]] = {}
    if arguments.table:
        for line in arguments.rows.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row.pop("transformers"), []).append(row)
        return report(found)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for interpreter in arguments.python:
            version, rows = run(interpreter, arguments.only, Path(folder), arguments.rows)
            found[version] = rows
    return report(found)


def report(found: dict[str, list[dict[str, Any]]]) -> int:
    """Print the table and the failures, and return the exit code."""
    print(table(found))
    wrong = [(version, *failure) for version, rows in found.items() for failure in failures(rows)]
    for version, kind, case, what in wrong:
        print(f"{version} {kind}, {case}: {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
