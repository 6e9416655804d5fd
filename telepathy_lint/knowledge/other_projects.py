"""Names of folders with the code of other projects."""

from __future__ import annotations

#: Folders that occur in copies of libraries; only folders with one of them are examined further.
OF_COPIES = frozenset({"src", "transformers", "peft", "trl"})
#: Folders in which each distribution is one of another project.
THIRD_PARTY = frozenset({"third_party", "third-party", "3rdparty", "thirdparty", "vendor", "vendored"})
#: Folders in which each folder with a README or a distribution is another project, as a pattern.
OF_OTHERS = r"(?i)(?:third[-_ ]?part(?:y|ies)|3rd[-_ ]?party|vendor(?:s|ed)?|externals?|extern|submodules?)(?:[-_](?:libs?|code|repos?|src))?"
#: How all of these names begin.
OF_OTHERS_BEGIN = ("third", "3rd", "vendor", "extern", "submodule")
#: How the names of folders end that GitHub's archives of other repositories unpack to.
OF_ARCHIVES = ("-main", "-master")
#: Documents that say what a folder holds.
READMES = ("README.md", "readme.md", "Readme.md", "README.rst")
#: Files with which a project begins.
BEGINNINGS = (*READMES, "pyproject.toml", "setup.py")
