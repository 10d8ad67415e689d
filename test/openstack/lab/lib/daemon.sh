# shellcheck shell=bash
# Daemons: each in a session of its own, known by its pid *and* start time, so that a recycled pid is never signalled.

RECORD=/dev/null # what daemon starts is written here, a name a line

# daemon NAME COMMAND...: start it unless it runs; restart it when its command or $CONFIG (files) changed since; thaw it.
daemon() {
  local name=$1 digest
  shift
  # shellcheck disable=SC2086  # CONFIG is a list of files
  digest=$({ echo "$*" && cat ${CONFIG:-/dev/null}; } | sha256sum)
  if alive "$name"; then
    signal CONT "$name"
    [[ $digest == "$(cat "$RUN/$name.digest" 2>/dev/null)" ]] && return
    echo "$name: its configuration changed, restarting it"
    halt "$name"
  fi
  setsid "$@" >>"$LOG/$name.log" 2>&1 </dev/null 8>&- &
  echo "$! $(born $!)" >"$RUN/$name.pid"
  echo "$digest" >"$RUN/$name.digest"
  echo "$name" >>"$RECORD"
  disown
}

alive() {
  local pid start
  read -r pid start 2>/dev/null <"$RUN/$1.pid" && [[ $start && $(born "$pid") == "$start" ]]
}

# await SECONDS NAME COMMAND...: until COMMAND succeeds; fails at once, with the end of the log, if daemon NAME dies.
await() {
  local deadline=$((SECONDS + $1)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [[ ! -e $RUN/$name.pid ]] || alive "$name" || die "$name died: $(tail -n 5 "$LOG/$name.log")"
    ((SECONDS < deadline)) || die "$name is not ready in time ($*), see $LOG/$name.log"
    sleep 0.1
  done
}

# signal SIGNAL NAME: to the whole process group, if it runs
signal() {
  local pid
  ! alive "$2" || { read -r pid _ <"$RUN/$2.pid" && kill "-$1" -- "-$pid" 2>/dev/null; } || true
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# halt NAME [SECONDS]: SIGTERM, then after so long (10 s; 0: at once) SIGKILL to what is left of its process group
halt() {
  local name=$1 patience=${2:-10} pid
  local deadline=$((SECONDS + patience))
  if alive "$name"; then
    read -r pid _ <"$RUN/$name.pid"
    ((patience == 0)) || kill -TERM "$pid" 2>/dev/null || true
    while alive "$name" && ((SECONDS < deadline)); do sleep 0.05; done
    kill -KILL -- "-$pid" 2>/dev/null || true
    while alive "$name"; do sleep 0.05; done
  fi
  rm -f "$RUN/$name.pid" "$RUN/$name.digest"
}

# born PID: its start time in clock ticks; nothing once it is gone or a zombie
born() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} == Z ]] || echo "${fields[19]}"
}
