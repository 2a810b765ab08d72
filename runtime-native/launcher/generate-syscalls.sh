#!/bin/sh
# Writes syscall-table.h: the number of every system call by name on each architecture, from the kernel's own headers
# (package linux-libc-dev). Run it by hand after a header update: the result is checked in, so that builds on older
# systems know the same names. Calls newer than the headers here have one number on all architectures since 5.1.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

numbers() { # name of the architecture, header, compiler flags…: lines "name number"
    arch=$1 header=$2; shift 2
    printf '#include <%s>\n' "$header" > "$work/in.h"
    gcc -E -dM "$@" "$work/in.h" | sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/\1/p' |
        grep -vxE 'syscalls|arch_specific_syscall|Linux|.*_base' > "$work/names"
    { cat "$work/in.h"; while read -r name; do echo "minirun $name (__NR_$name)"; done < "$work/names"; } > "$work/in2.h"
    gcc -E -P "$@" -D__X32_SYSCALL_BIT=0 "$work/in2.h" 2>/dev/null | grep '^minirun ' | while read -r _ name value; do
        value=$(echo "$value" | tr -d "() " | sed "s/^0+//"); echo "$name $((value))"
    done > "$work/$arch"
}
numbers x86_64 asm/unistd_64.h
numbers i386 asm/unistd_32.h
numbers x32 asm/unistd_x32.h
numbers aarch64 asm-generic/unistd.h -U__ILP32__ -D__BITS_PER_LONG=64 -D__ARCH_WANT_RENAMEAT -D__ARCH_WANT_NEW_STAT \
    -D__ARCH_WANT_SET_GET_RLIMIT -D__ARCH_WANT_TIME32_SYSCALLS -D__ARCH_WANT_SYS_CLONE3 -D__ARCH_WANT_MEMFD_SECRET

number=451
for name in cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr \
    lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat open_tree_attr file_getattr \
    file_setattr; do
    for arch in x86_64 i386 x32 aarch64; do
        grep -q "^$name " "$work/$arch" || echo "$name $number" >> "$work/$arch"
    done
    number=$((number + 1))
done
grep -q '^uretprobe ' "$work/x86_64" || echo 'uretprobe 335' >> "$work/x86_64"
grep -q '^uprobe ' "$work/x86_64" || echo 'uprobe 336' >> "$work/x86_64"

{
    echo '/* Made by generate-syscalls.sh from linux-libc-dev; do not edit. {name, {x86_64, i386, x32, aarch64}}, by name. */'
    echo '// clang-format off'
    cut -d' ' -f1 "$work/x86_64" "$work/i386" "$work/x32" "$work/aarch64" | LC_ALL=C sort -u | while read -r name; do
        row=
        for arch in x86_64 i386 x32 aarch64; do
            value=$(sed -n "s/^$name //p" "$work/$arch")
            row="$row${row:+, }${value:--1}"
        done
        echo "{\"$name\", {$row}},"
    done
} > syscall-table.h
