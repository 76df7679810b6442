#!/bin/sh
# Every policy in docs/policy.md that begins with `mongoward: 1` is one that loads and whose
# tests pass.
set -u
doc=${srcdir:-.}/docs/policy.md
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
awk -v work="$work" '
	/^```yaml$/ { n++; file = sprintf("%s/%d/policy.yaml", work, n);
		system(sprintf("mkdir %s/%d", work, n)); inside = 1; next }
	/^```$/ { if (inside) close(file); inside = 0 }
	inside { print > file }' "$doc"
status=0
n=0
for folder in "$work"/*/; do
	n=$((n + 1))
	if ! "$PROXY" policy check "$folder" >"$work/out" 2>&1 ||
		! "$PROXY" policy test "$folder" >>"$work/out" 2>&1; then
		echo "policy $n of docs/policy.md:" >&2
		cat "$work/out" >&2
		status=1
	fi
done
[ "$n" -ge 3 ] || { echo "docs/policy.md has only $n policies" >&2; status=1; }
exit $status
