# What the run before could have left: prints three lines when it left nothing.
cd /work && printf '%s\n' *
count=0
for process in /proc/[0-9]*; do
  [ "$process" = "/proc/1" ] || count=$((count + 1))
done
echo "processes $count"
shopt -s nullglob dotglob
found=(/tmp/* /var/tmp/* /dev/shm/* /dev/mqueue/*)
# The first line of these tables is their head.
for table in /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg; do
  { read -r _ && read -r line && found+=("$table: $line"); } <"$table" 2>/dev/null
done
[ ${#found[@]} -eq 0 ] && echo clean || echo "found ${found[*]}"
