#!/bin/sh
# web.sh - make check-web: the page in Debian's Chromium, driven by playwright-core from npm. Names what is
# missing; INSTALL=1 installs it. Pictures and files: build/check-web.
cd "$(dirname "$0")/.." || exit 1
out=build/check-web
mkdir -p $out
if [ "$INSTALL" = 1 ]; then
    command -v chromium npm > /dev/null || apt-get install -y -qq chromium nodejs npm > $out/apt.log 2>&1
    [ -d $out/node_modules/playwright-core ] ||
        npm install --silent --prefix $out playwright-core > $out/npm.log 2>&1
fi
missing() { echo "$1 is not installed: INSTALL=1 make check-web installs it"; exit 1; }
for tool in chromium node; do command -v $tool > /dev/null || missing $tool; done
[ -d $out/node_modules/playwright-core ] || missing playwright-core
node tests/web.mjs build/web $out build/03_sample
