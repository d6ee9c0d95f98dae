"""The command line of ``ecsctl sla``."""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from dateutil import tz
from yarl import URL

from ecs.ecsctl.options import echo_json, http_url, json_option, shown
from ecs.ecsctl.sla import dates
from ecs.ecsctl.sla.figures import Figures
from ecs.ecsctl.sla.measure import History, NothingMeasuredError, Window, history, measure
from ecs.ecsctl.sla.objective import DAYS, Objective, changed
from ecs.ecsctl.sla.plot import SUFFIXES, PlotError, plot
from ecs.ecsctl.sla.prometheus import Prometheus, PrometheusError
from ecs.ecsctl.sla.report import document, lines

_JOB = re.compile(r'[^"\\\n]+')
_MIN_SECONDS = 300


@click.command()
@click.option(
    "--since",
    default=f"{DAYS} days ago",
    show_default=True,
    metavar="TIME",
    help='Begin of the window, such as "2026-11-01", "yesterday 14:00", "last monday", "3 days '
    "ago\"; in this machine's time zone, if it names no other.",
)
@click.option(
    "--until", default="now", show_default=True, metavar="TIME", help="End of the window."
)
@click.option(
    "--prometheus",
    "url",
    envvar="ECS_PROMETHEUS_URL",
    default="http://127.0.0.1:9090",
    show_default=True,
    show_envvar=True,
    metavar="URL",
    help="The Prometheus that scrapes the service.",
)
@click.option(
    "--job", default="ecs", show_default=True, metavar="NAME", help="Prometheus's job_name of ECS."
)
@click.option(
    "--objective",
    "assignments",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Another objective: availability_percent=… or overhead_p95_seconds=…; may be repeated.",
)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also draw overhead and availability over time: FILE.svg or FILE.png.",
)
@json_option
def sla(
    *,
    since: str,
    until: str,
    url: str,
    job: str,
    assignments: Sequence[str],
    picture: Path | None,
    as_json: bool,
) -> None:
    """Tell from the metrics whether the objective was met. Exit code 1 if they tell nothing."""
    objective = _objective(assignments)
    window = _window(since, until)
    if not _JOB.fullmatch(job):
        raise click.BadParameter("it takes text without quotes", param_hint="'--job'")
    if picture is not None and picture.suffix not in SUFFIXES:
        raise click.BadParameter(
            f"it takes a file.svg or file.png, not {picture.name!r}", param_hint="'--plot'"
        )
    prometheus = http_url(url, option="--prometheus", takes="http://HOST:PORT or https://HOST")
    try:
        figures, course = asyncio.run(_asked(prometheus, job, window, with_history=bool(picture)))
    except (PrometheusError, NothingMeasuredError) as error:
        raise click.ClickException(shown(str(error))) from error
    if picture is not None and course is not None:
        _draw(picture, course, objective, window)
    if as_json:
        echo_json(document(figures, objective, window))
    else:
        for line in lines(figures, objective, window):
            click.echo(line)


async def _asked(
    url: URL, job: str, window: Window, *, with_history: bool
) -> tuple[Figures, History | None]:
    async with Prometheus(url) as prometheus:
        figures = await measure(prometheus, job, window)
        course = await history(prometheus, job, window) if with_history else None
    return figures, course


def _objective(assignments: Sequence[str]) -> Objective:
    objective = Objective()
    try:
        for assignment in assignments:
            objective = changed(objective, assignment)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="'--objective'") from error
    return objective


def _window(since: str, until: str) -> Window:
    now = datetime.now(tz.tzlocal())
    window = Window(_time("--since", since, now), _time("--until", until, now))
    if window.until > now:
        raise click.BadParameter(f"{until!r} has not come yet", param_hint="'--until'")
    if window.seconds < _MIN_SECONDS:
        begin, end = (f"{one:%Y-%m-%d %H:%M:%S %z}" for one in (window.since, window.until))
        raise click.BadParameter(
            f"{begin} is not {_MIN_SECONDS} seconds or more before --until, {end}",
            param_hint="'--since'",
        )
    return window


def _time(option: str, text: str, now: datetime) -> datetime:
    try:
        return dates.parse(text, now)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint=f"'{option}'") from error


def _draw(path: Path, course: History, objective: Objective, window: Window) -> None:
    try:
        plot(path, course, objective, window.until.tzinfo)
    except PlotError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"the picture {str(path)!r} cannot be written: {error.strerror}"
        ) from error
