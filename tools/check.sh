#!/usr/bin/env bash
# Runs the make commands on its input, one a line, and prints each with its
# seconds. The first that fails ends it. At the end no process of theirs may live.
set -uo pipefail

# Everything that the parts start inherits this mark, the way to find it again.
export D2A_CHECK="check-$$"
summary=""
failed=""
began=$SECONDS

# leftovers lists the living processes that carry the mark, without this script.
leftovers() {
	local pid
	for environ in /proc/[0-9]*/environ; do
		pid=${environ#/proc/}
		pid=${pid%/environ}
		if [ "$pid" != "$$" ] && [ "$pid" != "$BASHPID" ] && grep -qz "^D2A_CHECK=$D2A_CHECK\$" "$environ" 2>/dev/null; then
			printf '%s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-120)"
		fi
	done
}

while read -r part; do
	[ -n "$part" ] || continue
	echo "check: make $part"
	start=$SECONDS
	# shellcheck disable=SC2086 # a part is a target and its variables
	if ! "${MAKE:-make}" --no-print-directory $part </dev/null; then
		failed=$part
	fi
	summary+=$(printf 'check: %4d s  make %s' $((SECONDS - start)) "$part")$'\n'
	[ -z "$failed" ] || break
done

if [ -z "$failed" ]; then
	for _ in 1 2 3 4 5 6 7 8 9 10; do # what was told to end may need a moment
		left=$(leftovers | grep -v ' $')
		[ -n "$left" ] || break
		sleep 0.5
	done
	if [ -n "$left" ]; then
		failed="left processes behind: $left"
	fi
fi
printf '%s' "$summary"
printf 'check: %4d s  in all\n' $((SECONDS - began))
if [ -n "$failed" ]; then
	echo "check: FAILED: $failed" >&2
	exit 1
fi
