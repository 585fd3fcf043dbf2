//! A network of this thread's own, in which nothing is but a loopback.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

use super::DENIED;
use crate::report::{Diagnostic, Result, plain};

/// Gives this thread, and what it starts from now on, a network of its own.
///
/// # Errors
/// When the kernel does not allow it.
pub fn own() -> Result<()> {
    unshare().and_then(|()| raise_loopback()).map_err(|error| {
        Diagnostic::error(DENIED, format!("a network of its own is denied here: {}", plain(&error))).into()
    })
}

#[expect(deprecated, reason = "what is unsafe of it is to stop sharing open files, which this does not")]
fn unshare() -> io::Result<()> {
    Ok(rustix::thread::unshare(UnshareFlags::NEWNET)?)
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
