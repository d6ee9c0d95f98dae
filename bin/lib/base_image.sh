# shellcheck shell=bash
# Sourced by the scripts in bin/: the image that the service's own images begin with.
# Needs common.sh, and the docker command.

# has_image IMAGE
has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# ensure_base_image IMAGE: uses the engine's, else pulls it; debian:bookworm-slim alone is also made
# on the spot where no registry can be reached.
ensure_base_image() {
  local image=$1 log=$run_directory/base-image.log
  has_image "$image" && return
  say "pulling $image"
  if timeout 20 docker pull "$image" >"$log" 2>&1; then
    return
  fi
  [ "$image" = debian:bookworm-slim ] ||
    die "$image could not be pulled within 20 s: $(tail -n 1 "$log")." \
      "Bring it into the engine (docker pull, docker load) and run this again"
  say "no registry answers: making $image from Debian's packages (log: $log)"
  [ "$(id -u)" = 0 ] || die "only root can do that: run this as root, or bring $image into the engine"
  command -v debootstrap >/dev/null || apt_install debootstrap debian-archive-keyring
  # In a mount namespace of its own: what debootstrap mounts is gone with it, however it ends.
  if ! unshare --mount "$root/bin/lib/debian_rootfs" "$(engine_architecture)" 2>"$log" |
    docker import --change 'CMD ["bash"]' \
      --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
      - "$image" >>"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "$image could not be made (its whole log: $log)"
  fi
}

# engine_architecture: prints Debian's name of it, which is Go's too for those ECS is built for.
engine_architecture() { docker version --format '{{.Server.Arch}}'; }
