# shellcheck shell=bash
# uWSGI serves Keystone and the Cinder API.

# uwsgi_daemon NAME PORT OPTION...
# uwsgi closes the connection after each answer without saying so; a client that keeps connections alive then meets
# "RemoteDisconnected". So say it (Debian's own uwsgi ini files do the same).
uwsgi_daemon() {
  daemon "$1" uwsgi_python3 --http-socket "127.0.0.1:$2" "${@:3}" --master --die-on-term --lazy-apps --enable-threads \
    --thunder-lock --buffer-size 65535 --add-header 'Connection: close' --procname-prefix-spaced "lab-$1"
}
