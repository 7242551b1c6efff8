/*
 * seccomp-profile.h: every system call of the architecture, and what becomes of it. Included by seccomp.c, which makes
 * filters of it, and read by the tests, which hold it against the kernel's own list and against what the filters do.
 *
 *   ALLOW(call)            everybody may
 *   REFUSE(call)           EPERM: what programs expect of a call that they lack a privilege for
 *   ABSENT(call)           ENOSYS, as if the kernel had it not: programs go another way
 *   ANSWER(call, errno)    this instead; 0 is success without doing anything
 *   BUILDERS(call)         image builds and OCI runtimes may; EPERM to all others
 *   TRACERS(call)          OCI runtimes may; EPERM to all others
 *   WHEN(who, what, call, comparison...)   what becomes of it if all comparisons hold
 *   ELSE(who, what, call)                  and if no WHEN of it did
 *
 * A call that is not here, because it is newer than this page, is ABSENT too. Nobody gets a call of another architecture:
 * i386 and x32 reach other code of the kernel, which no row here speaks of, and so they end the process. The kernel asks no
 * filter about uretprobe and uprobe (Linux 6.14), which only code that it writes itself may call.
 *
 * Nothing here takes the place of the kernel's own checks: a sandbox has no capability, namespaces of its own and caps.
 * The profile is there for the kernel's bugs, and for what is counted for the whole machine and not for a sandbox.
 *
 * who: SANDBOX is user code. ZYGOTE is an interpreter that forks into sandboxes; it may be an image's own, so it has what
 * joining a sandbox takes and no more. BUILD is what runs in an image build, builder and commands alike, and runc. RUNTIME is gVisor: it traces its
 * programs (--platform=ptrace) and puts its kernel into a user namespace of its own, with a filter of its own above this one. Sandboxes load
 * their filter beside the one that they inherit from their zygote, and the kernel takes the stricter answer.
 *
 * An argument is compared in its lower half only (INT) where the kernel takes an int of it: what stands in the upper half
 * is chance, or an attempt (CVE-2019-10063).
 */

/* ---- Files: what may be done is the mount's, the owner's and the mode's matter ---- */
ALLOW(read) ALLOW(write) ALLOW(open) ALLOW(close) ALLOW(stat) ALLOW(fstat) ALLOW(lstat) ALLOW(lseek)
ALLOW(pread64) ALLOW(pwrite64) ALLOW(readv) ALLOW(writev) ALLOW(preadv) ALLOW(pwritev) ALLOW(preadv2) ALLOW(pwritev2)
ALLOW(access) ALLOW(faccessat) ALLOW(faccessat2) ALLOW(openat) ALLOW(openat2) ALLOW(creat) ALLOW(newfstatat) ALLOW(statx)
ALLOW(dup) ALLOW(dup2) ALLOW(dup3) ALLOW(flock) ALLOW(close_range) ALLOW(umask)
ALLOW(truncate) ALLOW(ftruncate) ALLOW(getdents) ALLOW(getdents64) ALLOW(getcwd) ALLOW(chdir) ALLOW(fchdir)
ALLOW(rename) ALLOW(renameat) ALLOW(renameat2) ALLOW(mkdir) ALLOW(mkdirat) ALLOW(rmdir) ALLOW(unlink) ALLOW(unlinkat)
ALLOW(link) ALLOW(linkat) ALLOW(symlink) ALLOW(symlinkat) ALLOW(readlink) ALLOW(readlinkat)
ALLOW(chmod) ALLOW(fchmod) ALLOW(fchmodat) ALLOW(chown) ALLOW(fchown) ALLOW(lchown) ALLOW(fchownat)
ALLOW(utime) ALLOW(utimes) ALLOW(utimensat) ALLOW(futimesat) ALLOW(statfs) ALLOW(fstatfs)
ALLOW(sendfile) ALLOW(copy_file_range) ALLOW(readahead) ALLOW(fadvise64)
/* A watch on a directory and a lease on a file tell what others do with the same inode: some of them sandboxes share. As if the
 * kernel had neither; file servers alone use them. */
