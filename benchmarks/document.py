"""A document's places for what a run measured: nobody types figures into them."""


class NotPublishableError(ValueError):
    """A run does not have what the documents tell, or a document has no place for it."""


def with_place_filled(document: str, place: str, text: str) -> str:
    """Return the document with ``text`` between the two marks of a place.

    Raises:
        NotPublishableError: it has no such place.
    """
    begin, end = f"<!-- begin: {place} -->\n", "<!-- end -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise NotPublishableError(f"the document has no lines {begin.strip()!r} and {end!r}")
    return f"{before}{begin}{text}\n{end}{after}"
