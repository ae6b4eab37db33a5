"""The files of an index: one that holds it, and a manifest that says which it is. The manifest's rename counts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from cbmir.errors import IndexUnusable
from cbmir.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT = 1
MANIFEST = "index.json"
WRITTEN = "index.tmp"
"""What is being written, until it is whole."""


class Snapshots:
    """The last snapshot of an index in a directory, whole or none."""

    def __init__(self, directory: Path, identity: dict[str, object]) -> None:
        """Take the directory, and what must be equal for a snapshot to be of use."""
        self._directory = directory
        self._identity = {"format": FORMAT, **identity}

    def in_place_of(self, other: Snapshots) -> Snapshots:
        """Return these snapshots in the directory of others."""
        moved = Snapshots(other._directory, {})
        moved._identity = self._identity
        return moved

    def write(self, save: Callable[[Path], tuple[dict[str, object], int]]) -> None:
        """Put what `save` writes to a path in place of the last snapshot.

        It returns facts for the manifest, and the length that the file should have.

        Raises
        ------
        OSError
            The volume is full or read-only; the earlier snapshot is still good.

        """
        written = self._directory / WRITTEN
        _make_private(written)
        facts, size = save(written)
        # hnswlib does not notice a full disk
        if written.stat().st_size != size:
            written.unlink()
            raise OSError("the snapshot is shorter than the index: is the volume full?")
        reach("snapshot-written")
        sha256 = _sha256(written)
        final = self._directory / f"index-{sha256[:12]}.bin"
        _sync(written)
        written.rename(final)
        reach("snapshot-renamed")
        manifest = self._directory / f"{MANIFEST}.tmp"
        _make_private(manifest)
        content = {"file": final.name, "sha256": sha256, **facts, **self._identity}
        manifest.write_text(json.dumps(content, indent=1), encoding="utf-8")
        _sync(manifest)
        reach("manifest-written")
        manifest.rename(self._directory / MANIFEST)
        reach("manifest-renamed")
        _sync(self._directory)
        for other in self._directory.glob("index-*.bin"):
            if other != final:
                other.unlink()

    def read(self) -> tuple[Path, dict[str, Any]]:
        """Return the file of the last snapshot and the facts in its manifest. Raises IndexUnusable if not as it was."""
        try:
            facts = json.loads((self._directory / MANIFEST).read_text(encoding="utf-8"))
            path = self._directory / str(facts["file"])
            if {key: facts.get(key) for key in self._identity} != self._identity:
                raise IndexUnusable("the snapshot is of another model or version")
            if path.parent != self._directory or path.is_symlink() or _sha256(path) != facts["sha256"]:
                raise IndexUnusable("the snapshot is not the file its manifest describes")
        except FileNotFoundError:
            raise IndexUnusable("there is no snapshot") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise unreadable(error) from None
        return path, facts

    def remove(self) -> None:
        """Remove the last snapshot; on a disk that has become read-only, the next start does it."""
        for file in (self._directory / MANIFEST, *self._directory.glob("index-*.bin")):
            with contextlib.suppress(OSError):
                file.unlink()


def unreadable(error: Exception) -> IndexUnusable:
    """Return what is raised for a manifest whose content makes no sense."""
    return IndexUnusable(f"the snapshot's manifest cannot be read ({type(error).__name__})")


def _make_private(path: Path) -> None:
    """Make an empty file that nobody else can read, in place of one that may be there."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Have the disk hold the file, or the directory's entries, before what comes next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
