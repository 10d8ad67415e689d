# shellcheck shell=bash
# Keystone on :5000, and the same Keystone on :5001 whose tokens live 20 s, for tests of token renewal.

prepare_keystone() {
  local etc=$ETC/keystone log=$LOG/prepare.log
  render keystone.conf "$etc/keystone.conf"
  sed 's/^expiration = .*/expiration = 20/; s/^log_file = .*/log_file = keystone-short-api.log/' "$etc/keystone.conf" |
    install -D -m 644 /dev/stdin "$ETC/keystone-short/keystone.conf"
  [[ -e $VAR/keystone/prepared ]] && return
  mkdir -p "$VAR/keystone"
  {
    keystone-manage --config-dir "$etc" db_sync
    keystone-manage --config-dir "$etc" fernet_setup --keystone-user root --keystone-group root
    keystone-manage --config-dir "$etc" credential_setup --keystone-user root --keystone-group root
    keystone-manage --config-dir "$etc" bootstrap --bootstrap-password admin --bootstrap-region-id RegionOne \
      --bootstrap-{admin,internal,public}-url=http://127.0.0.1:5000/v3
  } >>"$log" 2>&1 || die "Keystone's database could not be made, see $log"
  touch "$VAR/keystone/prepared"
}

start_keystone() {
  keystone_on keystone 5000 2
  await 120 keystone curl -sf http://127.0.0.1:5000/v3
}

start_keystone_short() {
  keystone_on keystone-short 5001 1
  await 120 keystone-short curl -sf http://127.0.0.1:5001/v3
}

# keystone_on NAME PORT PROCESSES
keystone_on() {
  CONFIG=$ETC/$1/keystone.conf OS_KEYSTONE_CONFIG_DIR=$ETC/$1 \
    uwsgi_daemon "$1" "$2" --wsgi-file /usr/bin/keystone-wsgi-public --processes "$3" --threads 4
}
