//! Seccomp: the system calls that no kernel, compiler or harness needs.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::path::Path;

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::access::{Access, Sockets};

/// Refused with `EPERM`: other processes' memory, ways around the other protections, and the machine itself.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // A ring of requests goes past every filter of system calls.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Compiles the filters that leave a program the sockets of `access`, to be applied in its own process one after the other.
pub(super) fn of(access: &Access) -> Result<[BpfProgram; 2], BackendError> {
    Ok([program(access.sockets)?, unseen()?])
}

/// Compiles the filters that refuse new processes and other processors than the given ones, and let threads be, to be applied in
/// the same way.
pub(super) fn alone() -> Result<[BpfProgram; 2], BackendError> {
    let mut rules = BTreeMap::from([
        (libc::SYS_clone, vec![cloning(libc::CLONE_THREAD, Flag::Unset)?]),
        (libc::SYS_sched_setaffinity, Vec::new()),
        // A traced process can stop by one thread alone.
        (libc::SYS_ptrace, Vec::new()),
    ]);
    #[cfg(target_arch = "x86_64")]
    rules.extend([(libc::SYS_fork, Vec::new()), (libc::SYS_vfork, Vec::new())]);
    Ok([refusing(rules, Errno::PERM)?, unseen()?])
}

/// What `clone3` is asked for no filter can see: it is said not to exist, and the C library then asks `clone`.
fn unseen() -> Result<BpfProgram, BackendError> {
    refusing(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), Errno::NOSYS)
}

/// Whether a flag is in an argument.
#[derive(Clone, Copy)]
enum Flag {
    Set,
    Unset,
}

/// Returns the rule that matches a `clone` with or without a flag.
fn cloning(flag: libc::c_int, is: Flag) -> Result<SeccompRule, BackendError> {
    let mask = u64::from(flag.unsigned_abs());
    let value = match is {
        Flag::Set => mask,
        Flag::Unset => 0,
    };
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)?])
}

fn refusing(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: Errno) -> Result<BpfProgram, BackendError> {
    let refusal = SeccompAction::Errno(errno.raw_os_error().unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refusal, ARCH.try_into()?)?.try_into()
}

fn program(sockets: Sockets) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    // In a new namespace of users it would have every capability again.
    rules.insert(libc::SYS_clone, vec![cloning(libc::CLONE_NEWUSER, Flag::Set)?]);
    rules.insert(
        libc::SYS_socket,
        match sockets {
            Sockets::None => Vec::new(),
            Sockets::Unix => vec![SeccompRule::new(vec![SeccompCondition::new(
                0,
                SeccompCmpArgLen::Dword,
                SeccompCmpOp::Ne,
                libc::AF_UNIX as u64,
            )?])?],
        },
    );
    refusing(rules, Errno::PERM)
}

/// Tells whether this system can filter system calls, or why not.
pub(super) fn available() -> Result<(), String> {
    if !Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return Err("it needs a Linux kernel with seccomp filters".to_owned());
    }
    program(Sockets::None).map(drop).map_err(|error| format!("no filter can be made for {ARCH}: {error}"))
}
