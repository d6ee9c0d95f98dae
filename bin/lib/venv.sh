# shellcheck shell=bash
# Sourced by the scripts in bin/: the checkout's own Python environment in .venv.

venv=$root/.venv
python=$venv/bin/python
oldest_python='import sys; sys.exit(sys.version_info < (3, 11))'

# find_python: prints the first Python >= 3.11 on the PATH.
find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c "$oldest_python" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local base
  command -v python3 >/dev/null || ! can_apt || apt_install python3 python3-venv
  base=$(find_python) || die "ECS needs Python 3.11 or newer, and there is none on the PATH"
  if ! "$base" -c 'import ensurepip, venv' 2>/dev/null; then
    apt_install "$("$base" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
  fi
  "$base" -m venv --clear "$venv"
}

# venv_stamp LOCK: everything that an installation of LOCK depends on.
venv_stamp() { (cd "$root" && pwd && sha256sum "$1" pyproject.toml setup.py); }

# ensure_venv LOCK: .venv holds what LOCK names, and ecs itself, editable.
# requirements-dev.txt includes requirements.txt, pin for pin.
ensure_venv() {
  local lock=$1 log=$run_directory/pip.log
  "$python" -c "$oldest_python" 2>/dev/null || make_venv
  if [ "$(cat "$venv/installed-$lock" 2>/dev/null)" = "$(venv_stamp "$lock")" ]; then
    return
  fi
  say "installing $lock into .venv"
  if ! { "$python" -m pip install --require-hashes -r "$root/$lock" &&
    "$python" -m pip install --no-deps -e "$root"; } >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    die "pip could not install $lock (its whole log: $log)"
  fi
  venv_stamp "$lock" >"$venv/installed-$lock"
  [ "$lock" = requirements.txt ] || venv_stamp requirements.txt >"$venv/installed-requirements.txt"
}
