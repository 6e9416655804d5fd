"""`python -m telepathy_lint` and the `telepathy-lint` command."""

from __future__ import annotations

import sys


def main() -> int:
    from telepathy_lint.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
