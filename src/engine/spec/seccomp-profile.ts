/**
 * Docker's default seccomp profile: what an unprivileged container may call. The names and conditions are those of
 * moby/profiles default.json for 28.5 (`test/unit/spec-seccomp.test.ts` compares them with recorded filters); the order
 * inside a group means nothing. What is not listed fails with EPERM.
 */
import type { ProfileRule, SeccompProfile } from "./seccomp.ts";

const syscalls = (text: string): string[] => text.trim().split(/\s+/);

/** Files and directories. */
const files = syscalls(`
  _llseek access chdir chmod chown chown32 close close_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
  fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync flock
  fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
  lchown lchown32 link linkat listmount lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at
  newfstatat open openat openat2 readlink readlinkat rename renameat renameat2 rmdir stat stat64 statfs statfs64
  statmount statx symlink symlinkat sync sync_file_range syncfs truncate truncate64 umask unlink unlinkat utime
  utimensat utimensat_time64 utimes`);
/** Extended attributes. */
const attributes = syscalls(`
  fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr
  lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat`);
/** Reading, writing and waiting for it. */
const inputOutput = syscalls(`
  _newselect copy_file_range epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
  epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
  inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
  pipe pipe2 poll ppoll ppoll_time64 pread64 preadv preadv2 pselect6 pselect6_time64 pwrite64 pwritev pwritev2
  read readahead readv select sendfile sendfile64 signalfd signalfd4 splice tee timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64 vmsplice write writev`);
/** Sockets. */
const sockets = syscalls(`
  accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
  recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`);
/** Memory. */
const memory = syscalls(`
  brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap
  mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
  process_mrelease remap_file_pages`);
/** Messages, semaphores and shared memory. */
const ipc = syscalls(`
  ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
  mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt
  shmget`);
/** Time. */
const time = syscalls(`
  adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
  clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
  timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times`);
/** Signals and futexes. */
const signals = syscalls(`
  futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list kill pause pidfd_open
  pidfd_send_signal restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo set_robust_list sigaltstack sigprocmask
  sigreturn tgkill tkill`);
/** Users, groups and limits. */
const identity = syscalls(`
  capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
  getresuid getresuid32 getrlimit getrusage getuid getuid32 prlimit64 setfsgid setfsgid32 setfsuid setfsuid32
  setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
  setreuid32 setrlimit setuid setuid32 ugetrlimit`);
/** Processes and their scheduling. */
const processes = syscalls(`
  execve execveat exit exit_group fork get_thread_area getcpu getpgid getpgrp getpid getppid getpriority
  getrandom getsid gettid ioprio_get ioprio_set landlock_add_rule landlock_create_ruleset landlock_restrict_self
  prctl riscv_hwprobe rseq sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
  sched_setattr sched_setparam sched_setscheduler sched_yield seccomp set_thread_area set_tid_address setpgid
  setpriority setsid sysinfo uname uretprobe vfork wait4 waitid waitpid`);

const always = [
  ...files,
  ...attributes,
  ...inputOutput,
  ...sockets,
  ...memory,
  ...ipc,
  ...time,
  ...signals,
  ...identity,
  ...processes,
];

const ENOSYS = 38;
const AF_ALG = 38;
const AF_VSOCK = 40;
/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: any of them needs CAP_SYS_ADMIN. */
const newNamespaces = 0x7e02_0000;

const allow = (names: string, condition: Pick<ProfileRule, "includes" | "excludes" | "args"> = {}): ProfileRule => ({
  names: syscalls(names),
  action: "SCMP_ACT_ALLOW",
  ...condition,
});
const withCapability = (capability: string, names: string): ProfileRule =>
  allow(names, { includes: { caps: [capability] } });
const onArchitectures = (arches: string[], names: string): ProfileRule => allow(names, { includes: { arches } });
/** personality(2): PER_LINUX, UNAME26, PER_LINUX32, both, and the query. */
const personality = (value: number): ProfileRule =>
  allow("personality", { args: [{ index: 0, value, op: "SCMP_CMP_EQ" }] });
const cloneWithoutNamespaces = (flagsIndex: number): Pick<ProfileRule, "args"> => ({
  args: [{ index: flagsIndex, value: newNamespaces, op: "SCMP_CMP_MASKED_EQ" }],
});
const s390 = ["s390", "s390x"];

export const defaultProfile: SeccompProfile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X32"] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    { architecture: "SCMP_ARCH_S390X", subArchitectures: ["SCMP_ARCH_S390"] },
    { architecture: "SCMP_ARCH_RISCV64", subArchitectures: [] },
  ],
  syscalls: [
    { names: always, action: "SCMP_ACT_ALLOW" },
    // Before 4.8 a tracer could get around seccomp.
    allow("process_vm_readv process_vm_writev ptrace", { includes: { minKernel: "4.8" } }),
    // Neither AF_ALG (CVE-2026-31431) nor AF_VSOCK, as of moby/profiles 0.2.1: two NE would be an AND, which libseccomp refuses.
    allow("socket", { args: [{ index: 0, value: AF_ALG, op: "SCMP_CMP_LT" }] }),
    allow("socket", { args: [{ index: 0, value: AF_ALG + 1, op: "SCMP_CMP_EQ" }] }),
    allow("socket", { args: [{ index: 0, value: AF_VSOCK, op: "SCMP_CMP_GT" }] }),
    personality(0),
    personality(0x8),
    personality(0x2_0000),
    personality(0x2_0008),
    personality(0xffff_ffff),
    onArchitectures(["ppc64le"], "sync_file_range2 swapcontext"),
    onArchitectures(
      ["arm", "arm64"],
      "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    onArchitectures(["amd64", "x32"], "arch_prctl"),
    onArchitectures(["amd64", "x32", "x86"], "modify_ldt"),
    onArchitectures(s390, "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    onArchitectures(["riscv64"], "riscv_flush_icache"),
    withCapability("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    withCapability(
      "CAP_SYS_ADMIN",
      `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
       lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
       sethostname setns syslog umount umount2 unshare`,
    ),
    allow("clone", { ...cloneWithoutNamespaces(0), excludes: { caps: ["CAP_SYS_ADMIN"], arches: s390 } }),
    allow("clone", { ...cloneWithoutNamespaces(1), includes: { arches: s390 }, excludes: { caps: ["CAP_SYS_ADMIN"] } }),
    // Its flags lie in memory, where a filter cannot look: ENOSYS makes libc fall back to clone.
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS, excludes: { caps: ["CAP_SYS_ADMIN"] } },
    withCapability("CAP_SYS_BOOT", "reboot"),
    withCapability("CAP_SYS_CHROOT", "chroot"),
    withCapability("CAP_SYS_MODULE", "delete_module init_module finit_module"),
    withCapability("CAP_SYS_PACCT", "acct"),
    withCapability("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    withCapability("CAP_SYS_RAWIO", "iopl ioperm"),
    withCapability("CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    withCapability("CAP_SYS_TTY_CONFIG", "vhangup"),
    withCapability("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    withCapability("CAP_SYSLOG", "syslog"),
    withCapability("CAP_BPF", "bpf"),
    withCapability("CAP_PERFMON", "perf_event_open"),
  ],
};
