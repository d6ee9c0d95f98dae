"""Which representation a caller wants (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from ecs.errors import NotAcceptableError


def best_match(accept: str, offered: Sequence[str]) -> str:
    """Return the offered media type that ``accept`` prefers; the first of equals.

    Raises:
        NotAcceptableError: it accepts none.
    """
    ranges = [_parse(item) for item in accept.split(",") if item.strip()]
    if not ranges:
        return offered[0]
    qualities = [(_quality(media_type, ranges), media_type) for media_type in offered]
    quality, media_type = max(qualities, key=lambda pair: pair[0])
    if quality <= 0:
        raise NotAcceptableError(
            f"the Accept header takes none of {', '.join(offered)}; name one of them"
        )
    return media_type


def _parse(item: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in item.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return media_range, _quality_value(value)
    return media_range, 1.0


def _quality_value(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The most specific range decides."""
    kind = media_type.partition("/")[0]
    for candidate in (media_type, f"{kind}/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == candidate:
                return quality
    return 0.0
