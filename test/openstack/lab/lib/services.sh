# shellcheck shell=bash
# Every service of the lab, in the order in which they start; each has a function start_<name>.

for room in environment packages daemon rabbitmq mariadb uwsgi keystone nfs ceph iscsi cinder glance; do
  # shellcheck disable=SC1090  # the rooms are the files next to this one
  source "$(dirname "${BASH_SOURCE[0]}")/$room.sh"
done

# shellcheck disable=SC2034  # read by the commands
SERVICES=(
  epmd rabbitmq mariadb
  rpcbind ganesha ceph-mon ceph-mgr ceph-osd tgtd
  keystone keystone-short cinder-api cinder-scheduler cinder-volume glance-api
)

# start SERVICE...
start() {
  local name
  for name in "$@"; do "start_${name//-/_}"; done
}

# stop SERVICE...: all are asked at once, then awaited
stop() {
  local name pid
  for name in "$@"; do
    ! alive "$name" || { read -r pid _ <"$RUN/$name.pid" && kill -TERM "$pid" 2>/dev/null; } || true
  done
  for name in "$@"; do halt "$name" "$(patience "$name")"; done
}

# patience SERVICE: seconds it may take to end by itself
patience() {
  case $1 in
    tgtd) echo 1 ;; # never ends on SIGTERM while it has targets; they are made again from Cinder's files
    rabbitmq | mariadb | ceph-*) echo 20 ;;
    *) echo 10 ;;
  esac
}

known() {
  local name
  for name in "$@"; do
    [[ " ${SERVICES[*]} " == *" $name "* ]] || die "no service called '$name'; there are: ${SERVICES[*]}"
  done
}

running() {
  local name
  for name in "${SERVICES[@]}"; do ! alive "$name" || echo "$name"; done
}
