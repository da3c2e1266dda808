"""`check --watch`: checks again whenever a file that was checked, or one that it extends, changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import click

from resnet_spec._system.packages import require_packages
from resnet_spec.cli.common import find_target
from resnet_spec.cli.inputs import Inputs
from resnet_spec.diagnostics import ResnetSpecError
from resnet_spec.diagnostics.text import count_text
from resnet_spec.language.document_kinds import find_kind
from resnet_spec.language.extends import Location, list_extended
from resnet_spec.language.files import SUFFIXES
from resnet_spec.language.library import is_file

PAUSE = 1000  # milliseconds after which folders are compared, in case a change came while they were not watched

Snapshot = dict[str, tuple[int, int, int]]  # of each YAML file: inode, time of change, size; of a folder: zeros


def keep_checking(check_all: Callable[[], Inputs], base: str | None, spec_root: str | None) -> NoReturn:
    """Check, and check again after each change, until the process is interrupted.

    Args:
        base: the spec of `--on`, which is watched as well.
    """
    require_packages("--watch", "watchfiles")
    from watchfiles import watch

    before: dict[str, Snapshot] = {}
    while True:
        seen = {folder: take_snapshot(folder) for folder in before}
        inputs = check_all()
        names = (*inputs.names, *([base] if base is not None else []))
        folders = sorted(find_folders(names, inputs.folders, spec_root))
        if not folders:
            raise click.UsageError("--watch needs a file or a folder of yours; shipped specs do not change")
        before = {folder: seen[folder] if folder in seen else take_snapshot(folder) for folder in folders}
        click.echo(f"watching {count_text(len(folders), 'folder')}; Ctrl-C ends\n", err=True)
        changes = watch(*folders, watch_filter=_concerns_specs, recursive=False, rust_timeout=PAUSE, yield_on_timeout=True)
        try:
            for change in changes:
                if change or any(take_snapshot(folder) != before[folder] for folder in folders):
                    break
        except (OSError, RuntimeError) as error:  # a folder is gone, or the system watches no more of them
            raise click.ClickException(f"cannot watch the folders: {error}") from None
        finally:
            changes.close()


def find_folders(names: Iterable[str], searched: Iterable[str], spec_root: str | None) -> set[str]:
    """The folders whose files decide the results: those that were searched, those of the files, and of what they extend."""
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if not is_file(path):
            files += [path] if name.endswith(SUFFIXES) else []  # it may be written later
            continue
        files.append(path)
        try:
            target = find_target(name, None, spec_root)
        except ResnetSpecError:
            continue
        location = None if target.folder is None else Location(target.folder, target.root)
        files += list_extended(target.source, find_kind(target.source.text) or "spec", location)
    folders = {os.path.realpath(folder) for folder in (*searched, *(str(file.parent) for file in files))}
    return {folder for folder in folders if os.path.isdir(folder)}


def take_snapshot(folder: str) -> Snapshot:
    """The state of the YAML files in a folder, and the names of its folders."""
    found: Snapshot = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIXES):
                    status = entry.stat()
                    found[entry.name] = (status.st_ino, status.st_mtime_ns, status.st_size)
                elif entry.is_dir(follow_symlinks=False):
                    found[entry.name] = (0, 0, 0)
    except OSError:  # it is gone, or one of its files is: another state, too
        found[""] = (0, 0, 0)
    return found


def _concerns_specs(_: object, path: str) -> bool:
    return path.endswith(SUFFIXES) or os.path.isdir(path)
