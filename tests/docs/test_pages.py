"""The other pages of the documentation: their code runs, and what they name is there."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name != "write_a_method.md")


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page):
    names = {"__name__": page.stem}
    for block in blocks(page, "python"):
        if "import equinox" in block:
            pytest.importorskip("equinox")
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_name_scripts_and_files_that_are_there(page):
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            program, *rest = shlex.split(line)
            assert program in ("pip", "python"), line
            if program == "python" and rest[0] != "-m":
                assert (ROOT / rest[0]).is_file(), line


def test_an_adversarial_term_takes_at_most_ten_lines():
    marked = [block.count("# +") for block in blocks(DOCS / "adversarial_term.md", "python")]
    guides = [lines for lines in marked if lines]
    assert len(guides) == 3  # Linen, NNX, Equinox
    assert max(guides) <= 10


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    missing = [page for page in pages if str(page.relative_to(DOCS)) not in navigation]
    assert len(pages) > 15
    assert missing == []
