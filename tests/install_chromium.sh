#!/bin/sh
# Install Debian's Chromium, which the sign-in tests drive headless.
set -eu
as_root=
if [ "$(id -u)" -ne 0 ]; then as_root="sudo --non-interactive"; fi
if ! command -v apt-get >/dev/null; then
  echo 'the sign-in tests need Chromium as `chromium` on PATH; install it with your package manager' >&2
  exit 1
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