WHEN(EVERYBODY, ERRNO(EINVAL), fcntl, INT(1, F_NOTIFY))
WHEN(EVERYBODY, ERRNO(EINVAL), fcntl, INT(1, F_SETLEASE))
ELSE(EVERYBODY, ALLOWED, fcntl)
/* Of a file system in memory, or of one file. */
ALLOW(fsync) ALLOW(fdatasync) ALLOW(sync_file_range) ALLOW(syncfs)
/* Writes out what every file system of the machine has in memory, again and again if one likes. Nothing of a sandbox is on a
 * disk, and a build's result is read through the page cache. */
ANSWER(sync, 0)
/* What it takes is taken of the writable layer, whose bytes are capped. */
ALLOW(fallocate)
/* FIFOs, sockets and whiteouts; device nodes take a capability that nobody here has, and the mounts are nodev. */
ALLOW(mknod) ALLOW(mknodat)
/* user.* only without a capability; tmpfs holds few, on the memory account. */
ALLOW(setxattr) ALLOW(lsetxattr) ALLOW(fsetxattr) ALLOW(getxattr) ALLOW(lgetxattr) ALLOW(fgetxattr)
ALLOW(listxattr) ALLOW(flistxattr) ALLOW(removexattr) ALLOW(lremovexattr) ALLOW(fremovexattr)
/* Buildah packs every attribute in user.* that it finds, and with them those in which overlayfs remembers the inode that a
 * file was copied from (user.overlay.origin): other ones at every build, and of no use to anyone. It finds them by this
 * call, and takes it that a file system may have none. File capabilities it asks for by name. */
WHEN(SANDBOX | ZYGOTE | RUNTIME, ALLOWED, llistxattr)
WHEN(BUILD, ERRNO(EOPNOTSUPP), llistxattr)
/* Between pipes and files by reference; had its bugs (CVE-2022-0847), but cat, cp and libuv use it, and what is read-only
 * is so by its mount. */
ALLOW(splice) ALLOW(tee)
/* Lends a program's own pages to a pipe, and nothing in use needs it. */
REFUSE(vmsplice)
/* Terminals: a byte put into the input queue of one, and the selection of a console, are typed by whoever reads it. There
 * is no terminal in a sandbox; this is for one that is handed in. A line discipline is code that the kernel loads on demand. */
WHEN(EVERYBODY, ERRNO(EPERM), ioctl, INT(1, TIOCSTI))
WHEN(EVERYBODY, ERRNO(EPERM), ioctl, INT(1, TIOCLINUX))
WHEN(EVERYBODY, ERRNO(EPERM), ioctl, INT(1, TIOCSETD))
ELSE(EVERYBODY, ALLOWED, ioctl)
/* Files by handle reach past the mount namespace. */
REFUSE(name_to_handle_at) REFUSE(open_by_handle_at)
/* Instances are few, and on the account of the host's root too; a watch on a device node tells what others do. As if the
 * limit were reached, which programs know. */
ANSWER(inotify_init, EMFILE) ANSWER(inotify_init1, EMFILE) ABSENT(inotify_add_watch) ABSENT(inotify_rm_watch)
REFUSE(fanotify_init) REFUSE(fanotify_mark)
/* Its contexts are counted for the machine (fs.aio-max-nr): one sandbox could take them all. Whoever uses it can do
 * without; POSIX AIO is threads. */
ABSENT(io_setup) ABSENT(io_destroy) ABSENT(io_submit) ABSENT(io_cancel) ABSENT(io_getevents) ABSENT(io_pgetevents)
/* A second way to almost every call of this page, which no filter sees; and more than half of the kernel's bugs of late. */
REFUSE(io_uring_setup) REFUSE(io_uring_enter) REFUSE(io_uring_register)
REFUSE(quotactl) REFUSE(quotactl_fd) REFUSE(acct) REFUSE(swapon) REFUSE(swapoff)
ABSENT(uselib) ABSENT(ustat) ABSENT(sysfs) ABSENT(nfsservctl) REFUSE(lookup_dcookie)

