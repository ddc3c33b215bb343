# Holds an allocation until the standard input ends, which is when the near side gives it back or dies. $1 is the guard.
exec 3<&0
setsid sh -c "$1" guard "$PPID" "$SLURM_JOB_ID" <&3 3<&- >/dev/null 2>&1 &
exec 3<&-
echo "$SLURM_JOB_ID" ${SLURM_MEM_PER_NODE:+SLURM_MEM_PER_NODE="$SLURM_MEM_PER_NODE"} \
  ${SLURM_MEM_PER_CPU:+SLURM_MEM_PER_CPU="$SLURM_MEM_PER_CPU"} && cat >/dev/null
# A salloc whose job is ended while this script ends may wait for it for ever, at full speed: only this signal ends that.
kill -HUP "$PPID"
