# Runs in the virtual machine (test/vm/boot): suites of test/runtime on a pure cgroup v2 host with Debian's own kernel, with
# minirun, and the part about limits with Debian's runc too, which must agree. SUITES names others.
echo # the BIOS has left its escape codes on this line
export PATH=/usr/bin:/usr/sbin:$PATH # busybox for the rest
cd /work
mount -t securityfs securityfs /sys/kernel/security
touch /etc/subuid /etc/subgid
# RUNTIME PATTERN SUITE…: one process for all of them, since its start takes longest; told while it happens, failures whole.
suites() {
    runtime=$1 pattern=$2 name=$(basename "$1")
    shift 2
    {
        RUNTIME=$runtime node --test-reporter=tap --test-timeout=60000 --test-name-pattern="$pattern" --input-type=module \
            -e 'for (const name of process.argv.slice(1)) await import(`/work/test/runtime/${name}.test.ts`)' "$@" 2>&1
        echo "# status $?"
    } | sed -n -E "s/^ok [0-9]+/ok $name/p; /^not ok/,/^  \.\.\./ { s/^not ok [0-9]+/not ok $name/; p }; /^# Error/p
        s/^# (pass|skipped|duration_ms) /# $name, $*: \1 /p; s/^# status ([1-9].*)/not ok $name - $* ended with status \1/p"
}
minirun=/work/runtime-native/build/minirun
if [ -n "$SUITES" ]; then
    suites "$minirun" . $SUITES
else
    suites "$minirun" . launcher launcher-exec launcher-rootless launcher-userns & # on the other CPU
    suites "$minirun" . launcher-cgroup launcher-labels
    suites runc '^(resources|update|devices|exec --cgroup):' launcher-cgroup
    wait
fi
echo "# $(cut -d' ' -f1 /proc/uptime) s"
