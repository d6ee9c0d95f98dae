import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.image_reference import ImageReference

HEX = "0123456789abcdef"
DIGEST = "sha256:" + HEX * 4
OTHER_DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("busybox:latest", "docker.io/library/busybox:latest"),
        ("library/busybox:1.36", "docker.io/library/busybox:1.36"),
        ("grafana/loki:3", "docker.io/grafana/loki:3"),
        ("a/b/c:1", "docker.io/a/b/c:1"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/library/busybox:1", "docker.io/library/busybox:1"),
        ("Docker.IO/busybox:1", "docker.io/library/busybox:1"),
        ("index.docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("index.docker.io/grafana/loki:3", "docker.io/grafana/loki:3"),
        ("registry-1.docker.io/library/busybox:1", "docker.io/library/busybox:1"),
        ("quay.io/a:1", "quay.io/a:1"),
        ("QUAY.io/a:1", "quay.io/a:1"),
        ("localhost/x:1", "localhost/x:1"),
        ("localhost:5000/x:1", "localhost:5000/x:1"),
        ("[::1]:5000/x:1", "[::1]:5000/x:1"),
        ("[::1]/x:1", "[::1]/x:1"),
        ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
        ("registry:5000/x:1", "registry:5000/x:1"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"localhost:5000/x@{DIGEST}", f"localhost:5000/x@{DIGEST}"),
        (f"[::1]:5000/x:1@{DIGEST}", f"[::1]:5000/x@{DIGEST}"),
        ("a__b/c-d---e.f:_.-Z", "docker.io/a__b/c-d---e.f:_.-Z"),
        ("x:" + "t" * 128, "docker.io/library/x:" + "t" * 128),
    ],
)
def test_a_reference_has_one_canonical_form(text: str, canonical: str) -> None:
    assert str(ImageReference.parse(text)) == canonical


def test_a_reference_falls_into_its_parts() -> None:
    reference = ImageReference.parse("Quay.io:443/a/b:v1")

    assert reference == ImageReference("quay.io:443", "a/b", "v1", None)


def test_of_tag_and_digest_the_digest_counts() -> None:
    reference = ImageReference.parse(f"quay.io/a/b:v1@{DIGEST}")

    assert reference == ImageReference("quay.io", "a/b", None, DIGEST)


def test_the_name_leaves_tag_and_digest_out() -> None:
    reference = ImageReference.parse(f"busybox:1@{DIGEST}")

    assert reference.name == "docker.io/library/busybox"


