from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.load_arguments import REMOVED_TASKS, TASKS_REMOVED_LATER, TASKS_REMOVED_LATER_IN
from telepathy_lint.knowledge.migration import named
from telepathy_lint.rule import Meta, Rule, literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_INSTEAD = {
    "summarization": "text-generation with a chat model, or AutoModelForSeq2SeqLM and generate",
    "text2text-generation": "text-generation with a chat model, or AutoModelForSeq2SeqLM and generate",
    "translation": "text-generation with a chat model, or AutoModelForSeq2SeqLM and generate",
    "question-answering": "text-generation with a chat model, or AutoModelForQuestionAnswering",
    "visual-question-answering": "image-text-to-text with a vision-language model",
    "vqa": "image-text-to-text with a vision-language model",
    "image-to-image": "the model and its image processor",
}


class RemovedPipelineTask(Rule):
    """A pipeline is asked for a task that transformers 5 no longer has.

    `question-answering`, `summarization`, `translation`, `text2text-generation`, `visual-question-answering` and `image-to-image`
    raise a KeyError, with or without a model. Nothing takes their place as it is: chat models answer in text, and the models
    of the old tasks are called without a pipeline.

    The rule is on by default where the project's requirements allow transformers 5 as well as 4. Where they need 5, TLP107
    reports pipelines that load a model by its id, and this rule the others. Unless strict, a task that a later release removed than the requirements allow
    (`transformers==5.2.0`) is not reported.
    Unless strict, what is in a file of older libraries is left out, as by TLP107.

    Bad:

        from transformers import pipeline

        shorten = pipeline("summarization")

    Good:

        from transformers import pipeline

        shorten = pipeline("text-generation", model="Qwen/Qwen3-0.6B")
    """

    meta = Meta(
        code="TLP405",
        name="removed-pipeline-task",
        message="removed task",
        since="0.1.0",
        kinds=("pipeline_task",),
        five=("admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        task = site.argument("task")
        value = literal(task) if task is not None else None
        if task is None or not isinstance(value, str) or depends_on_release(site):
            return
        base = "translation" if value.startswith("translation_") else value
        if base not in REMOVED_TASKS or (settings.five == "needs" and _loads(site)):
            return
        since = TASKS_REMOVED_LATER_IN if base in TASKS_REMOVED_LATER else (5, 0)
        if not settings.reaches(since):
            return
        yield site.at(
            task,
            f"pipelines have no task {value!r} since {named(since)}, and raise a KeyError: use {_INSTEAD[base]}",
        )


def _loads(site: Site) -> bool:
    """Whether the call is a load, which TLP107 looks at."""
    from telepathy_lint.sites.loads import loads

    return any(load.node is site.node for load in site.file.fact(loads))
