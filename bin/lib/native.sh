# shellcheck shell=bash
# Sourced by the scripts in bin/: the programs that go into containers, built for
# this machine. Needs common.sh.

native_programs=$root/ecs/native

# native_make TARGET...: quiet when it works, the end of the compiler's own words when it does not.
native_make() {
  local log=$run_directory/native.log
  if ! make -C "$root/native" PROGRAM="$native_programs/init-$(uname -m)" \
    SANDBOX="$native_programs/sandbox-$(uname -m)" "$@" >"$log" 2>&1; then
    tail -n 15 "$log" >&2
    die "the programs for containers could not be built or tested (its whole log: $log)"
  fi
}

# has_compiler: one that links statically, which takes more than gcc alone.
has_compiler() {
  command -v make >/dev/null &&
    echo 'int main(void) { return 0; }' | gcc -static -x c -o /dev/null - 2>/dev/null
}

# ensure_native: does nothing when what is built is newer than its source.
ensure_native() {
  has_compiler || apt_install gcc libc6-dev make
  native_make all
}

# ensure_native_if_possible: ECS works without it.
ensure_native_if_possible() {
  if has_compiler || can_apt; then
    ensure_native
  else
    say "no gcc and make here: tasks start without the ECS init, more slowly"
  fi
}
