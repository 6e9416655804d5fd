"""Finds the code in a file's text that generates text with a model, and whether it states its decoding.

Nothing is parsed: the text may be a notebook's JSON, and a project may have hundreds of files. Calls are told apart by
their words, so a call that states `do_sample` in any way counts as one that states it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice

from telepathy_lint.hints import NamedTuple
from telepathy_lint.source.occurs import occurs

#: The quotes of documentation and prompts.
_LONG_QUOTES = ('"""', "'''")
#: A line of the module itself, with the name that it defines; comments, decorators and closing brackets are none.
_OUTER_LINE = r"(?:async )?(?:def|class) (\w+)|\w"
#: More calls of one kind in a file are not looked at.
_MOST_PLACES = 200
#: Longer argument lists are cut off.
_MOST_OF_A_CALL = 4_000
#: Arguments that state how a call decodes: with them, or with a config, the checkpoint does not decide.
_STATES = r"do_sample|generation_config|penalty_alpha|sampling_params|SamplingParams|top_k\s*=\s*1\s*[,)]"
_GREEDY = r"do_sample[\"']?\]?\s*[=:]\s*False"
#: Settings of sampling; a temperature of 0 asks for the opposite.
_WARM = r"\b(?:temperature\s*=\s*(?!0(?:\.0*)?\s*[,)])|top_p\s*=|top_k\s*=|min_p\s*=|typical_p\s*=)"
#: Spread dicts that hold settings, rather than the tokenizer's output.
_SETTINGS = r"(?i)\*\*[^,)]*?(?:kwarg|gen_|generat|_args|param|config|cfg|setting|option|decod|sampl|strateg)"
#: Spread dicts that are not the tokenizer's output by their names either.
_UNKNOWN_DICT = r"(?i)\*\*(?!\s*(?:[\w.]+[._])?(?:inputs?(?:_ids)?|enc(?:oded|oding|odings)?|batch|tokens|tokenized)\s*[,)])"
#: Objects whose `generate` belongs to another library, or sends a request.
_FOREIGN = r"(?i)(?:client|api|server|engine|vllm|openai|ollama|anthropic|gemini|agent|chain|diffus)\w*"
_OTHER_LIBRARIES = (
    r"(?:vllm|openai|ollama|litellm|llama_cpp|ctransformers|sglang|text_generation|mlx_lm|cohere)\b"
)
_LIBRARIES = rf"from[ ]+{_OTHER_LIBRARIES}|import[ ]+{_OTHER_LIBRARIES}"
#: The object of a method, before the dot.
_OWNER = r"([\w.]+)(?:\(\))?$"
#: Names of variables for models, whose `generate` is transformers' own, even if the project defines one.
_MODEL = r"(?i)(?:\w*model|\w*_lm|lm|hf_\w+|net|policy\w*|actor\w*|base|peft\w*|trainer|ppo_trainer)"
#: Arguments of transformers' `generate`, which a wrapper's calls rarely have.
_OF_TRANSFORMERS = r"\*\*|input_ids|inputs_embeds|attention_mask|pad_token_id|eos_token_id|streamer|num_beams"
_KEYWORDS = (
    r"inputs?|input_ids|inputs_embeds|attention_mask|token_type_ids|position_ids|pixel_\w+|image_\w+|video_\w+|input_features"
    r"|decoder_\w+|encoder_\w+|max_\w+|min_\w+|do_sample|num_\w+|early_stopping|temperature|top_[kph]|typical_p|\w+_cutoff"
    r"|\w+_penalty|penalty_alpha|no_repeat\w+|bad_words_ids|force\w*|\w+_token_ids?|stopping_criteria|logits_processor|streamer"
    r"|use_cache|past_key_values|return_\w+|output_\w+|synced_gpus|generation_config|prefix_allowed\w+|assistant_\w+|tokenizer"
    r"|stop_strings|cache_\w+|renormalize_logits|guidance_scale|labels|\w*suppress\w*|language|task|low_memory|dola_layers"
    r"|negative_prompt\w*|sampling_params|custom_generate|constraints"
)
#: Tasks whose pipelines sample only if they are told to, or do not generate.
_TASK = r"[\s\\n]*(?:task\s*=\s*)?\\?[\"']([\w-]+)"
_GENERATES = frozenset({"text-generation", "conversational", "image-text-to-text", "any-to-any"})
_BUILDS_A_PIPELINE = r"(?<![\w.])(?:transformers\.|hf\.)?(?:pipeline|TextGenerationPipeline)\("


