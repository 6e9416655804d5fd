"""Writes files atomically: after an interruption, a file has either its old or its new content, never a part of it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import FileIO

from telepathy_lint.discovery.walk import read_bytes

#: Errors from file systems that do not support syncing.
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS})


#: The name of a temporary file with new content; useless once the run that writes it has ended.
_UNFINISHED = r"\.telepathy-lint-[0-9a-f]{12}\.tmp"


class WriteRefusedError(Exception):
    """The file was not changed; the message says why."""


def write_back(path: str, data: bytes, expected: bytes) -> None:
    """Replace a file's content, keeping its mode, owner, extended attributes, and links to it.

    Raises:
        WriteRefusedError: the file has changed since it was read (`expected`), or cannot be written.
    """
    target = os.path.realpath(path)
    try:
        if read_bytes(target) != expected:
            raise WriteRefusedError(
                "not fixed: the file was changed by another program during the run; run again"
            )
        if not os.access(target, os.W_OK):
            raise WriteRefusedError("not fixed: the file is not writable")
        if not _replace(target, data):
            _overwrite(target, data, expected)
    except OSError as error:
        raise WriteRefusedError(f"not fixed: the file cannot be written: {error.strerror}") from error


def _replace(target: str, data: bytes) -> bool:
    """Replace the file with a new one. Return False if this would lose something that overwriting it would keep."""
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
                file.close()  # Windows cannot rename an open file
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
    """Create a private temporary file in the same folder, locked while it is open. Its name is not that of a code file."""
    while True:
        path = os.path.join(os.path.dirname(target), f".telepathy-lint-{os.urandom(6).hex()}.{ending}")
        file = FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        if _lock(file) is not False and os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another run removed it as a leftover before it was locked


def _lock(file: FileIO) -> bool | None:
    """Lock the file while it is open. Return False if another process has locked it, None if locks are not supported."""
    try:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def remove_leftovers(paths: Iterable[str]) -> None:
    """Remove temporary files of killed runs from the folders of these files."""
    for folder in {os.path.dirname(os.path.realpath(path)) for path in paths}:
        with suppress(OSError):
            for name in os.listdir(folder):
                if re.fullmatch(_UNFINISHED, name):
                    _remove_unused(os.path.join(folder, name))


def _remove_unused(path: str) -> None:
    """Remove a temporary file that no other run has open."""
    with suppress(OSError):
        # Do not follow links or wait for pipes: anything could have such a name.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with FileIO(os.open(path, flags), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and _lock(file):
                os.unlink(path)


def _write(file: FileIO, data: bytes) -> None:
    """Write all of the data and sync it to disk."""
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
    """Copy owner, mode and extended attributes to the new file. Return False if the owner cannot be kept."""
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
                with suppress(OSError):  # some, such as security labels, can only be set by the system
                    os.setxattr(temporary, attribute, os.getxattr(target, attribute))
    return True


def _overwrite(target: str, data: bytes, before: bytes) -> None:
    """Overwrite the file in place, because it may have several hard links. Keep a copy of the old content until done."""
    copy = _saved(target, before)
    try:
        with FileIO(target, "r+b") as file:
            try:
                _write(file, data)
            except BaseException:
                file.seek(0)
                _write(file, before)  # there is space for it: it was there before
                raise
    finally:
        if copy is not None and read_bytes(target) in (data, before):
            os.unlink(copy)


def _saved(target: str, data: bytes) -> str | None:
    """Save a copy in the same folder and return its path; None if no file can be created there.

    If the run is killed, the copy may be the only good version of the file, so it is not removed automatically.
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
