# Sees to it that no allocation outlives its near side: $1 is the process id of its salloc, $2 its job's number.
cat >/dev/null
waited=0
while [ -e "/proc/$1/exe" ] && [ "$(cat "/proc/$1/comm")" = salloc ]; do
  if [ "$waited" = 20 ]; then
    kill -KILL "$1"
    break
  fi
  waited=$((waited + 1))
  sleep 1
done
# A salloc that was gone before, or never went, has not given its job back.
case $waited in 0 | 20) scancel "$2" ;; esac
