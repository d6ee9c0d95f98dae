# shellcheck shell=bash
# Sourced by bin/build-images: puts together, in build/images/NAME, what the build of each image is
# given. Same input, same content: the engine compares content, so a build of nothing new is cached.
# Needs common.sh, venv.sh and base_image.sh.

contexts=$root/build/images

# fresh_context NAME: prints an empty directory with the image's own files in it.
fresh_context() {
  local context=$contexts/$1
  rm -rf "$context"
  mkdir -p "$context"
  (cd "$root/dockerfiles/$1" && tar --exclude=node_modules --exclude=__pycache__ -c .) |
    tar -C "$context" -x
  printf '%s\n' "$context"
}

# logged LOG WHAT COMMAND...: quiet when it works, the end of its own words when it does not.
logged() {
  local log=$1 what=$2
  shift 2
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    die "$what (its whole log: $log)"
  fi
}

# python_platform: what Python calls the engine's architecture.
python_platform() {
  local architecture
  architecture=$(engine_architecture)
  case $architecture in
    amd64) echo x86_64 ;;
    arm64) echo aarch64 ;;
    *) die "the engine's architecture, $architecture, is none that ECS is built for" ;;
  esac
}

# ensure_wheels DIRECTORY: what requirements.txt names, for Debian 12's Python in the image, whatever
# Python and machine this runs on. The lock is whole, so nothing else is to be looked for.
ensure_wheels() {
  local wheels=$1 platform glibc tags=()
  platform=$(python_platform)
  [ ! -d "$wheels" ] || return 0
  say "collecting the wheels of requirements.txt"
  for glibc in 2_36 2_35 2_34 2_31 2_28 2_26 2_24 2_17 2_12 2_5; do
    tags+=(--platform "manylinux_${glibc}_$platform")
  done
  tags+=(--platform "manylinux2014_$platform")
  rm -rf "$root"/build/wheels-*
  logged "$run_directory/wheels.log" "the wheels of requirements.txt could not be collected" \
    "$python" -m pip download --no-deps --require-hashes --only-binary=:all: \
    --python-version 3.11 --implementation cp "${tags[@]}" \
    -r "$root/requirements.txt" -d "$wheels.part"
  mv "$wheels.part" "$wheels"
}

# project_wheel DIRECTORY: builds it from a copy, since setuptools would leave its own build/lib in
# the checkout and pack what an earlier version left there. The fixed time makes it reproducible.
project_wheel() {
  local source=$contexts/source
  rm -rf "$source"
  mkdir -p "$source"
  # Without this machine's init: the image builds its own.
  (cd "$root" && tar --exclude=__pycache__ --exclude='init-*' -c ecs pyproject.toml setup.py README.md LICENSE) |
    tar -C "$source" -x
  SOURCE_DATE_EPOCH=315532800 logged "$run_directory/project-wheel.log" \
    "the project's own wheel could not be built" \
    "$python" -m pip wheel --no-deps --wheel-dir "$1" "$source"
  rm -rf "$source"
}

services_context() {
  local context wheels
  wheels=$root/build/wheels-$({ cat "$root/requirements.txt" && python_platform; } | sha256sum |
    cut -c 1-16)
  context=$(fresh_context services)
  ensure_wheels "$wheels"
  cp -R "$wheels" "$context/wheels"
  cp "$root/requirements.txt" "$context/"
  cp -R "$root/native" "$context/native"
  project_wheel "$context"
}

nginx_context() {
  local context
  context=$(fresh_context nginx)
  cp "$root/dockerfiles/render" "$context/"
}

# apidocs_context: the site is made here, since its tools are not to be in the image.
apidocs_context() {
  local context pages=$root/dockerfiles/apidocs
  context=$(fresh_context apidocs)
  cp "$root/dockerfiles/render" "$context/"
  command -v npm >/dev/null || apt_install npm
  if ! cmp -s "$pages/package-lock.json" "$pages/node_modules/.installed-lock"; then
    say "installing the tools of the API's documentation"
    logged "$run_directory/npm.log" "npm could not install them" \
      npm --prefix "$pages" ci --ignore-scripts
    cp "$pages/package-lock.json" "$pages/node_modules/.installed-lock"
  fi
  "$python" -c 'import yaml' 2>/dev/null ||
    logged "$run_directory/pip.log" "pip could not install what build.py needs" \
      "$python" -m pip install --require-hashes -r "$pages/requirements.txt"
  logged "$run_directory/apidocs.log" "the API's documentation could not be built" \
    "$python" "$pages/build.py" "$context/site"
}
