#!/bin/sh
# One test machine. `machine.sh supervise FOLDER` keeps it running until it is powered off; `machine.sh init FOLDER` is
# what becomes its first process. FOLDER holds: mode, name, lower (the overlay's lower folders), network (the path of
# its network namespace), cgroup (its own cgroup's folder), key.pub, and up/ work/ m/ made here.
set -eu
self=$0
action=$1
folder=$2

supervise() {
  # Its own cgroup first: only then does the new cgroup namespace begin there, and its systemd leaves the host's alone.
  echo $$ >"$(cat "$folder/cgroup")/cgroup.procs"
  while :; do
    code=0
    nsenter --net="$(cat "$folder/network")" \
      unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$self" init "$folder" || code=$?
    [ "$code" = 129 ] || break # SIGHUP is how a reboot(2) in a pid namespace is seen; SIGINT a power off
  done
}

devices() {
  mount -t tmpfs -o mode=755 tmpfs "$1/dev"
  for name in null zero full random urandom tty fuse autofs; do
    [ -e "/dev/$name" ] || continue
    : >"$1/dev/$name"
    mount --bind "/dev/$name" "$1/dev/$name"
  done
  mkdir "$1/dev/pts" "$1/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$1/dev/pts"
  mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
  ln -s pts/ptmx "$1/dev/ptmx"
  ln -s /proc/self/fd "$1/dev/fd"
  ln -s fd/0 "$1/dev/stdin"
  ln -s fd/1 "$1/dev/stdout"
  ln -s fd/2 "$1/dev/stderr"
}

first_boot() {
  cat "$folder/name" >"$1/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$(cat "$folder/name")" >"$1/etc/hosts"
  tr -d - </proc/sys/kernel/random/uuid >"$1/etc/machine-id"
  ssh-keygen -q -t ed25519 -N '' -C "$(cat "$folder/name")" -f "$1/etc/ssh/ssh_host_ed25519_key"
  install -d -m 700 -o 1000 -g 1000 "$1/home/ops/.ssh"
  install -m 600 -o 1000 -g 1000 "$folder/key.pub" "$1/home/ops/.ssh/authorized_keys"
  cp "$1/etc/ssh/ssh_host_ed25519_key.pub" "$folder/host_key.pub"
  : >"$folder/seeded"
}

init() {
  root=$folder/m
  mkdir -p "$folder/up" "$folder/work" "$root"
  mount --make-rprivate /
  mount -t overlay overlay -o "lowerdir=$(cat "$folder/lower"),upperdir=$folder/up,workdir=$folder/work" "$root"
  mount -t proc proc "$root/proc"
  mount --bind "$root/proc/sys" "$root/proc/sys" # a machine must not tune the host's kernel,
  mount -o remount,ro,bind "$root/proc/sys"
  mount --bind "$root/proc/sys/net" "$root/proc/sys/net" # but its network is its own
  mount -o remount,rw,bind "$root/proc/sys/net"
  mount -t sysfs -o ro sysfs "$root/sys"
  devices "$root"
  mount -t tmpfs -o mode=755 tmpfs "$root/run"
  mkdir -p "$root/run/sshd" "$root/run/lock"
  [ -e "$folder/seeded" ] || first_boot "$root"
  hostname "$(cat "$root/etc/hostname")"
  cat /proc/sys/kernel/random/uuid >"$root/run/.boot_id" # else every machine shows the host's, and no reboot is seen
  mount --bind "$root/run/.boot_id" "$root/proc/sys/kernel/random/boot_id"
  mode=$(cat "$folder/mode")
  [ "$mode" != systemd ] || mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
  cd "$root"
  mkdir -p .host
  pivot_root . .host
  cd /
  umount -l /.host
  rmdir /.host
  path=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  if [ "$mode" = systemd ]; then # the clock and the kernel's modules are the host's
    exec setpriv --bounding-set -sys_time,-sys_module env -i container=bed "$path" \
      /sbin/init --log-target=console --show-status=0
  fi
  # shellcheck disable=SC2016
  exec env -i "$path" sh -c 'trap "exit 0" TERM; /usr/sbin/sshd -D -e & wait'
}

"$action"
