"""A whole run of the benchmarks, as its file has it, with figures that are easy to find again."""

from typing import Any

Figures = dict[str, Any]


def series(milliseconds: float, **more: Any) -> Figures:
    return {
        "count": 30,
        "median_seconds": milliseconds / 1000,
        "p95_seconds": 2 * milliseconds / 1000,
        "max_seconds": 3 * milliseconds / 1000,
        **more,
    }


def way(milliseconds: float, to_raw: float, to_docker_run: float) -> Figures:
    return series(milliseconds, median_to_raw=to_raw, median_to_docker_run=to_docker_run)


def crowd(rate: float, **starts: int) -> Figures:
    return {
        "tasks_per_second": rate,
        "clean_tasks_per_second": rate,
        "done": sum(starts.values()) or 40,
        "starts": starts,
        "failures": [],
    }


def throughput(ecs: float, docker_run: float) -> Figures:
    cell = {
        "clients": 4,
        "ECS": crowd(ecs),
        "docker run --rm": crowd(docker_run),
        "raw": crowd(docker_run + 1),
    }
    batch = {
        "tasks": 80,
        "ecs_clients": 4,
        "docker_run_workers": 8,
        "ECS": [crowd(ecs, sandboxed=79, cold=1)] * 3,
        "docker run --rm": [crowd(docker_run)] * 3,
        "pairwise_to_docker_run": ecs / docker_run,
    }
    return {"curve": [cell, cell | {"clients": 8}], "batch": batch}


def step(load: float, milliseconds: float, **errors: int) -> Figures:
    return {
        "load": load,
        "seconds": 20.0,
        "requests": 120,
        "offered_tasks_per_second": 6.0,
        "starts": {"sandboxed": 119, "cold": 1},
        "hit_rate": 0.99,
        "latency": {f"p{each}_seconds": milliseconds * each / 50_000 for each in (50, 95, 99)},
        "errors": errors,
        "latest_seconds": 0.001,
    }


def pool(clients: int, rate: float) -> Figures:
    return {
        "clients": clients,
        "sustained_tasks_per_second": rate,
        "steps": [step(0.25, 80), step(0.5, 100), step(1.0, 400, **{"503": 2, "429": 1})],
    }


COLD = way(196, 0.98, 0.7)
LATENCY = {
    "ECS": way(70, 0.35, 0.25),
    "ECS, no sandboxes": COLD,
    "docker run --rm": way(280, 1.4, 1.0),
}
PROBE = {"starting": series(5), "all running": series(2)}
RUN: Figures = {
    "facts": {
        "date": "2026-01-02 03:04 UTC",
        "cores": 2,
        "memory_gib": 7.8,
        "kernel": "6.1",
        "operating_system": "Debian",
        "engine": "20.10",
        "runtime": "runc 1.1",
        "storage_driver": "overlay2",
        "cgroup_version": "2",
        "python": "3.11",
        "ecs": "1.2.3",
    },
    "settings": {},
    "quick": False,
    "seconds": {"latency": 120.0, "throughput": 300.0},
    "latency": {"default": LATENCY, "none": LATENCY},
    "warm": {
        "containers": 20,
        "warm": series(8.44),
        "first_byte": series(7),
        "docker_run": series(400),
        "median_to_docker_run": 0.0211,
        "hits": 99,
        "misses": 1,
    },
    "burst": {
        "requests": 20,
        "docker_run_workers": 8,
        "docker_run": series(4000),
        "warm": series(160, pairwise_to_docker_run=0.04, hit_rate=1.0),
        "sandboxed": series(1800, pairwise_to_docker_run=0.45, hit_rate=0.95),
    },
    "throughput": {"default": throughput(12.5, 5), "none": throughput(10, 8)},
    "poisson": {"ready": 20, "seed": 1, "sandboxed": pool(8, 12.34), "warm": pool(4, 5.67)},
    "output": {
        "ECS, JSON (head and tail)": series(660, service_growth_bytes=5_100_000),
        "docker run --rm > /dev/null": series(1540, service_growth_bytes=0),
    },
    "noop": {
        "connections": 32,
        "requests_per_second": {"ECS _noop": [7000.0, 7500.0], "bare": [8000.0, 9000.0]},
        "pairwise_to_bare": 0.86,
    },
    "sleepers": {
        "sleepers": 100,
        "sleep_seconds": 60,
        "seconds_to_all_running": 12.3,
        "peak_running": 100,
        "seconds_to_last_answer": 70.1,
        "seconds_to_clean": 75.2,
        "resident_before_bytes": 66_000_000,
        "resident_peak_bytes": 70_000_000,
        "failures": [],
        "noop": PROBE,
        "short_task": PROBE,
    },
}
FRONT_DOOR = {
    "noop_milliseconds": {"the service itself": [1.1, 1.3], "through nginx": [2.4, 2.6]},
    "added_milliseconds": 1.3,
    "guessed_to_quiet": 1.01,
}
