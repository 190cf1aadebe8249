#!/usr/bin/env bash
# Hosts in small: network namespaces, joined by a bridge, each with an address and a file system of its own. A scheduler
# in one, workers in two, TLS between all of them, and a run from a fourth. Needs root, iproute2 and openssl.
#
#   benchmarks/dask_hosts.sh [--seconds 60 and other options of dask_workers.py]
#
# The run directory is seen by no other host, so all files travel.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python}
bridge=twbr$$ net=10.87.$((RANDOM % 250)) folder=$(mktemp -d)
hosts=(scheduler worker1 worker2 driver)
pids=()

finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for host in "${hosts[@]}"; do ip netns delete "tw$$-$host" 2>/dev/null || true; done
  ip link delete "$bridge" 2>/dev/null || true
  rm -rf "$folder"
}
trap finish EXIT

certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=authority \
    -keyout "$folder/authority.key" -out "$folder/authority.pem" 2>/dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=member \
    -keyout "$folder/member.key" -out "$folder/member.csr" 2>/dev/null
  openssl x509 -req -in "$folder/member.csr" -CA "$folder/authority.pem" -CAkey "$folder/authority.key" \
    -CAcreateserial -days 1 -out "$folder/member.pem" 2>/dev/null
  export DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=True DASK_DISTRIBUTED__COMM__TLS__CA_FILE=$folder/authority.pem
  for role in SCHEDULER WORKER CLIENT; do
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__CERT=$folder/member.pem"
    export "DASK_DISTRIBUTED__COMM__TLS__${role}__KEY=$folder/member.key"
  done
}

# Becomes a command on a host: in its network, with a folder for temporary files that no other host sees.
on() {
  local host=$1
  shift
  exec ip netns exec "tw$$-$host" bash -c '
    mount -t tmpfs tmpfs "$0" && export TMPDIR=$0 && exec "$@"' "$folder/own" "$@"
}

mkdir "$folder/own"
certificates
ip link add "$bridge" type bridge
ip link set "$bridge" up
for k in "${!hosts[@]}"; do
  name=tw$$-${hosts[$k]}
  ip netns add "$name"
  ip link add "tw$$v$k" type veth peer name eth0 netns "$name"
  ip link set "tw$$v$k" master "$bridge" up
  ip -n "$name" addr add "$net.$((k + 1))/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" link set lo up
done

on scheduler "$python" -m distributed.cli.dask_scheduler --protocol tls --host "$net.1" --port 8786 --no-dashboard \
  >"$folder/scheduler.log" 2>&1 & pids+=($!)
for k in 1 2; do
  on "worker$k" "$python" -m distributed.cli.dask_worker "tls://$net.1:8786" --host "$net.$((k + 1))" --protocol tls \
    --nthreads 1 --no-dashboard --local-directory "$folder/own" >"$folder/worker$k.log" 2>&1 & pids+=($!)
done
(on driver "$python" dask_workers.py --address "tls://$net.1:8786" "$@") || { tail -n 20 "$folder"/*.log; exit 1; }
ip -n "tw$$-driver" -s link show eth0 | sed 's/^/driver: /'
