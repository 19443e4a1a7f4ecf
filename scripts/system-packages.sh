#!/usr/bin/env bash
# Installs Chromium, which the browser tests drive, where it is absent and apt can. Those tests are skipped without it.
set -euo pipefail

if command -v chromium chromium-browser google-chrome >/dev/null; then
    exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "no Chromium, and no apt or no right to use it: the browser tests will be skipped" >&2
    exit 0
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium >/dev/null