/* ---- Waiting: descriptors, events, time ---- */
ALLOW(poll) ALLOW(ppoll) ALLOW(select) ALLOW(pselect6) ALLOW(pipe) ALLOW(pipe2)
ALLOW(epoll_create) ALLOW(epoll_create1) ALLOW(epoll_ctl) ALLOW(epoll_wait) ALLOW(epoll_pwait) ALLOW(epoll_pwait2)
ALLOW(eventfd) ALLOW(eventfd2) ALLOW(signalfd) ALLOW(signalfd4)
ALLOW(timerfd_create) ALLOW(timerfd_settime) ALLOW(timerfd_gettime)
/* Each takes of RLIMIT_SIGPENDING, which a sandbox has little of. */
ALLOW(timer_create) ALLOW(timer_settime) ALLOW(timer_gettime) ALLOW(timer_getoverrun) ALLOW(timer_delete)
ALLOW(alarm) ALLOW(getitimer) ALLOW(setitimer) ALLOW(pause) ALLOW(nanosleep) ALLOW(clock_nanosleep) ALLOW(restart_syscall)
ALLOW(time) ALLOW(gettimeofday) ALLOW(clock_gettime) ALLOW(clock_getres) ALLOW(times)
/* The machine's clock; to ask how it is disciplined tells of the host, and only time servers do. */
REFUSE(settimeofday) REFUSE(clock_settime) REFUSE(adjtimex) REFUSE(clock_adjtime)
ABSENT(epoll_ctl_old) ABSENT(epoll_wait_old)

/* ---- Memory: its own, on its own account ---- */
ALLOW(munmap) ALLOW(mprotect) ALLOW(mremap) ALLOW(msync) ALLOW(mincore) ALLOW(madvise) ALLOW(brk)
/* Of huge pages the operator has set aside there is one pool for the machine, on no memory account. As if it were empty,
 * which programs know. (Transparent ones are ordinary memory.) shmget takes a privilege for them. */
WHEN(EVERYBODY, ERRNO(ENOMEM), mmap, BITS(3, MAP_HUGETLB, MAP_HUGETLB))
ELSE(EVERYBODY, ALLOWED, mmap)
/* Files without a name: JITs and Wayland use them, runc does to run its own copy. Their pages are the sandbox's; that
 * one can be executed is no more than a file in /tmp can. */
WHEN(EVERYBODY, ERRNO(ENOMEM), memfd_create, BITS(1, MFD_HUGETLB, MFD_HUGETLB))
ELSE(EVERYBODY, ALLOWED, memfd_create)
/* RLIMIT_MEMLOCK is 0, and programs that lock (gpg, node's OpenSSL) take the kernel's EPERM. */
ALLOW(mlock) ALLOW(mlock2) ALLOW(munlock) ALLOW(mlockall) ALLOW(munlockall)
/* Keys for one's own pages. */
ALLOW(pkey_mprotect) ALLOW(pkey_alloc) ALLOW(pkey_free)
/* Asks only: numerical libraries do. Where memory lies is the node's matter. */
ALLOW(get_mempolicy)
REFUSE(set_mempolicy) REFUSE(mbind) REFUSE(move_pages) REFUSE(migrate_pages) ABSENT(set_mempolicy_home_node)
/* Pages taken out of the kernel's own view, beyond what it can reclaim; off unless asked for. */
ABSENT(memfd_secret)
/* Emulated since Linux 4.0, wrongly more than once. */
ABSENT(remap_file_pages)
/* Handling a page fault late holds the kernel still in the middle of a copy: what exploits are timed with. */
REFUSE(userfaultfd)

