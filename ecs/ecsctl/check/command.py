"""The command line of ``ecsctl check``, and what it prints."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ecs.ecsctl.check.clock import check_clock
from ecs.ecsctl.check.disk import check_disk
from ecs.ecsctl.check.engine import check_engine
from ecs.ecsctl.check.findings import Finding, Level
from ecs.ecsctl.check.firewall import check_firewall
from ecs.ecsctl.check.metrics import exposition
from ecs.ecsctl.check.ports import check_ports
from ecs.ecsctl.check.tls import check_tls, not_after
from ecs.ecsctl.deployment_file import checked_deployment
from ecs.ecsctl.options import (
    Command,
    echo_json,
    json_option,
    shown,
    textfile_option,
    write_textfile,
)
from ecs.ecsctl.provisioning.firewall import Firewall
from ecs.ecsctl.provisioning.loaded_firewall import Rules, read_rules, rendered
from ecs.settings import Settings, SettingsError
from ecs.settings_loading import load

_MAX_PORT = 65_535
_SEVERITY = (Level.FAILURE, Level.WARNING, Level.OK)


def _path_option(name: str, variable: str, default: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        name,
        envvar=variable,
        default=Path(default),
        type=click.Path(path_type=Path),
        show_default=True,
        show_envvar=True,
        metavar="PATH",
        help=text,
    )


@click.command()
@click.option(
    "--deployment",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The deployment file of the node: firewall, domains and ports are to be as there.",
)
@click.option(
    "--firewall",
    "rules_directory",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="The rendered rules that must be loaded, in place of those of --deployment: on a node "
    "/etc/ecs/firewall.",
)
@click.option(
    "--config",
    envvar="ECS_CONFIG",
    show_envvar=True,
    metavar="FILE",
    help="TOML file of the service's settings; its variables count too.",
)
@_path_option(
    "--certificate", "NGINX_TLS_CERTIFICATE", "/etc/ecs/tls/fullchain.pem", "The certificate."
)
@_path_option("--key", "NGINX_TLS_KEY", "/etc/ecs/tls/privkey.pem", "The certificate's key.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="HOST",
    help="A host name that the certificate must be for; may be repeated.",
)
@click.option(
    "--allow-port",
    "allowed_ports",
    multiple=True,
    type=click.IntRange(1, _MAX_PORT),
    metavar="PORT",
    help="A TCP port that may be open to others, beside those of --deployment, or without it and "
    "--firewall 22, 80 and 443; may be repeated.",
)
@textfile_option
@json_option
def check(
    *,
    file: Path | None,
    rules_directory: Path | None,
    config: str | None,
    certificate: Path,
    key: Path,
    domains: Sequence[str],
    allowed_ports: Sequence[int],
    textfile_path: Path | None,
    as_json: bool,
) -> None:
    """Is this node right? Exit code 1 if anything fails, 0 for warnings alone."""
    settings = _settings(config)
    # Rules that are rendered do not tell which ports they leave open.
    firewall = Firewall() if rules_directory is None else Firewall(open_tcp_ports=())
    named = tuple(domains)
    if file is not None:
        deployment = checked_deployment(file, as_json=as_json)
        firewall, named = deployment.firewall, (*deployment.domains, *domains)
    rules = rendered(firewall) if rules_directory is None else _rules(rules_directory)
    now = datetime.now(UTC)
    findings = [
        *asyncio.run(check_engine(settings)),
        check_firewall(rules),
        *check_tls(certificate, key, named, now=now),
        *_directories(settings),
        check_clock(),
        *check_ports((*firewall.open_tcp_ports, *allowed_ports), settings.port),
    ]
    if textfile_path is not None:
        write_textfile(textfile_path, exposition(findings, not_after(certificate), now))
    worst = next(level for level in _SEVERITY if any(one.level == level for one in findings))
    if as_json:
        echo_json({"result": worst, "checks": [_document(finding) for finding in findings]})
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(_line(finding, width))
    sys.exit(1 if worst == Level.FAILURE else 0)


def _settings(config: str | None) -> Settings:
    try:
        return load(["--config", config] if config else [])
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _rules(directory: Path) -> Rules:
    try:
        return read_rules(directory)
    except (OSError, UnicodeDecodeError) as error:
        told = f"{str(directory)!r} holds no rendered rules: {error}"
        raise click.BadParameter(told, param_hint="'--firewall'") from error


def _directories(settings: Settings) -> list[Finding]:
    spool = settings.spool_directory or Path(tempfile.gettempdir())
    return [
        *check_disk("spool", spool, "delete what is not the service's, or move spool_directory"),
        *check_disk("state", settings.state_directory, "move state_directory to a larger disk"),
    ]


def _document(finding: Finding) -> dict[str, str]:
    return {
        "name": finding.name,
        "level": finding.level,
        "found": finding.found,
        "fix": finding.fix,
    }


def _line(finding: Finding, width: int) -> str:
    fix = f"; {finding.fix}" if finding.fix else ""
    return shown(f"{finding.level:7}  {finding.name:{width}}  {finding.found}{fix}")
