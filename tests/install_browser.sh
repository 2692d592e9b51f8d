#!/usr/bin/env bash
# Provides a browser for the tests of pages: the system's, Debian's package, or the one that Playwright downloads.
set -euo pipefail
for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "${name}" > /dev/null; then
        exit 0
    fi
done
if [[ "$(id -u)" == 0 ]] && command -v apt-get > /dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null
else
    playwright install chromium
fi
