//! File capabilities: names as in capabilities(7) to the bytes of `security.capability`.

/// The attribute's name.
pub(super) const XATTR: &str = "security.capability";

/// linux/capability.h, by number.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The attribute that permits these capabilities and makes them effective (`vfs_cap_data`, revision 2).
///
/// # Errors
/// The first name that is none.
pub(super) fn encode<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<u8>, &'a str> {
    const REVISION_2: u32 = 0x0200_0000;
    const EFFECTIVE: u32 = 1;
    let mut permitted = 0_u64;
    for name in names {
        let short =
            name.strip_prefix("cap_").or_else(|| name.strip_prefix("CAP_")).unwrap_or(name).to_ascii_lowercase();
        let number = NAMES.iter().position(|known| *known == short).ok_or(name)?;
        permitted |= 1 << number;
    }
    let bytes = permitted.to_le_bytes();
    let mut value = (REVISION_2 | EFFECTIVE).to_le_bytes().to_vec();
    value.extend_from_slice(&bytes[..4]);
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&bytes[4..]);
    value.extend_from_slice(&[0; 4]);
    Ok(value)
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_setcap_writes_it() {
        // `setcap cap_net_bind_service=ep FILE; getfattr -e hex -n security.capability FILE`
        let value = super::encode(["cap_net_bind_service"]).unwrap();
        let expected = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(value, expected);
        assert_eq!(super::encode(["cap_fly"]), Err("cap_fly"));
    }
}
