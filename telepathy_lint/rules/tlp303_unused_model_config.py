from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import place_in_words
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class UnusedModelConfig(Rule):
    """A model is listed in a table or constant, but nothing in the project can load it.

    Such entries look like existing experiments: people maintain, review and cite their numbers, but no run uses them. The
    rule is off unless selected (`--select TLP303`), because it reads the whole project even if `check` is given only a few of
    its files. The project is the repository (`.git`), else the nearest folder with a `pyproject.toml`, `setup.cfg`
    or `setup.py`, else only the files and folders that were given (`--verbose` prints it). There is one finding per
    model, at its first entry; the message lists all other places that name it.

    The rule reports only what it can prove. Each place that names the model, under any of its names, must be an entry of a
    table or a constant; all uses must have been followed through the file and must end in a look-up by the id, a comparison or
    a message; and no other file may use the table. An id that goes anywhere else (an argument's default, an unknown call, a
    composed command, a returned value) may be loaded and is not reported. Neither is an id that is named in a script, a
    configuration file or a command in the documentation. A model that users could type on a command line is reported,
    because nothing in the project does so. Modules in a folder `configs`, `conf` or `cfgs` count as configuration files. The
    rule ignores model names of online services, ids of datasets, the lists in copies of transformers' own files, and projects
    that load no model. It does not read files that the configuration excludes. It does nothing in flake8, in editors and on
    standard input, which process one file at a time.

    Bad:

        from transformers import AutoModelForCausalLM

        BATCH_SIZE = {"Qwen/Qwen2.5-3B": 6, "Qwen/Qwen2.5-7B": 2}
        MODEL = "Qwen/Qwen2.5-3B"
        model = AutoModelForCausalLM.from_pretrained(MODEL)
        train(model, BATCH_SIZE[MODEL])

    Good:

        from transformers import AutoModelForCausalLM

        BATCH_SIZE = {"Qwen/Qwen2.5-3B": 6}
        MODEL = "Qwen/Qwen2.5-3B"
        model = AutoModelForCausalLM.from_pretrained(MODEL)
        train(model, BATCH_SIZE[MODEL])
    """

    meta = Meta(
        code="TLP303",
        name="unused-model-config",
        message="nothing in the project loads this model",
        since="0.1.0",
        kinds=("entry",),
        default=False,
        project=True,
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        found = next((one for one in settings.unused_models if one.model_id == site.model_id), None)
        if found is None:
            return
        places = ", ".join(
            f"{path}:{line}" if cell < 0 else f"{path}, {place_in_words(line, cell)}"
            for path, line, cell in found.references
        )
        also = f"; also named in {places}" if places else ""
        yield site.at(site.node, f"{found.model_id!r}{also}")
