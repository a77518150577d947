#!/bin/sh
# Install Debian's nginx, which the benchmark measures kzproxy beside; its service is not started.
set -eu
if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]; then exit 0; fi
as_root=
if [ "$(id -u)" -ne 0 ]; then as_root="sudo --non-interactive"; fi
if ! command -v apt-get >/dev/null; then
  echo 'the benchmark needs nginx; install it with your package manager' >&2
  exit 1
fi
# Debian starts a service when it is installed, unless this program says 101 (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  trap '$as_root rm -f $policy' EXIT
  $as_root chmod 755 $policy
fi
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >/dev/null
