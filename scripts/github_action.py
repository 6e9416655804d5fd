"""The steps of the GitHub action (`action.yml`): `github_action.py prepare|install|lint|conclude`.

Inputs come in environment variables, so that no shell reads them. Outputs go where GitHub says: `GITHUB_OUTPUT` and
`GITHUB_STEP_SUMMARY`. The standard library is enough.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

FORMATS = {"annotations": "github", "sarif": "sarif"}
FAIL_ON = ("findings", "errors", "never")
NOTHING_FOUND, FOUND, FAILED = 0, 1, 2
_VERSION = r"\d+(?:\.\d+)*(?:(?:a|b|rc|\.post|\.dev)\d+)*"
_RANGE = rf"(?:==|~=|!=|<=|>=|<|>)\s*{_VERSION}"
_ANNOTATION = re.compile(r"^(::error title=telepathy-lint \((\w+)\),file=)([^,]*)(,.*?::)(.*)$")


class RefusedError(Exception):
    """An input or an environment that cannot work; the message says what to do."""


class Finding(NamedTuple):
    code: str
    #: `path:line:column: CODE message`
    text: str


def main(arguments: list[str]) -> int:
    steps: dict[str, Callable[[Mapping[str, str]], int]] = {
        "prepare": prepare,
        "install": install,
        "lint": lint,
        "conclude": conclude,
    }
    if len(arguments) != 1 or arguments[0] not in steps:
        print(f"usage: github_action.py {'|'.join(steps)}", file=sys.stderr)
        return FAILED
    try:
        return steps[arguments[0]](os.environ)
    except RefusedError as error:
        annotate(str(error))
        return FAILED


# ---- the steps


def prepare(environment: Mapping[str, str]) -> int:
    """Refuse inputs that cannot work, and say what the caches are called."""
    one_of("format", environment["INPUT_FORMAT"], tuple(FORMATS))
    one_of("fail-on", environment["INPUT_FAIL_ON"], FAIL_ON)
    one_of("cache", environment["INPUT_CACHE"], ("true", "false"))
    requirement(environment)
    folder = working_folder(environment)
    pip_cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=False
    ).stdout.strip()
    output(
        environment,
        {
            "pip-cache": pip_cache or str(Path(environment["RUNNER_TEMP"]) / "telepathy-lint-pip"),
            "results-cache": str(folder / ".telepathy_lint_cache"),
            "installs": installs(environment),
        },
    )
    return 0


def install(environment: Mapping[str, str]) -> int:
    """Install the linter into an environment of its own: the job's packages stay as they are.

    A second use in the same job finds the environment and takes it.
    """
    folder, wanted = virtual_environment(environment), requirement(environment)
    python, installed = environment_python(environment), folder / "installed.txt"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=False).returncode:
            raise RefusedError(f"{sys.executable} -m venv failed; choose another python-version")
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted]
        if subprocess.run(command, check=False).returncode:
            raise RefusedError(f"pip could not install {wanted}; its message is above")
        installed.write_text(wanted, encoding="utf-8")
    return subprocess.run([python, "-m", "telepathy_lint", "--version"], check=False).returncode


def lint(environment: Mapping[str, str]) -> int:
    """Run the linter and report. The step succeeds whatever was found; `conclude` decides."""
    chosen = environment["INPUT_FORMAT"]
    folder = working_folder(environment)
    report = Path(environment["RUNNER_TEMP"]) / (
        "telepathy-lint.sarif" if chosen == "sarif" else "telepathy-lint.txt"
    )
    report.unlink(missing_ok=True)
    command = [environment_python(environment), "-m", "telepathy_lint", "check"]
    command += split("src", environment["INPUT_SRC"]) or ["."]
    command += split("args", environment["INPUT_ARGS"])
    if environment["INPUT_CONFIG"]:
        command += ["--config", environment["INPUT_CONFIG"]]
    if environment["INPUT_CACHE"] == "true":
        command += ["--cache-dir", environment["RESULTS_CACHE"]]
    else:
        command += ["--no-cache"]
    # Last: these win over the same options in `args`.
    command += ["--output-format", FORMATS[chosen], "--output-file", str(report)]
    print(f"[command]{shlex.join(command)}", flush=True)
    code = subprocess.run(command, cwd=folder, check=False).returncode
    output(environment, {"exit-code": str(code)})
    if not report.exists():  # the options or the configuration were refused: there is nothing to show
        if code in (NOTHING_FOUND, FOUND):
            raise RefusedError(
                f"telepathy-lint returned {code} and wrote no report; leave out options that replace it"
            )
        return 0
    above = prefix(folder, environment)
    text = report.read_text(encoding="utf-8")
    found, text = of_sarif(text, above) if chosen == "sarif" else of_annotations(text, above)
    report.write_text(text, encoding="utf-8", newline="\n")
    if chosen == "sarif":
        print("".join(f"{each.text}\n" for each in found), end="")
    else:
        print(text, end="")
    output(environment, {"findings": str(len(found)), "report": str(report)})
    summarize(environment, found, code)
    return 0


def conclude(environment: Mapping[str, str]) -> int:
    """Fail as `fail-on` says."""
    code, fail_on = int(environment["EXIT_CODE"]), environment["INPUT_FAIL_ON"]
    if code not in (NOTHING_FOUND, FOUND):
        annotate(f"telepathy-lint returned {code}: something could not be processed; the log says what")
    if code == FOUND:
        return FOUND if fail_on == "findings" else 0
    if code == FAILED:
        return 0 if fail_on == "never" else FAILED
    return code  # a crash or a kill is never forgiven


# ---- what is installed, and where


def requirement(environment: Mapping[str, str]) -> str:
    """What pip is told to install."""
    wanted = environment["INPUT_VERSION"].strip()
    if not wanted:
        return environment["GITHUB_ACTION_PATH"]
    if wanted == "latest":
        return "telepathy-lint"
    if re.fullmatch(_VERSION, wanted):
        return f"telepathy-lint=={wanted}"
    if re.fullmatch(rf"{_RANGE}(?:\s*,\s*{_RANGE})*", wanted):
        return f"telepathy-lint{wanted}"
    raise RefusedError(
        f"version is {wanted!r}; write a version (0.1.0), a range (>=0.1,<0.2), latest, or nothing"
    )


def installs(environment: Mapping[str, str]) -> str:
    """A short name of what is installed, for the names of the caches."""
    wanted = requirement(environment)
    if wanted == environment["GITHUB_ACTION_PATH"]:
        version = Path(wanted, "telepathy_lint", "_version.py").read_bytes()
        return hashlib.sha256(version + Path(wanted, "pyproject.toml").read_bytes()).hexdigest()[:16]
    return hashlib.sha256(wanted.encode()).hexdigest()[:16]


def virtual_environment(environment: Mapping[str, str]) -> Path:
    return Path(environment["RUNNER_TEMP"]) / "telepathy-lint-venv"


def environment_python(environment: Mapping[str, str]) -> str:
    folder = virtual_environment(environment)
    return str(folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python")


def working_folder(environment: Mapping[str, str]) -> Path:
    workspace = Path(environment["GITHUB_WORKSPACE"]).resolve()
    folder = (workspace / (environment["INPUT_WORKING_DIRECTORY"] or ".")).resolve()
    if not folder.is_dir():
        raise RefusedError(
            f"working-directory is {environment['INPUT_WORKING_DIRECTORY']!r}, and the repository has no such "
            "folder; check it out first (actions/checkout)"
        )
    return folder


def prefix(folder: Path, environment: Mapping[str, str]) -> str:
    """What stands before a path of the report to make it relative to the repository."""
    workspace = Path(environment["GITHUB_WORKSPACE"]).resolve()
    if folder == workspace or not folder.is_relative_to(workspace):
        return ""
    return folder.relative_to(workspace).as_posix() + "/"


# ---- reports


def of_annotations(text: str, above: str) -> tuple[list[Finding], str]:
    """The findings, and the annotations with paths relative to the repository."""
    found, lines = [], []
    for line in text.splitlines():
        match = _ANNOTATION.match(line)
        if match is None:
            lines.append(line)
            continue
        head, code, path, properties, message = match.groups()
        if os.name == "nt":
            path = path.replace("\\", "/")
        if not path.startswith("/"):
            path = above.replace("%", "%25").replace(":", "%3A").replace(",", "%2C") + path
            message = above.replace("%", "%25") + message
        lines.append(f"{head}{path}{properties}{message}")
        found.append(Finding(code, message))
    return found, "".join(f"{line}\n" for line in lines)


def of_sarif(text: str, above: str) -> tuple[list[Finding], str]:
    """The findings, and the report with paths relative to the repository."""
    document = json.loads(text)
    if above:
        _relocate(document, quote(above))
    found = []
    for run in document["runs"]:
        for result in run["results"]:
            place = result["locations"][0]["physicalLocation"]
            region = place["region"]
            where = f"{place['artifactLocation']['uri']}:{region['startLine']}:{region.get('startColumn', 1)}"
            found.append(
                Finding(result["ruleId"], f"{where}: {result['ruleId']} {result['message']['text']}")
            )
    return found, json.dumps(document, indent=2) + "\n"


def _relocate(node: Any, above: str) -> None:
    if isinstance(node, dict):
        uri = node.get("artifactLocation", {}).get("uri")
        if uri is not None and not uri.startswith("file:"):
            node["artifactLocation"]["uri"] = above + uri
        for value in node.values():
            _relocate(value, above)
    elif isinstance(node, list):
        for value in node:
            _relocate(value, above)


def summarize(environment: Mapping[str, str], found: list[Finding], code: int) -> None:
    """The job's summary: how many findings of which rule."""
    lines = ["### telepathy-lint", ""]
    if not found:
        lines.append("Nothing found." if code == NOTHING_FOUND else f"The linter returned {code}.")
    else:
        lines += [
            f"{len(found)} finding{'s' if len(found) > 1 else ''}.",
            "",
            "| rule | findings |",
            "| --- | ---: |",
        ]
        lines += [
            f"| {rule} | {number} |" for rule, number in sorted(Counter(each.code for each in found).items())
        ]
    with open(environment["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


# ---- what GitHub gives and takes


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RefusedError(f"{name} is {value!r}; write one of {', '.join(allowed)}")


def split(name: str, value: str) -> list[str]:
    """The words of an input, read as a shell would, without expansions."""
    try:
        return shlex.split(value)
    except ValueError as error:
        what = str(error).replace("No closing quotation", "a quote is not closed")
        raise RefusedError(f"{name} is {value!r}: {what}") from None


def output(environment: Mapping[str, str], values: Mapping[str, str]) -> None:
    with open(environment["GITHUB_OUTPUT"], "a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())


def annotate(message: str) -> None:
    """Show a message on the run's page."""
    print("::error title=telepathy-lint::" + message.replace("%", "%25").replace("\n", "%0A"), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
