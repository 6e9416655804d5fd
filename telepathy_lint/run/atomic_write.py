"""Writing a file back in one step: whatever happens meanwhile, there is the old content or the new one, and never half."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO

from telepathy_lint.discovery.walk import read_bytes

#: What file systems answer that have nothing to do with disks.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


#: A new content on its way into a file; worth nothing to anybody once the run that writes it is gone.
_UNFINISHED = r"\.telepathy-lint-[0-9a-f]{12}\.tmp"


class WriteRefusedError(Exception):
    """The file was left as it is; says why."""


def write_back(path: str, data: bytes, expected: bytes) -> None:
    """Replace a file's content, keeping its mode, owner, extended attributes, and links to it.

    Raises:
        WriteRefusedError: the file is no longer what was read (`expected`), or may not be written.
    """
    target = os.path.realpath(path)
    try:
        if read_bytes(target) != expected:
            raise WriteRefusedError(
                "was changed by something else since it was read, so it is not fixed; run again"
            )
        if not os.access(target, os.W_OK):
            raise WriteRefusedError("is not writable, so it is not fixed")
        if not _replace(target, data):
            _overwrite(target, data, expected)
    except OSError as error:
        raise WriteRefusedError(f"cannot be written, so it is not fixed: {error.strerror}") from error


def _replace(target: str, data: bytes) -> bool:
    """By a new file in its place; False where that would lose something that writing into the old one keeps."""
    before = os.stat(target)
    if before.st_nlink > 1 or not stat.S_ISREG(before.st_mode):
        return False
    try:
        temporary, file = _beside(target, "tmp")
    except OSError:
        return False
    try:
        with file:
            _write(file, data)
            if os.name == "nt":
                file.close()  # an open file takes nobody's place there
            if not _take_over(target, temporary, before):
                os.unlink(temporary)
                return False
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return True


def _beside(target: str, ending: str) -> tuple[str, FileIO]:
    """A new file in the same folder, which nobody else may read, and nobody takes for code; locked while it is open."""
    while True:
        path = os.path.join(os.path.dirname(target), f".telepathy-lint-{os.urandom(6).hex()}.{ending}")
        file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another run took it for a leftover before it was locked


def _lock(file: FileIO) -> bool | None:
    """Say that the file is in use, as long as it is open: whether nobody else says so, None where nobody can."""
    try:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def remove_leftovers(paths: Iterable[str]) -> None:
    """Remove what runs that were killed left unfinished in the folders of these files."""
    for folder in {os.path.dirname(os.path.realpath(path)) for path in paths}:
        with suppress(OSError):
            for name in os.listdir(folder):
                if re.fullmatch(_UNFINISHED, name):
                    _remove_unused(os.path.join(folder, name))


def _remove_unused(path: str) -> None:
    """Remove a file of ours that no living run holds open."""
    with suppress(OSError):
        # Through no link, and waiting for no pipe: a name proves little.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with FileIO(os.open(path, flags), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and _lock(file):
                os.unlink(path)


def _write(file: FileIO, data: bytes) -> None:
    """All of the data, down to the disk."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    file.truncate(len(data))
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _take_over(target: str, temporary: str, before: os.stat_result) -> bool:
    """Owner, mode and extended attributes onto the new file; False where the owner cannot be kept."""
    new = os.stat(temporary)
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(temporary, before.st_uid, before.st_gid)
        except OSError:
            return False
    os.chmod(temporary, stat.S_IMODE(before.st_mode))
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for attribute in os.listxattr(target):
                with suppress(OSError):  # some, such as security labels, are the system's to set
                    os.setxattr(temporary, attribute, os.getxattr(target, attribute))
    return True


def _overwrite(target: str, data: bytes, before: bytes) -> None:
    """Into the file itself, which other names may have; its old content lies beside it until the new one is whole."""
    copy = _saved(target, before)
    try:
        with FileIO(target, "r+b") as file:
            try:
                _write(file, data)
            except BaseException:
                file.seek(0)
                _write(file, before)  # where it was, there is room for it
                raise
    finally:
        if copy is not None and read_bytes(target) in (data, before):
            os.unlink(copy)


def _saved(target: str, data: bytes) -> str | None:
    """The path of a copy in the same folder; None where nothing can be made there.

    If the run is killed it may be all that is left of the file: it stays until somebody looks at it.
    """
    try:
        path, file = _beside(target, "old")
    except OSError:
        return None
    try:
        with file:
            _write(file, data)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise
    return path
