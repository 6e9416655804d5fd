from __future__ import annotations

from telepathy_lint.findings.violation import place_in_words
from telepathy_lint.rule import Meta, Report, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class UnusedModelConfig(Rule):
    """A model in a table or constant that nothing in the project can load.

    Such entries look like experiments that exist: their numbers are kept up, reviewed and cited, and no run stands behind
    them. The rule reads the whole project, also where `check` is given a few of its files, so it is off unless selected
    (`--select TLP303`); the project is the repository (`.git`), else the nearest folder with a `pyproject.toml`, `setup.cfg`
    or `setup.py`, else no more than the files and folders that were given (`--verbose` says which it is). One finding a
    model, at its first entry; the message lists every other place that names it.

    It reports what it can show: each place that names the model, under any of its names, is an entry of a table or a
    constant whose every use was followed through its file and ends in a look-up by the id, a comparison or a message, and no
    other file takes the table. An id that goes anywhere else (an argument's default, a call that is not understood, a
    command that is put together, a returned value) may be loaded, and so may what a script, a configuration file or a
    command in the documentation names: not reported. A model that somebody could still type on a command line is reported,
    since nothing in the project does. Modules in a folder `configs`, `conf` or `cfgs` count as configuration files; names
    that services give to models, ids of datasets and the lists in copies of transformers' own files are left alone, and so
    is a project that loads no model. Files that the configuration excludes are not read. flake8, editors and standard
    input see one file at a time: there the rule is silent.

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

    def check(self, site: Site, settings: Settings) -> Report | None:
        found = next((one for one in settings.unused_models if one.model_id == site.model_id), None)
        if found is None:
            return None
        places = ", ".join(
            f"{path}:{line}" if cell < 0 else f"{path}, {place_in_words(line, cell)}"
            for path, line, cell in found.references
        )
        also = f"; also named in {places}" if places else ""
        return self.at(site, site.call.func, f"{found.model_id!r}{also}")
