"""Configuration: the nearest file, checked keys, origins; and the lowest transformers version of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.discovery.config import DEFAULT_EXCLUDE, Config, ConfigError, Configs, from_table, keys
from telepathy_lint.discovery.requirements import Targets, lower_bound, target_of
from telepathy_lint.settings import Loader, Settings

FULL = """
[tool.telepathy-lint]
select = ["TLP1", "unset-pad-token"]
ignore = ["TLP104"]
extend-select = ["TLP902"]
exclude = ["old"]
extend-exclude = ["generated/*.py"]
respect-gitignore = false
fix-style = "inline"
target-transformers = "4.57"
wrappers = ["house.models.load"]
output-format = "concise"
jobs = 3
baseline = "baseline.json"
gpu = "H100-80GB"

[tool.telepathy-lint.per-file-ignores]
"tests/*" = ["TLP102", "TLP104"]

[tool.telepathy-lint.loader]
module = "house.loading"
load-model = "load"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "pyproject.toml", FULL)
    config = Configs().of(str(tmp_path))
    assert config.root == str(tmp_path)
    assert config.select == ("TLP1", "unset-pad-token")
    assert config.per_file_ignores == (("tests/*", ("TLP102", "TLP104")),)
    assert config.loader == Loader(module="house.loading", load_model="load")
    assert (config.jobs, config.gpu, config.respect_gitignore) == (3, "H100-80GB", False)
    settings = config.settings("4.40")
    assert (settings.target_transformers, settings.fix_style) == ("4.57", "inline")
    assert settings.wrappers == ("house.models.load",)
    assert config.origins["select"] == str(path)
    assert "fix" not in config.origins


def test_the_nearest_file_wins_and_sections_do_not_mix(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.telepathy-lint]\nselect = ['TLP1']\nignore = ['TLP2']\n")
    write(tmp_path / "a" / "pyproject.toml", "[project]\nname = 'other'\n")
    write(tmp_path / "a" / "b" / "telepathy-lint.toml", "select = ['TLP3']\n")
    configs = Configs()
    assert configs.of(str(tmp_path / "a")).select == ("TLP1",)
    inner = configs.of(str(tmp_path / "a" / "b" / "c"))
    assert (inner.select, inner.ignore, inner.root) == (("TLP3",), (), str(tmp_path / "a" / "b"))


def test_own_file_wins_over_pyproject_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.telepathy-lint]\nselect = ['TLP1']\n")
    write(tmp_path / "telepathy-lint.toml", "select = ['TLP2']\n")
    assert Configs().of(str(tmp_path)).select == ("TLP2",)


def test_options_win_over_files_and_say_so(tmp_path: Path) -> None:
    path = write(tmp_path / "telepathy-lint.toml", "select = ['TLP2']\nignore = ['TLP201']\njobs = 3\n")
    config = Configs({"select": ["TLP1"]}).of(str(tmp_path))
    # As in Ruff: who selects begins anew, who ignores goes on from what there is.
    assert (config.select, config.ignore, config.jobs) == (("TLP1",), (), 3)
    assert (config.origins["select"], config.origins["jobs"]) == ("--select", str(path))
    more = Configs({"ignore": ["TLP202"]}).of(str(tmp_path))
    assert (more.select, more.ignore) == (("TLP2",), ("TLP201", "TLP202"))
    assert more.origins["ignore"] == f"{path}, --ignore"


def test_isolated_reads_nothing(tmp_path: Path) -> None:
    write(tmp_path / "telepathy-lint.toml", "select = 7")
    assert Configs(isolated=True).of(str(tmp_path)).select is None


def test_a_named_file_holds_for_every_folder(tmp_path: Path) -> None:
    named = write(tmp_path / "ci" / "strict.toml", "select = ['TLP']\n")
    write(tmp_path / "pkg" / "telepathy-lint.toml", "select = ['TLP2']\n")
    assert Configs(file=str(named)).of(str(tmp_path / "pkg")).select == ("TLP",)
    with pytest.raises(ConfigError, match="no such configuration file"):
        Configs(file=str(tmp_path / "absent.toml"))


