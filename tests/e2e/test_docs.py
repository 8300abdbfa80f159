#!/usr/bin/env python3
"""The pages of documentation: tables parse, links resolve, the README stays short.

    tests/e2e/test_docs.py            needs Python only, no build
"""

import json
import re
import subprocess
import unittest
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
README_LINES = 150  # fewer than that
COLUMNS = 100  # of prose in pages for users

FENCE = re.compile(r"^ *(```|~~~)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
DIVIDER = re.compile(r"^ *\|( *:?-+:? *\|)+ *$")


def pages():
    """Every Markdown file of the repository that is not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False, timeout=60).stdout.split()
    found = [REPOSITORY / name for name in listed] or sorted(REPOSITORY.glob("*.md")) + sorted(
        (REPOSITORY / "docs").rglob("*.md"))  # the second: a copy without git
    return [page for page in found if page.exists()]


def prose(page):
    """(line number, line) of all that is outside of fenced blocks."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def cells(line):
    """How many cells a row of a table has: \\| and bars in `code` belong to a cell's text."""
    plain = re.sub(r"`[^`]*`", "code", line).replace(r"\|", "")
    return plain.strip().count("|") - 1


def table_faults(page):
    """Rows that do not fit their table, and rows that belong to none."""
    columns = 0  # of the table at hand; 0 outside of tables
    previous = ""
    for number, line in prose(page):
        if DIVIDER.match(line):
            columns = cells(line)
            if cells(previous) != columns:
                yield f"{number - 1}: {cells(previous)} cells over {columns} columns"
        elif columns and "|" in re.sub(r"`[^`]*`", "", line):
            if not (line.strip().startswith("|") and line.strip().endswith("|")):
                yield f"{number}: a row that does not begin and end with a bar"
            elif cells(line) != columns:
                yield f"{number}: {cells(line)} cells in a table of {columns} columns"
        elif columns and line.strip():
            yield f"{number}: text right after a table"
            columns = 0
        elif not line.strip():
            columns = 0
        previous = line


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for _, line in prose(page):
        heading = re.match(r"^#+ +(.*)$", line)
        if heading:
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.group(1)).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found


def link_faults(page):
    for number, line in prose(page):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            to = (page.parent / path).resolve() if path else page
            if not to.exists():
                yield f"{number}: {target} does not exist"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to):
                yield f"{number}: {target} has no such heading"


def messages_of_the_program():
    """All string literals of the sources, adjacent ones joined, with `…` for placeholders."""
    texts = []
    for folder in ("src", "cuda"):
        for path in sorted((REPOSITORY / folder).rglob("*.[chi]*")):
            source = path.read_text(encoding="utf-8")
            for joined in re.findall(r'(?:"(?:[^"\\\n]|\\.)*"\s*)+', source):
                text = "".join(re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined))
                texts.append(re.sub(r"\{[^{}]*\}", "…", text))
    return "\n".join(texts)


def is_said(message, sources):
    """Whether most of a message's words stand in the sources, part by part between its `…`."""
    for part in re.split(r"…|'", message):
        words = part.split()
        least = max(1, (len(words) * 3 + 4) // 5)
        runs = (" ".join(words[i:i + least]) for i in range(len(words) - least + 1))
        if words and not any(run in sources for run in runs):
            return False
    return True


class Docs(unittest.TestCase):
    def collect(self, faults_of, chosen=None):
        found = [f"{page.relative_to(REPOSITORY)}:{fault}"
                 for page in (chosen or pages()) for fault in faults_of(page)]
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_there_are_pages(self):
        self.assertGreater(len(pages()), 30)

    def test_tables_parse(self):
        self.collect(table_faults)

    def test_relative_links_resolve(self):
        self.collect(link_faults)

    def test_fences_are_closed(self):
        self.collect(lambda page: ["a fenced block has no end"] if sum(
            1 for line in page.read_text(encoding="utf-8").splitlines() if FENCE.match(line)) % 2
                     else [])

    def test_the_readme_is_short(self):
        lines = (REPOSITORY / "README.md").read_text(encoding="utf-8").count("\n")
        self.assertLess(lines, README_LINES)

    def test_lines_of_pages_for_users_fit(self):
        def long_lines(page):
            for number, line in prose(page):
                if len(line) > COLUMNS and not line.lstrip().startswith("|"):
                    yield f"{number}: {len(line)} columns"

        chosen = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
        self.collect(long_lines, chosen + sorted((REPOSITORY / "docs" / "guide").glob("*.md")))

    def test_the_install_page_names_every_package(self):
        script = (REPOSITORY / "scripts" / "packages.sh").read_text(encoding="utf-8")
        needs = script.partition("weft_needs() {")[2].partition("LIST\n}")[0]
        packages = re.findall(r"^(?:command|header):\S+ +(\S+)$", needs, flags=re.MULTILINE)
        self.assertIn("g++", packages)
        page = (REPOSITORY / "docs" / "guide" / "1-install.md").read_text(encoding="utf-8")
        self.assertFalse(set(packages) - set(page.split()))

    def test_models_are_verified_as_the_guide_says(self):
        """The table of supported models counts the tables of reference logits."""
        tables = [json.loads(path.read_text(encoding="utf-8"))["config"]["model_type"]
                  for path in (REPOSITORY / "tests" / "reference" / "logits").glob("*.json")]
        page = (REPOSITORY / "docs" / "guide" / "3-models.md").read_text(encoding="utf-8")
        said = re.findall(r"^\| [^|]+ \| `(\w+)` \|.*\| (\d+) random models? \|", page,
                          flags=re.MULTILINE)
        self.assertEqual(dict(said), {name: str(tables.count(name)) for name in set(tables)})

    def test_troubleshooting_quotes_messages_of_the_program(self):
        page = REPOSITORY / "docs" / "guide" / "9-troubleshooting.md"
        sources = messages_of_the_program()
        quoted = 0
        for number, line in prose(page):
            cell = re.match(r"^\| (`.*?) \| ", line)
            if not cell or "(Open MPI)" in cell.group(1):
                continue
            for message in re.findall(r"`([^`]+)`", cell.group(1)):
                quoted += 1
                self.assertTrue(is_said(message, sources), f"{page.name}:{number}: {message}")
        self.assertGreater(quoted, 40)
        self.assertFalse(is_said("nobody says … anything like this", sources))

    def test_faults_are_found(self):
        """The checks themselves, on what once slipped through and its like."""
        folder = REPOSITORY / "docs" / "measurements"
        wrong = {
            "| a | b |\n|---|---|\nROWS| 1 | 2 |\n": table_faults,
            "| a | b |\n|---|---|\n| 1 |\n": table_faults,
            "| a |\n|---|---|\n| 1 | 2 |\n": table_faults,
            "[x](nowhere.md)\n": link_faults,
            "[x](../../README.md#nothing-of-that-name)\n": link_faults,
        }
        for text, check in wrong.items():
            self.assertTrue(list(check(Page(folder / "some.md", text))), text)
        right = "| a | b |\n|---|---|\n| `x|y` | 1 \\| 2 |\n\nText with a | bar\n"
        self.assertFalse(list(table_faults(Page(folder / "some.md", right))))


class Page:
    """A page that exists in memory only."""

    def __init__(self, path, text):
        self.parent = path.parent
        self.text = text

    def read_text(self, encoding):
        del encoding
        return self.text


if __name__ == "__main__":
    unittest.main(verbosity=2)
