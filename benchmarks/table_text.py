"""What the tables are made of: figures as text, rows as Markdown, where figures come from."""

from collections.abc import Iterable, Sequence

from results import Figure, Result

WRONG_SUMS = "0.10.2"
"""The version of JAX of jax-ml/jax#39103."""


def cell(figure: Figure, digits: int) -> str:
    spread = "" if figure.std is None else f" ± {figure.std:.{digits}f}"
    return f"{figure.mean:.{digits}f}{spread}"


def percent(figure: Figure, digits: int) -> str:
    spread = "" if figure.std is None else f" ± {100 * figure.std:.{digits}f}"
    return f"{100 * figure.mean:.{digits}f}{spread} %"


def maybe(result: Result, what: str, name: str, digits: int, share: bool = False) -> str:
    try:
        figure = result.figure(what, name)
    except KeyError:
        return "not measured"
    return percent(figure, digits) if share else cell(figure, digits)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    cells = ("|".join(f" {cell} " if cell else " " for cell in line) for line in lines)
    return "\n".join(f"|{line}|" for line in cells)


def table(head, rows, results: Iterable[Result], what: str, said: str = "") -> str:
    """The table, what is to be said of it, and where its figures come from."""
    parts = [markdown(head, rows), said, origin(list(results), what)]
    return "\n\n".join(part for part in parts if part)


def origin(results: list[Result], what: str) -> str:
    """A line: seeds, split and JAX of the figures, what was looked at in choosing the settings."""
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(result.origin(what, WRONG_SUMS), []).append(result.name)
    if len(groups) == 1:
        return f"*{next(iter(groups))}.*"
    parts = (
        f"{', '.join(f'`{name}`' for name in names)}: {text}" for text, names in groups.items()
    )
    return f"*{'. '.join(parts)}.*"