def test_a_pyproject_about_others_is_not_even_parsed(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "this is = not [ toml")
    assert Configs().of(str(tmp_path)).exclude == DEFAULT_EXCLUDE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("selct = []", r"unknown key 'selct'; did you mean 'select'\?"),
        ("target_transformers = '4.57'", "did you mean 'target-transformers'"),
        ("zzzzzz = 1", "known keys: baseline, "),
        ("select = 'TLP1'", r"'select' must be a list of strings, not 'TLP1'"),
        ("select = [1]", "'select' must be a list of strings"),
        ("fix = 'yes'", "'fix' must be true or false"),
        ("jobs = 0", "'jobs' must be a whole number above 0"),
        ("jobs = true", "'jobs' must be a whole number above 0"),
        ("fix-style = 'outline'", "'fix-style' must be one of loader, inline"),
        ("output-format = 'xml'", "'output-format' must be one of full, concise"),
        ("target-transformers = '==4.57'", "'target-transformers' must be a version"),
        ("target-transformers = 4.57", "'target-transformers' must be a version"),
        ("per-file-ignores = ['x']", "'per-file-ignores' must be a table"),
        ("[per-file-ignores]\n'x' = 'TLP1'", "'per-file-ignores' must be a table"),
        ("[loader]\nmodul = 'x'", r"unknown key 'loader.modul'; did you mean 'module'\?"),
        ("[loader]\nmodule = 'a-b'", "'loader.module' must be a Python name"),
        ("loader = 'x'", "'loader' must be a table"),
        ("gpu = 'H1000'", "no capacity known for GPU 'H1000'; nearest: H100-80GB"),
        ("gpu = ''", "'gpu' must be the name of a GPU"),
        (
            "required-version = '>=0.0.1,<0.0.2'",
            r"'required-version' is '>=0.0.1,<0.0.2', but this is telepathy-lint \d",
        ),
        ("required-version = 'newest'", "'required-version' must be a version specifier"),
        # Another version may have other keys: that is said first.
        ("selct = []\nrequired-version = '<0.0.1'", "'required-version' is '<0.0.1'"),
        ("extend = 3", "'extend' must be the name of a configuration file"),
        (
            "extend = 'absent.toml'",
            r"absent.toml: no such configuration file \(.*telepathy-lint.toml extends it\)",
        ),
        ("[tool.telepathy-lint]\nselect = []", "write the keys at the top level"),
        ("unfixable = 'TLP1'", "'unfixable' must be a list of strings"),
        ("extend-per-file-ignores = []", "'extend-per-file-ignores' must be a table"),
        ("x = [", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "telepathy-lint.toml", text)
    with pytest.raises(ConfigError, match=said) as caught:
        Configs().of(str(tmp_path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        "tool.telepathy_lint", "tool.telepathylint", "telepathy-lint", "telepathy_lint", "tool.Telepathy-Lint", "tool.telepathy-linter",
        "tool.telepaty-lint", "tool . 'telepathy_lint'", "tool.telepathy_lint.loader",
    ],
)  # fmt: skip
@pytest.mark.parametrize("also", ["", "[tool.telepathy-lint]\nselect = ['TLP1']\n"])
def test_a_section_under_nearly_our_name_is_named(tmp_path: Path, header: str, also: str) -> None:
    path = write(tmp_path / "pyproject.toml", f"{also}[{header}]\nignore = ['TLP101']\n")
    with pytest.raises(
        ConfigError, match=r"unknown section \[.*\]; did you mean \[tool.telepathy-lint\]"
    ) as caught:
        Configs().of(str(tmp_path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[tool.telepathy]\nx = 1\n",
        "[tool.telepathy-runtime]\nx = 1\n",
        "[tool.telemetry]\nlint = true\n",
        "[project]\ndependencies = ['telepathy_lint']\n",
        "[project]\ndescription = '''\n[tool.telepathy_lint]\n'''\n",
        "[project.optional-dependencies]\ntelepathy_lint = []\n",
    ],
)
def test_other_sections_are_none_of_our_business(tmp_path: Path, text: str) -> None:
    write(tmp_path / "pyproject.toml", text)
    assert not Configs().of(str(tmp_path)).files


