//! The configuration of an OCI runtime bundle (OCI runtime specification 1.0.2, `config.md`).

use serde_json::{Value, json};

use super::{Mount, Network, Start};

/// What a program must not see or change below `/proc` and `/sys`, as engines have it.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Calls of the kernel that no service needs: those which engines deny to programs without capabilities.
const DENIED: [&str; 32] = [
    "acct",
    "add_key",
    "bpf",
    "delete_module",
    "finit_module",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "move_mount",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "quotactl",
    "reboot",
    "request_key",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "umount",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
];

/// The `config.json` that starts a program: no capability, none to be got, every namespace but that of the user, which
/// mkimage has entered itself.
pub fn config(start: &Start) -> Value {
    let mut namespaces = vec!["pid", "ipc", "uts", "mount"];
    let mut settings = json!({});
    if start.network == Network::None {
        namespaces.push("network");
        // As Docker has it: any port is anyone's.
        settings = json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": start.terminal,
            "user": { "uid": start.account.uid, "gid": start.account.gid, "additionalGids": start.account.groups },
            "args": start.args,
            "env": start.env,
            "cwd": start.workdir,
            "capabilities": { "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] },
            "noNewPrivileges": true,
        },
        "root": { "path": start.rootfs, "readonly": start.read_only },
        "hostname": "mkimage",
        "mounts": mounts(start),
        "linux": {
            "namespaces": namespaces.into_iter().map(|kind| json!({ "type": kind })).collect::<Vec<_>>(),
            "sysctl": settings,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": DENIED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1 }],
            },
        },
    })
}

fn mounts(start: &Start) -> Vec<Value> {
    let mount = |to: &str, kind: &str, from: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": from, "options": options });
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    // The kernel mounts a new /sys only for who owns the network.
    mounts.push(if start.network == (Network::Caller { host: true }) {
        mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
    } else {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    });
    for own in &start.mounts {
        mounts.push(match own {
            Mount::Memory { to, mode } => {
                mount(&to.to_string(), "tmpfs", "tmpfs", &["nosuid", "nodev", &format!("mode={mode:o}")])
            }
            Mount::Bind { from, to, read_only } => {
                let access = if *read_only { "ro" } else { "rw" };
                mount(&to.to_string(), "bind", &from.to_string_lossy(), &["rbind", "nosuid", "nodev", access])
            }
        });
    }
    mounts
}
