# shellcheck shell=bash
# Sourced by the scripts in bin/: a Docker engine that answers, and the demo image in it.
# Needs common.sh and venv.sh.

engine() { "$python" "$root/bin/lib/engine.py" "$@"; }

engine_log=/var/log/dockerd.log
engine_pidfile=/var/run/docker.pid

# engine_answers_within SECONDS [PID]: gives up early when the process PID ends.
engine_answers_within() {
  local deadline=$((SECONDS + $1)) pid=${2:-}
  until engine ping 2>/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ] || { [ -n "$pid" ] && ! kill -0 "$pid" 2>/dev/null; }; then
      return 1
    fi
    sleep 0.2
  done
}

# forget_stale_pid FILE PROGRAM: after a crash of the machine the pid in FILE may be another
# program's by now, and dockerd would take that for its own and refuse to start.
forget_stale_pid() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] || rm -f "$1"
}

start_dockerd() {
  say "starting dockerd"
  forget_stale_pid "$engine_pidfile" dockerd
  forget_stale_pid /var/run/docker/containerd/containerd.pid containerd
  # Tasks are not to reach each other over the bridge.
  setsid dockerd --icc=false --pidfile "$engine_pidfile" >"$engine_log" 2>&1 </dev/null &
  local pid=$!
  if ! engine_answers_within 60 "$pid"; then
    kill "$pid" 2>/dev/null || true
    tail -n 15 "$engine_log" >&2
    die "dockerd did not come up (its whole log: $engine_log). It needs cgroups, overlayfs and" \
      "iptables from the kernel; inside a container it needs --privileged. If the log complains" \
      "of iptables, try: update-alternatives --set iptables /usr/sbin/iptables-legacy"
  fi
  say "dockerd runs on as pid $pid (log: $engine_log; to stop it: kill $pid)"
}

# ensure_engine: uses the engine that answers, else installs and starts Debian's.
ensure_engine() {
  local refusal
  refusal=$(engine ping 2>&1) && return
  [ -z "${DOCKER_HOST:-}" ] ||
    die "$refusal. Start that engine, or unset DOCKER_HOST to use this machine's own"
  [ "$(id -u)" = 0 ] ||
    die "$refusal. If it runs, you may lack the right to use it: run this as root, or join the" \
      "group docker (usermod -aG docker $(id -un), then log in again). If it does not run:" \
      "apt-get install docker.io"
  command -v dockerd >/dev/null || apt_install docker.io iptables apparmor
  if [ -d /run/systemd/system ]; then
    systemctl start docker.service ||
      die "systemctl could not start docker.service: see journalctl -u docker.service"
    engine_answers_within 60 || die "docker.service is up, but $(engine ping 2>&1)"
  elif ! engine_answers_within 3; then # the package's own start script may just be at it
    start_dockerd
  fi
}

ensure_busybox_static() {
  "$python" "$root/bin/lib/busybox_rootfs.py" --check 2>/dev/null || apt_install busybox-static
}

# ensure_image_busybox: pulls the demo image, or makes it where no registry can be reached.
ensure_image_busybox() {
  local image=busybox:latest
  engine has "$image" 2>/dev/null && return
  say "pulling $image"
  if timeout 20 "$python" "$root/bin/lib/engine.py" pull "$image" 2>/dev/null; then
    return
  fi
  say "no registry answers: making $image from this machine's static busybox"
  ensure_busybox_static
  "$python" "$root/bin/lib/busybox_rootfs.py" | engine import "$image" ||
    die "the engine did not take $image"
}