@pytest.mark.parametrize(
    ("name", "kept"), [("h200", "H200"), ("A100-40gb", "A100-40GB"), ("device", "device")]
)
def test_a_gpu_may_be_written_in_any_case(name: str, kept: str) -> None:
    assert from_table({"gpu": name}, "x.toml").settings(None).gpu == kept


# ---- extend


def test_what_a_file_extends_goes_after_it(tmp_path: Path) -> None:
    base = write(
        tmp_path / "base.toml",
        "select = ['TLP1']\nignore = ['TLP104']\njobs = 3\nextend-exclude = ['old', 'gen/deep']\nbaseline = 'known.json'\n"
        "per-file-ignores = {'a/x.py' = ['TLP101']}\nextend-per-file-ignores = {'b.py' = ['TLP102']}\n",
    )
    path = write(
        tmp_path / "a" / "pyproject.toml",
        "[tool.telepathy-lint]\nextend = '../base.toml'\nignore = ['TLP105']\njobs = 2\nextend-exclude = ['c/d']\n"
        "extend-per-file-ignores = {'c.py' = ['TLP103']}\n",
    )
    config = Configs().of(str(tmp_path / "a"))
    assert (config.select, config.ignore, config.jobs) == (("TLP1",), ("TLP104", "TLP105"), 2)
    assert (config.root, config.files) == (str(tmp_path / "a"), (str(path), str(base)))
    assert config.origins["ignore"] == f"{base}, {path}"
    assert (config.origins["select"], config.origins["jobs"]) == (str(base), str(path))
    # Paths count from the file that says them.
    assert config.extend_exclude == ("old", str(tmp_path / "gen/deep"), "c/d")
    assert config.baseline == str(tmp_path / "known.json")
    assert config.ignored == (
        (str(tmp_path / "a/x.py"), ("TLP101",)), ("b.py", ("TLP102",)), ("c.py", ("TLP103",)),
    )  # fmt: skip


def test_a_chain_of_files_and_a_select_that_begins_anew(tmp_path: Path) -> None:
    write(tmp_path / "1.toml", "ignore = ['TLP101']\nunfixable = ['TLP102']\n")
    write(tmp_path / "2.toml", "extend = '1.toml'\nextend-select = ['TLP901']\nfixable = ['TLP104']\n")
    write(tmp_path / "telepathy-lint.toml", "extend = '2.toml'\nselect = ['TLP2']\n")
    config = Configs().of(str(tmp_path))
    assert (config.select, config.ignore, config.extend_select) == (("TLP2",), (), ())
    assert (config.fixable, config.unfixable) == (("TLP104",), ())
    assert len(config.files) == 3


@pytest.mark.parametrize("length", [1, 2, 3])
def test_files_that_extend_each_other_are_refused(tmp_path: Path, length: int) -> None:
    names = ["telepathy-lint.toml", *(f"{number}.toml" for number in range(1, length))]
    for name, target in zip(names, [*names[1:], names[0]], strict=True):
        write(tmp_path / name, f"extend = '{target}'\n")
    with pytest.raises(ConfigError, match=r"circular extend: .*telepathy-lint\.toml extends "):
        Configs().of(str(tmp_path))


def test_a_home_and_a_variable_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "base.toml", "jobs = 3\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOUSE", str(tmp_path))
    for name in ("~/base.toml", "$HOUSE/base.toml"):
        write(tmp_path / "x" / "telepathy-lint.toml", f"extend = '{name}'\n")
        assert Configs().of(str(tmp_path / "x")).jobs == 3


def test_a_pyproject_without_our_section_cannot_be_extended(tmp_path: Path) -> None:
    write(tmp_path / "b" / "pyproject.toml", "[project]\nname = 'x'\n")
    write(tmp_path / "telepathy-lint.toml", "extend = 'b/pyproject.toml'\n")
    with pytest.raises(ConfigError, match=r"no \[tool.telepathy-lint\] section \(.*extends it\)"):
        Configs().of(str(tmp_path))


def test_the_section_must_be_a_table(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool]\ntelepathy-lint = 3\n")
    with pytest.raises(ConfigError, match="must be a table"):
        Configs().of(str(tmp_path))


def test_a_wrong_option_names_the_option() -> None:
    with pytest.raises(ConfigError, match="--target-transformers must be"):
        Configs({"target-transformers": "new"}, isolated=True)


