#!/usr/bin/env bash
# Exposed communication with and without overlap on a slow link: two ranks in two network namespaces that are joined by a pair of virtual
# interfaces, shaped with tbf.   benchmarks/network.sh TRAINER [REPETITIONS] [STEPS] [RATE...]
# 784-1024^3-10 with batch norm, batch 2048, Adam. Prints a line a job, overlap on and off in turn: seconds of a step and of its exposed
# communication and waiting (rank 0), bytes that rank 0 sends in a step as counted by the program and by its interface. Needs root, ip and
# tc with tbf; without them it says what is missing, exit 77.
set -euo pipefail
trainer=$(readlink -f "$1")
repetitions=${2:-3} steps=${3:-20}
rates=("${@:4}")
[ ${#rates[@]} -gt 0 ] || rates=(10gbit 1gbit)
skip() { echo "skipped: $*" >&2; exit 77; }
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for program in ip tc mpirun unshare taskset python3; do command -v "$program" > /dev/null || skip "$program is missing"; done

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d "${TMPDIR:-/tmp}/trainer-network.XXXXXX")
one=trainer-$$-1 two=trainer-$$-2
clean() {
  ip netns del "$one" 2> /dev/null || true
  ip netns del "$two" 2> /dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP
cd "$work"

ip netns add "$one" && ip netns add "$two" || skip "no network namespaces here"
ip link add near netns "$one" type veth peer name far netns "$two" || skip "no veth interfaces here"
ip -n "$one" address add 10.77.0.1/24 dev near
ip -n "$two" address add 10.77.0.2/24 dev far
for place in "$one near" "$two far"; do
  read -r space interface <<< "$place"
  ip -n "$space" link set lo up
  ip -n "$space" link set "$interface" up
done

# A namespace with a host name of its own: hosts of one name are one host to Open MPI, whose ranks share memory.
cat > inside.sh << 'INSIDE'
#!/bin/sh
# inside.sh NAMESPACE NAME COMMAND...
space=$1 name=$2
shift 2
exec ip netns exec "$space" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$name" "$@"
INSIDE
# Stands for ssh: mpirun runs in the first namespace, so the host asked for is the second.
cat > agent.sh << AGENT
#!/bin/sh
shift  # the host
exec "$work/inside.sh" "$two" far-host sh -c "\$*"
AGENT
# A core for each rank; both hosts have the same ones.
cat > on_core.sh << 'CORE'
#!/bin/sh
exec taskset -c "$OMPI_COMM_WORLD_RANK" "$@"
CORE
chmod +x ./*.sh

shape() {  # RATE
  for place in "$one near" "$two far"; do
    read -r space interface <<< "$place"
    ip netns exec "$space" tc qdisc replace dev "$interface" root tbf rate "$1" burst 256kb latency 50ms ||
      skip "tc has no tbf here"
  done
}

# What the shaped link carries, in Gbit/s.
cat > carries.py << 'PYTHON'
import socket, sys, time
if sys.argv[1] == "serve":
    server = socket.create_server(("10.77.0.2", 7777))
    print("ready", flush=True)
    connection, _ = server.accept()
    while connection.recv(1 << 20):
        pass
    connection.sendall(b"x")
else:
    total, block = int(sys.argv[2]), bytes(1 << 20)
    with socket.create_connection(("10.77.0.2", 7777)) as to:
        start = time.monotonic()
        for _ in range(total >> 20):
            to.sendall(block)
        to.shutdown(socket.SHUT_WR)
        to.recv(1)
        print(f"{total * 8e-9 / (time.monotonic() - start):.2f}")
PYTHON
carries() {
  mkfifo ready
  ip netns exec "$two" python3 carries.py serve > ready &
  local server=$! word
  read -r word < ready
  ip netns exec "$one" python3 carries.py send $((256 << 20))
  wait "$server"
  rm ready
}

job() {  # OVERLAP STEPS RUN: trains, the first half of a run's steps as a warm-up of its own row in timing.csv
  local sent=/sys/class/net/near/statistics/tx_bytes before after
  before=$(ip netns exec "$one" cat "$sent")
  ./inside.sh "$one" near-host env OMPI_MCA_plm_rsh_agent="$work/agent.sh" mpirun --host 10.77.0.1:1,10.77.0.2:1 --bind-to none \
    --mca btl tcp,self --mca pml ob1 --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
    ./on_core.sh "$trainer" --data "generate:blobs(rows=$((2048 * steps)), features=784, classes=10)" --validation 0 --test none \
    --model "dense(1024) batch_norm relu dense(1024) batch_norm relu dense(1024) batch_norm relu dense(outputs)" --batch-size 2048 \
    --max-steps "$2" --evaluate-every "$((($2 + 1) / 2)) steps" --checkpoint-every "1000000 steps" --threads 1 --quiet \
    --tuning "overlap=$1" --out "$3" > "$3.txt" 2>&1 || { cat "$3.txt" >&2; exit 1; }
  after=$(ip netns exec "$one" cat "$sent")
  echo $((after - before))
}

echo "rate  carries  overlap  seconds/step  communicate  wait  bytes/step:program  interface  weights"
digest=""
for rate in "${rates[@]}"; do
  shape "$rate"
  gigabits=$(carries)
  for ((i = 0; i < repetitions; ++i)); do
    for overlap in on off; do
      few=$(job "$overlap" 2 "$rate-$overlap-$i-few")
      many=$(job "$overlap" $((2 * steps)) "$rate-$overlap-$i")
      python3 - "$rate" "$gigabits" "$overlap" "$rate-$overlap-$i" "$steps" "$few" "$many" << 'PYTHON'
import csv, json, sys
rate, gigabits, overlap, run, steps, few, many = sys.argv[1:]
steps = int(steps)
last = list(csv.DictReader(open(f"{run}/timing.csv")))[-1]
result = json.load(open(f"{run}/result.json"))
parts = {name: float(last[name]) / steps for name in ("compute", "communicate", "wait", "read")}
on_wire = (int(many) - int(few)) / (2 * steps - 2)
print(f"{rate}  {gigabits}  {overlap}  {sum(parts.values()):.4f}  {parts['communicate']:.4f}  {parts['wait']:.4f}  "
      f"{result['bytes_sent_last_step']}  {on_wire:.0f}  {result['weights'][:12]}")
PYTHON
      found=$(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))['weights'])" "$rate-$overlap-$i/result.json")
      [ "${digest:=$found}" = "$found" ] || { echo "the weights differ" >&2; exit 1; }
      rm -r "$rate-$overlap-$i" "$rate-$overlap-$i-few"
    done
  done
done
