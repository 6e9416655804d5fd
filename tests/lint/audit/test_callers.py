"""A file is read again for its calls only if an import of the module stands in its bytes, in whichever way it is written."""

from __future__ import annotations

import pytest

from telepathy_lint.audit.callers import MayCall
from telepathy_lint.audit.data import Wanted

WANTED = [Wanted("models/hub.py", "fetch", "model_id", 0)]


@pytest.mark.parametrize(
    "code",
    [
        "from models.hub import fetch\nfetch('gpt2')\n",
        "import models.hub as m\nm.fetch('gpt2')\n",
        "from models import (\n    saving,  # (old)\n    hub,\n)\nhub.fetch('gpt2')\n",
        "from models import saving, \\\n    hub\nhub.fetch('gpt2')\n",
        "from models.hub \\\n    import fetch\nfetch('gpt2')\n",
        "try: import hub\nexcept ImportError: pass\nhub.fetch('gpt2')\n",
        "import os\r\nfrom models.hub import fetch\r\nfetch('gpt2')\r\n",
    ],
)
def test_an_import_of_the_module_is_seen(code: str) -> None:
    assert MayCall(WANTED)("run.py", code.encode())


@pytest.mark.parametrize(
    "code",
    [
        "import os\nprint('hub')\nfetch('gpt2')\n",  # the module's name is no import
        "from models import (saving)\nhub.fetch('gpt2')\n",
        "from models.hub import save\n",  # the function is not named
    ],
)
def test_another_file_is_not_read_again(code: str) -> None:
    assert not MayCall(WANTED)("run.py", code.encode())


def test_the_file_of_the_function_is_not_read_again() -> None:
    code = b"import models.hub\nfetch('gpt2')\n"
    assert not MayCall(WANTED)("models/hub.py", code)
    assert not MayCall(WANTED)("README.md", code)
