#!/usr/bin/env bash
# Provides what tests need and Python does not bring: a browser for pages (the system's, Debian's package, or the one
# that Playwright downloads), for an instance's boot, which needs root all the same, the kernel's packet filter, Mesa,
# with which Newton draws videos, Slurm, on which jobs of a cluster run, and Prometheus, which reads their metrics.
set -euo pipefail
has_any() {
    local name
    for name in "$@"; do
        if command -v "${name}" > /dev/null; then
            return 0
        fi
    done
    return 1
}
packages=()
if ! has_any chromium chromium-browser google-chrome google-chrome-stable; then
    packages+=(chromium fonts-dejavu-core)
fi
if [[ "$(id -u)" == 0 ]] && command -v apt-get > /dev/null; then
    if ! has_any iptables; then
        packages+=(iptables)
    fi
    if ! has_any ip; then
        packages+=(iproute2)
    fi
    libraries=$(ldconfig -p)
    if [[ "${libraries}" != *libEGL_mesa.so* || "${libraries}" != *libOpenGL.so* ]]; then
        packages+=(libegl1 libegl-mesa0 libgl1 libopengl0)
    fi
    if ! has_any slurmctld /usr/sbin/slurmctld; then
        packages+=(slurmctld slurmd slurm-client munge)
    fi
    if ! has_any promtool; then
        packages+=(prometheus)
    fi
    if [[ ${#packages[@]} -gt 0 ]]; then
        # Tests start their own daemons: this keeps Debian from starting those that it has just installed.
        policy=/usr/sbin/policy-rc.d
        if [[ ! -e "${policy}" ]]; then
            trap 'rm -f "${policy}"' EXIT
            printf '#!/bin/sh\nexit 101\n' > "${policy}"
            chmod +x "${policy}"
        fi
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" > /dev/null
    fi
elif [[ ${#packages[@]} -gt 0 ]]; then
    playwright install chromium
fi
