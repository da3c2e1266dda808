"""Weights in a repository of the Hugging Face hub, through `huggingface_hub` and its cache.

Of a repository only `config.json` and safetensors are fetched, at one commit, without a token. A commit whose files are in the
cache is read without a network; a branch is looked up, and read from the cache where there is no network.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnet_spec._system.packages import require_packages
from resnet_spec.diagnostics import ArgumentError, Diagnostic, ResnetSpecError, WeightsError, printable
from resnet_spec.diagnostics.text import quote_first, shorten
from resnet_spec.weights.download import (
    DownloadError,
    announce,
    check_hash,
    host_of,
    no_network,
    refuse_answer,
    refuse_full_disk,
)
from resnet_spec.weights.file_names import INDEX, TORCH_SUFFIXES
from resnet_spec.weights.hub_config import CONFIG, MOST_CONFIG, read_config
from resnet_spec.weights.origin import PublishedOrigin
from resnet_spec.weights.reading import read_index

SCHEME = "hf"
WEIGHTS = "model.safetensors"
_SHARDED = WEIGHTS + INDEX
_TIMEOUT = 10.0  # seconds without an answer
_COMMIT = re.compile("[0-9a-f]{40}")
_TRANSPORTS = ("requests", "httpx", "httpx2")
_SHA256 = re.compile("[0-9a-f]{64}")
_PURPOSE = "reading weights of the Hugging Face hub"
EXAMPLE = "`hf:timm/resnet50d.ra2_in1k`"


@dataclass(frozen=True, slots=True)
class _Remote:
    """A repository at a commit: its files with their size in bytes and their SHA-256, as far as they are known."""

    commit: str
    files: dict[str, tuple[int | None, str]]
    license: str


def find_hub(
    repo: str, revision: str | None, input: tuple[int, int, int] | None = None
) -> tuple[Path, PublishedOrigin, tuple[str, ...]]:
    """Find the weights of a repository, `org/name`, at a branch, a tag or a commit; download what is missing in the cache.

    Returns:
        The file of weights in the cache, or its index, its origin, and notes.

    Raises:
        ArgumentError: `huggingface_hub` is not installed, or there is no such repository or revision.
        WeightsError: the repository has no safetensors, a file has another hash, or cannot be downloaded.
    """
    require_packages(_PURPOSE, "huggingface_hub")
    from huggingface_hub import constants

    named = f"{SCHEME}:{repo}" + (f"@{revision}" if revision else "")
    fixed = revision is not None and _COMMIT.fullmatch(revision) is not None
    offline = constants.HF_HUB_OFFLINE
    # Other programs fetch the weights alone: then the config is looked up.
    cached = _find_cached(repo, revision, offline) if offline or (fixed and _knows_config(repo, revision)) else None
    notes: tuple[str, ...] = ()
    license = None
    if cached is None:
        try:
            remote = _look_up(repo, revision, named)
        except DownloadError as error:
            cached = _find_cached(repo, revision, True)
            if cached is None:
                raise
            why = error.diagnostics[0].message
            notes = (f"{why}; the weights are those that were downloaded before",)
        else:
            license = remote.license
            cached = _fetch(repo, revision, remote, named)
    if license is None and not _knows_config(repo, cached.parent.name):
        notes = (*notes, f"{CONFIG} is not in the cache, so classes and the preparation of images are not known")
    commit = cached.parent.name
    origin = read_config(cached.parent / CONFIG, f"{SCHEME}:{repo}@{commit}", input, license)
    return cached, origin, notes


def _find_cached(repo: str, revision: str | None, any_name: bool) -> Path | None:
    """The file of weights in the cache, or its index, if all of it is there; hashes are checked.

    With `any_name`, also the only file of safetensors of a commit whose config is there, whatever its name.
    """
    weights = _cached(repo, WEIGHTS, revision)
    if weights is not None:
        _check(weights)
        return weights
    index = _cached(repo, _SHARDED, revision)
    if index is None:
        config = _cached(repo, CONFIG, revision) if any_name else None
        others = [] if config is None else list(config.parent.glob("*.safetensors"))
        if len(others) != 1 or not others[0].is_file():
            return None
        _check(others[0])
        return others[0]
    for shard in _shards(index):
        found = _cached(repo, shard, index.parent.name)
        if found is None:
            return None
        _check(found)
    return index


def _cached(repo: str, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def _knows_config(repo: str, commit: str | None) -> bool:
    """Whether the cache has the config of a commit, or knows that it has none."""
    from huggingface_hub import try_to_load_from_cache

    return try_to_load_from_cache(repo, CONFIG, revision=commit) is not None


def _check(path: Path, sha256: str = "") -> None:
    """Check the hash of a file in the cache, where its content is stored under its hash."""
    stored = path.resolve().name
    if expected := sha256 or (stored if _SHA256.fullmatch(stored) else ""):
        check_hash(path, expected)


def _shards(index: Path) -> list[str]:
    """The files that an index names, which are plain names of safetensors. Raises an error if they are not."""
    names = sorted(set(read_index(index).values()))
    if other := [name for name in names if not name.endswith(".safetensors")]:
        message = f"{printable(str(index))} names `{printable(other[0])}`, which is no file of safetensors"
        raise WeightsError([Diagnostic("not-weights", message, None, help="use another repository")])
    return names


def _look_up(repo: str, revision: str | None, named: str) -> _Remote:
    """Ask the hub for the commit and the files of a revision."""
    from huggingface_hub import HfApi, constants

    with _hub_errors(repo, named):
        info = HfApi(constants.ENDPOINT, token=False).model_info(
            repo, revision=revision, files_metadata=True, timeout=_TIMEOUT, token=False
        )
    if not isinstance(info.sha, str) or not _COMMIT.fullmatch(info.sha):
        raise refuse_answer(constants.ENDPOINT, named, "it names no commit")
    files: dict[str, tuple[int | None, str]] = {}
    for each in info.siblings or ():
        sha256 = each.lfs.sha256 if each.lfs is not None else ""
        files[each.rfilename] = (each.size, sha256 if isinstance(sha256, str) else "")
    license = getattr(info.card_data, "license", None)
    return _Remote(info.sha, files, shorten(license, 80) if isinstance(license, str) else "")


def _fetch(repo: str, revision: str | None, remote: _Remote, named: str) -> Path:
    """Fetch the config and the weights of a repository, as far as they are not in the cache; returns the weights' file."""
    weights = _choose(remote, named)
    if (remote.files.get(CONFIG, (None, ""))[0] or MOST_CONFIG + 1) <= MOST_CONFIG:
        _fetch_file(repo, CONFIG, revision, remote, named)
    path = _fetch_file(repo, weights, revision, remote, named)
    if weights.endswith(INDEX):
        for shard in _shards(path):
            if shard not in remote.files:
                message = f"`{named}` has no {printable(shard)}, which its index names"
                raise WeightsError([Diagnostic("not-weights", message, None, help="use another revision of it")])
            _fetch_file(repo, shard, revision, remote, named)
    return path


