"""How a generation call decodes, according to its arguments and the load of its model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from telepathy_lint import facts
from telepathy_lint.facts.decoding_reach import samples_by_temperature
from telepathy_lint.rule import literal
from telepathy_lint.sites import Argument, Known, Site
from telepathy_lint.source.occurs import occurs

#: Models for one task: speech, translation, summaries. Their generation config belongs to the model.
_ONE_TASK = (
    r"(?i)Speech|Whisper|Audio|Musicgen|Voice|TextTo(?!Text)|Bark|Seamless|Moshi|Protein|Omni|M2M|MBart|Marian|opus-mt|nllb|FSMT"
    r"|Pegasus|ProphetNet|BigBird|\bLED|Bart(?!ow)|Blenderbot|madlad|UDOP|Donut|Pix2Struct|TrOCR|Nougat|Rag(?:Seq|Tok)|BlipFor|GitFor|VisionEncoderDecoder"
)
_SEQ2SEQ_CLASS = r"Seq2SeqLM$|SpeechSeq2Seq$|T5For\w+$|BlipFor\w+$|GitFor\w+$"
_SEQ2SEQ_ID = r"(?i)(?:^|[/_-])(?:(?:flan|mt|by|vi|u|um|codet5p?)?-?t5|m?bart)(?:-(?:small|base|large|xl|xxl|3b|11b)\b|$)"
#: Arguments that only affect sampling, with the values that have no effect.
SAMPLING: dict[str, tuple[float, ...]] = {
    "temperature": (1,), "top_p": (1,), "top_k": (50, 0), "min_p": (), "typical_p": (1,),
}  # fmt: skip


def decides_nothing(load: Site) -> bool:
    """Whether nothing in the file sets how the loaded model decodes; None leaves it to the checkpoint."""
    given = load.argument("generation_config")
    left_open = given is not None and literal(given) is None
    if given is None:
        left_open = not load.loader  # the loader decodes greedily by default
    return (
        left_open
        and load.kind == "model"
        and load.generative
        and (load.loader or not load.opaque)
        and not load.configured
        and facts.generation_config(load) is Known.NO
        and not any(map(does_one_task, (*load.classes, load.model_id or "")))
    )


def ships_no_beams(load: Site) -> bool:
    """Whether the loaded model certainly uses one beam by default."""
    text = load.source.text
    return (
        load.kind == "model"
        and all(name.endswith(("ForCausalLM", "LMHeadModel")) for name in load.loaded)
        and not any(map(does_one_task, (*load.loaded, load.model_id or "")))
        and (
            decides_nothing(load)
            or (load.loader and load.argument("generation_config") is None)  # the loader decodes greedily
            or not occurs(r"num_beams|generation_config\s*=[^=]", text)
        )
    )


@cache
def does_one_task(name: str) -> bool:
    """Whether a class or model, by its name, is for a single task, for which its checkpoint's decoding is suitable."""
    return occurs(_ONE_TASK, name)


def writes_from_an_encoder(load: Site) -> bool:
    """Whether the loaded model is an encoder-decoder, by its class or id: these ship beams at most, and do not sample."""
    return all(occurs(_SEQ2SEQ_CLASS, name) for name in load.loaded) or (
        load.model_id is not None and _is_seq2seq(load.model_id)
    )


@cache
def _is_seq2seq(model_id: str) -> bool:
    return occurs("(?i)t5|bart", model_id) and re.search(_SEQ2SEQ_ID, model_id) is not None


def _samples(text: str) -> bool:
    return "do_sample=True" in text.replace(" ", "")


def ignored_by(site: Site) -> list[Argument]:
    """The sampling arguments of a greedy call, which have no effect."""
    if site.kind == "decoding" and site.source.once(_samples):
        return []  # the config may be used for sampling by a later call
    if samples_by_temperature(site):
        return []
    return [
        each
        for name, neutral in SAMPLING.items()
        if (each := site.argument(name)) is not None
        and is_number(each, neutral)
        # Contrastive search selects its candidates with top_k.
        and not (name == "top_k" and "penalty_alpha" in site.source.text)
    ]


def is_always(argument: Argument | None, wanted: bool) -> bool:
    return (
        argument is not None
        and not argument.optional
        and all(value.kind == "const" and value.data is wanted for value in argument.values)
    )


def is_number(argument: Argument, but: Iterable[float]) -> bool:
    """Whether all alternatives are literal numbers, and none is in `but`."""
    return all(
        value.kind == "const" and isinstance(value.data, (int, float)) and not isinstance(value.data, bool)
        and value.data not in but
        for value in argument.values
    )  # fmt: skip


def says_greedy(argument: Argument) -> bool:
    """Whether the value of a sampling argument asks for greedy decoding as well: no temperature, one candidate."""
    limits = {"temperature": 0.01, "top_p": 0.01, "top_k": 1}
    return is_number(argument, ()) and all(
        value.data <= limits.get(argument.name, -1) for value in argument.values
    )


def is_zero(argument: Argument) -> bool:
    return not argument.optional and is_number(argument, ()) and all(v.data == 0 for v in argument.values)


def is_left_to_the_checkpoint(site: Site) -> bool:
    return (
        site.kind == "generate"
        and bool(site.about)
        and not site.opaque
        and site.argument("generation_config", "num_beams") is None
        and all(decides_nothing(load) for load in site.about)
    )
