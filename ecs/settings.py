"""Every setting of the service: name, unit, default, bounds; knows not where values come from."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ecs.plain_number import plain_number
from ecs.setting_types import (
    DAY_SECONDS,
    DEFAULT_DOCKER_HOST,
    MAX_BYTES,
    AutomaticCount,
    Bytes,
    Count,
    Cpus,
    DockerHost,
    Folder,
    MemoryLimit,
    Networks,
    OptionalFolder,
    OtlpEndpoint,
    OtlpHeaders,
    Registries,
    Seconds,
    SetWhenNotEmpty,
    WarmImages,
    header_list,
)

_MIB = 1024 * 1024
_GIB = 1024 * _MIB


class SettingsError(Exception):
    """A setting is wrong; the text is one line that names it, its value and what is allowed."""


class Settings(BaseModel):
    """The service's settings, checked. ``Field.description`` is the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    address: str = Field("127.0.0.1", description="Address to listen on.", min_length=1)
    port: Annotated[int, Ge(0), Le(65535)] = Field(
        8448, description="Port to listen on; 0 lets the system choose one and logs it."
    )
    allow_unauthenticated: bool = Field(
        False,
        description="Listen beyond loopback although no trusted proxy is named: whoever reaches "
        "the port may run containers.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks, comma-separated, whose X-ECS-Key header is believed; "
        "for others the caller's address takes the key's place.",
    )
    docker_host: DockerHost = Field(
        DEFAULT_DOCKER_HOST, description="The engine: unix:///path/to/socket or tcp://host:port."
    )
    docker_tls_verify: SetWhenNotEmpty = Field(
        False, description="Speak TLS with client certificates to a tcp:// engine."
    )
    docker_cert_path: OptionalFolder = Field(
        None,
        validate_default=True,
        description="Directory of ca.pem, cert.pem and key.pem; implies TLS. With TLS and no "
        "directory named, ~/.docker.",
    )
    engine_timeout_seconds: Seconds = Field(
        60.0, description="How long the engine may take to answer one request."
    )
    allowed_registries: Registries = Field(
        (),
        description="Registries that images may come from, comma-separated host or host:port "
        "(docker.io is Docker Hub). Empty: any public host name, no IP address, no localhost.",
    )
    instance: str = Field(
        "",
        description="Name of this service on its engine, kept over restarts: what a container of "
        "this name left is deleted at start. Empty: host name, address and port.",
        max_length=128,
    )
    state_directory: Folder = Field(
        Path("~/.local/state/ecs"),
        validate_default=True,
        description="Where ECS remembers which images are private; survives restarts.",
    )
    spool_directory: OptionalFolder = Field(
        None,
        description="Where output beyond spool_memory_bytes goes, in files without a name. "
        "Empty: the system's temporary directory.",
    )
    init: Literal["auto", "off"] = Field(
        "auto",
        description="Whether ECS's own program is PID 1 of a task's container, where there is one "
        "for the engine's architecture: tasks are answered sooner, and signals and out-of-memory "
        "kills are told exactly. It is kept in a volume of the engine.",
    )
    sandboxes: Annotated[int, Ge(0), Le(4096)] = Field(
        24,
        description="Most network sandboxes, those that tasks hold among them: containers that "
        "keep a network ready for a task to join, which saves most of its start. 0: none.",
    )
    min_sandboxes: Annotated[int, Ge(1), Le(4096)] = Field(
        2,
        description="Sandboxes kept ready for whoever comes, as long as sandboxes allows it; each "
        "one that is taken is replaced.",
    )
    sandbox_reuse: Literal["never", "same_key", "any"] = Field(
        "same_key",
        description="Whose tasks a sandbox serves after its first one, if that left nothing in "
        "it: nobody's, the same key's, or anybody's.",
    )
    sandbox_max_tasks: Count = Field(200, description="Tasks that one sandbox serves at most.")
    sandbox_max_age_seconds: Seconds = Field(
        600.0, description="Age at which a sandbox is handed to no more tasks."
    )
    sandbox_idle_seconds: Seconds = Field(
        60.0,
        description="How long a sandbox beyond min_sandboxes may be taken by nobody; then it goes.",
    )
    warm_images: WarmImages = Field(
        (),
        description="Images of which containers are started ahead, and how many of each, such as "
        "busybox:latest=8,python:3.12-slim=4: for tasks with the default resources, profile, "
        "network, user and working directory, and without labels. None is pulled for that.",
    )
    warm_memory_bytes: Annotated[int, Ge(0), Le(_GIB)] = Field(
        0,
        description="Memory for containers started ahead of whatever was asked for at least three "
        "times in the last minute, beside those of warm_images; one takes 4 MiB. 0: none.",
    )
    warm_max_age_seconds: Seconds = Field(
        600.0, description="Age at which a container that was started ahead is replaced."
    )
    max_starting_tasks: AutomaticCount = Field(
        0,
        description="Containers being created, started or deleted at a time. 0: 3 for each CPU "
        "of the engine.",
    )
    max_running_tasks: AutomaticCount = Field(
        0,
        description="Tasks beyond the queue at a time. 0: 64 for each CPU of the engine, but at "
        "most one for each 64 MiB of its memory.",
    )
    max_queued_tasks: Count = Field(
        1000,
        description="Tasks that may wait beside max_running_tasks; more get 503. One caller may "
        "have half of them, and gets 429 for more.",
    )
    queue_timeout_seconds: Seconds = Field(60.0, description="How long a task may wait to begin.")
    pull_timeout_seconds: Seconds = Field(
        300.0, description="How long the pull of a task's image may take."
    )
    private_image_proof_seconds: Seconds = Field(
        300.0,
        description="How long a pull with credentials proves the right to run that image; then "
        "the registry is asked again.",
    )
    default_timeout_seconds: Seconds = Field(
        60.0, description="How long a task may run if it does not say."
    )
    max_timeout_seconds: Seconds = Field(3600.0, description="How long a task may ask to run.")
    stop_grace_seconds: Seconds = Field(
        2.0, description="Time from SIGTERM to SIGKILL when a task's time is over."
    )
    drain_timeout_seconds: Annotated[float, Ge(0), Le(DAY_SECONDS)] = Field(
        30.0,
        description="How long running tasks may go on after SIGTERM; then they are canceled, and "
        "clean-up may take 45 seconds more.",
    )
    sweep_interval_seconds: Seconds = Field(
        15.0, description="Time between two looks for containers that nobody watches."
    )
    client_stall_seconds: Seconds = Field(
        60.0, description="How long a client may read nothing before its connection is closed."
    )
    keep_alive_seconds: Seconds = Field(
        15.0, description="Time between keep-alive comments in an event stream."
    )
    max_request_bytes: Annotated[int, Ge(1024), Le(64 * _MIB)] = Field(
        1 * _MIB, description="Largest body of a request."
    )
    max_output_bytes: Annotated[int, Ge(2), Le(64 * _MIB)] = Field(
        1 * _MIB,
        description="Most of each stream in an answer; of a longer one the answer holds head and "
        "tail.",
    )
    output_limit_bytes: Annotated[int, Ge(1024), Le(MAX_BYTES)] = Field(
        256 * _MIB, description="A task that writes more, both streams together, is killed."
    )
    spool_memory_bytes: Bytes = Field(
        64 * 1024, description="Output of each stream held in memory before the disk is used."
    )
    default_memory_bytes: MemoryLimit = Field(
        512 * _MIB, description="Memory, without swap, of a task that does not say."
    )
    max_memory_bytes: MemoryLimit = Field(2 * _GIB, description="Memory a task may ask for.")
    default_cpus: Cpus = Field(1.0, description="CPUs of a task that does not say.")
    max_cpus: Annotated[float, Ge(0), Le(1024)] = Field(
        0.0, description="CPUs a task may ask for. 0: as many as the engine has."
    )
    default_pids: Count = Field(
        128, description="Processes and threads of a task that does not say."
    )
    max_pids: Count = Field(1024, description="Processes and threads a task may ask for.")
    open_files: Annotated[int, Ge(16), Le(1_048_576)] = Field(
        4096, description="Open files of each of a task's processes."
    )
    profile: Literal["standard", "strict"] = Field(
        "standard", description="Loosest hardening profile a task may have, and its default."
    )
    strict_tmpfs_bytes: Annotated[int, Gt(0), Le(MAX_BYTES)] = Field(
        64 * _MIB, description="Size of /tmp, the only writable place, in the strict profile."
    )
    runtime: str = Field(
        "default",
        min_length=1,
        description="Engine runtime of tasks, sandboxes and warm containers: the engine's default; "
        "or crun, if the engine has it, and a trial finds it right and at least 5 % faster (auto); "
        "or the one that is named, without which the engine is not used.",
    )
    strict_runtime: str = Field(
        "", description="Engine runtime of the strict profile, such as runsc. Empty: as runtime."
    )
    task_network: str = Field(
        "bridge", description="Engine network of tasks with network default.", min_length=1
    )
    otlp_endpoint: OtlpEndpoint = Field(
        "",
        description="Base URL of the OTLP/HTTP endpoint that traces and metrics are sent to, such "
        "as http://localhost:4318. Empty: none are sent.",
    )
    otlp_headers: OtlpHeaders = Field(
        SecretStr(""),
        description="Headers for the OTLP endpoint, such as its access token: name=value, "
        "comma-separated. A secret: better in the environment than in a flag.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _a_boolean_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        assert info.field_name is not None
        annotation = cls.model_fields[info.field_name].annotation
        if isinstance(value, bool) and annotation is not bool:
            raise ValueError("a boolean is no number")
        return value

    @field_validator("docker_cert_path", mode="before")
    @classmethod
    def _dockers_own_directory_when_none_is_named(
        cls, value: object, info: ValidationInfo
    ) -> object:
        return "~/.docker" if not value and info.data.get("docker_tls_verify") else value

    @model_validator(mode="after")
    def _defaults_are_within_bounds(self) -> "Settings":
        pairs: list[tuple[str, float, str, float]] = [
            (
                "default_timeout_seconds",
                self.default_timeout_seconds,
                "max_timeout_seconds",
                self.max_timeout_seconds,
            ),
            (
                "default_memory_bytes",
                self.default_memory_bytes,
                "max_memory_bytes",
                self.max_memory_bytes,
            ),
            ("default_pids", self.default_pids, "max_pids", self.max_pids),
        ]
        if self.max_cpus:
            pairs.append(("default_cpus", self.default_cpus, "max_cpus", self.max_cpus))
        for name, value, bound_name, bound in pairs:
            if value > bound:
                raise ValueError(
                    f"{name} = {plain_number(value)} is not allowed: "
                    f"at most {bound_name}, {plain_number(bound)}"
                )
        return self

    def otlp_header_fields(self) -> dict[str, str]:
        """Return ``otlp_headers`` by name; not for any log."""
        pairs = (header.partition("=") for header in header_list(self.otlp_headers))
        return {name: value for name, _, value in pairs}

    def instance_name(self, port: int) -> str:
        """Return ``instance``, or what stands for it when ``port`` is listened on."""
        return self.instance or f"{socket.gethostname()}:{self.address}:{port}"