def _choose(remote: _Remote, named: str) -> str:
    """The name of the weights among the files of a repository. Raises WeightsError if there are none, or several."""
    found = next((name for name in (WEIGHTS, _SHARDED) if name in remote.files), None)
    if found is not None:
        return found
    others = sorted(name for name in remote.files if name.endswith(".safetensors") and "/" not in name)
    if len(others) == 1:
        return others[0]
    if others:
        message = f"`{named}` has several files of weights, and none is called {WEIGHTS}: {quote_first(others)}"
        help = "download one of them, and name the file: `--weights FILE`"
    else:
        message = f"`{named}` has no safetensors"
        help = "name another repository"
        if pickles := [name for name in remote.files if name.endswith(TORCH_SUFFIXES)]:
            message += f", but {quote_first(sorted(pickles))}; pickles are not fetched, since reading them could run code"
            help = "download the file yourself, and name it: `--weights FILE` reads it with `weights_only`"
    raise WeightsError([Diagnostic("not-weights", message, None, help=help)])


def _fetch_file(repo: str, name: str, revision: str | None, remote: _Remote, named: str) -> Path:
    """A file of the commit in the cache, whose hash is checked; it is downloaded if it is missing there."""
    from huggingface_hub import constants, hf_hub_download, hf_hub_url

    size, sha256 = remote.files[name]
    found = _cached(repo, name, remote.commit)
    fresh = found is None
    if found is None:
        url = hf_hub_url(repo, name, revision=remote.commit, endpoint=constants.ENDPOINT)
        announce(url, name, size)
        refuse_full_disk(Path(constants.HF_HUB_CACHE), name, size, "HF_HOME")
    with _hub_errors(repo, named), _progress():
        # Also where the file is in the cache: this records the commit of a branch, by which it is read without a network.
        found = Path(hf_hub_download(repo, name, revision=revision, token=False, endpoint=constants.ENDPOINT))
    if found.parent.name != remote.commit:
        message = f"`{named}` changed while it was read"
        raise DownloadError([Diagnostic("download-failed", message, None, help="try again")])
    try:
        _check(found, sha256)
    except WeightsError as error:
        if not fresh:
            raise
        content = found.resolve()
        found.unlink(missing_ok=True)
        content.unlink(missing_ok=True)
        help = "try again; if it stays so, something between this machine and the server changes the file"
        message = f"{error.diagnostics[0].message}; it was not kept"
        raise DownloadError([Diagnostic("wrong-hash", message, None, help=help)]) from None
    return found


