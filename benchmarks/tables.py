"""Makes the tables of the READMEs from `results/`.

    python benchmarks/tables.py            writes them anew
    python benchmarks/tables.py --check    says which disagree, and ends with 1 if any does

A table stands between the lines `<!-- table: NAME -->` and `<!-- end -->`; NAME is a function of
`table_contents.py`, `speed_tables.py` or `scaling_tables.py`. Below it stands where its figures
come from.
"""

import argparse
import re
import sys
from pathlib import Path

import scaling_tables
import speed_tables
import table_contents

ROOT = Path(__file__).parents[1]
FILES = ("README.md", "experiments/README.md", "benchmarks/README.md", "docs/scaling.md")
TABLES = table_contents.TABLES | speed_tables.TABLES | scaling_tables.TABLES
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def rewrite(text: str) -> str:
    """A README with its tables made anew."""

    def make(match):
        begin, name, _, end = match.groups()
        if name not in TABLES:
            sys.exit(f"table: got {name}, expected one of {', '.join(sorted(TABLES))}")
        return f"{begin}\n{TABLES[name]()}\n\n{end}"

    return BLOCK.sub(make, text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    wrong = []
    for name in FILES:
        text = (ROOT / name).read_text()
        made = rewrite(text)
        if made != text:
            wrong.append(name)
            if not options.check:
                (ROOT / name).write_text(made)
    if options.check and wrong:
        sys.exit(
            f"{', '.join(wrong)}: disagree with results/; python benchmarks/tables.py mends it"
        )
    print(f"{', '.join(wrong)} written" if wrong else "all tables agree with results/")


if __name__ == "__main__":
    main()
