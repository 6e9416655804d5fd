"""Determines which models cast their features and pixels, and which fail with float32 inputs and bfloat16 weights.

Processors create float32 pixels and features. Some classes cast them to the dtype of their weights, others
raise an error. This script builds a random model of each model type in the installed transformers whose main
input is not token ids, from its default config with fewer layers, and calls it: first in float32, to find
valid inputs, then with bfloat16 weights. The other classes in the module with the same main input get the
same answer, because they share the embedding.

    python benchmarks/input_casts.py --write    # write telepathy_lint/knowledge/input_casts.py
    python benchmarks/input_casts.py            # print the differences from it; exit with 1 if there are any
    python benchmarks/input_casts.py vit clip   # only modules whose names begin with these words, printed
    python benchmarks/input_casts.py --write --tests CHECKOUT

What stays unknown is looked for in the tests of transformers (casts_by_tests.py), if a checkout of its
repository, best of the tag of the installed release, is given. They import datasets, librosa, parameterized,
pytest-timeout, scipy, timeout-decorator, timm and torchvision.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import pkgutil
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TABLE = Path(__file__).resolve().parent.parent / "telepathy_lint" / "knowledge" / "input_casts.py"
#: Larger ones are not tried; what is not known is treated as failing.
MOST_PARAMETERS = 500_000_000
#: Timeout for one model, in seconds.
LONGEST = 40
_LAYERS = ("layers", "num_hidden_layers", "n_layer", "depth", "num_layers", "blocks")
_NOT_RUN = "unknown: not run"
#: Answer -> the name of its classes in the table.
_NAMES = {"casts": "CASTING", "fails": "FAILING"}
#: Classes that are put together from two others: the checkpoint's config names these.
_COMPOSED = ("VisionEncoderDecoderModel", "VisionTextDualEncoderModel")
_PARTS = "unknown: the checkpoint chooses its parts"
_TOKENS = ("input_ids", "decoder_input_ids", "text", "labels")


def shrunk(config: Any) -> Any:
    """The config with one layer of each kind, and little behind the input; the same in the configs inside it."""
    text = hasattr(config, "vocab_size") and hasattr(config, "num_attention_heads")
    for name, value in list(vars(config).items()):
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            shrunk(value)
        elif isinstance(value, int) and not isinstance(value, bool) and value > 1:
            if name in _LAYERS or name.endswith(("_layers", "_depth")):
                _set(config, name, 1)
            elif name == "vocab_size":
                _set(config, name, min(value, 1000))
            elif re.search(r"(?:routed|local|num|n)_experts$|num_experts$", name):
                _set(config, name, min(value, 8))
            elif text and name.endswith(("intermediate_size", "ffn_dim")):
                _set(config, name, min(value, 64))
    vocabulary = getattr(config, "vocab_size", None)
    if isinstance(vocabulary, int):
        for name, value in list(vars(config).items()):
            if name.endswith("_token_id") and isinstance(value, int) and value >= vocabulary:
                _set(config, name, 0 if name == "pad_token_id" else vocabulary - 1)
    if isinstance(ratio := getattr(config, "pixel_shuffle_ratio", None), float):
        _set(config, "hidden_size", int(config.intermediate_size * ratio**2))
    types = getattr(config, "layer_types", None)
    layers = getattr(config, "num_hidden_layers", None)
    if isinstance(types, list) and isinstance(layers, int) and len(types) > layers:
        _set(config, "layer_types", types[:layers])
    return config


def _set(config: Any, name: str, value: object) -> None:
    # It may be a property, or be validated.
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        setattr(config, name, value)


def shapes(name: str, config: Any) -> Iterator[tuple[int, ...]]:
    """Possible shapes of the input with this name."""
    inner = next(
        (
            getattr(config, each)
            for each in ("vision_config", "vit_config", "audio_config", "encoder")
            if hasattr(config, each)
        ),
        config,
    )
    channels = getattr(inner, "num_channels", 3) or 3
    size = getattr(inner, "image_size", 224) or 224
    height, width = (size, size) if isinstance(size, int) else tuple(size)[:2]
    frames = getattr(inner, "num_frames", 8) or 8
    bins = getattr(inner, "num_mel_bins", None) or getattr(inner, "feature_size", 80) or 80
    patch = getattr(inner, "patch_size", 16) or 16
    time_patch = getattr(inner, "temporal_patch_size", None) or getattr(inner, "patch_temporal", None) or 1
    patch = patch if isinstance(patch, int) else patch[0]
    if name in ("pixel_values", "pixel_values_videos", "hidden_states"):
        # Patches, one a row, of an image of eight by eight.
        for count in dict.fromkeys((time_patch, 1)):
            yield 64, channels * count * patch * patch
            yield 64, channels, patch, patch
        yield 1, 64, channels * patch * patch
        yield 1, getattr(inner, "num_position_embeddings", 64), channels * patch * patch
        yield 1, channels, patch, 64 * patch
        yield 1, 64, channels, patch, patch
        yield 1, 1, 64, channels * patch * patch
    if "video" in name:
        yield 1, frames, channels, height, width
    if "pixel" in name or "image" in name:
        yield 1, channels, height, width
        yield 1, channels, 224, 224
        yield 1, channels, 512, 512
        yield 1, 1, channels, 224, 224
        yield 1, frames, channels, height, width
        yield 1, 1, channels, height, width
    if name in ("input_features", "input_values", "audio_values", "spectrogram", "audio_features"):
        yield 1, bins, 2 * (getattr(inner, "max_source_positions", 1500) or 1500)
        yield 1, 200, bins
        yield 1, 200, 2 * bins
        yield 1, 200, getattr(inner, "feature_projection_input_dim", 160)
        yield 1, getattr(inner, "max_length", 1024) or 1024, bins
        yield 1, 16000
        yield 1, 1, 16000
        yield 1, 19200
        yield 1, 1, 19200
        yield 1, 1, getattr(inner, "max_length", 1024) or 1024, getattr(inner, "num_mel_bins", 64)
        yield 1, 1, 1001, 64
        yield 1, 8, getattr(inner, "hidden_size", 768)
        yield 1, getattr(inner, "num_mel_bins", 128) or 128, 3000
        for width in (320, 160, 128, 64, 1024, 560):
            yield 1, 200, width
            yield 1, width, 200
    if name == "latents":
        for width in (32, 512):
            yield 1, 50, width
            yield 1, width, 50
    if name in ("past_values", "inputs", "states", "waveform"):
        length = getattr(inner, "context_length", 32) or 32
        yield 1, length, getattr(inner, "num_input_channels", 1) or 1
        yield 1, length, getattr(inner, "state_dim", 17) or 17
        yield 1, length
        yield 1, 16000


def calls(model: Any, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What to call with which arguments; of a model that reads text as well, the part that reads the features."""
    for call, arguments in _plain_calls(model, name):
        yield call, arguments
        beside = beside_the_input(call, arguments[name])
        if beside:
            yield call, {**arguments, **beside}