def test_the_default_of_every_key_is_a_valid_value_of_it() -> None:
    config = Config()
    for key in keys():
        value = getattr(config, key.replace("-", "_"))
        if value is None or isinstance(value, Loader):
            continue
        plain = (
            dict(value)
            if key.endswith("per-file-ignores")
            else list(value)
            if isinstance(value, tuple)
            else value
        )
        assert getattr(from_table({key: plain}, "x.toml"), key.replace("-", "_")) == value


@pytest.mark.parametrize(
    ("requirement", "version"),
    [
        ("transformers==4.45.2", "4.45.2"),
        ("transformers >= 4.40, < 5", "4.40"),
        ("transformers<5,>=4.40.1", "4.40.1"),
        ("transformers[torch,sentencepiece]~=4.41", "4.41"),
        ("transformers (>=4.36)", "4.36"),
        ("transformers>4.30,!=4.31.0", "4.30"),
        ("transformers ^4.44", "4.44"),
        ("transformers=4.44.2=pyhd8ed1ab_0", "4.44.2"),
        ("transformers==4.*", "4"),
        ("transformers>=4.46.0.dev0", "4.46.0"),
        ("transformers @ git+https://github.com/huggingface/transformers.git@v4.47.1", "4.47.1"),
        ("transformers @ git+https://github.com/huggingface/transformers@0dcb46e7a4a9e587", None),
        ("transformers<5", None),
        ("transformers!=4.50", None),
        ("transformers", None),
    ],
)
def test_the_lower_bound_of_a_requirement(requirement: str, version: str | None) -> None:
    assert lower_bound(requirement) == version


@pytest.mark.parametrize(
    ("requirement", "reached"),
    [
        ("transformers>=4.56,<5.3", False),
        ("transformers>=4.56,<=5.2", False),
        ("transformers==5.2.1", True),
        ("transformers>=4.56,<5.4", True),
        ("transformers>=4.56,<=5.3", True),
        ("transformers==5.3.0", True),
        ("transformers>=4.56", True),
        ("transformers>=4.56,<6", True),
    ],
)
def test_a_project_may_leave_out_the_newest_releases(requirement: str, reached: bool, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"{requirement}\n")
    target = target_of(str(tmp_path))
    assert target is not None
    assert Settings(target.specifier).reaches((5, 3)) == reached
    assert Settings(target.specifier).reaches((5, 3), "trl")


@pytest.mark.parametrize(
    ("requirement", "five"),
    [
        ("transformers==4.45.2", ""),
        ("transformers >= 4.40, < 5", ""),
        ("transformers>=4.40,<5.0.0", ""),
        ("transformers>=4.40,<=4.57", ""),
        ("transformers~=4.41", ""),
        ("transformers ^4.44", ""),
        ("transformers=4.44.2=pyhd8ed1ab_0", ""),
        ("transformers @ git+https://github.com/huggingface/transformers.git@v4.47.1", ""),
        ("transformers", ""),
        ("transformers>=4.40", "admits"),
        ("transformers>=4.40,<6", "admits"),
        ("transformers>=4.40,<5.3", "admits"),
        ("transformers>=4.40,!=4.50", "admits"),
        ("transformers>=5,<6", "needs"),
        ("transformers==5.2.0", "needs"),
    ],
)
def test_what_a_requirement_says_of_transformers_5(requirement: str, five: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"torch\n{requirement}\n")
    target = target_of(str(tmp_path))
    assert Settings(target.specifier if target is not None else None).five == five


@pytest.mark.parametrize(
    ("value", "lowest", "five"),
    [
        ("4.57", (4, 57), "admits"),
        (">=4.50", (4, 50), "admits"),
        (">=4.50,<6", (4, 50), "admits"),
        (">= 4.50, <5", (4, 50), ""),
        ("5", (5, 0), "needs"),
        (">=5.2,<6", (5, 2), "needs"),
    ],
)
def test_target_transformers_takes_a_version_or_versions(
    value: str, lowest: tuple[int, int], five: str
) -> None:
    settings = Config().with_options({"target-transformers": value}).settings(None)
    assert (settings.target_version, settings.five) == (lowest, five)


