"""The sources of a run's settings: options, `--config`, the environment, files; and the commands that show them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.commands import cli
from telepathy_lint.commands.options import VARIABLES
from telepathy_lint.rules import all_rules
from telepathy_lint.settings import Settings

CODE = (
    "from transformers import AutoModel\n\n"
    'model = AutoModel.from_pretrained("acme/encoder-of-x", device_map="auto", revision="main")\n'
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", *VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.py").write_text(CODE)
    return tmp_path


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def codes(self) -> list[str]:
        return sorted(one["code"] for one in json.loads(self.out))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Ran:
        capsys.readouterr()
        code = cli.run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


def configure(text: str, name: str = "telepathy-lint.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path.resolve()


# ---- --config


def test_one_key_on_the_command_line_goes_before_files_and_after_its_option(run: Any) -> None:
    configure("output-format = 'json'\nselect = ['TLP102']\n")
    assert run("check", "a.py").codes == ["TLP102"]
    assert run("check", "--config", "select = ['TLP101', 'TLP104']", "a.py").codes == ["TLP101", "TLP104"]
    both = run("check", "--config", "select = ['TLP101']", "--select", "TLP104", "a.py")
    assert both.codes == ["TLP104"]


def test_several_of_them_go_with_a_file_and_the_last_says_it(run: Any) -> None:
    configure("select = ['TLP102']\noutput-format = 'json'\n", "other.toml")
    ran = run(
        "check",
        *("--config", "ignore = ['TLP102']"),
        *("--config", "other.toml"),
        *("--config", "per-file-ignores = {'b.py' = ['TLP101']}"),
        *("--config", "select = ['TLP1']"),
        "a.py",
    )
    assert ran.codes == ["TLP101", "TLP102", "TLP104"]
    assert run("check", "--isolated", "--config", "output-format = 'json'", "a.py").codes == ran.codes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "selct = []"], "--config 'selct = []': unknown key 'selct'; did you mean 'select'?"),
        (["--config", "select = TLP1"], "--config 'select = TLP1': not valid TOML"),
        (["--config", "jobs = 0"], "--config 'jobs = 0': 'jobs' must be a whole number above 0"),
        (["--config", "gpu = 'H1000'"], "no capacity known for GPU 'H1000'; nearest: H100-80GB"),
        (["--config", "extend = 'x.toml'"], "only a configuration file can extend another"),
        (["--config", "absent.toml"], "absent.toml: no such configuration file"),
        (
            ["--config", "a.toml", "--config", "b.toml"],
            "only one configuration file is allowed, got a.toml, b.toml",
        ),
        (["--config", "a.toml", "--isolated"], "--config a.toml cannot be used with --isolated"),
        (["--ignore-noqa", "--add-noqa"], "--ignore-noqa cannot be used with --add-noqa"),
        (["--show-files", "--show-settings"], "--show-settings cannot be used with --show-files"),
    ],
)
def test_what_cannot_be_used_is_named(run: Any, arguments: list[str], said: str) -> None:
    configure("", "a.toml")
    configure("", "b.toml")
    ran = run("check", *arguments, "a.py")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and "Traceback" not in ran.err


#: Configuration, options, and the codes that are reported: each row is what Ruff 0.17 does with F401, F541 and F632.
SELECTION = [
    ("select = ['TLP1']\nignore = ['TLP101']", ["--select", "TLP1"], {"TLP101", "TLP102", "TLP104"}),
    ("ignore = ['TLP101']", ["--select", "TLP101"], {"TLP101"}),
    ("select = ['TLP1']\nignore = ['TLP101']", ["--ignore", "TLP102"], {"TLP104"}),
    ("select = ['TLP1']\nignore = ['TLP101']", ["--extend-select", "TLP101"], {"TLP101", "TLP102", "TLP104"}),
    ("select = ['TLP101']", ["--ignore", "TLP1"], set()),
    ("select = ['TLP101']\nextend-select = ['TLP102']", ["--select", "TLP101"], {"TLP101"}),
    (
        "select = ['TLP101']\nextend-select = ['TLP102']",
        ["--extend-select", "TLP104"],
        {"TLP101", "TLP102", "TLP104"},
    ),
    ("select = ['TLP101', 'TLP102']\nignore = ['TLP1']", [], {"TLP101", "TLP102"}),
    ("select = ['TLP1']\nignore = ['TLP102']", [], {"TLP101", "TLP104"}),
    ("select = ['TLP101']\nignore = ['TLP101']", [], set()),
    ("select = ['ALL']\nignore = ['TLP1', 'TLP9']", ["--config", "extend-select = ['TLP101']"], {"TLP101"}),
]


@pytest.mark.parametrize(("configured", "options", "reported"), SELECTION)
def test_selection_by_several_places_is_that_of_ruff(
    run: Any, configured: str, options: list[str], reported: set[str]
) -> None:
    configure(f"{configured}\noutput-format = 'json'\n")
    assert set(run("check", *options, "a.py").codes) == reported


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize(("configured", "options", "reported"), SELECTION[:-1])
def test_ruff_itself_selects_so(configured: str, options: list[str], reported: set[str]) -> None:
    Path("b.py").write_text('import os\n\nprint(f"a")\nprint(x is "b")\n')
    names = {"TLP101": "F401", "TLP102": "F541", "TLP104": "F632", "TLP1": "F"}

    def translated(text: str) -> str:
        for ours, theirs in names.items():
            text = text.replace(ours, theirs)
        return text

    configure("".join(f"lint.{line}\n" for line in translated(configured).split("\n")), "ruff.toml")
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]
    command = [*ruff, *map(translated, options), "b.py"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    known = set(names.values())
    assert {one["code"] for one in found} & known == {translated(code) for code in reported}


# ---- environment


def test_the_environment_goes_before_files_and_after_the_command_line(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("output-format = 'concise'\n")
    monkeypatch.setenv("TELEPATHY_LINT_OUTPUT_FORMAT", "json")
    assert run("check", "a.py").codes == ["TLP101", "TLP102", "TLP104"]
    assert run("check", "--config", "output-format = 'pylint'", "a.py").out.startswith("a.py:3: [TLP")
    assert run("check", "--output-format", "azure", "a.py").out.startswith("##vso[")
    monkeypatch.setenv("TELEPATHY_LINT_OUTPUT_FORMAT", "")
    assert run("check", "a.py").out.startswith("a.py:3:")
    monkeypatch.setenv("TELEPATHY_LINT_OUTPUT_FORMAT", "xml")
    wrong = run("check", "a.py")
    assert wrong.code == 2
    assert "TELEPATHY_LINT_OUTPUT_FORMAT (environment): 'output-format' must be one of full" in wrong.err


def test_the_environment_names_the_report(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPATHY_LINT_OUTPUT_FILE", "report.txt")
    assert run("check", "--output-format", "concise", "a.py").out == ""
    assert "TLP101" in Path("report.txt").read_text()
    run("check", "--output-format", "concise", "-o", "other.txt", "a.py")
    assert Path("other.txt").read_text() == Path("report.txt").read_text()


def test_the_environment_says_where_results_are_kept(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    configure("cache-dir = 'configured'\n")
    assert run("cache", "dir").out == f"{Path.cwd() / 'configured'}\n"
    monkeypatch.setenv("TELEPATHY_LINT_CACHE_DIR", "variable")
    assert run("cache", "dir").out == f"{Path.cwd() / 'variable'}\n"
    assert run("cache", "dir", "--cache-dir", "option").out == f"{Path.cwd() / 'option'}\n"
    run("check", "a.py")
    assert Path("variable").is_dir() and not Path("configured").exists()


@pytest.mark.parametrize(
    ("value", "kept"),
    [("true", False), ("1", False), ("YES", False), ("false", True), ("0", True), ("", True)],
)
def test_the_environment_switches_the_cache_off(
    run: Any, monkeypatch: pytest.MonkeyPatch, value: str, kept: bool
) -> None:
    monkeypatch.setenv("TELEPATHY_LINT_NO_CACHE", value)
    run("check", "a.py")
    assert Path(".telepathy_lint_cache").exists() == kept


def test_a_switch_that_says_neither_yes_nor_no_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEPATHY_LINT_NO_CACHE", "perhaps")
    ran = run("check", "a.py")
    assert ran.code == 2
    assert "TELEPATHY_LINT_NO_CACHE must be true or false, not 'perhaps'" in ran.err
    monkeypatch.delenv("TELEPATHY_LINT_NO_CACHE")
    run("check", "-n", "a.py")
    assert not Path(".telepathy_lint_cache").exists()


# ---- colour


@pytest.mark.parametrize(
    ("environment", "option", "coloured"),
    [
        ({}, "auto", False),
        ({}, "always", True),
        ({"FORCE_COLOR": "1"}, "auto", True),
        ({"FORCE_COLOR": "0"}, "auto", True),  # as Ruff has it: set is set
        ({"FORCE_COLOR": ""}, "auto", False),
        ({"CLICOLOR_FORCE": "1"}, "auto", True),
        ({"CLICOLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "auto", False),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, "auto", False),
        ({"NO_COLOR": "", "CLICOLOR_FORCE": "1"}, "auto", True),
        ({"NO_COLOR": "1"}, "always", True),
        ({"FORCE_COLOR": "1"}, "never", False),
    ],
)
def test_colour(
    run: Any, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], option: str, coloured: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in run("check", "--color", option, "a.py").out) == coloured
    assert "\x1b[" not in run("check", "--color", option, "--output-format", "json", "a.py").out
    run("check", "--color", option, "-o", "report.txt", "a.py")
    assert "\x1b[" not in Path("report.txt").read_text()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"CLICOLOR": "0"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_on_a_terminal(environment: dict[str, str], coloured: bool) -> None:
    parent, child = os.openpty()
    command = [sys.executable, "-m", "telepathy_lint", "check", "--output-format", "concise", "a.py"]
    ran = subprocess.run(command, stdout=child, env={**os.environ, "TERM": "xterm", **environment})
    os.close(child)
    assert ran.returncode == 1
    assert (b"\x1b[" in os.read(parent, 10_000)) == coloured
    os.close(parent)


# ---- small options


def test_ignore_noqa_reports_and_fixes_what_comments_silence(run: Any) -> None:
    text = CODE.replace('"main")', '"main")  # noqa: TLP101, TLP102, TLP104')
    Path("a.py").write_text(text)
    options = ("check", "--output-format", "json", "--report-unused-noqa")
    assert run(*options, "a.py").code == 0
    assert run(*options, "--ignore-noqa", "a.py").codes == ["TLP101", "TLP102", "TLP104"]
    assert run(*options, "a.py").code == 0  # not the cached result of the other
    run(*options, "--ignore-noqa", "--fix", "--unsafe-fixes", "a.py")
    assert "load_model(" in Path("a.py").read_text()


def test_silent_says_it_by_the_exit_status_only(run: Any) -> None:
    for form in ("full", "json"):
        ran = run("check", "-s", "--output-format", form, "a.py")
        assert (ran.code, ran.out, ran.err) == (1, "", "")
    run("check", "--silent", "-o", "report.txt", "a.py")
    assert "TLP101" in Path("report.txt").read_text()


def test_more_ignores_by_file_go_beside_those_of_the_configuration(run: Any) -> None:
    configure("per-file-ignores = {'a.py' = ['TLP101']}\nextend-per-file-ignores = {'*.py' = ['TLP102']}\n")
    options = ("check", "--output-format", "json")
    assert run(*options, "a.py").codes == ["TLP104"]
    assert run(*options, "--extend-per-file-ignores", "a.py:TLP104", "a.py").code == 0
    assert run(*options, "--per-file-ignores", "b.py:TLP104", "a.py").codes == ["TLP101", "TLP104"]
    wrong = run(*options, "--extend-per-file-ignores", "nowhere.py:TLP999", "a.py")
    assert wrong.code == 2 and "--extend-per-file-ignores: unknown rule selector 'TLP999'" in wrong.err


def test_patterns_of_an_extended_file_count_from_its_folder(run: Any) -> None:
    configure(
        "extend-exclude = ['pkg/old/*.py', 'gone']\nper-file-ignores = {'pkg/new/*' = ['TLP101']}\n",
        "base.toml",
    )
    configure("extend = '../base.toml'\n", "pkg/telepathy-lint.toml")
    for name in ("pkg/a.py", "pkg/old/b.py", "pkg/new/c.py", "pkg/gone/d.py", "pkg/e/old/f.py"):
        configure(CODE, name)
    found = json.loads(run("check", "--select", "TLP101", "--output-format", "json", "pkg").out)
    assert [one["path"] for one in found] == ["pkg/a.py", "pkg/e/old/f.py"]
    os.chdir("pkg")
    found = json.loads(run("check", "--select", "TLP101", "--output-format", "json").out)
    assert [one["path"] for one in found] == ["a.py", "e/old/f.py"]


def test_a_change_of_an_extended_file_reaches_cached_results(run: Any) -> None:
    base = configure("ignore = ['TLP101']\n", "base.toml")
    configure("extend = 'base.toml'\noutput-format = 'json'\n")
    assert run("check", "a.py").codes == ["TLP102", "TLP104"]
    base.write_text("ignore = ['TLP102']\n")
    assert run("check", "a.py").codes == ["TLP101", "TLP104"]


@pytest.mark.parametrize(
    "command", [["check"], ["check", "--show-settings"], ["audit"], ["config"], ["cache", "dir"]]
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gpu = 'H1000'\n", "no capacity known for GPU 'H1000'; nearest: H100-80GB"),
        ("required-version = '<0.0.1'\n", "'required-version' is '<0.0.1', but this is telepathy-lint"),
        ("[tool.telepathy-lint]\n", "write the keys at the top level"),
    ],
)
def test_every_command_refuses_what_cannot_be_used(
    run: Any, command: list[str], text: str, said: str
) -> None:
    path = configure(text)
    ran = run(*command)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and str(path) in ran.err


@pytest.mark.parametrize("text", ["gpu = 'H1000'\n", "unfixable = 3\n"])
def test_every_front_end_refuses_what_cannot_be_used(here: Path, text: str) -> None:
    configure(text)
    codemod = [
        "libcst.tool",
        "codemod",
        "-x",
        "telepathy_lint.codemod.UseRuntimeLoader",
        "--jobs",
        "1",
        "a.py",
    ]
    for command in (codemod, ["flake8", "--select", "TLP", "a.py"]):
        ran = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
        assert ran.returncode != 0, command
        key = text.partition(" ")[0]
        assert key in ran.stdout + ran.stderr and "telepathy-lint.toml" in ran.stdout + ran.stderr, command
    assert (here / "a.py").read_text() == CODE


def test_a_program_gets_an_error_for_a_gpu_that_is_not_known() -> None:
    import telepathy_lint

    with pytest.raises(ValueError, match="no capacity known for GPU 'H1000'; nearest: H100-80GB"):
        telepathy_lint.lint(CODE, settings=Settings(gpu="H1000"))
    assert telepathy_lint.lint(CODE, settings=Settings(gpu="h200"))


def test_a_gpu_is_checked_without_the_planner() -> None:
    configure("gpu = 'H200'\n")
    Path("a.py").write_text("x = 1\n")
    script = "import sys; from telepathy_lint.commands.cli import run; code = run(['check', 'a.py']); print(code, *sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    code, *loaded = ran.stdout.splitlines()[-1].split()
    assert code == "0"
    assert "telepathy_runtime.machine.gpu_names" in loaded
    assert not {"telepathy_runtime.memory", "torch", "difflib", "dataclasses"} & set(loaded)


# ---- config and --show-settings


def shown(run: Any, *arguments: str) -> dict[str, Any]:
    ran = run("config", "--output-format", "json", *arguments)
    assert ran.code == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    return document


def test_config_shows_what_a_run_would_use(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("requirements.txt").write_text("transformers>=4.50\n")
    path = configure(
        "ignore = ['TLP101']\nextend-select = ['TLP902']\nunfixable = ['TLP104']\nextend-safe-fixes = ['TLP103']\n"
        "baseline = 'known.json'\ngpu = 'h200'\nper-file-ignores = {'tests/*' = ['TLP102']}\n"
    )
    monkeypatch.setenv("TELEPATHY_LINT_CACHE_DIR", "kept")
    found = shown(run)
    default = {rule.meta.code for rule in all_rules() if rule.meta.default}
    assert found["rules"]["value"] == sorted((default | {"TLP902"}) - {"TLP101"})
    assert found["rules"]["origin"] == str(path)
    fixes = found["fixes"]["value"]
    assert (fixes["TLP103"], fixes["TLP104"], fixes["TLP105"], fixes["TLP107"]) == (
        "safe",
        None,
        "unsafe",
        "safe",
    )
    assert found["cache-dir"] == {
        "value": str(Path.cwd() / "kept"),
        "origin": "TELEPATHY_LINT_CACHE_DIR (environment)",
    }
    assert found["target-transformers"] == {"value": "4.50", "origin": str(Path.cwd() / "requirements.txt")}
    assert found["gpu"] == {"value": "H200", "origin": str(path)}
    assert found["baseline"]["value"] == str(Path.cwd() / "known.json")
    assert found["output-format"] == {"value": "full", "origin": "default"}
    configure(CODE, "tests/b.py")
    assert "TLP102" in shown(run, "a.py")["rules"]["value"]
    assert "TLP102" not in shown(run, "tests/b.py")["rules"]["value"]


def test_what_config_shows_is_what_check_does(run: Any) -> None:
    configure(
        "select = ['TLP1']\nignore = ['TLP104']\nunfixable = ['TLP101']\nextend-safe-fixes = ['TLP102']\n"
    )
    found = shown(run)
    reported = {one["code"]: one for one in json.loads(run("check", "--output-format", "json", "a.py").out)}
    assert set(reported) == {"TLP101", "TLP102"} <= set(found["rules"]["value"])
    for code, one in reported.items():
        assert (one["fix"] and one["fix"]["safety"]) == found["fixes"]["value"][code]


def test_config_in_words(run: Any) -> None:
    path = configure("ignore = ['TLP101']\nextend = 'base.toml'\n")
    base = configure("unfixable = ['TLP104']\n", "base.toml")
    text = run("config").out
    assert f"Settings for {Path.cwd()}, from {path}, {base}\n" in text
    assert "\nRules (22): TLP102, " in text
    fixable = text[text.index("fixed by --fix (") :]
    assert "TLP104" not in fixable[: fixable.index("not fixed")]
    assert "TLP104" in fixable[fixable.index("not fixed") :]
    assert 'gpu                     = "H100-80GB"' in text
    assert "no configuration file" in run("config", "--isolated").out


def test_show_settings_takes_the_options_of_check(run: Any) -> None:
    configure("ignore = ['TLP101']\n")
    options = (
        "--output-format",
        "json",
        "--select",
        "TLP101,TLP102",
        "--unfixable",
        "ALL",
        "--config",
        "jobs = 2",
    )
    ran = run("check", "--show-settings", *options, "a.py")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert found["rules"] == {"value": ["TLP101", "TLP102"], "origin": "--select"}
    assert found["fixes"] == {"value": {"TLP101": None, "TLP102": None}, "origin": "--unfixable"}
    assert found["jobs"] == {"value": 2, "origin": "--config 'jobs = 2'"}
    assert run("check", "--show-settings", "a.py").out == run("config", "a.py").out
    assert run("check", "--show-settings", "absent.py").code == 2


# ---- linter


def test_linter_lists_every_rule(run: Any) -> None:
    text = run("linter").out.splitlines()
    assert max(map(len, text)) <= 80
    for rule in all_rules():
        (line,) = (each for each in text if each.startswith(rule.meta.code))
        assert line.split() == [
            rule.meta.code,
            rule.meta.name,
            rule.meta.fix or "no",
            "on" if rule.meta.default else "off",
        ]
    listed = json.loads(run("linter", "--output-format", "json").out)
    assert [one["code"] for one in listed] == [rule.meta.code for rule in all_rules()]
    assert listed[0]["summary"] == all_rules()[0].summary()
    assert set(listed[0]) == {"code", "name", "summary", "fix", "default"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lintr"], "did you mean 'linter'?"),
        (["check", "--show-setting"], "did you mean '--show-settings'?"),
        (["check", "--unfixabel", "TLP1"], "did you mean '--unfixable'?"),
        (["check", "--colour", "never"], "did you mean '--color'?"),
        (["check", "--ignore-nqa"], "did you mean '--ignore-noqa'?"),
    ],
)
def test_near_misses_of_the_options_are_answered(run: Any, arguments: list[str], said: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2 and said in ran.err
