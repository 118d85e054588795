#!/bin/sh
# Builds a version into build/release. It tags and uploads nothing.
set -eu
cd "$(dirname "$0")/.."

if ! printf '%s' "${VERSION-}" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?'; then
	echo "release: VERSION: want a version such as 1.2.3 or 1.3.0-rc.1, got ${VERSION:-nothing}" >&2
	exit 1
fi
if ! grep -Fqx "## $VERSION" CHANGELOG.md; then
	echo "release: CHANGELOG.md has no section \"## $VERSION\": rename \"## Unreleased\" and begin a new one above it" >&2
	exit 1
fi

to=build/release
rm -rf "$to" && mkdir -p "$to"
"${MAKE:-make}" --no-print-directory package VERSION="$VERSION"
cp build/defender2adx.zip "$to/defender2adx-$VERSION.zip"
cp LICENSE build/app/THIRD-PARTY-NOTICES.txt "$to/"

# The Azure package above is linux/amd64; these are for `handler setup` at a terminal.
for platform in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do
	os=${platform%/*} arch=${platform#*/} suffix=''
	[ "$os" != windows ] || suffix=.exe
	echo "release: handler for $platform"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOAMD64=v1 "${GO:-go}" build -trimpath -buildvcs=false \
		-ldflags "-s -w -X main.version=$VERSION" -o "$to/handler-$os-$arch$suffix" ./handler
done

cd "$to"
if command -v sha256sum >/dev/null; then sha256sum -- * >SHA256SUMS; else shasum -a 256 -- * >SHA256SUMS; fi
cat SHA256SUMS
