"""Exit code, stdout and stderr are those of ``docker run --rm --init``, whatever is run."""

import asyncio
import contextlib
import itertools
import subprocess
from pathlib import Path

from tests import images
from tests.client import calling
from tests.conftest import StartService
from tests.docker_run import Case, by_docker, by_ecs
from tests.ways import Way, WayCaller, calling_on, environment

ROOT = Path(__file__).parent.parent.parent
DEBIAN = "debian:bookworm-slim"
AT_A_TIME = 4
BYTES = bytes(range(256))


def sh(name: str, script: str, *arguments: str, **fields: object) -> Case:
    return Case(name, ["sh", "-c", script, *arguments], **fields)  # type: ignore[arg-type]


def bash(name: str, script: str, **fields: object) -> Case:
    return Case(name, ["bash", "-c", script], image=DEBIAN, **fields)  # type: ignore[arg-type]


NON_BLOCKING = r"""
    use Fcntl;
    for my $f (*STDOUT, *STDERR) { fcntl($f, F_SETFL, O_WRONLY | O_NONBLOCK) or die }
    syswrite(STDOUT, "x" x 5000); syswrite(STDERR, "y" x 5000); exit 6
"""

CASES = [
    # exit codes and signals
    Case("output", ["echo", "hello"]),
    Case("success", ["true"]),
    Case("failure", ["false"]),
    sh("exit code", "exit 42"),
    sh("highest exit code", "exit 255"),
    sh("exit code of a missing command, by a shell", "no-such-command"),
    sh("SIGTERM to itself", "kill -TERM $$; exit 1"),
    sh("SIGKILL to itself", "kill -KILL $$; exit 1"),
    sh("SIGSEGV to itself", "kill -SEGV $$; exit 1"),
    sh("a child that was killed", "sh -c 'kill -KILL $$'; exit $?"),
    sh("SIGTERM to PID 1", "trap 'echo got it; exit 9' TERM; kill -TERM 1; sleep 5 & wait"),
    sh("SIGUSR1 to PID 1", "trap 'echo got it; exit 9' USR1; kill -USR1 1; sleep 5 & wait"),
    sh("SIGKILL to PID 1", "kill -KILL 1; echo alive"),
    sh("a broken pipe", "yes | head -n 1; echo $?"),
    # standard input
    Case("stdin", ["cat"], stdin=b"line\n"),
    Case("binary stdin", ["cat"], stdin=BYTES * 1000),
    Case("empty stdin", ["wc", "-c"], stdin=b""),
    Case("no stdin", ["wc", "-c"]),
    Case("what no stdin is", ["readlink", "/proc/self/fd/0"]),
    Case("stdin that is not read", ["true"], stdin=bytes(300_000)),
    Case("stdin that is read in part", ["head", "-c", "5"], stdin=b"0123456789" * 30_000),
    Case("a script on stdin", ["sh"], stdin=b"echo from a script\nexit 9"),
    sh("stdin closed by the task", "exec <&-; echo closed", stdin=bytes(200_000)),
    # output
    Case("binary output", ["printf", r"\377\000\001\r\n\201"]),
    Case("no final newline", ["printf", "abc"]),
    sh("both streams", "echo out; echo err >&2"),
    sh("large output", "seq 1 100000; seq 1 50000 >&2"),
    sh("many writes", "for i in $(seq 1 500); do echo o$i; echo e$i >&2; done"),
    sh("closed stdout", "exec >&-; echo lost"),
    sh("closed outputs", "exec >&- 2>&-; exit 5"),
    sh("stdout and stderr by their names", "echo out > /dev/stdout; echo err > /dev/stderr"),
    # processes
    sh("a background child", "sleep 300 & echo done"),
    sh("a background child that would write", "(sleep 300; echo late) & echo now"),
    sh("a background child that ignores signals", "(trap '' TERM HUP; sleep 300) & echo done"),
    sh("an orphan is reaped", "(sleep 0.1 &); sleep 0.4; grep -l 'State:.Z' /proc/*/status"),
    sh("process group and session", "set -- $(cat /proc/$$/stat); echo $(($5 == $$)) $6 $4"),
    sh("signals", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status", entrypoint=[]),
    sh("open files", "ls /proc/self/fd | wc -l; ulimit -n; umask"),
    sh("capabilities", "grep -E 'Cap|NoNewPrivs|Seccomp' /proc/self/status"),
    sh(
        "the kernel's view of memory",
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes 2>/dev/null || "
        "cat ./$(sed -n s/^0:://p /proc/self/cgroup)/memory.max",
    ),
    # what it is given
    Case("unicode", ["echo", "grüß 日本 🐳"]),
    Case("quotes, spaces and newlines", ["printf", "%s|", "a b", "'", '"', "x\ny", "$HOME", "*"]),
    sh("an empty argument", 'echo "$#[$1]"', "zero", ""),
    sh("a long argument", "echo ${#1}", "zero", "x" * 100_000),
    sh("environment", 'echo "$A|$B"', env={"A": "1 2", "B": "grüß = x"}),
    # But for the trace that ECS hands in.
    sh("the environment, in its order", "env | grep -vE 'HOSTNAME|TRACE'", env={"B": "", "A": "="}),
    sh("home", "echo $HOME; echo ~", env={"HOME": "/elsewhere"}),
    Case("search path", ["busybox", "echo", "found"], env={"PATH": "/nowhere:/etc:/bin"}),
    Case("no command on the path", ["echo"], env={"PATH": "/nowhere"}, cannot_run=True),
    Case("an empty path", ["bin/echo", "relative"], env={"PATH": ""}),
    Case("working directory", ["pwd"], workdir="/tmp"),
    Case("a new working directory", ["pwd"], workdir="/srv/new"),
    Case("user and group", ["id"], user="1234:5678"),
    sh("a user's name and home", "id; echo $HOME", user="nobody"),
    Case("name servers", ["cat", "/etc/resolv.conf"]),
    sh("host name", "test $(hostname) = $HOSTNAME; echo $?; hostname | wc -c"),
    Case("localhost", ["nslookup", "-type=a", "localhost", "127.0.0.1:1"]),
    # what cannot be run
    Case("missing command", ["no-such-command"], cannot_run=True),
    Case("missing file", ["/no/such/file"], cannot_run=True),
    Case("no permission", ["/etc/passwd"], cannot_run=True),
    Case("a directory", ["/etc"], cannot_run=True),
    Case("an empty name", [""], entrypoint=[], cannot_run=True),
    # Debian
    bash("bash", "echo ${BASH_VERSINFO[0]}; exit 3"),
    bash("SIGINT to itself", "kill -INT $$; sleep 1"),
    bash("a pipeline", "set -o pipefail; false | cat; echo $?"),
    bash("perl", "perl -e 'print pack(q(C*), 0..255); warn qq(careful\\n); exit 4'"),
    Case("outputs that do not block", ["perl", "-e", NON_BLOCKING], image=DEBIAN),
    Case("timeout", ["timeout", "0.2", "sleep", "5"], image=DEBIAN),
    Case("5 MB", ["head", "-c", "5000000", "/dev/zero"], image=DEBIAN),
    Case("stdin through Debian", ["sha256sum"], image=DEBIAN, stdin=BYTES * 2000),
    Case("no such command in Debian", ["ip"], image=DEBIAN, cannot_run=True),
    # other images
    Case("scratch", ["/busybox", "echo", "hello"], image=images.SCRATCH),
    Case("scratch with stdin", ["/busybox", "wc", "-c"], image=images.SCRATCH, stdin=BYTES),
    Case("scratch without the command", ["sh"], image=images.SCRATCH, cannot_run=True),
    Case("scratch's devices", ["/busybox", "ls", "/dev"], image=images.SCRATCH),
    sh("non-root", "id; pwd; echo x > /etc/x", image=images.USER),
    sh("non-root outputs", "echo x > /dev/stderr; cat /dev/stdin", image=images.USER, stdin=b"in"),
    sh("non-root background child", "sleep 300 & echo done", image=images.USER),
    Case("ENTRYPOINT and WORKDIR", ["a", "b c"], image=images.TOOL),
    Case("another ENTRYPOINT", ["x"], image=images.TOOL, entrypoint=["/bin/echo", "mine"]),
    Case("no ENTRYPOINT", ["./run", "own"], image=images.TOOL, entrypoint=[]),
    Case("WORKDIR instead", ["a"], image=images.TOOL, workdir="/tmp", cannot_run=True),
    sh("read-only root", "id; echo x > /file; echo y > /tmp/f && cat /tmp/f", profile="strict"),
    Case("read-only root with stdin", ["cat"], stdin=BYTES * 300, profile="strict"),
    Case("read-only root, missing command", ["nope"], profile="strict", cannot_run=True),
]


WAYS = (Way.COLD, Way.SANDBOXED, Way.WARM)
READY = dict.fromkeys((images.BUSYBOX, DEBIAN, images.SCRATCH, images.USER, images.TOOL), AT_A_TIME)


async def test_each_command_ends_as_with_docker_run_whichever_way_it_starts(
    ecservice: StartService,
) -> None:
    prepare_debian()
    turns = asyncio.Semaphore(AT_A_TIME)

    async def differences(case: Case, callers: dict[Way, WayCaller]) -> list[str]:
        async with turns:
            expected = await by_docker(case)
            got = {way: await by_ecs(case, caller) for way, caller in callers.items()}
        return [
            f"{case.name}:\n  docker {expected}\n  {way.value} {ran}"
            for way, ran in got.items()
            if ran != expected
        ]

    async with contextlib.AsyncExitStack() as stack:
        callers = {}
        for way in WAYS:
            limit = str(8 * 2**20)
            service = await ecservice(**environment(way, READY), ECS_MAX_OUTPUT_BYTES=limit)
            callers[way] = await stack.enter_async_context(calling_on(way, service))
        found = await asyncio.gather(*(differences(case, callers) for case in CASES))

    assert len(CASES) == len({case.name for case in CASES})
    assert all(caller.expected[way.start] >= 40 for way, caller in callers.items())
    assert not any(found), "\n".join(itertools.chain(*found))


async def test_a_script_without_an_interpreter_is_no_program(ecservice: StartService) -> None:
    """Here ECS departs from Docker's init, which has a shell run it, as plain Docker does not."""
    service = await ecservice(ECS_INIT="auto")
    async with calling(service.url) as caller:
        answer = await caller.run(images.BARE_SCRIPT_PATH, image=images.TOOL, entrypoint=[])

    assert (answer.document["outcome"], answer.document["exitCode"]) == ("not_executable", 126)
    assert "Exec format error" in answer.document["detail"]


def prepare_debian() -> None:
    """Have the image in the engine, made on the spot where no registry can be reached."""
    script = 'root=$0; . "$root/bin/lib/common.sh"; . "$root/bin/lib/base_image.sh"; '
    subprocess.run(["bash", "-euc", f"{script} ensure_base_image {DEBIAN}", ROOT], check=True)
