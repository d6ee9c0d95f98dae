import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecs.docker_remote_api.images import LocalImage
from ecs.tasks.container_spec import command, container_body, warm_body
from ecs.tasks.init_mount import InitMount
from ecs.tasks.model import Network, Profile, Resources, TraceContext
from ecs.tasks.runtime import EngineRuntime
from tests.unit import builders

IMAGE = LocalImage("sha256:" + "0" * 64, frozenset())
STRICT: dict[str, Any] = {"profile": Profile.STRICT}
STANDARD: dict[str, Any] = {"profile": Profile.STANDARD}

# Everything else of the API's body and host configuration is left to the engine's defaults; what
# opens a way to the host (Privileged, Binds, Mounts, Devices, CapAdd, PidMode and so on) among it.
TOP_LEVEL_KEYS = {
    "AttachStdin",
    "Cmd",
    "Entrypoint",
    "Env",
    "Healthcheck",
    "HostConfig",
    "Image",
    "Labels",
    "OpenStdin",
    "StdinOnce",
    "User",
    "WorkingDir",
}
HOST_CONFIG_KEYS = {
    "CapDrop",
    "LogConfig",
    "Memory",
    "MemorySwap",
    "NanoCpus",
    "NetworkMode",
    "PidsLimit",
    "ReadonlyRootfs",
    "Runtime",
    "SecurityOpt",
    "Tmpfs",
    "Ulimits",
}


def body(image: LocalImage = IMAGE, policy: dict[str, Any] | None = None, **request: Any) -> Any:
    return container_body(
        builders.task(**request), image, builders.container_policy(**policy or {}), None
    )


requests = st.fixed_dictionaries(
    {},
    optional={
        "env": st.dictionaries(st.sampled_from("ABC"), st.text(max_size=5)),
        "labels": st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)),
        "entrypoint": st.just(("/bin/sh",)),
        "user": st.just("root"),
        "workdir": st.just("/"),
        "stdin": st.binary(max_size=5),
        "network": st.sampled_from(Network),
        "profile": st.sampled_from(Profile),
    },
)
policies = st.fixed_dictionaries({}, optional={"strict_runtime": st.just("runsc")})
images = st.sets(st.sampled_from(["/data", "/tmp", "/var/lib"])).map(
    lambda volumes: LocalImage(IMAGE.image_id, frozenset(volumes))
)


