import pytest

from benchmarks.document import NotPublishableError, with_place_filled

DOCUMENT = """above
<!-- begin: first -->
<!-- end -->
between
<!-- begin: second -->
old
<!-- end -->
below
"""


def test_a_text_takes_the_place_of_the_one_before() -> None:
    assert with_place_filled(DOCUMENT, "second", "new") == DOCUMENT.replace("old", "new")


def test_other_places_are_left_as_they_are() -> None:
    filled = with_place_filled(DOCUMENT, "first", "new")

    assert filled == DOCUMENT.replace("first -->\n", "first -->\nnew\n")


def test_the_same_text_again_changes_nothing() -> None:
    once = with_place_filled(DOCUMENT, "first", "new")

    assert with_place_filled(once, "first", "new") == once


@pytest.mark.parametrize("document", ["nothing\n", DOCUMENT.replace("<!-- end -->\n", "")])
def test_a_document_without_the_place_or_its_end_is_refused(document: str) -> None:
    with pytest.raises(NotPublishableError, match="has no lines '<!-- begin: second -->'"):
        with_place_filled(document, "second", "new")