def beside_the_input(call: Any, given: Any) -> dict[str, Any]:
    """Sizes, masks and grids that a call takes beside its main input, where it takes such."""
    import torch

    function = call.forward if isinstance(call, torch.nn.Module) else call
    taken = inspect.signature(function).parameters
    side = 8 if given.dim() == 2 or given.shape[-2] == 64 else 0
    ones = torch.ones(*given.shape[:2], dtype=torch.long)
    known: dict[str, Any] = {
        "grid_thw": torch.tensor([[1, 8, 8]]),
        "image_grid_thw": torch.tensor([[1, 8, 8]]),
        "grid_hw": torch.tensor([[8, 8]]),
        "image_grid_hw": torch.tensor([[8, 8]]),
        "target_sizes": torch.tensor([[8, 8]]),
        "tgt_sizes": torch.tensor([[8, 8]]),
        "spatial_shapes": torch.tensor([[side or 8, side or 8]]),
        "pixel_position_ids": torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).reshape(1, 64, 2),
        "image_position_ids": torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).reshape(1, 64, 2),
        "image_sizes": torch.tensor([list(given.shape[-2:])]),
        "pixel_attention_mask": ones,
        "input_features_mask": ones.bool(),
        "feature_attention_mask": ones,
        "attention_mask": ones,
        "padding_mask": ones.bool(),
        "aspect_ratio_ids": torch.ones(1, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(1, 1, 4, dtype=torch.long),
        "chunk_sample_lengths": torch.tensor([given.shape[-1]]),
        "feature_lens": torch.tensor([given.shape[-1]]),
        "aftercnn_lens": torch.tensor([given.shape[-1] // 2]),
        "qformer_input_ids": torch.ones(1, 4, dtype=torch.long),
        "past_time_features": None,
    }  # fmt: skip
    if given.shape[-1] == 16000:
        known["input_features"] = torch.rand(
            1, 50, 160
        )  # the same sound, as another part of the model gets it
    return {name: value for name, value in known.items() if name in taken and value is not None}


def _plain_calls(model: Any, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    import torch

    more: dict[str, Any] = {}
    for part in ("get_image_features", "get_audio_features", "get_speech_features"):
        method = getattr(model, part, None)
        if method is not None and name in inspect.signature(method).parameters:
            for shape in shapes(name, model.config):
                yield method, {name: torch.rand(*shape)}
    taken = inspect.signature(model.forward).parameters
    for each in ("decoder_input_ids", "input_ids"):
        if each in taken and each != name:
            more[each] = torch.ones(1, 4, dtype=torch.long)
    for shape in shapes(name, model.config):
        given = {name: torch.rand(*shape)}
        yield model, given
        if more:
            yield model, {**given, **more}


def judged(cls: Any, name: str) -> str:
    """`casts`, `fails`, or `unknown` with the reason."""
    import torch
    from transformers import initialization

    config = shrunk(cls.config_class())
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in cls(config).parameters())
    if count > MOST_PARAMETERS:
        return f"unknown: {count / 1e6:.0f} million parameters"
    torch.manual_seed(0)
    with initialization.no_init_weights():
        model = cls(config).eval()
    for parameter in model.parameters():
        parameter.data.zero_()
    problem = "no input is known"
    for call, arguments in calls(model, name):
        try:
            with torch.no_grad():
                call(**arguments)
        except Exception as error:
            problem = f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
            continue
        try:
            with torch.no_grad():
                model.to(torch.bfloat16)
                call(**arguments)
        except (RuntimeError, NotImplementedError, ValueError, TypeError):
            return "fails"
        return "casts"
    return f"unknown: {problem}"


def classes_by_module(prefixes: list[str]) -> Iterator[tuple[str, list[Any]]]:
    """The public model classes of each modeling module."""
    import transformers
    from transformers import models

    for package in pkgutil.iter_modules(models.__path__):
        if prefixes and not package.name.startswith(tuple(prefixes)):
            continue
        try:
            modules = [
                importlib.import_module(f"transformers.models.{package.name}.{each.name}")
                for each in pkgutil.iter_modules(
                    importlib.import_module(f"transformers.models.{package.name}").__path__
                )
                if each.name.startswith("modeling_")
            ]
        except Exception as error:  # the module needs a library that is not installed
            print(f"{package.name}: {error}", file=sys.stderr)
            continue
        for module in modules:
            found = [
                value
                for value in vars(module).values()
                if inspect.isclass(value)
                and issubclass(value, transformers.PreTrainedModel)
                and value.__module__ == module.__name__
                and not value.__name__.endswith("PreTrainedModel")
                and getattr(value, "config_class", None) is not None
                and value.__name__ in getattr(module, "__all__", [value.__name__])
            ]
            if found:
                yield package.name, found


def main_input(cls: Any) -> str:
    """The name of the main input; a pixel argument if the class declares token ids but does not accept them."""
    name = str(cls.main_input_name)
    taken = inspect.signature(cls.forward).parameters
    others = [
        each
        for each in ("pixel_values", "input_features", "input_values", "audio_values", "past_values")
        if each in taken
    ]
    return others[0] if others and (name in _TOKENS or name not in taken) else name


def logged(paths: list[Path]) -> dict[str, str]:
    """The answers that earlier runs printed to standard error: a run can go on where one was stopped.

    What was unknown is tried again.
    """
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    matches = [re.fullmatch(r"(\w+: \w+ of [\w, ]+): ((?:casts|fails|unknown).*)", line) for line in lines]
    return {
        match[1]: match[2] for match in matches if match is not None and not match[2].startswith("unknown")
    }


def measured(prefixes: list[str], known: dict[str, str], seconds: float) -> dict[str, str]:
    """Class name -> its answer, for each class whose main input is not token ids; "unknown" after the timeout."""
    found: dict[str, str] = {}
    end = time.monotonic() + seconds

    def stop(*_: object) -> None:
        raise TimeoutError("took too long")

    signal.signal(signal.SIGALRM, stop)
    for package, classes in classes_by_module(prefixes):
        groups: dict[tuple[str, str], list[Any]] = {}
        for cls in classes:
            name = main_input(cls)
            if name not in _TOKENS:
                groups.setdefault((name, cls.config_class.__name__), []).append(cls)
        for (name, _), group in groups.items():
            what = f"{package}: {name} of {', '.join(cls.__name__ for cls in group)}"
            answer = known.get(what, _NOT_RUN)
            untried = what not in known and time.monotonic() < end
            # The base model first: it has the embedding and the fewest other parts.
            order = sorted(group, key=lambda each: (not each.__name__.endswith("Model"), len(each.__name__)))
            if any(cls.__name__ in _COMPOSED for cls in group):
                answer, untried = _PARTS, False
            for cls in order[:3] if untried else ():
                signal.alarm(LONGEST)
                try:
                    answer = judged(cls, name)
                except (Exception, TimeoutError) as error:
                    answer = f"unknown: {type(error).__name__}: {' '.join(str(error).split())[:80]}"
                finally:
                    signal.alarm(0)
                if not answer.startswith("unknown"):
                    break
            print(f"{what}: {answer}", file=sys.stderr, flush=True)
            for cls in group:
                found[cls.__name__] = answer
    return found


def with_earlier(found: dict[str, str], text: str, version: str) -> dict[str, str]:
    """The answers, where a class without one keeps that of an earlier table of the same transformers.

    So does the cause, which depends on the libraries and the time that a run has: a difference is one of answers.
    """
    if f"on transformers {version}." not in text:
        return found
    earlier: dict[str, frozenset[str]] = {}
    exec(text, earlier)
    kept = {name: answer for answer in ("casts", "fails") for name in earlier[_NAMES[answer]]}
    for said, names in re.findall(r"    # (.*)\.\n((?:    \"[^#]*\n)+)", text):
        cause_of_all = f"unknown: {said[0].lower()}{said[1:]}"
        kept |= dict.fromkeys(re.findall(r'"(\w+)"', names), cause_of_all)
    return {
        name: kept.get(name, answer) if answer.startswith("unknown") and answer != _PARTS else answer
        for name, answer in found.items()
    }


#: Part of a reason -> the cause, as the table says it.
_CAUSES = {
    "gives it no features": "transformers' own test gives it no features",
    "million parameters": "too large for the time that the script takes",
    "took too long": "too large for the time that the script takes",
    "library but it": "it needs a library that was not installed",
    "No module named": "it needs a library that was not installed",
    "chooses its parts": "the checkpoint chooses its parts, whose classes differ",
    "not run": "no test of transformers runs it, and the script had no time for it",
}
_NO_INPUT = "no test of transformers runs it, and the script finds no config or inputs that fit"


def cause(answer: str) -> str:
    """Why there is no answer, in the words of the table."""
    said = answer.removeprefix("unknown: ")
    if said in _CAUSES.values():
        return said
    return next((said for part, said in _CAUSES.items() if part in answer), _NO_INPUT)


def by_cause(found: dict[str, str]) -> dict[str, list[str]]:
    """The cause -> the classes without an answer."""
    groups: dict[str, list[str]] = {}
    for name, answer in found.items():
        if answer not in ("casts", "fails"):
            groups.setdefault(cause(answer), []).append(name)
    return dict(sorted(groups.items()))


def tested(found: dict[str, str], checkout: Path, prefixes: list[str]) -> dict[str, str]:
    """What the models of transformers' own tests add: answers for classes without one, and failures.

    A whole model can fail where the part that reads the features casts them.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from benchmarks import casts_by_tests

    wanted = {
        cls.__name__: package
        for package, classes in classes_by_module(prefixes)
        for cls in classes
        if found.get(cls.__name__, "fails") != "fails"
    }
    unknown = {name for name in wanted if found[name].startswith("unknown")}
    more = casts_by_tests.answers(checkout, wanted, unknown)
    return {name: answer for name, answer in more.items() if name in unknown or answer == "fails"}


def table(found: dict[str, str], version: str) -> str:
    """The source code of the module."""

    def lines(names: list[str]) -> str:
        rows, row = [], "   "
        for name in sorted(names):
            if len(row) + len(name) + 4 > 110:
                rows.append(row)
                row = "   "
            row += f' "{name}",'
        return "\n".join([*rows, row])

    casts = [name for name, answer in found.items() if answer == "casts"]
    fails = [name for name, answer in found.items() if answer == "fails"]
    unknown = "\n".join(
        f"    # {said[0].upper()}{said[1:]}.\n{lines(names)}" for said, names in by_cause(found).items()
    )
    return f'''"""What model classes do with float32 features or pixels when their weights are bfloat16.

Written by benchmarks/input_casts.py, which runs a model of each kind, on transformers {version}. Do not edit.
"""

#: They cast the input, or compute with it as it is.
CASTING = frozenset(
    {{
{lines(casts)}
    }}
)  # fmt: skip
#: They raise.
FAILING = frozenset(
    {{
{lines(fails)}
    }}
)  # fmt: skip
#: They take features or pixels, and no model was built and called, each for the reason above it.
UNKNOWN = frozenset(
    {{
{unknown}
    }}
)  # fmt: skip
'''


def main() -> None:
    parser = argparse.ArgumentParser(description="find out which model classes cast their inputs")
    parser.add_argument("--write", action="store_true", help="write the table")
    parser.add_argument(
        "--known", nargs="+", type=Path, default=[], help="standard error of runs that were stopped"
    )
    parser.add_argument(
        "--seconds", type=float, default=7200, help="what is not run by then keeps its answer"
    )
    parser.add_argument(
        "--tests", type=Path, metavar="CHECKOUT", help="a checkout of transformers, with its tests"
    )
    parser.add_argument("prefixes", nargs="*", help="only modules whose names begin so")
    options = parser.parse_args()
    import torch
    import transformers

    torch.set_num_threads(1)
    version = transformers.__version__
    found = measured(options.prefixes, logged(options.known), options.seconds)
    if options.tests is not None:
        found |= tested(found, options.tests.resolve(), options.prefixes)
    text = table(with_earlier(found, TABLE.read_text(encoding="utf-8"), version), version)
    if options.prefixes:
        print(text)
    elif options.write:
        TABLE.write_text(text, encoding="utf-8")
    elif TABLE.read_text(encoding="utf-8") != text:
        print(text)
        raise SystemExit("the table is out of date: run with --write and read the diff")


if __name__ == "__main__":
    main()
