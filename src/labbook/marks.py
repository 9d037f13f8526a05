"""Pages whose text is written by hand and whose figures are put in by a program, between marks."""


def placed(text: str, name: str, content: str) -> str:
    """A page with `content` between the marks of that name; where it has none, they are added at its end."""
    begin, end = (f"<!-- {word} {name} -->" for word in ("figures of", "end of"))
    if begin not in text or end not in text.partition(begin)[2]:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"
