"""The documents as a site: every page is in the navigation, and nothing is loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import leadset
from leadset.leads import is_known_lead

ROOT = Path(__file__).parent.parent


def test_pages_and_navigation_are_the_same() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    named = re.findall(r"[\w/-]+\.md", navigation)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert sorted(named) == sorted(pages)


def test_site_is_built_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120)
    pages = list((tmp_path / "site").rglob("*.html"))
    assert (tmp_path / "site/index.html") in pages
    loaded = r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*//"
    assert [page.name for page in pages if re.search(loaded, page.read_text(encoding="utf-8"))] == []


def test_names_of_leads_that_are_said_to_be_understood_are() -> None:
    page = (ROOT / "docs/own-data.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"Names of devices and standards are understood \((.+?)\)", page)
    assert [name for name in re.findall("`(.+?)`", names) if not is_known_lead(name)] == []


def test_names_of_the_reference_are_there_after_one_import() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    names = [*re.findall(r"^\| `(leadset\.[\w.]+)", page, re.MULTILINE), "leadset.waves.measure"]
    assert len(names) > 10
    code = f"import leadset\nfor name in {names}:\n    eval(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    missing = [name for name in leadset.__all__ if not re.search(rf"\bleadset\.{name}\b", page)]
    assert missing == []
