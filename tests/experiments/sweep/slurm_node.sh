#!/usr/bin/env bash
# A Slurm of one node on 127.0.0.1, all of whose files are in one folder.
#   slurm_node.sh start FOLDER    prints what to set SLURM_CONF to
#   slurm_node.sh stop FOLDER     ends the daemons that `start` began
# Exit code 77, with a line that says why, where it cannot be (Debian: apt-get install slurm-wlm munge; root).
set -euo pipefail
verb="$1" folder="$2"

missing() { echo "no Slurm here: $1" >&2; exit 77; }

start() {
  for command in slurmctld slurmd munged squeue sbatch; do
    command -v "$command" >/dev/null || missing "no $command (Debian: slurm-wlm and munge)"
  done
  [ "$(id -u)" = 0 ] || missing "its daemons need root"
  mkdir -p "$folder"/{state,spool,log} /run/munge
  chown munge: /run/munge
  if ! pgrep -x munged >/dev/null; then
    su munge -s /bin/sh -c /usr/sbin/munged
    pgrep -x munged >"$folder/munged.pid"
  fi
  local host memory
  host="$(hostname -s)"
  memory="$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)"
  cat >"$folder/slurm.conf" <<CONF
ClusterName=local
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURM_TEST_PORT:-36817}
SlurmdPort=$((${SLURM_TEST_PORT:-36817} + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
DefMemPerCPU=$((memory / $(nproc)))
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=local Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  export SLURM_CONF="$folder/slurm.conf"
  slurmctld
  slurmd
  for _ in $(seq 60); do
    if sinfo --noheader --format=%t 2>/dev/null | grep -q idle; then echo "$SLURM_CONF"; return; fi
    sleep 0.5
  done
  echo "the node did not come up; see $folder/log" >&2
  stop
  exit 1
}

stop() {
  for daemon in slurmd slurmctld munged; do
    [ -f "$folder/$daemon.pid" ] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null || true
  done
}

"$verb"
