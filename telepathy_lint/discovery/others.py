"""Names of folders with the code of other projects."""

from __future__ import annotations

#: Folders that occur in copies of libraries; only folders with one of them are examined further.
OF_COPIES = frozenset({"src", "transformers", "peft", "trl"})
#: Folders in which each distribution is one of another project.
THIRD_PARTY = frozenset({"third_party", "third-party", "3rdparty", "thirdparty", "vendor", "vendored"})
