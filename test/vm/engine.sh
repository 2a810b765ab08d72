# Runs in the virtual machine (test/vm/boot): the engine on a pure cgroup v2 host with Debian's own kernel, through the stock CLI.
echo # the BIOS has left its escape codes on this line
cd /work
mount -t securityfs securityfs /sys/kernel/security
mkdir -p /var/lib/mini /run/mini /etc/docker
echo '{}' >/etc/docker/daemon.json
export DOCKER_HOST=unix:///run/mini/s HOME=/root

start_daemon() {
    sh bin/minidockd -H $DOCKER_HOST --data-root /var/lib/mini --exec-root /run/mini/x --pidfile /run/mini/pid >>/run/mini/log 2>&1 &
    for _ in $(seq 120); do docker version >/dev/null 2>&1 && return; sleep 0.5; done
    cat /run/mini/log
    exit 1
}

# check NAME WANTED COMMAND…: one line in TAP.
number=0
check() {
    name=$1 want=$2
    shift 2
    got=$("$@" 2>&1 | grep -v 'Your kernel does not support swap') # in the root cgroup dockerd, too, finds no memory.swap.max
    number=$((number + 1))
    if [ "$got" = "$want" ]; then echo "ok $number - $name"; else echo "not ok $number - $name: got '$got', want '$want'"; fi
}

start_daemon
docker import -c 'CMD ["sh"]' /work/busybox.tar busybox:latest >/dev/null
check 'a container runs' hello docker run --rm busybox echo hello
check 'memory limit' 33554432 docker run --rm --memory 32m --memory-swap 32m busybox cat /sys/fs/cgroup/memory.max
check 'cpu limit' '50000 100000' docker run --rm --cpus 0.5 busybox cat /sys/fs/cgroup/cpu.max
check 'pids limit' 77 docker run --rm --pids-limit 77 busybox cat /sys/fs/cgroup/pids.max
check 'a cgroup namespace of its own' 0::/ docker run --rm busybox cat /proc/self/cgroup
docker run --name oom --memory 16m busybox sh -c 'tail /dev/zero' >/dev/null 2>&1
check 'out of memory is told' 'true 137' docker inspect -f '{{.State.OOMKilled}} {{.State.ExitCode}}' oom
docker run -d --name long busybox sleep 1000 >/dev/null
check 'pause' long docker pause long
check 'paused is what it is' paused docker inspect -f '{{.State.Status}}' long
check 'unpause' long docker unpause long
check 'exec' yes docker exec long echo yes
check 'update' long docker update --memory 64m --memory-swap 64m long
check 'updated' 67108864 docker exec long cat /sys/fs/cgroup/memory.max
check 'devices are refused by BPF' 1 sh -c 'docker exec long sh -c "mknod /dev/sdz b 8 0 && head -c1 /dev/sdz" 2>&1 | grep -c "not permitted"'
check 'its cgroup is read-only inside' 1 sh -c 'docker exec long sh -c "echo 1 > /sys/fs/cgroup/pids.max" 2>&1 | grep -c Read-only'
check 'stats' long docker stats --no-stream --format '{{.Name}}' long
check 'top' 1 sh -c 'docker top long | grep -c "sleep 1000"'
docker run -d --name web -p 8080:80 busybox sh -c 'mkdir /w; echo page > /w/index.html; exec busybox httpd -f -p 80 -h /w' >/dev/null
sleep 2
check 'a published port' page busybox wget -qO- http://127.0.0.1:8080/
check 'privileged mounts' 0 docker run --rm --privileged busybox sh -c 'mount -t tmpfs x /tmp; echo $?'
check 'a user' 1000:5 docker run --rm -u 1000:5 busybox sh -c 'echo $(id -u):$(id -g)'
check 'a terminal' /dev/pts/0 sh -c 'docker run --rm -t busybox busybox tty | tr -d "\r"'
if [ -e /sbin/apparmor_parser ]; then
    profile='cat /proc/self/attr/current'
    mounts='mount -t tmpfs x /tmp 2>/dev/null && echo mounted || echo refused'
    check 'confined by AppArmor' 'docker-default (enforce)' docker run --rm busybox $profile
    check 'an exec too' 'docker-default (enforce)' docker exec long $profile
    check 'inspect tells the profile' docker-default docker inspect -f '{{.AppArmorProfile}}' long
    check 'info tells it' '[name=apparmor name=seccomp,profile=builtin name=cgroupns]' docker info -f '{{.SecurityOptions}}'
    check 'privileged is unconfined' unconfined docker run --rm --privileged --security-opt apparmor=docker-default busybox $profile
    check 'unconfined when asked' unconfined docker run --rm --security-opt apparmor=unconfined busybox $profile
    check 'no mount behind it' refused docker run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined busybox sh -c "$mounts"
    check 'but without it' mounted docker run --rm --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined busybox sh -c "$mounts"
    check 'a profile that is not there' 1 sh -c 'docker run --rm --security-opt apparmor=nosuch busybox true 2>&1 | grep -c "apparmor"'
    docker stop -t 0 long >/dev/null
    echo 'profile docker-default { }' | apparmor_parser -R
    docker start long >/dev/null
    check 'a profile that was unloaded is loaded again' 'docker-default (enforce)' docker exec long $profile
fi
# Links that other kernels of ours do not have: a parent that is a VLAN, and one that stands in for a parent.
for network in 'ipvlan -o parent=docker0.20' 'ipvlan -o ipvlan_mode=l3s' macvlan; do
    docker network create -d $network shared >/dev/null
    docker run -d --name there --network shared busybox sleep 1000 >/dev/null
    check "names and traffic on $network" 1 sh -c 'docker run --rm --network shared busybox ping -c 1 -W 2 there | grep -c " 0% packet loss"'
    docker rm -f there >/dev/null && docker network rm shared >/dev/null
done
check 'their parents are gone' '' sh -c 'ls /sys/class/net | grep -E "^(di-|dm-|docker0[.])"'
kill -9 "$(cat /run/mini/pid)"
sleep 1
start_daemon
check 'taken over after kill -9' running docker inspect -f '{{.State.Status}}' long
check 'exec after that' yes docker exec long echo yes
docker rm -f long web oom >/dev/null
check 'removed containers leave nothing' '' sh -c 'mount | grep /run/mini/x/containers; ls -d /sys/fs/cgroup/docker/*/ 2>/dev/null'
kill "$(cat /run/mini/pid)"
for _ in $(seq 20); do [ -e /run/mini/pid ] && sleep 0.5; done
check 'a stopped engine leaves nothing' '' sh -c 'mount | grep /run/mini; ls -d /sys/fs/cgroup/docker 2>/dev/null; ip link | grep -E "docker0|veth"'
grep -E '"level":(50|60)' /run/mini/log
echo "1..$number"
