import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.credentials import RegistryCredentials

SECRET_USER, SECRET_PASSWORD = "alice-9f2c", "hunter2-77aa"
texts = st.text(min_size=1, max_size=50)


def decoded(header: str) -> dict[str, str]:
    document: dict[str, str] = json.loads(base64.urlsafe_b64decode(header))
    return document


@given(username=texts, password=texts)
def test_the_header_is_padded_base64url_of_json_in_ascii(username: str, password: str) -> None:
    header = RegistryCredentials(username, password).registry_auth_header("quay.io")

    assert header.isascii()
    assert not set(header) & set("+/ \r\n")
    assert len(header) % 4 == 0
    assert decoded(header) == {
        "username": username,
        "password": password,
        "serveraddress": "quay.io",
    }


@pytest.mark.parametrize("password", ["pässwörd", "пароль", "パスワード", "🔑", 'quo"te\\'])
def test_a_password_that_is_not_ascii_arrives_as_it_is(password: str) -> None:
    header = RegistryCredentials("u", password).registry_auth_header("quay.io")

    assert decoded(header)["password"] == password


@pytest.mark.parametrize(
    ("registry", "address"),
    [
        ("docker.io", "https://index.docker.io/v1/"),
        ("quay.io", "quay.io"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_the_server_address_is_the_registry_but_docker_hub_has_its_old_one(
    registry: str, address: str
) -> None:
    header = RegistryCredentials("u", "p").registry_auth_header(registry)

    assert decoded(header)["serveraddress"] == address


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r}".format])
def test_no_text_of_credentials_shows_a_secret(shown: object) -> None:
    assert callable(shown)
    text = shown(RegistryCredentials(SECRET_USER, SECRET_PASSWORD))

    assert SECRET_USER not in text
    assert SECRET_PASSWORD not in text


def test_equal_credentials_have_equal_fingerprints() -> None:
    one, two = RegistryCredentials("u", "p"), RegistryCredentials("u", "p")

    assert one.fingerprint() == two.fingerprint()


@given(one=st.tuples(texts, texts), two=st.tuples(texts, texts))
def test_fingerprints_are_equal_for_equal_credentials_only(
    one: tuple[str, str], two: tuple[str, str]
) -> None:
    same = RegistryCredentials(*one).fingerprint() == RegistryCredentials(*two).fingerprint()

    assert same == (one == two)


@pytest.mark.parametrize(
    "others", [("a", "bc"), ("ab", "c"), ("abc", ""), ("bc", "a"), ('a", "b', "c")]
)
def test_what_is_name_and_what_is_password_matters_to_the_fingerprint(
    others: tuple[str, str],
) -> None:
    fingerprint = RegistryCredentials("", "abc").fingerprint()

    assert RegistryCredentials(*others).fingerprint() != fingerprint


def test_a_fingerprint_shows_no_secret() -> None:
    fingerprint = RegistryCredentials(SECRET_USER, SECRET_PASSWORD).fingerprint()

    assert SECRET_USER not in fingerprint
    assert SECRET_PASSWORD not in fingerprint
