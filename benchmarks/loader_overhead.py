"""Measures the time and peak memory of load_model compared with from_pretrained, for a checkpoint of
400M parameters.

    python -m benchmarks.loader_overhead [--repeats 7] [--folder DIR] [--json]

Each load runs in its own process, so that it has its own peak. Raw and loader alternate, so that a busy
machine and a warm page cache affect both equally. The results are medians of the load's time (without
imports) and of the peak resident memory. The limit is 3 % of the time and no additional peak memory. The
first pair of loads warms the page cache and is dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHAPE = {
    "vocab_size": 32000,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 20,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "tie_word_embeddings": False,
}
ONE_LOAD = """
import json, os, resource, sys, time
import torch, transformers
from transformers import AutoModelForCausalLM
import transformers.models.llama.modeling_llama
from telepathy_runtime import load_model, loading
from telepathy_runtime.machine.environment import dtype_keyword
folder, how, dtype = sys.argv[1:]
wanted = {dtype_keyword(): getattr(torch, dtype), "attn_implementation": "sdpa"}
begun, processor = time.perf_counter(), time.process_time()
if how == "raw":
    model = AutoModelForCausalLM.from_pretrained(folder, **wanted)
else:
    model = load_model(folder, dtype=dtype)
seconds, processor = time.perf_counter() - begun, time.process_time() - processor
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "processor": processor, "peak": peak,
                  "parameters": sum(p.numel() for p in model.parameters()), "version": transformers.__version__}))
"""


def build(folder: Path) -> None:
    """Save the checkpoint once, in bfloat16."""
    if (folder / "config.json").is_file():
        return
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE)).to(torch.bfloat16).save_pretrained(folder)


def one(folder: Path, how: str, dtype: str) -> dict[str, Any]:
    environ = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE_LOAD, str(folder), how, dtype],
        capture_output=True,
        text=True,
        env=environ,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(folder: Path, dtype: str, repeats: int) -> dict[str, Any]:
    """Medians of both ways, and the overhead: of the medians, and the median of the differences within pairs."""
    pairs = [(one(folder, "raw", dtype), one(folder, "loader", dtype)) for _ in range(repeats + 1)][1:]
    row: dict[str, Any] = {
        "dtype": dtype,
        "transformers": pairs[0][0]["version"],
        "parameters": pairs[0][0]["parameters"],
        "repeats": repeats,
    }
    for index, how in enumerate(("raw", "loader")):
        for field in ("seconds", "processor", "peak"):
            row[f"{how}_{field}"] = statistics.median(pair[index][field] for pair in pairs)
    for field in ("seconds", "processor"):
        extra = statistics.median(loader[field] - raw[field] for raw, loader in pairs)
        row[f"overhead_{field}"] = extra / row[f"raw_{field}"]
    row["extra_peak"] = statistics.median(loader["peak"] - raw["peak"] for raw, loader in pairs)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to keep the checkpoint (a temporary folder)")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        build(folder)
        rows = [measure(folder, dtype, arguments.repeats) for dtype in arguments.dtypes]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    print("transformers  dtype     parameters   raw s  loader s  overhead  (processor)  raw peak  extra peak")
    for row in rows:
        print(
            f"{row['transformers']:<13} {row['dtype']:<9} {row['parameters']:>11,} {row['raw_seconds']:>7.3f} "
            f"{row['loader_seconds']:>9.3f} {row['overhead_seconds']:>9.1%} {row['overhead_processor']:>12.1%} "
            f"{row['raw_peak'] / 2**20:>6.0f} MiB {row['extra_peak'] / 2**20:>7.1f} MiB"
        )


if __name__ == "__main__":
    main()
