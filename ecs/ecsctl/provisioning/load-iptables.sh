#!/bin/sh
# Loads the host firewall of ECS from the two files beside this one, and makes the kernel's chains
# jump to it. May be run again at any time: there is no moment without rules.
set -eu
directory=$(dirname "$0")

# jump CHAIN TARGET: first in the chain, unless it is there.
jump() {
  "$command" --wait --check "$1" --jump "$2" 2>/dev/null ||
    "$command" --wait --insert "$1" --jump "$2"
}

for command in iptables ip6tables; do
  "$command-restore" --wait --noflush <"$directory/$command.rules"
  # Docker keeps what is in DOCKER-USER and goes there first. Before it starts, and for IPv6 where
  # its ip6tables is off, the chain is missing.
  "$command" --wait --new-chain DOCKER-USER 2>/dev/null || true
  jump FORWARD DOCKER-USER
  jump DOCKER-USER ECS-FORWARD
  jump INPUT ECS-INPUT
done