@contextmanager
def _progress() -> Iterator[None]:
    """Let `huggingface_hub` draw its progress bars on a terminal only."""
    from huggingface_hub import utils

    bars: Any = utils  # which does not declare what it exports
    if sys.stderr.isatty() or bars.are_progress_bars_disabled():
        yield
        return
    bars.disable_progress_bars()
    try:
        yield
    finally:
        bars.enable_progress_bars()


@contextmanager
def _hub_errors(repo: str, named: str) -> Iterator[None]:
    """Convert what `huggingface_hub` raises to our errors."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repo}"
    host = host_of(constants.ENDPOINT)
    elsewhere = f"where there is a network, download config.json and the safetensors of {page} into a folder, and name it"
    yours = "download it with your account, `hf download`, and name the folder: `--weights FOLDER`"
    # The base of what the library that sends requests raises: httpx or requests, by the version of huggingface_hub.
    transport: Any = [each for each in errors.HfHubHTTPError.__mro__ if each.__module__.partition(".")[0] in _TRANSPORTS][-1]
    try:
        yield
    except errors.GatedRepoError:
        message = f"`{named}` is given only to accounts that accepted its terms, and no token is used here"
        raise _unknown(message, f"accept them on {page}; {yours}") from None
    except errors.RepositoryNotFoundError:
        message = f"{host} has no model `{printable(repo)}`, or it is private; no token is used here"
        raise _unknown(message, f"check its name; if it is yours, {yours}") from None
    except errors.RevisionNotFoundError:
        raise _unknown(f"`{SCHEME}:{repo}` has no such revision: {named.partition('@')[2]}", f"{page} lists them") from None
    except errors.HFValidationError as error:
        raise _unknown(f"`{named}` is no name of a repository: {printable(str(error))}", f"for example {EXAMPLE}") from None
    except (errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        if isinstance(error, errors.OfflineModeIsEnabled) or constants.HF_HUB_OFFLINE:
            message = f"`{named}` is not in the cache, and the variable HF_HUB_OFFLINE forbids to look it up on {host}"
            raise DownloadError([Diagnostic("download-failed", message, None, help="unset HF_HUB_OFFLINE")]) from None
        raise no_network(page, error, elsewhere) from None
    except errors.HfHubHTTPError as error:
        raise refuse_answer(page, named, str(error).partition("\n")[0]) from None
    except ResnetSpecError:
        raise
    except (transport, ConnectionError, TimeoutError) as error:
        raise no_network(page, error, elsewhere) from None
    except OSError as error:
        message = f"cannot use {printable(str(error.filename or constants.HF_HUB_CACHE))}: {error.strerror or str(error)}"
        help = "the variable HF_HOME names another folder for the cache"
        raise ArgumentError([Diagnostic("unreadable-file", printable(message), None, help=help)]) from None
    except (ValueError, TypeError, KeyError, AttributeError):  # of an answer that is none of a hub
        raise refuse_answer(
            page, named, "it answers as no hub does; a page to log in to the network may be in between"
        ) from None


def _unknown(message: str, help: str) -> ArgumentError:
    return ArgumentError([Diagnostic("unknown-weights", message, None, help=help)])
