#!/usr/bin/env bash
# Runs a command over two hosts that share no memory: two network namespaces of this machine, joined
# by one virtual cable, with Open MPI's TCP transport between them. Needs root and iproute2.
#
#   scripts/two_hosts.sh RANKS COMMAND…      RANKS/2 on each host, such as:
#   scripts/two_hosts.sh 4 build/bin/weft selftest --random 20
set -euo pipefail

if [ $# -lt 2 ] || [ "$(id -u)" != 0 ]; then
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
ranks=$1
shift
here=$(mktemp -d)
id=weft$$

cleanup() {
  ip netns delete "$id-a" 2>/dev/null || true
  ip netns delete "$id-b" 2>/dev/null || true
  rm -rf "$here"
}
trap cleanup EXIT

ip netns add "$id-a"
ip netns add "$id-b"
ip link add wefta netns "$id-a" type veth peer name weftb netns "$id-b"
ip -n "$id-a" addr add 10.98.0.1/24 dev wefta
ip -n "$id-b" addr add 10.98.0.2/24 dev weftb
for side in a b; do
  ip -n "$id-$side" link set lo up
  ip -n "$id-$side" link set "weft$side" up
done

# What Open MPI calls in place of ssh: HOST COMMAND…
cat > "$here/agent" <<AGENT
#!/usr/bin/env bash
host=\$1
shift
exec ip netns exec "$id-b" unshare --uts bash -c "hostname \$host; \$*"
AGENT
chmod +x "$here/agent"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
half=$(((ranks + 1) / 2))
ip netns exec "$id-a" unshare --uts bash -c 'hostname 10.98.0.1; exec "$@"' bash \
  mpirun -q -n "$ranks" --host "10.98.0.1:$half,10.98.0.2:$half" --oversubscribe --bind-to none \
  --mca plm rsh --mca plm_rsh_agent "$here/agent" \
  --mca oob_tcp_if_include 10.98.0.0/24 --mca btl_tcp_if_include 10.98.0.0/24 \
  --mca pml ob1 --mca btl self,tcp,vader --mca mpi_yield_when_idle 1 "$@"
