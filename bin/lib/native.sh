# shellcheck shell=bash
# Sourced by the scripts in bin/: the ECS init, built for this machine. Needs common.sh.

native_programs=$root/ecs/native

# native_make TARGET...: quiet when it works, the end of the compiler's own words when it does not.
native_make() {
  local log=$run_directory/native.log
  if ! make -C "$root/native" PROGRAM="$native_programs/init-$(uname -m)" "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "the ECS init could not be built or tested (its whole log: $log)"
  fi
}

ensure_compiler() {
  local missing=()
  command -v gcc >/dev/null || missing+=(gcc libc6-dev)
  command -v make >/dev/null || missing+=(make)
  [ "${#missing[@]}" = 0 ] || apt_install "${missing[@]}"
}

# ensure_native: does nothing when what is built is newer than its source.
ensure_native() {
  ensure_compiler
  native_make all
}
