"""Gather the root file system of the image: `root.py FOLDER`.

Python, `/app` and the libraries that they load, certificates, and who Debian's part of it is from;
no shell, no package manager. Runs in the base, with `/app` complete.
"""

import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

# Parts of the standard library that only people at a keyboard, or Python's own build, use.
_NOT_RUN = shutil.ignore_patterns(
    *("site-packages", "dist-packages", "ensurepip", "idlelib", "pydoc_data", "test", "tests"),
    *("tkinter", "turtle*", "config-*", "_pyrepl", "curses", "_curses*", "readline*"),
    *("dbm", "_dbm*", "_gdbm*", "sqlite3", "_sqlite3*", "_tkinter*", "_test*", "*.a"),
)
_DATA = (
    *("etc/group", "etc/ld.so.cache", "etc/localtime", "etc/nsswitch.conf", "etc/passwd"),
    *("etc/os-release", "etc/protocols", "etc/services", "usr/lib/locale/C.utf8"),
    *("usr/lib/os-release", "usr/lib/ssl", "usr/share/ca-certificates", "usr/share/zoneinfo"),
)
_FOLDERS = {"dev": 0o755, "mnt": 0o755, "proc": 0o555, "run": 0o755, "sys": 0o555, "tmp": 0o1777}
_LINKED = re.compile(r"(/\S+) \(0x")  # how ldd names a library that was found
_STANDARD = Path(sysconfig.get_path("stdlib"))
_APP = Path("/app")


def programs() -> Iterator[Path]:
    """Yield Python by each of its names, up to the file itself."""
    path = _APP / "bin/python"
    while path.is_symlink():
        path = path.parent / path.readlink()
        yield path


def libraries(standard: Path) -> set[Path]:
    """Return what the loader maps for Python and for every module in C."""
    modules = [Path(sys.executable).resolve(), *standard.rglob("*.so"), *_APP.rglob("*.so*")]
    told = subprocess.run(["ldd", *modules], check=True, capture_output=True, text=True).stdout  # noqa: S603, S607 - of the base
    found = {Path(name) for name in _LINKED.findall(told)}
    # The C library opens it by itself where a thread is ended.
    found.update(path.with_name("libgcc_s.so.1") for path in list(found))
    return {path for path in found if path.exists() and not path.is_relative_to(_APP)}


def copy(path: Path, root: Path) -> Path:
    """Copy a file, folder or link to where it lies once links among its parents are followed."""
    path = path.parent.resolve() / path.name
    to = root / path.relative_to("/")
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        ignore = _NOT_RUN if path == _STANDARD else None
        shutil.copytree(path, to, symlinks=True, ignore=ignore, dirs_exist_ok=True)
    elif not os.path.lexists(to):
        shutil.copy2(path, to, follow_symlinks=False)
        if path.is_symlink() and path.resolve().is_file():
            copy(path.resolve(), root)
    return path


def origins(files: set[Path], root: Path) -> None:
    """Leave what scanners and lawyers ask for: packages (as distroless images do), copyrights."""
    database = Path("/var/lib/dpkg")
    owners = set()
    for listed in database.glob("info/*.list"):
        owned = {Path(line) for line in listed.read_text().splitlines()}
        if files & {path.parent.resolve() / path.name for path in owned}:
            owners.add(listed.stem.partition(":")[0])
    to = root / "var/lib/dpkg/status.d"
    to.mkdir(parents=True)
    for entry in (database / "status").read_text().split("\n\n"):
        name = entry.partition("\n")[0].removeprefix("Package: ")
        if name in owners:
            (to / name).write_text(entry + "\n")
            copy(Path("/usr/share/doc", name).resolve() / "copyright", root)


def main(root: Path) -> None:
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH  # a copy has other times
    compileall.compile_dir(_STANDARD, quiet=2, invalidation_mode=unchecked)
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True)
        (root / name).chmod(mode)
    for link in (path for path in Path("/").iterdir() if path.is_symlink()):
        copy(link, root)  # /lib is usr/lib
    data = [path for name in _DATA if os.path.lexists(path := Path("/", name))]
    standard = root / copy(_STANDARD, root).relative_to("/")
    copied = [*programs(), *libraries(standard), *data]
    origins({copy(path, root).resolve() for path in copied}, root)
    copy(_APP, root)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
