# shellcheck shell=bash
# Sourced by the scripts in bin/: talking to the person, installing Debian packages.
# The caller sets `root` to the checkout.

run_directory=$root/.run
mkdir -p "$run_directory"

say() { printf '==> %s\n' "$*"; }

die() {
  printf '==> error: %s\n' "$*" >&2
  exit 1
}

# can_apt: may packages be installed here?
can_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# apt_install PACKAGE...: quiet when it works, the end of apt's own words when it does not.
apt_install() {
  can_apt || die "missing: $*. Install it and run this again (on Debian or Ubuntu: apt-get install $*)"
  local log=$run_directory/apt.log
  say "installing $* with apt-get"
  if ! { apt-get -q -o DPkg::Lock::Timeout=120 update &&
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
      install --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    die "apt-get could not install $* (its whole log: $log)"
  fi
}
