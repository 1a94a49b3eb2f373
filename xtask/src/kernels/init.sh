#!/bin/busybox sh
# The first process of a kernel that is tried: makes the system usable, runs the programs, ends it.
# Arguments, in user-mode Linux only: busybox, what there is to run, a directory for short-lived
# files. (That root directory is another machine's and cannot be written.)
busybox=${1:-/bin/busybox}
try=${2:-/try}
short_lived=${3:-/tmp}
tool() { "$busybox" "$@"; }

tool mount -t proc proc /proc
tool mount -t sysfs sys /sys
tool mount -t devtmpfs dev /dev
tool mount -t tmpfs tmp "$short_lived"
export TMPDIR=$short_lived PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/

# Only a panic may interrupt what the programs print.
echo 1 >/proc/sys/kernel/printk
tool ip link set lo up
while read -r module; do
    tool insmod "$try/modules/$module.ko" || echo "cannot load $module"
done <"$try/modules/order"

tool sh "$try/run.sh" "$try"
tool poweroff -f
