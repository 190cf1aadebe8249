"""Where files are: on this machine or in a store that fsspec knows, one by one, in folders or by a glob."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

from tabwright.errors import DataError, MissingExtraError

PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class Place:
    """One file.

    Parameters
    ----------
    path : str
        As its file system spells it.
    size : int
        Bytes.
    form : str
        Suffix that tells how it is written, ``.csv`` also of ``.csv.gz``; packed Parquet has none.
    packed : str
        Arrow's name of the compression, empty without.
    keys : mapping of str to str
        Values of folders named ``column=value``.
    system : pyarrow.fs.FileSystem
    changed : str
        When it was written, where that is known.
    remote : bool
    """

    path: str
    size: int
    form: str
    packed: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    system: Any = field(default=None, repr=False, compare=False)
    remote: bool = False
    changed: str = ""

    def raw(self) -> Any:
        """The bytes as they are stored."""
        return self.system.open_input_file(self.path)

    def unpacked(self, raw: Any) -> Any:
        """A stream of the bytes as they were before they were packed."""
        import pyarrow as pa

        return pa.CompressedInputStream(raw, self.packed) if self.packed else raw


def absolute(source: str) -> str:
    """The same source, wherever a process works."""
    return source if is_address(source) else str(Path(source).absolute())


def is_address(source: str) -> bool:
    """Whether a text names a store's address rather than a path."""
    scheme = urlparse(source).scheme
    return "://" in source and len(scheme) > 1


def find(source: str, suffixes: Sequence[str]) -> list[Place]:
    """The files that a path, a folder, a glob or an address names, in order of their names.

    Of a folder those whose form is one of ``suffixes`` count, other than hidden ones and those that begin with an
    underscore, which Spark and others write beside.

    Raises
    ------
    DataError
        If there are none, or they are of several forms.
    MissingExtraError
        If the address needs a package that is not installed.
    """
    system, path, remote = _system(source)
    from pyarrow import fs

    if _GLOB & set(path) and system.get_file_info(path).type == fs.FileType.NotFound:
        fixed = path[: min(path.index(c) for c in _GLOB if c in path)].rpartition("/")[0]
        infos = [i for i in _inside(system, fixed or ("" if remote else "/")) if _matches(i.path, path)]
        base = fixed
    else:
        info = system.get_file_info(path)
        if info.type == fs.FileType.File:
            return [_place(info, system, "", remote=remote)]
        infos = _inside(system, path) if info.type == fs.FileType.Directory else []
        base = path
    made = [_place(info, system, base, remote=remote) for info in sorted(infos, key=lambda i: i.path)]
    made = [place for place in made if place.form in suffixes]
    if not made:
        raise DataError(f"there are no files in {source!r}", f"name a folder or a glob of {', '.join(suffixes)}")
    forms = sorted({place.form for place in made})
    if len(forms) > 1:
        raise DataError(f"{source!r} holds files of several forms: {', '.join(forms)}",
                        f"name one form by a glob, as in {source.rstrip('/')}/*{forms[0]}")  # fmt: skip
    return made


def _matches(path: str, glob: str) -> bool:
    """Whether a path is one of a glob's: ``*`` stays within a folder, ``**`` stands for any number of them."""
    if "**" in glob:
        return fnmatch.fnmatchcase(path, glob.replace("/**/", "/*").replace("**", "*"))
    parts, patterns = path.split("/"), glob.split("/")
    return len(parts) == len(patterns) and all(map(fnmatch.fnmatchcase, parts, patterns))


def _system(source: str) -> tuple[Any, str, bool]:
    """The file system of a source, and its path there."""
    from pyarrow import fs

    scheme = urlparse(source).scheme
    if not is_address(source) or scheme == "file":
        plain = unquote(urlparse(source).path) if scheme == "file" else source
        path = str(Path(plain).expanduser().absolute())
        return fs.LocalFileSystem(), path, False
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("fsspec", "remote") from None
    try:
        system, path = fsspec.core.url_to_fs(source)
    except ImportError as error:
        package = str(getattr(error.__cause__, "name", None) or error)
        raise DataError(f"addresses that start with {scheme}:// need {package}", f"pip install {package}") from None
    except ValueError:
        known = "name a file, or an address that starts with s3://, gs:// or abfs://"
        raise DataError(f"addresses that start with {scheme}:// can't be read", known) from None
    except OSError as error:
        raise DataError(f"{source} can't be read: {error}", "check the address and the connection") from None
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path, True


def _inside(system: Any, folder: str) -> list[Any]:
    from pyarrow import fs

    found = system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
    depth = len(PurePosixPath(folder).parts)
    return [
        info for info in found if info.type == fs.FileType.File
        and not any(part.startswith((".", "_")) for part in PurePosixPath(info.path).parts[depth:])
    ]  # fmt: skip


def _place(info: Any, system: Any, base: str, *, remote: bool) -> Place:
    path = PurePosixPath(info.path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = PACKED.get(suffixes[-1], "") if suffixes else ""
    form = (suffixes[-2] if len(suffixes) > 1 else "") if packed else (suffixes[-1] if suffixes else "")
    if packed and form not in (".csv", ".tsv", ".txt", ".tab"):
        form = suffixes[-1]  # read as a whole
    inside = path.parts[len(PurePosixPath(base).parts) : -1] if base else ()
    keys = dict(part.split("=", 1) for part in inside if "=" in part)
    named = {name: unquote(value) for name, value in keys.items()}
    changed = "" if info.mtime is None else str(info.mtime_ns)
    return Place(info.path, int(info.size or 0), form, packed, named, system, remote, changed)
