#!/bin/sh
# Unpack an arm64 Debian with Python, NumPy and LiteRT into a folder, for qemu-user.
#
#   tools/edge/make_arm64_root.sh FOLDER PYTHON
#
# PYTHON is this machine's, with pip. Nothing is installed: packages are downloaded by an apt that
# has its own state, and unpacked. The folder's Python is that of the Debian release that runs this.
set -eu

root=$1
python=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
: > "$work/status"
# APT::Sandbox::User: the download happens in a folder that no other user may read.
apt() {
    apt-get -q -q -o Dir::State="$work/state" -o Dir::State::status="$work/status" \
        -o Dir::Cache="$work/cache" -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Debug::NoLocking=1 "$@"
}
apt update
apt --download-only --yes install python3-minimal libpython3-stdlib libstdc++6 > /dev/null

rm -rf "$root" "$root.part"
mkdir -p "$root.part/proc" "$root.part/tmp"
for package in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$root.part"
done

version=$(cd "$root.part/usr/bin" && ls python3.[0-9]* | head -n 1 | sed 's/python//')
"$python" -m pip --disable-pip-version-check -q download --no-deps --only-binary=:all: \
    --python-version "$version" --platform manylinux_2_27_aarch64 \
    --platform manylinux_2_28_aarch64 --dest "$work/wheels" \
    --requirement "$here/arm64_requirements.txt"
mkdir -p "$root.part/site"
for wheel in "$work"/wheels/*.whl; do
    "$python" -m zipfile -e "$wheel" "$root.part/site"
done

# LiteRT reads /proc/cpuinfo, where under qemu-user the host's x86 processors stand: it crashes of
# them. qemu opens files of its root before those of the host. A Cortex-A76, as qemu's -cpu must say.
cat > "$root.part/proc/cpuinfo" <<'CPU'
processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: 0xd0b
CPU revision	: 1

CPU
mv "$root.part" "$root"