@given(request=requests, policy=policies, image=images)
def test_no_request_opens_a_way_to_the_host(
    request: dict[str, Any], policy: dict[str, Any], image: LocalImage
) -> None:
    created = body(image, policy, **request)

    assert set(created) <= TOP_LEVEL_KEYS
    assert set(created["HostConfig"]) <= HOST_CONFIG_KEYS
    assert created["HostConfig"]["NetworkMode"] in ("bridge", "none")
    assert created["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]


@given(request=requests, policy=policies, image=images)
def test_every_request_is_bounded(
    request: dict[str, Any], policy: dict[str, Any], image: LocalImage
) -> None:
    resources = Resources(memory_bytes=123_456_789, cpus=0.3, pids=17)

    host = body(image, policy, resources=resources, **request)["HostConfig"]

    assert host["Memory"] == host["MemorySwap"] == 123_456_789
    assert host["NanoCpus"] == 300_000_000
    assert host["PidsLimit"] == 17
    assert {"Name": "nofile", "Soft": 4096, "Hard": 4096} in host["Ulimits"]
    assert {"Name": "core", "Soft": 0, "Hard": 0} in host["Ulimits"]
    assert host["LogConfig"] == {"Type": "none"}


def test_what_is_created_is_the_image_that_was_authorized_whatever_its_name_means_now() -> None:
    assert body()["Image"] == IMAGE.image_id


def test_the_command_and_its_surroundings_are_the_requests_own() -> None:
    created = body(
        cmd=("echo", "a b", ""),
        entrypoint=("/bin/sh", "-c"),
        env={"A": "1", "B": "x=y", "C": ""},
        workdir="/srv",
        user="1000:1000",
    )

    assert created["Cmd"] == ["echo", "a b", ""]
    assert created["Entrypoint"] == ["/bin/sh", "-c"]
    assert created["Env"] == ["A=1", "B=x=y", "C="]
    assert created["WorkingDir"] == "/srv"
    assert created["User"] == "1000:1000"


def test_what_a_request_does_not_say_is_left_to_the_image() -> None:
    created = body()

    assert not {"Entrypoint", "WorkingDir", "User"} & set(created)
    assert created["Env"] == []


def test_an_empty_entrypoint_replaces_the_images() -> None:
    assert body(entrypoint=())["Entrypoint"] == []


def test_no_health_check_of_the_image_runs() -> None:
    assert body()["Healthcheck"] == {"Test": ["NONE"]}


@pytest.mark.parametrize("stdin", [b"", b"data"])
def test_stdin_is_open_until_its_one_attach_closes(stdin: bytes) -> None:
    created = body(stdin=stdin)

    assert created["OpenStdin"]
    assert created["StdinOnce"]
    assert created["AttachStdin"]


def test_without_stdin_there_is_none() -> None:
    assert not {"OpenStdin", "StdinOnce", "AttachStdin"} & set(body())


@pytest.mark.parametrize(
    ("network", "profile", "mode"),
    [
        (Network.DEFAULT, Profile.STANDARD, "tasks"),
        (Network.NONE, Profile.STANDARD, "none"),
        (Network.DEFAULT, Profile.STRICT, "none"),
        (Network.NONE, Profile.STRICT, "none"),
    ],
)
def test_the_network_is_the_operators_or_none(
    network: Network, profile: Profile, mode: str
) -> None:
    created = body(policy={"network": "tasks"}, network=network, profile=profile)

    assert created["HostConfig"]["NetworkMode"] == mode


@pytest.mark.parametrize(
    ("network", "profile", "mode"),
    [
        (Network.DEFAULT, Profile.STANDARD, "container:0123"),
        (Network.NONE, Profile.STANDARD, "none"),
        (Network.DEFAULT, Profile.STRICT, "none"),
    ],
)
def test_a_sandbox_takes_the_place_of_the_operators_network_alone(
    network: Network, profile: Profile, mode: str
) -> None:
    task, policy = builders.task(network=network, profile=profile), builders.container_policy()

    without = container_body(task, IMAGE, policy, None)
    within = container_body(task, IMAGE, policy, None, sandbox="0123")

    assert within["HostConfig"].pop("NetworkMode") == mode
    del without["HostConfig"]["NetworkMode"]
    assert within == without


def test_the_standard_profile_drops_the_capabilities_that_a_task_has_no_use_for() -> None:
    host = body(**STANDARD)["HostConfig"]

    assert host["CapDrop"] == ["NET_RAW", "MKNOD", "AUDIT_WRITE", "SYS_CHROOT"]
    assert not {"ReadonlyRootfs", "Tmpfs", "Runtime"} & set(host)


def test_the_strict_profile_is_nobody_without_capabilities_on_a_read_only_root() -> None:
    created = body(**STRICT, user="root")

    assert created["User"] == "65534:65534"
    assert created["HostConfig"]["CapDrop"] == ["ALL"]
    assert created["HostConfig"]["ReadonlyRootfs"] is True


@pytest.mark.parametrize("volumes", [(), ("/data", "/var/lib"), ("/tmp",)])
def test_all_that_is_writable_in_the_strict_profile_has_a_bound(volumes: tuple[str, ...]) -> None:
    image = LocalImage(IMAGE.image_id, frozenset(volumes))

    tmpfs = body(image, {"strict_tmpfs_bytes": 4096}, **STRICT)["HostConfig"]["Tmpfs"]

    options = "rw,nosuid,nodev,size=4096,mode=1777"
    assert tmpfs == dict.fromkeys({"/tmp", *volumes}, options)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("runtime", ["", "runsc"])
def test_the_strict_profile_alone_has_the_operators_runtime(profile: Profile, runtime: str) -> None:
    host = body(policy={"strict_runtime": runtime}, profile=profile)["HostConfig"]

    assert host.get("Runtime") == (runtime or None if profile is Profile.STRICT else None)


@pytest.mark.parametrize(
    ("profile", "strict_runtime", "expected"),
    [
        (Profile.STANDARD, "", "crun"),
        (Profile.STANDARD, "runsc", "crun"),
        (Profile.STRICT, "", "crun"),
        (Profile.STRICT, "runsc", "runsc"),
    ],
)
def test_the_chosen_runtime_is_every_tasks_unless_the_strict_profile_has_its_own(
    profile: Profile, strict_runtime: str, expected: str
) -> None:
    policy = {"runtime": EngineRuntime("crun"), "strict_runtime": strict_runtime}

    assert body(policy=policy, profile=profile)["HostConfig"]["Runtime"] == expected


def test_a_choice_that_changes_counts_for_the_next_container() -> None:
    runtime = EngineRuntime()
    before = body(policy={"runtime": runtime})["HostConfig"]

    runtime.name = "crun"

    assert "Runtime" not in before
    assert body(policy={"runtime": runtime})["HostConfig"]["Runtime"] == "crun"


def test_the_labels_say_whose_the_container_is_and_until_when(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.9)
    task = builders.task(timeout_seconds=60.0, labels={"team": "a"})
    policy = builders.container_policy(instance="here", stop_grace_seconds=2.0)

    labels = container_body(task, IMAGE, policy, None)["Labels"]

    assert labels == {
        "team": "a",
        "ecs.instance": "here",
        "ecs.task": task.id,
        "ecs.image": "docker.io/library/busybox:latest",
        "ecs.deadline": str(1_000_000 + 60 + 2 + 120),
    }


@pytest.mark.parametrize("name", ["ecs.instance", "ecs.task", "ecs.image", "ecs.deadline"])
def test_a_callers_label_never_takes_the_place_of_a_label_of_ours(name: str) -> None:
    assert body(labels={name: "forged"})["Labels"][name] != "forged"


def test_the_trace_is_handed_into_the_environment() -> None:
    task = builders.task(env={"A": "1"})
    task.trace = TraceContext("00-1-2-01", "vendor=1")

    body = container_body(task, IMAGE, builders.container_policy(), None)

    assert body["Env"] == ["TRACEPARENT=00-1-2-01", "TRACESTATE=vendor=1", "A=1"]


def test_a_trace_without_a_state_hands_in_none_and_the_requests_own_variable_wins() -> None:
    task = builders.task(env={"TRACEPARENT": "mine"})
    task.trace = TraceContext("00-1-2-01")

    body = container_body(task, IMAGE, builders.container_policy(), None)

    assert body["Env"] == ["TRACEPARENT=mine"]


MOUNT = InitMount("0123456789ab")


@given(request=requests, image=images)
def test_with_the_init_a_container_differs_in_what_it_starts_and_holds(
    request: dict[str, Any], image: LocalImage
) -> None:
    task, policy = builders.task(**request), builders.container_policy()
    without = container_body(task, image, policy, None)
    with_init = container_body(task, image, policy, MOUNT)

    host, host_without = with_init.pop("HostConfig"), without.pop("HostConfig")
    mounts = host.pop("Mounts")
    assert host.pop("PidsLimit") == host_without.pop("PidsLimit") + 1
    assert host == host_without
    assert [(mount["Type"], mount["Source"], mount["ReadOnly"]) for mount in mounts] == [
        ("volume", "ecs-init-0123456789ab", True)
    ]
    assert (with_init.pop("Entrypoint"), with_init.pop("Cmd")) == (
        ["/.ecs-0123456789ab/init"],
        [],
    )
    for key in ("Entrypoint", "Cmd"):
        without.pop(key, None)
    assert with_init == without | dict.fromkeys(["OpenStdin", "StdinOnce", "AttachStdin"], True)


NO_NETWORK: dict[str, Any] = {"network": Network.NONE}


@pytest.mark.parametrize("mountpoint", ["", "/volumes/it"])
@pytest.mark.parametrize(
    ("request_fields", "policy_fields", "without_the_engine"),
    [
        ({}, {}, False),
        (NO_NETWORK, {}, True),
        (STRICT, {}, True),
        ({}, {"network": "none"}, True),
        (STRICT, {"strict_runtime": "runsc"}, False),
        (NO_NETWORK, {"strict_runtime": "runsc"}, True),
        (NO_NETWORK, {"runtime": EngineRuntime("runsc")}, False),
        (NO_NETWORK, {"runtime": EngineRuntime("crun")}, True),
    ],
)
def test_without_a_network_the_engine_has_no_part_in_it_where_the_kernel_can_do_it_alone(
    request_fields: dict[str, Any],
    policy_fields: dict[str, Any],
    without_the_engine: bool,
    mountpoint: str,
) -> None:
    task = builders.task(**request_fields)
    policy = builders.container_policy(**policy_fields)
    mount = InitMount("0123456789ab", mountpoint)

    cold = container_body(task, IMAGE, policy, mount)
    warm = warm_body(task.request, IMAGE, policy, mount, life_seconds=1.0)

    hosts = {
        "Type": "bind",
        "Source": "/volumes/it/hosts",
        "Target": "/etc/hosts",
        "ReadOnly": True,
    }
    is_so = bool(mountpoint) and without_the_engine
    for created in (cold, warm):
        assert created.get("NetworkDisabled", False) is is_so
        assert created["HostConfig"]["Mounts"] == [mount.as_engine_mount()] + is_so * [hosts]


def test_a_container_in_a_sandbox_has_the_sandboxs_hosts_file() -> None:
    task, mount = builders.task(), InitMount("0123456789ab", "/volumes/it")

    body = container_body(task, IMAGE, builders.container_policy(), mount, sandbox="0123")

    assert "NetworkDisabled" not in body
    assert body["HostConfig"]["Mounts"] == [mount.as_engine_mount()]


def test_with_the_init_nothing_in_the_container_tells_what_is_run() -> None:
    task = builders.task(cmd=("cat", "secret-argument"), stdin=b"secret-input")

    document = json.dumps(container_body(task, IMAGE, builders.container_policy(), MOUNT))

    assert "secret" not in document


@pytest.mark.parametrize(
    ("of_image", "of_request", "expected"),
    [
        ((), None, ["echo", "hello"]),
        (("/run", "-x"), None, ["/run", "-x", "echo", "hello"]),
        (("/run",), ("/own",), ["/own", "echo", "hello"]),
        (("/run",), (), ["echo", "hello"]),
        (("/run",), ("",), ["echo", "hello"]),
        (("",), None, ["echo", "hello"]),
    ],
)
def test_the_command_is_put_together_as_the_engine_would(
    of_image: tuple[str, ...], of_request: tuple[str, ...] | None, expected: list[str]
) -> None:
    image = LocalImage(IMAGE.image_id, frozenset(), of_image)

    assert command(builders.task_request(entrypoint=of_request), image) == expected
