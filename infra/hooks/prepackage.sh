#!/bin/sh
# azd runs this before it deploys: the package is built, or was put there from a release.
set -eu

if command -v go >/dev/null && command -v make >/dev/null; then
	exec make --no-print-directory package
fi
[ -s build/defender2adx.zip ] || {
	echo "prepackage: there is no Go and make to build with, and no build/defender2adx.zip: put defender2adx-<version>.zip of a release there" >&2
	exit 1
}
echo "prepackage: build/defender2adx.zip as it is"
