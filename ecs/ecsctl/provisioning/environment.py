"""The variables of a node's three containers, as files for ``docker create --env-file``."""

from collections.abc import Mapping

from ecs.ecsctl.provisioning.deployment import Deployment
from ecs.plain_number import plain_number
from ecs.settings_help import environment_variable

SERVICE_PORT = 8448
APIDOCS_PORT = 8080


def variables(deployment: Deployment, instance: str) -> dict[str, str]:
    """Return the file of each container: ``services``, ``nginx``, ``apidocs``."""
    documented = _front_door(deployment)
    return {
        "services": _text(_service(deployment, instance)),
        "nginx": _text(documented | _upstreams(deployment)),
        # The documentation tells of the limits of both.
        "apidocs": _text(documented | _limits(deployment)),
    }


def _service(deployment: Deployment, instance: str) -> dict[str, str]:
    telemetry = deployment.document.get("telemetry", {})
    wanted = {
        "ECS_INSTANCE": instance,
        "ECS_TRUSTED_PROXIES": str(deployment.network("front")[3]),
        **_limits(deployment),
        "ECS_OTLP_ENDPOINT": telemetry.get("otlp_endpoint", ""),
        "ECS_OTLP_HEADERS": deployment.secrets.otlp_headers,
    }
    return {name: value for name, value in wanted.items() if value}


def _limits(deployment: Deployment) -> dict[str, str]:
    return {
        environment_variable(name): _word(value)
        for name, value in deployment.document["limits"].items()
    }


def _front_door(deployment: Deployment) -> dict[str, str]:
    document = deployment.document
    api, docs = deployment.domains
    return {
        "NGINX_DOMAIN": api,
        "NGINX_DOCS_DOMAIN": docs,
        "NGINX_HTTPS_PORT": str(document["ports"]["https"]),
        "NGINX_TLS_PROFILE": document["tls"]["profile"],
        **{f"NGINX_{name.upper()}": _word(value) for name, value in document["front_door"].items()},
        "NGINX_ANSWER_TIMEOUT_SECONDS": str(deployment.answer_timeout_seconds),
    }


def _upstreams(deployment: Deployment) -> dict[str, str]:
    # Addresses, since nginx resolves names only once, when it starts.
    return {
        "NGINX_SERVICE": f"{deployment.network('front')[2]}:{SERVICE_PORT}",
        "NGINX_APIDOCS": f"{deployment.network('docs')[2]}:{APIDOCS_PORT}",
    }


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else plain_number(value)


def _text(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())