/* ---- Processes and threads: as many as the pids cap has room for ---- */
ALLOW(fork) ALLOW(vfork) ALLOW(execve) ALLOW(execveat) ALLOW(exit) ALLOW(exit_group) ALLOW(wait4) ALLOW(waitid)
ALLOW(getpid) ALLOW(getppid) ALLOW(gettid) ALLOW(getpgid) ALLOW(getpgrp) ALLOW(setpgid) ALLOW(getsid) ALLOW(setsid)
ALLOW(set_tid_address) ALLOW(futex) ALLOW(futex_waitv) ALLOW(set_robust_list) ALLOW(get_robust_list)
/* glibc registers every thread, to learn its CPU without a call. */
ALLOW(rseq)
/* Barriers between the threads of a process: JITs and garbage collectors stand on it. It interrupts CPUs on which its
 * own threads run, or processes that asked for it. */
ALLOW(membarrier)
/* Threads and processes, but no namespace: a sandbox cannot nest, and a user namespace opens the kernel's privileged half.
 * A zygote makes none either: its children are put into those of a shell. */
WHEN(SANDBOX | ZYGOTE, ALLOWED, clone, BITS(0, NEW_NAMESPACES, 0))
/* A builder makes containers, and so do the commands of a hostile image, if they get hold of its rights; but none in a user
 * namespace of their own. */
WHEN(BUILD, ALLOWED, clone, BITS(0, CLONE_NEWUSER, 0))
WHEN(RUNTIME, ALLOWED, clone)
ELSE(SANDBOX | ZYGOTE | BUILD, ERRNO(EPERM), clone)
/* Its flags are in memory, where no filter can look. Every libc and runtime falls back to clone. */
ABSENT(clone3)
/* A zygote's child makes the cgroup namespace in which it does not see the host's names. */
REFUSE_SANDBOX(unshare)
WHEN(ZYGOTE, ALLOWED, unshare, INT(0, CLONE_NEWCGROUP))
WHEN(BUILD, ALLOWED, unshare, BITS(0, CLONE_NEWUSER, 0))
WHEN(RUNTIME, ALLOWED, unshare)
ELSE(ZYGOTE | BUILD, ERRNO(EPERM), unshare)
/* How a zygote's child joins its shell. */
REFUSE_SANDBOX(setns)
WHEN(ZYGOTE | BUILD | RUNTIME, ALLOWED, setns)
/* Signals reach what is in one's pid namespace and of one's user. */
ALLOW(kill) ALLOW(tkill) ALLOW(tgkill) ALLOW(pidfd_send_signal)
ALLOW(rt_sigaction) ALLOW(rt_sigprocmask) ALLOW(rt_sigreturn) ALLOW(rt_sigpending) ALLOW(rt_sigtimedwait)
ALLOW(rt_sigqueueinfo) ALLOW(rt_tgsigqueueinfo) ALLOW(rt_sigsuspend) ALLOW(sigaltstack)
/* Of an own process: Python and Go wait for children with it. The agent is pid 1 of its zone and of the zygote's own
 * user: a zygote is refused what could be done to it by number. In a sandbox pid 1 is the init, which is another user's. */
WHEN(ZYGOTE, ERRNO(EPERM), pidfd_open, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, pidfd_open)
/* Descriptors, memory and identity of another process; ptrace in all its forms. Debuggers do not run in a sandbox. */
TRACERS(ptrace) TRACERS(process_vm_readv) TRACERS(process_vm_writev) TRACERS(kcmp)
REFUSE(pidfd_getfd) REFUSE(process_madvise) REFUSE(process_mrelease)
/* Of itself: names, death signals, timer slack, no_new_privs. What is dangerous in it takes a capability; but who shares a
 * core with whom anybody may say (core scheduling), and so keep half of each from all others. As if it were not built. */
WHEN(EVERYBODY, ERRNO(EINVAL), prctl, INT(0, PR_SCHED_CORE))
ELSE(EVERYBODY, ALLOWED, prctl)
/* Base of thread-local storage: every thread sets it. */
ALLOW(arch_prctl)
/* Asks what it is, or is what every program is. Other ones turn off the randomisation of addresses, or change how old
 * programs' mistakes are taken. */
