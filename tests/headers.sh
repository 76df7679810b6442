#!/bin/sh
# Every header compiles alone.
set -u
cd "${srcdir:-.}/proxy" || exit 99
status=0
for header in */*.h; do
	if ! printf '#include "%s"\n' "$header" |
		${CC:-cc} -std=gnu17 -D_GNU_SOURCE -I. ${DEPS_CFLAGS:-} -fsyntax-only -x c -; then
		echo "$header does not compile alone" >&2
		status=1
	fi
done
exit $status
