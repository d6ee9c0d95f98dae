import fcntl
import os
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.ecsctl.htpasswd import Entry, KeyFile
from tests.unit.ecsctl.independent_crypt import crypt

MADE = datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)
FOREIGN = [
    b"# a comment: of somebody",
    b"",
    b"no colon",
    b":no key",
    b"\xff\xfe:\xff",
    b"   ",
    b"alice:$apr1$salt$hash",
    b"bob:{PLAIN}secret:Bob: of accounting",
    b"windows:{PLAIN}secret\r",
]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "htpasswd"


@pytest.fixture
def keys(path: Path, warnings: list[str]) -> KeyFile:
    return KeyFile(path, warn=warnings.append)


def add(keys: KeyFile, key: str, comment: str = "") -> None:
    keys.add(key, "secret", comment=comment, made=MADE)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_where_there_is_no_file_there_are_no_keys(keys: KeyFile, path: Path) -> None:
    assert keys.read() == []
    assert not keys.revoke("one")
    assert not path.parent.exists()


def test_keys_are_read_in_the_order_in_which_they_were_added(keys: KeyFile) -> None:
    add(keys, "two", "for the grader")
    add(keys, "one")

    assert keys.read() == [Entry("two", "for the grader", MADE), Entry("one", "", MADE)]


def test_the_time_is_kept_in_utc(keys: KeyFile) -> None:
    elsewhere = MADE.astimezone(timezone(timedelta(hours=5)))

    keys.add("one", "secret", comment="", made=elsewhere)

    assert keys.read()[0].made == MADE


def test_a_line_is_key_hash_and_a_comment_that_begins_with_the_time(
    keys: KeyFile, path: Path
) -> None:
    add(keys, "one", "for the grader")

    key, _, remark = path.read_text(encoding="ascii").split(":")
    assert (key, remark) == ("one", "20260131T235958Z for the grader\n")


def test_the_c_library_takes_the_hash_for_the_secrets_and_for_no_other(
    keys: KeyFile, path: Path
) -> None:
    keys.add("one", "a secret", comment="", made=MADE)

    hashed = path.read_text(encoding="ascii").split(":")[1]
    assert hashed.startswith("$6$rounds=1000$")
    assert crypt("a secret", hashed) == hashed
    assert crypt("another secret", hashed) != hashed


def test_the_same_secret_has_another_hash_for_each_key(keys: KeyFile, path: Path) -> None:
    add(keys, "one")
    add(keys, "two")

    one, two = (line.split(":")[1] for line in path.read_text(encoding="ascii").splitlines())
    assert one != two


def test_a_key_that_is_revoked_is_gone_and_the_others_stay(keys: KeyFile) -> None:
    for key in ["one", "on", "one1"]:
        add(keys, key)

    assert keys.revoke("one")

    assert [entry.key for entry in keys.read()] == ["on", "one1"]


def test_a_key_that_stands_there_twice_is_revoked_at_both_places(keys: KeyFile, path: Path) -> None:
    write(path, b"one:a\ntwo:b\none:c\n")

    assert keys.revoke("one")

    assert path.read_bytes() == b"two:b\n"


@pytest.mark.parametrize("key", ["three", "", "#", "# a comment", "one:hash", "no colon", "ONE"])
def test_what_is_no_key_in_the_file_is_not_revoked(key: str, keys: KeyFile, path: Path) -> None:
    content = b"\n".join([*FOREIGN, b"one:hash:20260131T235958Z", b""])
    write(path, content)

    assert not keys.revoke(key)

    assert path.read_bytes() == content


@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_foreign_and_damaged_lines_stay_as_they_are(end: bytes, keys: KeyFile, path: Path) -> None:
    write(path, b"\n".join(FOREIGN) + end)

    add(keys, "one")
    keys.revoke("one")

    assert path.read_bytes() == b"\n".join(FOREIGN) + (end or b"\n")


def test_a_key_that_another_program_wrote_is_read_and_revoked(keys: KeyFile, path: Path) -> None:
    write(path, b"\n".join(FOREIGN))

    assert keys.read() == [
        Entry("\\xff\\xfe", "", None),
        Entry("alice", "", None),
        Entry("bob", "Bob: of accounting", None),
        Entry("windows", "", None),
    ]
    assert keys.revoke("alice")
    assert b"alice" not in path.read_bytes()


