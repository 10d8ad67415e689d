# shellcheck shell=bash
# MariaDB, not SQLite: with SQLite two overlapping requests answer "database is locked" (17 of 32 attach cycles in 8 threads).

prepare_mariadb() {
  [[ -d $VAR/mariadb/mysql ]] || mariadb-install-db --user=root --datadir="$VAR/mariadb" \
    --auth-root-authentication-method=socket --skip-test-db >>"$LOG/mariadb.log" 2>&1
}

start_mariadb() {
  daemon mariadb mariadbd --no-defaults --user=root --datadir="$VAR/mariadb" --socket="$RUN/mariadb.sock" \
    --bind-address=127.0.0.1 --port=3306 --max-connections=500 --innodb-buffer-pool-size=128M \
    --innodb-flush-log-at-trx-commit=2 --pid-file="$RUN/mariadb.own.pid"
  await 60 mariadb mariadb-admin -S "$RUN/mariadb.sock" ping
}

create_databases() {
  local name
  for name in keystone glance cinder; do
    echo "CREATE DATABASE IF NOT EXISTS $name CHARACTER SET utf8;"
    echo "GRANT ALL ON $name.* TO lab@'127.0.0.1' IDENTIFIED BY 'lab'; GRANT ALL ON $name.* TO lab@localhost IDENTIFIED BY 'lab';"
  done | mariadb -S "$RUN/mariadb.sock"
}
