"""Pages whose text is written by hand and whose figures are put in by a program, between marks."""


def placed(text: str, name: str, content: str) -> str:
    """A page with `content` between the marks of that name; where it has none, they are added at its end."""
    first, last = begin(name), f"<!-- end of {name} -->"
    if first not in text or last not in text.partition(first)[2]:
        text = f"{text.rstrip()}\n\n{first}\n{last}\n"
    before, _, rest = text.partition(first)
    return f"{before}{first}\n\n{content}\n\n{last}{rest.partition(last)[2]}"


def begin(name: str) -> str:
    """The mark before the figures of that name."""
    return f"<!-- figures of {name} -->"
