"""Other surroundings: no network, nothing to write to, another folder, user and locale, unusual paths."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from leadset.stress.bench import Around, Bench
from leadset.stress.registry import SkippedCheck, register_check

# Put in front of the modules of Python, it refuses connections where no network can be taken away.
_NO_SOCKETS = '''import socket


def _refused(*arguments, **more):
    raise OSError("no network in this test")


socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = _refused
'''
_SET_LOCALE = """import locale

locale.setlocale(locale.LC_ALL, "")
"""
_UNUSUAL = "données ü 心電 it's 1"
# Makes folders read-only for the program that follows, in a view of the file system of its own.
_READ_ONLY = """for folder in "$1" "$2"; do
mount --bind "$folder" "$folder" && mount -o remount,ro,bind "$folder" || exit 70
done
shift 2
exec "$@"
"""
_COMMA_LOCALES = ("de_DE", "fr_FR", "cs_CZ", "pl_PL", "nl_NL", "it_IT", "es_ES", "ru_RU")


def _works(*command: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether a program runs here, in the surroundings of this process or in others."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20, env=environment).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@register_check("no_network", "trains and answers without network")
def no_network(bench: Bench) -> str:
    """Without any interface where that is allowed; else with connections refused inside Python."""
    for command in (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net")):
        if _works(*command, "true"):
            return f"{' '.join(command)}; {bench.train_and_answer('no_network', Around(prefix=command))}"
    without = _with_module(bench, bench.work / "no_sockets", _NO_SOCKETS)
    remark = bench.train_and_answer("no_network", Around(environment=without))
    return f"connections refused by a module, as unshare is not allowed; {remark}"


@register_check("read_only", "writes neither into its own folder nor into that of the data")
def read_only(bench: Bench) -> str:
    """Mounted read-only where that is allowed; else without permission, which root would not need."""
    entry = bench.copy_entry(bench.work / "read_only_entry")
    mount = ("unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", str(entry), str(bench.training_folder))
    if _works(*mount, "true"):
        return f"mounted read-only; {bench.train_and_answer('read_only', Around(mount, entry=entry))}"
    if os.geteuid() == 0:
        raise SkippedCheck("root may write everywhere, and read-only mounts are not allowed here")
    folders = (entry, bench.training_folder)
    try:
        for folder in folders:
            _set_mode(folder, 0o500, 0o400)
        return f"without permission; {bench.train_and_answer('read_only', Around(entry=entry))}"
    finally:
        for folder in folders:
            _set_mode(folder, 0o700, 0o600)


def _set_mode(folder: Path, of_folders: int, of_files: int) -> None:
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(of_folders if path.is_dir() else of_files)


@register_check("other_folder", "is started in another folder, with relative paths")
def other_folder(bench: Bench) -> str:
    """As with ``python ../entry/train_model.py ../data ../model``."""
    folder = bench.work / "elsewhere"
    folder.mkdir()
    remark = bench.train_and_answer("other_folder", Around(folder=folder))
    left = sorted(path.name for path in folder.iterdir())
    return f"{remark}; left {', '.join(left)} there" if left else remark


@register_check("other_user", "runs as a user without privileges and without a home")
def other_user(bench: Bench) -> str:
    """As a user of a name space of its own, who has no rights beyond those of files."""
    prefix = ("unshare", "--user")
    if not _works(*prefix, bench.python, "-c", "pass"):
        raise SkippedCheck("unshare --user is not allowed here")
    nowhere = {"HOME": str(bench.work / "no_such_home"), "USER": None, "LOGNAME": None, "XDG_CACHE_HOME": None}
    return bench.train_and_answer("other_user", Around(prefix, nowhere))


@register_check("locales", "works in the locale C, and in one with a decimal comma where there is one or can be made")
def locales(bench: Bench) -> str:
    """C without UTF-8 mode, so that text files opened without an encoding are ASCII; the other in all its categories.

    Python takes no more of a locale than its letters, unless a module sets the rest, as one does here.
    """
    plain = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    remark = bench.train_and_answer("locales", Around(environment=plain))
    chosen = _with_module(bench, bench.work / "set_locale", _SET_LOCALE)
    found = _comma_locale(bench, chosen)
    if found is None:
        return f"C: {remark}; no locale with a decimal comma here, and none can be made"
    remark_comma = bench.train_and_answer("locale_comma", Around(environment={**chosen, **found}))
    return f"C: {remark}; {found['LC_ALL']}: {remark_comma}"


def _with_module(bench: Bench, folder: Path, text: str) -> dict[str, str]:
    """Variables by which every Python of a call runs a text first."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), bench.environment.get("PYTHONPATH")]))}


def _comma_locale(bench: Bench, chosen: Mapping[str, str]) -> dict[str, str] | None:
    """Variables of a locale with a decimal comma: one that is installed, or one that is made for this test."""
    if shutil.which("locale"):
        there = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split()
        candidates = [{"LC_ALL": name} for name in there if name.startswith(_COMMA_LOCALES)]
    else:
        candidates = []
    made = bench.work / "locales_made"
    made.mkdir()
    name = f"{_COMMA_LOCALES[0]}.UTF-8"
    if not candidates and _works("localedef", "-i", _COMMA_LOCALES[0], "-f", "UTF-8", str(made / name)):
        candidates = [{"LC_ALL": name, "LOCPATH": str(made)}]
    point = "import locale; assert locale.localeconv()['decimal_point'] == ','"
    for found in candidates:
        if _works(bench.python, "-c", point, environment={**bench.environment, **chosen, **found}):
            return found
    return None


@register_check("paths", "works where the paths of entry, data and model have blanks and other letters")
def paths(bench: Bench) -> str:
    """Copies of entry and data below a folder with an unusual name."""
    folder = bench.work / _UNUSUAL
    try:
        folder.mkdir()
    except OSError as error:
        raise SkippedCheck(f"no folder with such a name can be made: {error}") from error
    entry = bench.copy_entry(folder / "entry")
    data, few = folder / "training", folder / "few"
    shutil.copytree(bench.training_folder, data)
    shutil.copytree(bench.few_folder, few)
    model = bench.train(data, f"{_UNUSUAL}/model", Around(entry=entry))
    outputs = bench.answer(model, few, f"{_UNUSUAL}/outputs", Around(entry=entry))
    return bench.compared(outputs, bench.few)