@pytest.mark.parametrize("value", ["<5", ">=4.50,!=5", ">=", "4.50,<6", ">=x,<6", ">=4,<y"])
def test_other_specifiers_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="target-transformers"):
        Config().with_options({"target-transformers": value})


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("requirements.txt", "torch\n# transformers==3\ntransformers==4.45.2  # why\nsentence-transformers>=9\n", "4.45.2"),
        ("requirements-dev.txt", "Transformers>=4.40; python_version < '3.12'\n", "4.40"),
        ("requirements.in", "transformers-stream-generator==0.0.4\n", None),
        ("env.txt", "torch==2.0.0\ntransformers==4.28.1\n", "4.28.1"),
        ("docker/requirements.txt", "transformers==4.33.2\n", "4.33.2"),
        ("environment.yml", "dependencies:\n  - python=3.11\n  - conda-forge::transformers=4.44\n", "4.44"),
        ("environment.yaml", "dependencies:\n  - pip:\n    - 'transformers>=4.43'\n", "4.43"),
        ("setup.cfg", "[options]\ninstall_requires =\n    torch\n    transformers>=4.42\n", "4.42"),
        ("setup.py", "setup(install_requires=['torch', \"transformers[torch]>=4.41\"])", "4.41"),
        ("uv.lock", '[[package]]\nname = "transformers"\nversion = "4.57.1"\n', "4.57.1"),
        ("poetry.lock", '[[package]]\nname = "transformers"\nversion = "5.0.0rc1"\n', "5.0.0"),
        ("pyproject.toml", '[project]\ndependencies = ["transformers>=4.39,<6", "torch"]\n', "4.39"),
        ("pyproject.toml", '[project.optional-dependencies]\nx = ["transformers ~= 4.38"]\n', "4.38"),
        ("pyproject.toml", '[dependency-groups]\nx = ["transformers==4.37", {include-group = "y"}]\n', "4.37"),
        ("pyproject.toml", '[tool.poetry.dependencies]\ntransformers = "^4.36"\n', "4.36"),
        ("pyproject.toml", '[tool.poetry.dependencies]\ntransformers = {version = "4.35.2", optional = true}\n', "4.35.2"),
        ("pyproject.toml", '[tool.poetry.group.dev.dependencies]\ntransformers = ">=4.34"\n', "4.34"),
        ("pyproject.toml", "transformers = [", None),
        ("notes.txt", "transformers==4.1\n", None),
    ],
)  # fmt: skip
def test_the_files_that_say_it(tmp_path: Path, name: str, text: str, version: str | None) -> None:
    write(tmp_path / name, text)
    found = target_of(str(tmp_path))
    assert (found and found.version) == version
    assert found is None or found.path == str(tmp_path / name)


def test_a_bound_below_the_first_release_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("transformers>=0.48\n")
    assert target_of(str(tmp_path)) is None
    (tmp_path / "setup.cfg").write_text("transformers>=4.40\n")
    found = target_of(str(tmp_path))
    assert found is not None
    assert found.version == "4.40"


def test_the_lowest_declaration_counts_and_a_lock_only_without_one(tmp_path: Path) -> None:
    write(tmp_path / "uv.lock", 'name = "transformers"\nversion = "4.10.0"\n')
    assert target_of(str(tmp_path)).version == "4.10.0"  # type: ignore[union-attr]
    write(tmp_path / "requirements.txt", "transformers>=4.50\n")
    write(tmp_path / "requirements" / "old.txt", "transformers>=4.9\n")
    assert target_of(str(tmp_path)).version == "4.9"  # type: ignore[union-attr]


def test_the_nearest_folder_counts_within_the_repository(tmp_path: Path) -> None:
    write(tmp_path / "requirements.txt", "transformers==4.1\n")
    write(tmp_path / "repo" / ".git" / "HEAD", "")
    write(tmp_path / "repo" / "a" / "requirements.txt", "transformers==4.2\n")
    targets = Targets()
    assert targets.of(str(tmp_path / "repo" / "a" / "b")).version == "4.2"  # type: ignore[union-attr]
    assert targets.of(str(tmp_path / "repo")) is None
    assert targets.of(str(tmp_path)).version == "4.1"  # type: ignore[union-attr]