class Generating(NamedTuple):
    """A place that generates text."""

    offset: int
    #: Whether it states whether to sample.
    states: bool
    #: Whether it gets settings from a dict that is made elsewhere.
    spreads: bool
    #: Whether it states a repetition penalty, or may.
    penalty: bool
    #: Whether it states greedy decoding, or settings that the file writes do.
    greedy: bool
    #: The function or class of the module that contains it; None for code of the module itself.
    around: str | None
    #: Whether it may be a call of a method of that name that the project defines.
    own: bool
    #: Whether a pipeline generates, which follows other settings of old checkpoints too.
    piped: bool
    #: Whether the place only builds a pipeline that generates elsewhere.
    built: bool = False
    #: Whether it generates with an attribute that the text itself loads (`self.lm = AutoModel.from_pretrained(...)`).
    loaded_here: bool = False
    #: Whether it states a temperature or another setting of sampling: a model that samples does what it is meant to do.
    warm: bool = False


def generating(text: str) -> tuple[Generating, ...]:
    """The places in a text that generate with a model of transformers."""
    if "generate" not in text and "pipeline(" not in text and ".chat(" not in text:
        return ()
    places = (_generate_calls(text), _handed_on(text), _pipelines(text), _chats(text))
    found = [each for kind in places for each in islice(kind, _MOST_PLACES)]
    if not found:
        return ()
    told = list(_long_strings(text))
    starts = [start for start, _ in told]
    kept = []
    seen, around = 0, None
    for each in sorted(found, key=_offset_of):
        before = bisect_left(starts, each.offset) - 1
        if before >= 0 and each.offset < told[before][1]:
            continue  # in a string
        if not _is_a_comment(text, each.offset):
            # The last line without indentation begins the definition around it.
            if (outer := _last_outer_line(text, seen, each.offset)) is not None:
                around = outer[1]
            seen = each.offset
            kept.append(each._replace(around=around))
    return tuple(kept)


def asks_for_sampling(text: str) -> bool:
    """Whether a file states a temperature or the like at one of its places: it means to sample."""
    return any(each.warm for each in generating(text))


def _long_strings(text: str) -> Iterator[tuple[int, int]]:
    """The spans of the strings in triple quotes; `re` alone takes many times as long."""
    behind = 0
    nearest = {quote: text.find(quote) for quote in _LONG_QUOTES}
    while True:
        for quote, at in nearest.items():
            if 0 <= at < behind:
                nearest[quote] = text.find(quote, behind)
        at, quote = min(((at, quote) for quote, at in nearest.items() if at >= 0), default=(-1, ""))
        end = text.find(quote, at + 3) + 3 if quote else 0
        if end < 3:
            # Without a closing one, the quotes are no string, and others of the kind are not either.
            if not quote:
                return
            nearest[quote] = -1
            continue
        yield at, end
        behind = end


def _last_outer_line(text: str, start: int, end: int) -> re.Match[str] | None:
    """The last line of the module itself that begins between two offsets; the first line of the text begins at 0."""
    ends = {each: text.rfind(each, start, end) for each in "\n\r"}
    while True:
        for each, at in ends.items():
            if at >= end:
                ends[each] = text.rfind(each, start, end)
        line = max(ends.values()) + 1
        if not line and start:
            return None
        found = re.compile(_OUTER_LINE).match(text, line)
        if found is not None or not line:
            return found
        end = line - 1


def _offset_of(place: Generating) -> int:
    return place.offset


def _generate_calls(text: str) -> Iterator[Generating]:
    others: bool | None = None
    wraps = "def generate(" in text
    for match in re.finditer(r"\.generate\(", text):
        owner = re.search(_OWNER, text[max(match.start() - 90, 0) : match.start()])
        last = owner[1].rpartition(".")[2] if owner is not None else ""
        given = _arguments(text, match.end())
        start = match.start() - (len(owner[0]) if owner is not None else 0)
        if re.fullmatch(_MODEL, last) is None:
            if last == "self" and wraps:
                continue  # its body is another place
            if others is None:
                others = occurs(_LIBRARIES, text)
            if others or re.fullmatch(_FOREIGN, last) is not None:
                continue
        if is_dropped(text, start, given):
            continue
        yield _place(text, start, given)._replace(
            own=_may_be_of_a_wrapper(given), loaded_here=owner is not None and _loads_it(text, owner[1])
        )


_LOADS = r"\.from_pretrained\(|load_model\("


def _loads_it(text: str, owner: str) -> bool:
    """Whether all that a text assigns to an attribute of `self` are loads, other than those of adapters for a given model."""
    if not owner.startswith("self.") or not occurs(_LOADS, text):
        return False
    given = re.findall(rf"(?<![\w.]){re.escape(owner)}\s*(?::[^=\n]{{1,60}})?=(?!=)\s*([^\n]*)", text)
    return bool(given) and all(occurs(_LOADS, each) and "Peft" not in each for each in given)


