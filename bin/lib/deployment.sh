# shellcheck shell=bash
# Sourced by bin/up and bin/down: the composed system of this machine. Needs common.sh.

DEPLOYMENT_DIRECTORY=${DEPLOYMENT_DIRECTORY:-$root/deployment}
case $DEPLOYMENT_DIRECTORY in /*) ;; *) DEPLOYMENT_DIRECTORY=$PWD/$DEPLOYMENT_DIRECTORY ;; esac
settings_file=$DEPLOYMENT_DIRECTORY/ecs.env
keys_file=$DEPLOYMENT_DIRECTORY/keys/htpasswd
certificate=$DEPLOYMENT_DIRECTORY/tls/fullchain.pem
first_key_comment=bin/up

# setting NAME DEFAULT: the environment's value, else that of the settings file, else DEFAULT.
setting() {
  local kept=
  [ ! -f "$settings_file" ] || kept=$(sed -n "s/^$1=//p" "$settings_file" | tail -n 1)
  local value=${!1:-$kept}
  printf '%s\n' "${value:-$2}"
}

# load_deployment: the DEPLOYMENT_ variables that compose.yaml and the scripts use.
load_deployment() {
  DEPLOYMENT_PROJECT=$(setting DEPLOYMENT_PROJECT ecs)
  DEPLOYMENT_IMAGES=$(setting DEPLOYMENT_IMAGES ecs)
  DEPLOYMENT_IMAGE_TAG=$(setting DEPLOYMENT_IMAGE_TAG latest)
  DEPLOYMENT_FRONT_PREFIX=$(setting DEPLOYMENT_FRONT_PREFIX 172.31.254)
  DEPLOYMENT_DOCS_PREFIX=$(setting DEPLOYMENT_DOCS_PREFIX 172.31.253)
  DEPLOYMENT_ENGINE_SOCKET=$(setting DEPLOYMENT_ENGINE_SOCKET /var/run/docker.sock)
  DEPLOYMENT_ENGINE_GROUP=$(stat -L -c %g "$DEPLOYMENT_ENGINE_SOCKET" 2>/dev/null || echo 0)
  DEPLOYMENT_STOP_SECONDS=$(setting ECS_DRAIN_TIMEOUT_SECONDS 30 | awk '{ printf "%.0f", $1 + 60 }')
  NGINX_HTTPS_PORT=$(setting NGINX_HTTPS_PORT 443)
  NGINX_HTTP_PORT=$(setting NGINX_HTTP_PORT 80)
  export DEPLOYMENT_DIRECTORY DEPLOYMENT_PROJECT DEPLOYMENT_IMAGES DEPLOYMENT_IMAGE_TAG DEPLOYMENT_FRONT_PREFIX DEPLOYMENT_DOCS_PREFIX
  export DEPLOYMENT_ENGINE_SOCKET DEPLOYMENT_ENGINE_GROUP DEPLOYMENT_STOP_SECONDS
  export NGINX_HTTPS_PORT NGINX_HTTP_PORT
}

# ensure_compose: Debian's own package is a program of its own; elsewhere it is a part of docker.
ensure_compose() {
  command -v docker >/dev/null || apt_install docker.io
  if docker compose version >/dev/null 2>&1; then
    compose_program=(docker compose)
  else
    command -v docker-compose >/dev/null || apt_install docker-compose
    compose_program=(docker-compose)
  fi
}

compose() { "${compose_program[@]}" -f "$root/compose.yaml" -p "$DEPLOYMENT_PROJECT" "$@"; }

is_development_certificate() {
  [ "$(openssl x509 -in "$certificate" -noout -issuer -nameopt RFC2253 2>/dev/null)" = \
    "issuer=CN=ECS development CA" ]
}

creds() { "$root/bin/ecsctl" creds "$@" --file "$keys_file"; }

# first_keys: the keys that bin/up made, one a line.
first_keys() {
  [ ! -f "$keys_file" ] || creds list --json | "$python" -c '
import json, sys
for entry in json.load(sys.stdin):
    if entry["comment"] == sys.argv[1]:
        print(entry["key"])
' "$first_key_comment"
}

revoke_first_keys() {
  local key
  for key in $(first_keys); do
    creds revoke "$key" >/dev/null
  done
}
