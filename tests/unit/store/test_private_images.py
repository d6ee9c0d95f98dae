import asyncio
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecs.errors import StateStoreError
from ecs.store import private_images
from ecs.store.private_images import PrivateImageStore

IMAGE, OTHER_IMAGE = "sha256:1", "sha256:2"
NAME, OTHER_NAME = "quay.io/a", "quay.io/b"
Open = Callable[[], PrivateImageStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state" / "images.sqlite3"


@pytest.fixture
def open_store(path: Path) -> Iterator[Open]:
    """Opens the one database again and again, as services do that share it or follow another."""
    stores = []

    def open_it() -> PrivateImageStore:
        stores.append(PrivateImageStore(path))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


async def test_a_new_store_knows_no_private_image(open_store: Open) -> None:
    store = open_store()

    assert (await store.look_up(IMAGE, NAME)).origins == frozenset()
    assert not (await store.look_up(IMAGE, NAME)).repository_is_private
    assert await store.unfinished_pulls() == []


async def test_an_image_is_known_by_the_repositories_it_came_from(open_store: Open) -> None:
    store = open_store()
    for name in (NAME, OTHER_NAME, NAME):
        await store.add_image(IMAGE, name)

    assert (await store.look_up(IMAGE, NAME)).origins == {NAME, OTHER_NAME}
    assert (await store.look_up(OTHER_IMAGE, NAME)).origins == frozenset()


async def test_a_repository_is_private_by_its_whole_name(open_store: Open) -> None:
    store = open_store()
    await store.add_repository(NAME)
    await store.add_repository(NAME)

    assert (await store.look_up(IMAGE, NAME)).repository_is_private
    assert not (await store.look_up(IMAGE, OTHER_NAME)).repository_is_private


async def test_what_one_repository_gives_to_anybody_stays_private_in_others(
    open_store: Open,
) -> None:
    store = open_store()
    for name in (NAME, OTHER_NAME):
        await store.add_image(IMAGE, name)
        await store.add_repository(name)

    await store.forget(IMAGE, NAME)

    assert (await store.look_up(IMAGE, NAME)).origins == {OTHER_NAME}
    assert not (await store.look_up(IMAGE, NAME)).repository_is_private
    assert (await store.look_up(IMAGE, OTHER_NAME)).repository_is_private


async def test_a_pull_is_unfinished_until_it_has_ended(open_store: Open) -> None:
    store = open_store()
    await store.begin_pull("quay.io/a:1", IMAGE)
    await store.begin_pull("quay.io/b:1", "")

    await store.end_pull("quay.io/a:1")

    assert await store.unfinished_pulls() == [("quay.io/b:1", "")]


async def test_a_pull_that_begins_again_is_known_by_what_was_there_last(open_store: Open) -> None:
    store = open_store()
    await store.begin_pull("quay.io/a:1", "")

    await store.begin_pull("quay.io/a:1", IMAGE)

    assert await store.unfinished_pulls() == [("quay.io/a:1", IMAGE)]


async def test_what_was_noted_outlives_the_process(open_store: Open) -> None:
    first = open_store()
    await first.add_image(IMAGE, NAME)
    await first.add_repository(NAME)
    await first.begin_pull("quay.io/a:1", IMAGE)
    first.close()

    second = open_store()

    assert (await second.look_up(IMAGE, NAME)).origins == {NAME}
    assert (await second.look_up(IMAGE, NAME)).repository_is_private
    assert await second.unfinished_pulls() == [("quay.io/a:1", IMAGE)]


async def test_what_one_connection_notes_the_other_sees(open_store: Open) -> None:
    one, two = open_store(), open_store()

    await one.add_image(IMAGE, NAME)

    assert (await two.look_up(IMAGE, NAME)).origins == {NAME}


async def test_two_connections_that_write_at_a_time_lose_nothing(open_store: Open) -> None:
    stores = [open_store(), open_store()]
    subjects = [f"sha256:{number}" for number in range(50)]

    async with asyncio.TaskGroup() as group:
        for number, subject in enumerate(subjects):
            group.create_task(stores[number % 2].add_image(subject, NAME))

    found = [(await stores[0].look_up(subject, NAME)).origins for subject in subjects]
    assert found == [{NAME}] * len(subjects)


async def test_a_database_that_is_locked_is_an_error_of_its_own(
    open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_images, "_BUSY_TIMEOUT_SECONDS", 0.01)
    store = open_store()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StateStoreError, match="locked"):
        await store.add_repository(NAME)
    other.close()


async def test_names_are_taken_literally(open_store: Open) -> None:
    store = open_store()
    await store.add_repository("'; DROP TABLE private_repositories; --")

    assert (
        await store.look_up(IMAGE, "'; DROP TABLE private_repositories; --")
    ).repository_is_private
    assert not (await store.look_up(IMAGE, "%")).repository_is_private


def test_the_directory_is_the_owners_alone(open_store: Open, path: Path) -> None:
    open_store()

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_no_database_is_refused(open_store: Open, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("this is not a database, and longer than a header of one\n" * 10)

    with pytest.raises(sqlite3.DatabaseError):
        open_store()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        PrivateImageStore(tmp_path / "file" / "images.sqlite3")