WHEN(EVERYBODY, ALLOWED, personality, INT(0, 0))
WHEN(EVERYBODY, ALLOWED, personality, INT(0, 0xffffffff))
ELSE(EVERYBODY, ERRNO(EPERM), personality)
/* Segments for 16-bit programs: had its bugs, and kernels without it say so. */
ABSENT(modify_ldt) ABSENT(set_thread_area) ABSENT(get_thread_area)
REFUSE(iopl) REFUSE(ioperm)

/* ---- Share of the CPU: down for all, up for none (RLIMIT_NICE and RLIMIT_RTPRIO are 0) ---- */
ALLOW(sched_yield) ALLOW(sched_getaffinity) ALLOW(sched_getscheduler) ALLOW(sched_getparam) ALLOW(sched_getattr)
ALLOW(sched_get_priority_max) ALLOW(sched_get_priority_min) ALLOW(sched_rr_get_interval) ALLOW(getpriority)
ALLOW(ioprio_get) ALLOW(getcpu)
WHEN(ZYGOTE, ERRNO(EPERM), sched_setaffinity, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, sched_setaffinity)
WHEN(ZYGOTE, ERRNO(EPERM), sched_setscheduler, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, sched_setscheduler)
WHEN(ZYGOTE, ERRNO(EPERM), sched_setparam, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, sched_setparam)
WHEN(ZYGOTE, ERRNO(EPERM), sched_setattr, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, sched_setattr)
WHEN(ZYGOTE, ERRNO(EPERM), setpriority, INT(0, PRIO_PROCESS), INT(1, 1))
ELSE(EVERYBODY, ALLOWED, setpriority)
WHEN(ZYGOTE, ERRNO(EPERM), ioprio_set, INT(0, IOPRIO_WHO_PROCESS), INT(1, 1))
ELSE(EVERYBODY, ALLOWED, ioprio_set)

