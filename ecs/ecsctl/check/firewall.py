"""Is the host firewall loaded, whole, as it would be rendered?"""

import subprocess

from ecs.ecsctl.check.findings import Finding, failure, not_checked, ok
from ecs.ecsctl.provisioning.loaded_firewall import Rules, loaded_firewall

_NAME = "firewall"
_SHOWN_PROBLEMS = 3


def check_firewall(rules: Rules) -> Finding:
    """Compare the kernel's rules with what keeps tasks from the host and from private addresses."""
    try:
        problems = loaded_firewall(rules)
    except subprocess.CalledProcessError as error:
        said = " ".join(str(error.stderr).split()) or f"exit code {error.returncode}"
        return not_checked(_NAME, f"{error.cmd[0]}: {said}", "run this as root")
    except (subprocess.TimeoutExpired, OSError) as error:
        return not_checked(_NAME, str(error), "see `nft list ruleset` or `iptables -S`")
    if not problems:
        return ok(_NAME, "loaded and complete")
    more = len(problems) - _SHOWN_PROBLEMS
    told = "; ".join(problems[:_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    return failure(_NAME, told, "load the firewall that is rendered for this node")