TAG_RULE = "the tag must be 1 to 128"
DIGEST_RULE = "the digest after '@'"
NAME_RULE = "the image name must be lower-case"
REGISTRY_RULE = "the registry must be 'host' or 'host:port'"
NEITHER = "name a tag or a digest"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", NEITHER),
        ("busybox", NEITHER),
        ("localhost:5000/busybox", NEITHER),
        ("sha256", NEITHER),
        (HEX * 4, NEITHER),
        ("busybox:", TAG_RULE),
        ("busybox:.1", TAG_RULE),
        ("busybox:-1", TAG_RULE),
        ("busybox:a b", TAG_RULE),
        ("busybox:ä", TAG_RULE),
        ("busybox:1\n", TAG_RULE),
        ("busybox:1\r\nX-Evil: 1", TAG_RULE),
        ("busybox:1\0", TAG_RULE),
        ("x:" + "t" * 129, TAG_RULE),
        ("busybox@", DIGEST_RULE),
        ("busybox:1@", DIGEST_RULE),
        (f"busybox@{DIGEST[:-1]}", DIGEST_RULE),
        (f"busybox@{DIGEST}0", DIGEST_RULE),
        (f"busybox@{DIGEST}\n", DIGEST_RULE),
        (f"busybox@{DIGEST.upper()}", DIGEST_RULE),
        (f"busybox@{DIGEST.replace('sha256', 'md5')}", DIGEST_RULE),
        (f"busybox@{DIGEST}@{DIGEST}", DIGEST_RULE),
        ("user:password@host/x:1", DIGEST_RULE),
        ("Busybox:1", NAME_RULE),
        ("LOCALHOST/x:1", NAME_RULE),
        ("busy box:1", NAME_RULE),
        (" busybox:1", NAME_RULE),
        ("busy\nbox:1", NAME_RULE),
        ("a//b:1", NAME_RULE),
        ("/a:1", NAME_RULE),
        ("a/:1", NAME_RULE),
        ("a..b:1", NAME_RULE),
        ("a___b:1", NAME_RULE),
        ("-a:1", NAME_RULE),
        ("a-:1", NAME_RULE),
        ("../../info:1", REGISTRY_RULE),
        ("a/../b:1", NAME_RULE),
        ("a?b:1", NAME_RULE),
        ("a#b:1", NAME_RULE),
        ("a%2fb:1", NAME_RULE),
        (":1", NAME_RULE),
        ("quay.io/:1", NAME_RULE),
        ("[::1]:1", NAME_RULE),
        ("http://quay.io/x:1", REGISTRY_RULE),
        ("localhost./x:1", REGISTRY_RULE),
        (".quay.io/x:1", REGISTRY_RULE),
        ("-quay.io/x:1", REGISTRY_RULE),
        ("quay.io:/x:1", REGISTRY_RULE),
        ("quay.io:port/x:1", REGISTRY_RULE),
        ("quay.io:123456/x:1", REGISTRY_RULE),
        ("qu_ay.io/x:1", REGISTRY_RULE),
        ("qüay.io/x:1", REGISTRY_RULE),
        ("quay.io\r\n/x:1", REGISTRY_RULE),
        ("[fe80::1%25eth0]:5000/x:1", REGISTRY_RULE),
        ("[::1:5000/x:1", REGISTRY_RULE),
        ("quay.io/" + "a" * 248 + ":1", "not be longer than 255 characters"),
        ("a" * 238 + ":1", "not be longer than 255 characters"),
    ],
)
def test_what_is_no_reference_is_refused_with_a_sentence_that_says_why(
    text: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        ImageReference.parse(text)


@pytest.mark.parametrize("text", ["quay.io/" + "a" * 247 + ":1", "a" * 237 + ":1"])
def test_a_name_may_have_255_characters(text: str) -> None:
    assert len(ImageReference.parse(text).name) == 255


@pytest.mark.parametrize("text", [DIGEST, OTHER_DIGEST])
def test_an_image_id_is_taken_for_a_name_and_a_tag_and_never_for_an_id(text: str) -> None:
    assert str(ImageReference.parse(text)) == f"docker.io/library/{text}"


@pytest.mark.parametrize("alias", ["Index.docker.io", "INDEX.DOCKER.IO", "Registry-1.Docker.io"])
def test_an_alias_of_docker_hub_is_one_in_any_case(alias: str) -> None:
    assert str(ImageReference.parse(f"{alias}/busybox:1")) == "docker.io/library/busybox:1"


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=2, max_size=4).map(".".join)
ports = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))
components = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
repositories = st.lists(components, min_size=2, max_size=4).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True).map(
    lambda tag: f":{tag}"
)
digests = st.text(HEX, min_size=64, max_size=64).map(lambda digits: f"@sha256:{digits}")


@given(host=hosts, port=ports, repository=repositories, end=st.one_of(tags, digests))
def test_a_canonical_reference_is_its_own_canonical_form(
    host: str, port: str, repository: str, end: str
) -> None:
    text = host + port + "/" + repository + end

    assert str(ImageReference.parse(text)) == text


# Text that comes close to a reference, and any text at all.
texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="aZ0.:/@-_[]\n% ", max_size=40),
    st.from_regex(r"[a-z.:]{1,8}/[a-z/._-]{1,8}:[a-zA-Z0-9.]{1,4}"),
)


@given(text=texts)
def test_whatever_is_taken_is_safe_in_a_url_and_a_header_and_parses_to_itself(text: str) -> None:
    try:
        reference = ImageReference.parse(text)
    except ValueError:
        return

    assert str(reference).isascii()
    assert not set(str(reference)) & set(" \r\n\0?#%\\")
    assert "//" not in str(reference)
    assert ".." not in reference.name
    assert "/" in str(reference)
    assert bool(reference.tag) != bool(reference.digest)
    assert ImageReference.parse(str(reference)) == reference
