# shellcheck shell=bash
# RabbitMQ, and the Erlang port mapper it registers with.

start_epmd() {
  listening 4369 || ERL_EPMD_ADDRESS=127.0.0.1 daemon epmd epmd -relaxed_command_check
  await 10 epmd listening 4369
}

start_rabbitmq() {
  local home=$VAR/rabbitmq etc=$ETC/rabbitmq
  mkdir -p "$home"/{mnesia,log} "$etc"
  render rabbitmq.conf "$etc/rabbitmq.conf"
  echo '[].' >"$etc/enabled_plugins"
  # The distribution port binds every interface unless told otherwise. No busy waiting: idle schedulers cost a core.
  local erlang='+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}'
  CONFIG=$etc/rabbitmq.conf daemon rabbitmq env HOME="$home" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME=lab@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_CONFIG_FILE="$etc/rabbitmq" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$etc/enabled_plugins" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$erlang" \
    /usr/lib/rabbitmq/bin/rabbitmq-server
  await 120 rabbitmq listening 5672
}
