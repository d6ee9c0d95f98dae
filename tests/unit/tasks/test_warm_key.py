"""Which tasks one container can serve, and that it is created as theirs would be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.container_spec import container_body, warm_body
from ecs.tasks.init_mount import InitMount
from ecs.tasks.model import Network, Profile, PullPolicy, Resources
from ecs.tasks.warm_key import WarmKey, can_be_warm
from tests.unit import builders

ID, OTHER_ID = "sha256:" + "0" * 64, "sha256:" + "1" * 64
MOUNT = InitMount("0123456789ab")


def key(image_id: str = ID, **request: Any) -> WarmKey:
    return WarmKey.of(builders.task_request(**request), image_id)


@pytest.mark.parametrize(
    "fixed",
    [
        {"user": "1000"},
        {"workdir": "/srv"},
        {"resources": Resources(memory_bytes=2**25, cpus=0.5, pids=32)},
        {"resources": Resources(memory_bytes=2**26, cpus=1.0, pids=32)},
        {"resources": Resources(memory_bytes=2**26, cpus=0.5, pids=33)},
        {"network": Network.NONE},
        {"profile": Profile.STRICT},
    ],
)
def test_what_the_engine_fixes_makes_another_key(fixed: dict[str, Any]) -> None:
    assert key(**fixed) != key()


def test_another_image_under_the_same_tag_makes_another_key() -> None:
    assert key(OTHER_ID) != key(ID)


@pytest.mark.parametrize(
    "told",
    [
        {"cmd": ("other",)},
        {"entrypoint": ("/bin/sh",)},
        {"env": {"A": "1"}},
        {"stdin": b"in"},
        {"timeout_seconds": 1.0},
        {"pull": PullPolicy.NEVER},
    ],
)
def test_what_the_init_is_told_makes_no_other_key(told: dict[str, Any]) -> None:
    assert key(**told) == key()
    assert can_be_warm(builders.task_request(**told))


def test_in_the_strict_profile_neither_user_nor_network_can_be_chosen() -> None:
    strict = {"profile": Profile.STRICT}

    assert key(**strict, user="0", network=Network.DEFAULT) == key(**strict, network=Network.NONE)


def test_a_task_with_labels_cannot_be_warm() -> None:
    assert not can_be_warm(builders.task_request(labels={"team": "blue"}))


@given(
    user=st.none() | st.just("1000:1000"),
    workdir=st.none() | st.just("/srv"),
    network=st.sampled_from(Network),
    profile=st.sampled_from(Profile),
    memory_bytes=st.integers(2**23, 2**30),
)
def test_the_container_is_what_the_engine_would_be_asked_for_on_the_cold_way(
    memory_bytes: int, **fixed: Any
) -> None:
    task = builders.task(resources=Resources(memory_bytes, 0.5, 32), **fixed)
    image = LocalImage(ID, frozenset({"/data"}))
    policy = builders.container_policy()
    made = WarmKey.of(task.request, ID).request(task.request.image)

    cold = container_body(task, image, policy, MOUNT)
    warm = warm_body(made, image, policy, MOUNT, life_seconds=60)

    cold_labels, warm_labels = cold.pop("Labels"), warm.pop("Labels")
    assert warm == cold
    assert cold_labels.keys() - warm_labels.keys() == {"ecs.task"}
    assert warm_labels["ecs.instance"] == cold_labels["ecs.instance"]
