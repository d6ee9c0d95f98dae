# shellcheck shell=bash
# Sourced by bin/up: the certificate of the front door. Needs common.sh and deployment.sh.

private_key=$DEPLOYMENT_DIRECTORY/tls/privkey.pem
development_days=90

# complaint_about_certificate NAME...: what is wrong with the certificate for these host names.
complaint_about_certificate() {
  local name
  if [ ! -r "$certificate" ] || [ ! -r "$private_key" ]; then
    echo "there must be both $certificate and $private_key, and they must be readable"
  elif ! openssl x509 -in "$certificate" -noout 2>/dev/null; then
    echo "$certificate holds no PEM certificate"
  elif ! openssl pkey -in "$private_key" -noout -passin pass: 2>/dev/null; then
    echo "$private_key holds no PEM private key without a passphrase"
  elif [ "$(openssl x509 -in "$certificate" -noout -pubkey)" != \
    "$(openssl pkey -in "$private_key" -pubout -passin pass:)" ]; then
    echo "$private_key is not the key of $certificate"
  elif ! openssl x509 -in "$certificate" -noout -checkend 0 >/dev/null; then
    echo "$certificate has expired"
  else
    for name in "$@"; do
      openssl x509 -in "$certificate" -noout -checkhost "$name" | grep -q 'does match' ||
        echo "$certificate is not for $name"
    done
  fi
}

# make_development_certificate NAME...: from a CA made for it alone, whose key is thrown away, so
# that nobody can use it against those who trust it.
make_development_certificate() {
  local scratch names
  scratch=$(mktemp -d)
  names=$(printf ',DNS:%s' "$@")
  (
    cd "$scratch"
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -days "$development_days" -keyout ca.key -out ca.pem -subj "/CN=ECS development CA" \
      -addext basicConstraints=critical,CA:TRUE,pathlen:0 \
      -addext keyUsage=critical,keyCertSign
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -keyout privkey.pem -out request.pem -subj "/CN=$1"
    printf '%s\n' "subjectAltName=${names#,}" basicConstraints=critical,CA:FALSE \
      keyUsage=critical,digitalSignature extendedKeyUsage=serverAuth >extensions
    openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial \
      -days "$development_days" -extfile extensions -out fullchain.pem
    chmod 644 fullchain.pem ca.pem
    mkdir -p "$DEPLOYMENT_DIRECTORY/tls"
    mv fullchain.pem privkey.pem ca.pem "$DEPLOYMENT_DIRECTORY/tls"
  ) >"$run_directory/openssl.log" 2>&1 || die "openssl could not make a certificate:" \
    "$(tail -n 3 "$run_directory/openssl.log")"
  rm -rf "$scratch"
}

# ensure_certificate NAME...: the one that was given, if it is right; else one for development.
ensure_certificate() {
  local complaint
  command -v openssl >/dev/null || apt_install openssl
  complaint=$(complaint_about_certificate "$@")
  [ -n "$complaint" ] || return 0
  if [ -e "$certificate" ] || [ -e "$private_key" ]; then
    is_development_certificate || die "$complaint. Put the right certificate there, or remove" \
      "both files to have one made for development"
  fi
  say "making a certificate for development, from a CA of its own ($development_days days)"
  make_development_certificate "$@"
}