def _may_be_of_a_wrapper(given: str) -> bool:
    """Whether a call has arguments that transformers' `generate` does not take, or none that only it takes."""
    for _ in range(3):
        given = re.sub(r"(?<=\w)\([^()]*\)", "", given)  # the calls in its arguments
    names = re.findall(r"(?:^|[(,\s])(\w+)\s*=(?!=)", given)
    return any(re.fullmatch(_KEYWORDS, name) is None for name in names) or (
        re.search(_OF_TRANSFORMERS, given) is None
    )


def is_dropped(text: str, start: int, given: str) -> bool:
    """Whether a call generates one token, and its result is dropped, or read for the hidden states of the prompt."""
    line = text[max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1 : start]
    one = re.search(r"max_new_tokens\s*=\s*1\b", given) is not None
    return one and (not line.strip() or re.search(r"output_hidden_states\s*=\s*True", given) is not None)


def _handed_on(text: str) -> Iterator[Generating]:
    """`Thread(target=model.generate, kwargs=settings)`, `partial(model.generate, ...)`, and trainers that generate."""
    for match in re.finditer(r"\.generate\s*[,)]", text):
        yield _place(text, match.start(), _arguments(text, match.start()), handed=True)
    for match in re.finditer(r"predict_with_generate\s*=\s*True", text):
        states = "do_sample" in text or "generation_config" in text
        yield Generating(
            match.start(),
            states,
            spreads=False,
            penalty=True,
            greedy=False,
            around=None,
            own=False,
            piped=False,
        )


def _pipelines(text: str) -> Iterator[Generating]:
    if "transformers" not in text or "ipeline(" not in text:
        return
    for match in re.finditer(_BUILDS_A_PIPELINE, text):
        given = _arguments(text, match.end())
        task = re.match(_TASK, given) or re.search(r"\btask\s*=\s*\\?[\"']([\w-]+)", given)
        if task is not None and task[1] not in _GENERATES:
            continue
        if task is None and "model" not in given:
            continue  # a pipeline of that name is called
        built = _place(text, match.start(), given)
        name = re.search(
            r"(\w+)\s*(?::[^=\n]{0,80})?=\s*$", text[max(match.start() - 120, 0) : match.start()]
        )
        calls = list(_calls_of(name[1], text, match.start())) if name is not None else []
        if built.states or not calls:
            greedy = re.search(_GREEDY, text) is not None
            yield built._replace(
                states=built.states or "do_sample" in text, greedy=greedy, piped=True, built=True
            )
        else:
            # What the pipeline is built with holds for each of its calls.
            for each in calls:
                yield each._replace(
                    penalty=each.penalty or built.penalty, piped=True, warm=each.warm or built.warm
                )


def _calls_of(name: str, text: str, but: int) -> Iterator[Generating]:
    for match in re.finditer(rf"(?<!\w)(?<!def )(?<!transformers\.){re.escape(name)}\(", text):
        given = _arguments(text, match.end())
        # A variable may have the name of the function that builds pipelines.
        if match.start() != but and not (name == "pipeline" and re.search(r"\bmodel\s*=", given)):
            yield _place(text, match.start(), given)


def _chats(text: str) -> Iterator[Generating]:
    for match in re.finditer(r"\w*model\.chat\(", text) if "model.chat(" in text else ():
        given = _arguments(text, match.end())
        if "token" in given:
            yield _place(text, match.start(), given)


def _place(text: str, offset: int, given: str, handed: bool = False) -> Generating:
    states = re.search(_STATES, given) is not None
    spreads = handed or re.search(_SETTINGS, given) is not None
    spreads = spreads or ("do_sample" in text and re.search(_UNKNOWN_DICT, given) is not None)
    # A dict of settings that this file writes, or changes, states it; one that it does not write may.
    states = states or (spreads and ("do_sample" in text or not _writes(text, given)))
    penalty = spreads or "repetition_penalty" in given or "generation_config" in given
    greedy = re.search(_GREEDY, text if spreads else given) is not None
    warm = re.search(_WARM, given) is not None
    return Generating(offset, states, spreads, penalty, greedy, None, False, False, warm=warm)


def _writes(text: str, given: str) -> bool:
    """Whether the file writes one of the dicts that a call spreads."""
    names = re.findall(r"\*\*(?:[\w.]+\.)?(\w+)", given)
    return not names or any(
        occurs(rf"\b{name}\b\s*(?::[^=\r\n]{{1,60}})?=\s*(?:\{{|dict\()", text) for name in names
    )


def _arguments(text: str, start: int) -> str:
    """The text of a call's arguments, from behind its opening bracket, without its comments."""
    depth = 1
    for match in re.finditer(r"[()]", text[start : start + _MOST_OF_A_CALL]):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return re.sub(r"(?<!\S)#[^\r\n]*", "", text[start : start + match.start()] + ")")
    return text[start : start + _MOST_OF_A_CALL]


def _is_a_comment(text: str, offset: int) -> bool:
    line = text[max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1 : offset]
    return re.search(r"(?:^|[\s\"])#", line) is not None