/* ---- Who and what it is ---- */
ALLOW(getuid) ALLOW(geteuid) ALLOW(getgid) ALLOW(getegid) ALLOW(getresuid) ALLOW(getresgid) ALLOW(getgroups)
/* Without a capability they lead from an id to the same id; a zygote's child becomes its sandbox's user by them. The services'
 * id is mapped too, for the layers are theirs: whoever became it would be on the same accounts of per-user limits as
 * worker and gateway (epoll watches, buffers of pipes), and could use them up. */
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setuid, INT(0, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setuid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setgid, INT(0, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setgid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setreuid, INT(0, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setreuid, INT(1, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setreuid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setregid, INT(0, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setregid, INT(1, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setregid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresuid, INT(0, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresuid, INT(1, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresuid, INT(2, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setresuid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresgid, INT(0, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresgid, INT(1, SERVICE_ID))
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setresgid, INT(2, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setresgid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setfsuid, INT(0, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setfsuid)
WHEN(ZYGOTE | BUILD | RUNTIME, ERRNO(EPERM), setfsgid, INT(0, SERVICE_ID))
ELSE(EVERYBODY, ALLOWED, setfsgid)
ALLOW(setgroups) ALLOW(capget) ALLOW(capset)
ALLOW(getrlimit) ALLOW(setrlimit) ALLOW(getrusage) ALLOW(sysinfo) ALLOW(uname)
WHEN(ZYGOTE, ERRNO(EPERM), prlimit64, INT(0, 1))
ELSE(EVERYBODY, ALLOWED, prlimit64)
ALLOW(getrandom)
/* A program may confine itself further. Not by asking a process of its choice at every call: nobody needs that here, and it
 * holds the caller in the kernel. */
WHEN(EVERYBODY, ERRNO(EPERM), seccomp, INT(0, SECCOMP_SET_MODE_FILTER), BITS(1, SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_FILTER_FLAG_NEW_LISTENER))
ELSE(EVERYBODY, ALLOWED, seccomp)
ALLOW(landlock_create_ruleset) ALLOW(landlock_add_rule) ALLOW(landlock_restrict_self)

/* ---- Between processes: namespaces of the sandbox's own; memory and tmpfs bound them ---- */
ALLOW(shmget) ALLOW(shmat) ALLOW(shmctl) ALLOW(shmdt) ALLOW(semget) ALLOW(semop) ALLOW(semctl) ALLOW(semtimedop)
ALLOW(msgget) ALLOW(msgsnd) ALLOW(msgrcv) ALLOW(msgctl)
/* RLIMIT_MSGQUEUE is 0: EMFILE by the kernel. */
ALLOW(mq_open) ALLOW(mq_unlink) ALLOW(mq_timedsend) ALLOW(mq_timedreceive) ALLOW(mq_notify) ALLOW(mq_getsetattr)
/* Keyrings are not namespaced by anything that we make. */
REFUSE(add_key) REFUSE(request_key) REFUSE(keyctl)

/* ---- Network: there is none but loopback and Unix sockets ---- */
ALLOW(connect) ALLOW(accept) ALLOW(accept4) ALLOW(bind) ALLOW(listen) ALLOW(shutdown) ALLOW(getsockname) ALLOW(getpeername)
ALLOW(sendto) ALLOW(recvfrom) ALLOW(sendmsg) ALLOW(recvmsg) ALLOW(sendmmsg) ALLOW(recvmmsg) ALLOW(getsockopt)
/* A layer over TCP (kernel TLS and its like) is a parser in the kernel, loaded on demand. As if it were not built. */
WHEN(EVERYBODY, ERRNO(ENOPROTOOPT), setsockopt, INT(1, IPPROTO_TCP), INT(2, TCP_ULP))
ELSE(EVERYBODY, ALLOWED, setsockopt)
/* Families and protocols are mostly modules that the kernel loads when somebody asks (AF_VSOCK even leads to the
 * hypervisor, AF_ALG into the kernel's ciphers): TCP, UDP and Unix it is, and of netlink what lists interfaces. Raw sockets
 * take a capability; refused as the kernel does. MPTCP, SCTP and the like: programs fall back. */
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_UNIX))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_STREAM), INT(2, 0))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_STREAM), INT(2, IPPROTO_TCP))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_DGRAM), INT(2, 0))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_DGRAM), INT(2, IPPROTO_UDP))
WHEN(EVERYBODY, ERRNO(EPERM), socket, INT(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_RAW))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_STREAM), INT(2, 0))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_STREAM), INT(2, IPPROTO_TCP))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_DGRAM), INT(2, 0))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_DGRAM), INT(2, IPPROTO_UDP))
WHEN(EVERYBODY, ERRNO(EPERM), socket, INT(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_RAW))
WHEN(EVERYBODY, ALLOWED, socket, INT(0, AF_NETLINK), INT(2, NETLINK_ROUTE))
WHEN(EVERYBODY, ERRNO(EPERM), socket, INT(0, AF_PACKET))
ELSE(EVERYBODY, ERRNO(EAFNOSUPPORT), socket)
WHEN(EVERYBODY, ALLOWED, socketpair, INT(0, AF_UNIX))
ELSE(EVERYBODY, ERRNO(EAFNOSUPPORT), socketpair)

/* ---- The mount table and the names of the machine: for makers of containers ---- */
BUILDERS(mount) BUILDERS(umount2) BUILDERS(pivot_root) BUILDERS(chroot) BUILDERS(sethostname) BUILDERS(setdomainname)
REFUSE(open_tree) REFUSE(move_mount) REFUSE(fsopen) REFUSE(fsconfig) REFUSE(fsmount) REFUSE(fspick) REFUSE(mount_setattr)

/* ---- The machine, and code in its kernel ---- */
REFUSE(bpf) REFUSE(perf_event_open) REFUSE(init_module) REFUSE(finit_module) REFUSE(delete_module)
REFUSE(kexec_load) REFUSE(kexec_file_load) REFUSE(reboot) REFUSE(syslog) REFUSE(vhangup)
/* Names that no kernel fills any more, or none ever did. */
ABSENT(create_module) ABSENT(get_kernel_syms) ABSENT(query_module) ABSENT(_sysctl) ABSENT(getpmsg) ABSENT(putpmsg)
ABSENT(afs_syscall) ABSENT(tuxcall) ABSENT(security) ABSENT(vserver)
