# What a container looks like from inside, for busybox's shell as the container's first program: KEY=VALUE lines, and between
# BEGIN and END lines whole files of /proc. What it opens for writing it does not write to, what it makes it removes.

say() { printf '%s=%s\n' "$1" "$2"; }
whole() { [ -r "$2" ] && { echo "BEGIN $1"; cat "$2" 2>/dev/null; echo "END $1"; }; }

# A file's kind, mode, owner and device number; where a link leads.
kind() {
    if [ -L "$1" ]; then say "$2 $1" "link to $(readlink "$1")"
    else say "$2 $1" "$(stat -c '%F %a %u:%g %t:%T' "$1" 2>/dev/null)"; fi
}

# What comes of reading and of writing a file, or of looking into a directory and making a file in it.
access() {
    [ -e "$1" ] || return
    if [ -d "$1" ]; then
        entries=$(ls -A "$1" 2>&1 | head -n 1)
        if touch "$1/probe.tmp" 2>/dev/null; then rm "$1/probe.tmp"; write=yes; else write=no; fi
        say "access $1" "directory, ${entries:+not }empty, writable: $write"
    else
        if bytes=$(dd if="$1" bs=1 count=1 2>/dev/null | wc -c) && [ "$bytes" = 1 ]; then read=yes; else read=no; fi
        if (: >>"$1") 2>/dev/null; then write=yes; else write=no; fi
        say "access $1" "file, readable: $read, writable: $write"
    fi
}

for fd in /proc/$$/fd/*; do
    [ -L "$fd" ] && say "descriptor ${fd##*/}" "$(readlink "$fd")"
done
say umask "$(umask)"
say cwd "$(pwd -P)"
say ids "$(id -u):$(id -g) $(id -G)"
say hostname "$(hostname)"
say uname "$(uname -m)"
say uptime "$(cut -d. -f1 /proc/uptime 2>/dev/null)"
if [ -t 0 ]; then say terminal "$(tty) $(stty size)"; else say terminal none; fi

if [ -d /proc/$$ ]; then
    say environ "$(tr '\0' ';' </proc/$$/environ)"
    say "oom_score_adj" "$(cat /proc/$$/oom_score_adj)"
    say personality "$(cat /proc/$$/personality 2>/dev/null)"
    say label "$(cat /proc/$$/attr/current 2>/dev/null)"
    say "uid_map" "$(tr -s ' ' </proc/$$/uid_map | tr '\n' ';')"
    say "gid_map" "$(tr -s ' ' </proc/$$/gid_map | tr '\n' ';')"
    say setgroups "$(cat /proc/$$/setgroups)"
    say timens_offsets "$(tr -s ' ' </proc/$$/timens_offsets 2>/dev/null | tr '\n' ';')"
    say keyrings "$(sed -n 's/.*keyring *\([^:]*\):.*/\1/p' /proc/keys 2>/dev/null | sort -u | tr '\n' ' ')"
    say ionice "$(busybox ionice -p $$ 2>&1)"
    # After the program's name: 5 and 6 are the group and the session, 18 and 19 priority and nice, 40 and 41 the policy.
    stat=$(sed 's/.*) //' /proc/$$/stat)
    set -- $stat
    say "process group" "$( [ "$3" = $$ ] && echo own || echo "$3")"
    say session "$( [ "$4" = $$ ] && echo own || echo "$4")"
    say priority "${16} nice ${17}"
    shift 37
    say policy "$2 at $1"
    for kind in cgroup ipc mnt net pid pid_for_children time time_for_children user uts; do
        say "namespace $kind" "$(readlink /proc/$$/ns/$kind)"
    done
    whole status /proc/$$/status
    whole limits /proc/$$/limits
    whole mountinfo /proc/$$/mountinfo
    whole cgroup /proc/$$/cgroup
fi

say interfaces "$(ls /sys/class/net 2>/dev/null | tr '\n' ' ')"
say lo "$(ip link show lo 2>/dev/null | sed -n 's/.*<\(.*\)>.*/\1/p')"
for name in kernel/domainname kernel/shmmax kernel/msgmax fs/mqueue/msg_max net/ipv4/ip_forward \
    net/ipv4/ping_group_range net/ipv4/ip_unprivileged_port_start user/max_user_namespaces; do
    say "sysctl $name" "$(cat /proc/sys/$name 2>/dev/null)"
done

for file in / /*; do kind "$file" root; done
for file in /dev/* /dev/pts/* /dev/*/[!.]*; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    case $file in /dev/mqueue/* | /dev/shm/* | /dev/fd/*) ;; *) kind "$file" device ;; esac
done
for file in /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; do
    [ -c "$file" ] && say "open $file" "$( (: <>$file) 2>/dev/null && echo yes || echo no)"
done
for file in /proc/acpi /proc/asound /proc/bus /proc/fs /proc/irq /proc/kcore /proc/keys /proc/kmsg /proc/latency_stats \
    /proc/scsi /proc/sched_debug /proc/sys /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/timer_list /sys /sys/firmware \
    /sys/devices/virtual/powercap /sys/fs/cgroup /tmp /dev /dev/shm; do
    access "$file"
done
