"""The HTML page in a browser: nothing is wider than the window, narrow or wide."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.audit.facts import audit
from telepathy_lint.audit.html import html
from telepathy_lint.audit.report import report
from telepathy_lint.discovery.config import Configs

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

LONG = "a_folder_with_quite_a_long_name/another_folder_with_quite_a_long_name"
BODY = (
    "import os\nimport torch\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n"
    "os.environ['HF_HOME'] = '/scratch/" + "long" * 30 + "'\n"
    "a = AutoModelForCausalLM.from_pretrained('meta-llama/Llama-3.1-8B', torch_dtype=torch.float16, device_map='auto')\n"
    "b = AutoModelForCausalLM.from_pretrained('an-organisation/" + "a-model-with-a-long-name-" * 3 + "7b')\n"
    "t = AutoTokenizer.from_pretrained('meta-llama/Llama-3.1-8B')\na.generate(x)\n"
    "LAYERS = {'Qwen/Qwen2.5-7B': 32, 'meta-llama/Llama-3.1-8B': 32}\nBATCH_SIZE = {'Qwen/Qwen2.5-7B': 4000}\n"
)
#: Opens what can be opened, presses the first copy button, and writes down what it sees.
LOOK = """<script>
for (const each of document.querySelectorAll("details")) each.open = true;
const button = document.querySelector(".copy"), root = document.documentElement;
button.click();
setTimeout(() => {
  const wide = [...document.querySelectorAll("main *")].filter(each => !each.closest(".scroll, option") &&
    each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 200));
  const look = {window: innerWidth, content: root.scrollWidth, wide, button: button.textContent,
    ground: getComputedStyle(document.body).backgroundColor};
  root.dataset.look = JSON.stringify(look);
}, 300);
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("jinja2")
    folder = tmp_path_factory.mktemp("page")
    for number in range(20):
        path = folder / "lab" / LONG / f"{number}" / "training_script_of_the_main_experiment.py"
        path.parent.mkdir(parents=True)
        path.write_text(BODY + ("a.save_pretrained('x')\n" if number % 2 else ""))
    text = html(report(audit(str(folder / "lab"), Configs(isolated=True), "H100-80GB", jobs=1)))
    (folder / "audit.html").write_text(text.replace("</body>", LOOK), encoding="utf-8")
    return folder / "audit.html"


def seen(page: Path, profile: Path, width: int, *options: str) -> dict[str, Any]:
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", f"--window-size={width},2000", "--virtual-time-budget=5000", *options, "--dump-dom", f"file://{page}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    look = re.search(r'data-look="([^"]*)"', done.stdout)
    assert look is not None, done.stdout[:500]
    found: dict[str, Any] = json.loads(unescape(look.group(1)))
    return found


@pytest.mark.parametrize("width", [500, 1400])
def test_nothing_is_wider_than_the_window(page: Path, tmp_path: Path, width: int) -> None:
    found = seen(page, tmp_path / "profile", width)
    assert found["window"] == width
    assert found["content"] <= found["window"], found["wide"]
    assert found["wide"] == []
    assert found["button"] in ("Copied", "Selected")


def test_dark_and_light_differ(page: Path, tmp_path: Path) -> None:
    light = seen(page, tmp_path / "light", 1400)
    dark = seen(page, tmp_path / "dark", 1400, "--blink-settings=preferredColorScheme=0")
    assert (light["ground"], dark["ground"]) == ("rgb(255, 255, 255)", "rgb(20, 23, 28)")
