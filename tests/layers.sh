#!/bin/sh
# Arrows point downwards only: a module includes headers of itself and of lower layers;
# the pure modules use no event loop and read no clock.
set -u
cd "${srcdir:-.}/proxy" || exit 99
status=0

layer() {
	case $1 in
	util) echo 0 ;;
	wire | keys) echo 1 ;;
	auth | net) echo 2 ;;
	query) echo 3 ;;
	policy) echo 4 ;;
	transform | audit) echo 5 ;;
	upstream) echo 6 ;;
	session) echo 7 ;;
	admin) echo 8 ;;
	cli) echo 9 ;;
	*) echo "layers.sh: unknown module $1" >&2; echo -1 ;;
	esac
}

for folder in */; do
	module=${folder%/}
	own=$(layer "$module")
	[ "$own" -ge 0 ] || status=1
	for line in $(grep -ho '^#include "[a-z]*/' "$module"/*.[ch] 2>/dev/null | tr -d ' ' | sort -u); do
		used=$(echo "$line" | cut -d'"' -f2 | tr -d /)
		[ "$used" = "$module" ] && continue
		if [ "$(layer "$used")" -ge "$own" ]; then
			echo "$module includes $used: arrows point downwards only" >&2
			grep -n "#include \"$used/" "$module"/*.[ch] >&2
			status=1
		fi
	done
done

for module in wire keys query policy transform; do
	ls "$module"/*.[ch] >/dev/null 2>&1 || continue
	if grep -nE '#include [<"](event2?|util/clock|time|sys/time|sys/socket)[/.]' "$module"/*.[ch] ||
		grep -nE '\b(clock_gettime|gettimeofday|time)\(' "$module"/*.c; then
		echo "$module uses an event loop, a socket or a clock" >&2
		status=1
	fi
done
exit $status
