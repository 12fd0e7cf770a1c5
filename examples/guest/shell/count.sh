#!/bin/bash
# Counts how often each key came, as the application of a shard. It needs curl and jq.
#
#   count.sh SHARD JOURNAL HOST...      as: count.sh counter counts/totals http://127.0.0.1:9000 http://127.0.0.1:9001
#
# The sources of the shard have lines as {"key": "a"}. For each key of a transaction a line as {"key": "a", "added": 2, "total": 7}
# is published to the journal. BROADSHEET_TOKEN is sent as the token, if it is set; LEASE is how long we want to have a transaction.
#
# Kill it whenever you like, and start it again, or several of them: each message counts once. Nothing is kept in here.
set -uo pipefail

if [ $# -lt 3 ]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
shard=$1 journal=$2
hosts=("${@:3}")

# ask METHOD PATH: what is read is sent, what a host answers is written. Any host passes requests on to the one that has the shard.
# It fails if what we wanted wasn't done, or we don't know. The way on is always to take a transaction again: if the last one
# was committed, that is the next one. If it wasn't, it is the same once more.
ask() {
  local answer code
  local body=(--data-binary @-)
  [ "$1" = GET ] && body=()
  # The token is no argument: those of a process are seen by all.
  answer=$(curl --silent --show-error --max-time 90 --request "$1" "${body[@]}" --header 'Content-Type: application/json' \
    --header @<(echo "${BROADSHEET_TOKEN:+Authorization: Bearer $BROADSHEET_TOKEN}") \
    --write-out '\n%{http_code}' "${hosts[0]}/v1/shards/$2") || return 1
  code=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case $code in
    2*) echo "$answer" ;;
    409 | 429 | 5*) echo "$answer" >&2; return 1 ;;       # It isn't ours any more, or the shard is being moved.
    *) echo "$2: $answer" >&2; kill $$; return 1 ;; # Nothing that goes by.
  esac
}

# answer TRANSACTION: what is to be sent for it.
answer() {
  local bad keys state
  # Of a message that has no key the shard is to fail. See consumer/app.go for how somebody has it skipped.
  bad=$(jq --compact-output --arg shard "$shard" '
    [.messages[] | select((.document | type != "object") or (.document.key | type != "string") or .document.key == "")][0] as $m
    | select($m)
    | {$shard, token, fail: {journal: $m.journal, offset: $m.offset, text: "it has no key"}}' <<<"$1") || return 1
  if [ -n "$bad" ]; then
    echo "$bad"
    return
  fi
  # How often each key was before. 4096 keys at once are the most, which is how many messages a transaction has.
  keys=$(jq --compact-output --arg shard "$shard" '{$shard, keys: [.messages[].document.key] | unique}' <<<"$1") || return 1
  state=$(ask POST lookup <<<"$keys") || return 1
  printf '%s\n%s\n' "$1" "$state" | jq --slurp --compact-output --arg shard "$shard" --arg journal "$journal" '
    .[0] as $transaction
    | (.[1].entries | map({key, value: (.value // "0" | tonumber)}) | from_entries) as $before
    | [$transaction.messages | group_by(.document.key)[]
       | {key: .[0].document.key, added: length}
       | .total = $before[.key] + .added]
    | {$shard, token: $transaction.token,
       puts: map({key, value: (.total | tostring)}),
       publishes: map({$journal, document: .})}'
}

# transact takes a transaction and answers it. Once commit returns all of it has happened: the state has the puts, readers see the
# publishes, and the messages are consumed.
transact() {
  local transaction reply
  transaction=$(ask GET "transaction?shard=$shard&wait=30s&lease=${LEASE:-60s}") || return 1
  [ -n "$transaction" ] || return 0 # There was none for a while.
  reply=$(answer "$transaction") || return 1
  ask POST commit <<<"$reply" >/dev/null
}

while true; do
  if ! transact; then
    hosts=("${hosts[@]:1}" "${hosts[0]}")
    sleep 0.2
  fi
done
