//! A network of this thread's own, in which nothing is but a loopback.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

use super::DENIED;
use crate::report::{Diagnostic, Result, plain};

/// The setting of a network by which ports from there on are anyone's.
const LOW_PORTS: (&str, &str) = ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");

/// Gives this thread, and what it starts from now on, a network of its own.
///
/// # Errors
/// When the kernel does not allow it.
pub fn own() -> Result<()> {
    unshare().and_then(|()| open_low_ports()).and_then(|()| raise_loopback()).map_err(|error| {
        Diagnostic::error(DENIED, format!("a network of its own is denied here: {}", plain(&error))).into()
    })
}

#[expect(deprecated, reason = "what is unsafe of it is to stop sharing open files, which this does not")]
fn unshare() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNET)?)
}

/// Lets any user listen below port 1024, as Docker does in the networks that it makes (ip-sysctl,
/// `ip_unprivileged_port_start`). Where the kernel or the set-up of `/proc` does not allow it, all is as it was.
fn open_low_ports() -> io::Result<()> {
    match std::fs::write(LOW_PORTS.0, LOW_PORTS.1) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// `ip link set lo up`: rtnetlink(7), one message and its acknowledgement. A new network has the loopback as its first
/// device.
fn raise_loopback() -> io::Result<()> {
    const LENGTH: u32 = 32;
    const RTM_NEWLINK: u16 = 16;
    const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
    const UP: u32 = 1;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend(REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(1_i32.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    // Without a protocol: NETLINK_ROUTE, which is 0.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 512];
    let (count, _) = rustix::net::recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
    match answer.get(16..20).filter(|_| count >= 20).and_then(|code| <[u8; 4]>::try_from(code).ok()) {
        Some(code) if i32::from_ne_bytes(code) == 0 => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-i32::from_ne_bytes(code))),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