@given(content=st.binary(max_size=60) | st.text(":#\n\rab", max_size=30).map(str.encode))
def test_no_content_at_all_is_lost_or_in_the_way(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("keys") / "htpasswd"
    path.write_bytes(content)
    keys = KeyFile(path, warn=print)

    add(keys, "one")
    assert keys.read()[-1] == Entry("one", "", MADE)
    keys.revoke("one")

    assert path.read_bytes() == content + (b"\n" if content[-1:] not in (b"", b"\n") else b"")


@pytest.mark.parametrize(
    "comment", ["a:b", "a\nb", "a\rb", "a\tb", "\x00", "\x7f", "\x85", "\u2028", "\udcff"]
)
def test_a_comment_that_would_break_the_line_is_refused(
    comment: str, keys: KeyFile, path: Path
) -> None:
    with pytest.raises(ValueError, match="no colon, line break or other control character"):
        add(keys, "one", comment)

    assert not path.exists()


@pytest.mark.parametrize("comment", ["Zoë 👩\u200d🔬 # 1", " spaces ", "20260131T235958Z"])
def test_any_other_comment_comes_back_as_it_was(comment: str, keys: KeyFile) -> None:
    add(keys, "one", comment)

    assert keys.read()[0].comment == comment


def test_directories_that_are_missing_are_made_so_that_nginx_gets_through(tmp_path: Path) -> None:
    path = tmp_path / "deployment" / "keys" / "htpasswd"
    before = os.umask(0o077)
    try:
        add(KeyFile(path, warn=print), "one")
    finally:
        os.umask(before)

    assert [mode(path.parent), mode(path.parent.parent)] == [0o755, 0o755]


def test_a_new_file_is_nginxs_to_read_and_nobody_elses(
    keys: KeyFile, path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: owners.append((user, group)))

    add(keys, "one")

    assert owners == [(-1, 33)]
    assert mode(path) == 0o640
    assert warnings == []


def test_a_new_file_that_cannot_be_given_to_nginx_is_everybodys_to_read_and_that_is_told(
    keys: KeyFile, path: Path, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)

    add(keys, "one")

    assert mode(path) == 0o644
    assert warnings == [
        f"{str(path)!r} can be read by everybody on this machine, since it cannot be given to "
        "nginx's group 33: Operation not permitted; run this as root"
    ]


def test_the_mode_of_a_file_stays(keys: KeyFile, path: Path, warnings: list[str]) -> None:
    write(path, b"")
    path.chmod(0o604)

    add(keys, "one")
    assert mode(path) == 0o604
    keys.revoke("one")

    assert mode(path) == 0o604
    assert warnings == []


def test_the_owner_of_a_file_stays(
    keys: KeyFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, b"")
    owner = path.stat()
    owners: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: owners.append((user, group)))
    someone = os.stat_result((0, 0, 0, 0, 5000, 5001, 0, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: someone)

    add(keys, "one")

    assert owners == [(owner.st_uid, owner.st_gid)]


def test_a_file_that_cannot_be_replaced_stays_and_leaves_no_litter(
    keys: KeyFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, b"alice:hash\n")

    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        add(keys, "one")

    assert path.read_bytes() == b"alice:hash\n"
    assert sorted(each.name for each in path.parent.iterdir()) == [".htpasswd.lock", "htpasswd"]


def test_what_a_killed_run_left_is_in_nobodys_way(keys: KeyFile, path: Path) -> None:
    write(path, b"")
    path.with_name(".htpasswd.new").write_bytes(b"half a li")

    add(keys, "one")

    assert [entry.key for entry in keys.read()] == ["one"]
    assert not path.with_name(".htpasswd.new").exists()


def test_who_has_the_file_open_reads_on_what_it_was(keys: KeyFile, path: Path) -> None:
    write(path, b"alice:hash\n")

    with path.open("rb") as file:
        add(keys, "one")

        assert file.read() == b"alice:hash\n"


def test_a_symbolic_link_stays_one(tmp_path: Path, path: Path) -> None:
    write(path, b"")
    link = tmp_path / "link"
    link.symlink_to(path)

    add(KeyFile(link, warn=print), "one")

    assert link.is_symlink()
    assert len(path.read_bytes().splitlines()) == 1


def test_a_change_waits_for_the_one_before_it(
    keys: KeyFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, b"alice:hash\n")
    asked = threading.Event()
    flock = fcntl.flock

    def asking(*arguments: int) -> None:
        asked.set()
        flock(*arguments)

    with path.with_name(".htpasswd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        monkeypatch.setattr(fcntl, "flock", asking)
        other = threading.Thread(target=add, args=(keys, "one"))
        other.start()
        assert asked.wait(60)
        path.write_bytes(b"bob:hash\n")
    other.join(60)

    assert [entry.key for entry in keys.read()] == ["bob", "one"]
