// SPDX-License-Identifier: BSD-2-Clause
//! Which authenticated peer is at the other end of a socket (RFC 5660), answered by the kernel.
//!
//! ```no_run
//! # fn serve(_: &std::net::TcpStream) {}
//! # fn main() -> std::io::Result<()> {
//! let (stream, _) = std::net::TcpListener::bind("192.0.2.1:7000")?.accept()?;
//! if latch::peer(&stream)? == b"c.example" && latch::state(&stream)? == latch::State::Established {
//!     serve(&stream);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! No library and no privilege is needed. latch(7) has the meaning of each answer. An error with
//! the number `UNAVAILABLE` says that no latchd serves this socket, or not this kind of socket:
//! nothing is known, and nothing is wished. Other errors are those of latch(7), such as ENODATA
//! where there is nothing to tell.
use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::raw::c_int;
use std::os::unix::io::AsRawFd;

/// EOPNOTSUPP. IPv6 sockets answer ENOPROTOOPT, which becomes this one.
pub const UNAVAILABLE: i32 = 95;

const EINVAL: i32 = 22;
const ENOPROTOOPT: i32 = 92;
const SOL_LATCH: c_int = 0x4C41;
const OPT_STATE: c_int = 1;
const OPT_INFO: c_int = 2;
const OPT_PEER_ID: c_int = 3;
const OPT_EXPECT_PEER: c_int = 17;
const TEXT_MAX: usize = 512;
const INFO_SIZE: usize = 208;
const WHY_ENDED: u8 = 64;
const INDETERMINATE: u32 = 1 << 0;
const AUDIT: u32 = 1 << 1;
const ABORTED: u32 = 1 << 4;
const UNPROVEN: u32 = 1 << 6;
const PEER_ENDED: u32 = 1 << 7;

extern "C" {
    fn getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, size: *mut u32) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, size: u32) -> c_int;
}

/// Only `Established` proves a peer that the connection has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    NotLatched,
    Listener,
    Larval,
    Established,
    Broken,
    Closed,
    Audited,
    Unproven,
    /// Of a later latchd.
    Other(i32),
}

impl From<i32> for State {
    fn from(number: i32) -> State {
        match number {
            0 => State::NotLatched,
            1 => State::Listener,
            2 => State::Larval,
            3 => State::Established,
            4 => State::Broken,
            5 => State::Closed,
            6 => State::Audited,
            7 => State::Unproven,
            other => State::Other(other),
        }
    }
}

/// After an end of file: was it the peer's?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer has not ended the connection.
    Open,
    /// The latched peer has ended it.
    Orderly,
    /// The latch was broken or closed.
    Broken,
    /// Ended by a reset or a timeout.
    Reset,
    /// No latch has proven a peer for the whole connection.
    Unproven,
}

fn last_error() -> io::Error {
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(ENOPROTOOPT) => io::Error::from_raw_os_error(UNAVAILABLE),
        _ => error,
    }
}

fn ask<const SIZE: usize>(socket: &impl AsRawFd, option: c_int) -> io::Result<([u8; SIZE], usize)> {
    let mut answer = [0u8; SIZE];
    let mut size = SIZE as u32;
    // SAFETY: both pointers are to memory of this function, and size is that of answer.
    let failed = unsafe {
        getsockopt(
            socket.as_raw_fd(),
            SOL_LATCH,
            option,
            answer.as_mut_ptr().cast(),
            &mut size,
        )
    };
    if failed != 0 {
        return Err(last_error());
    }
    Ok((answer, size as usize))
}

fn number<const AT: usize, const SIZE: usize>(answer: &[u8; SIZE]) -> u32 {
    u32::from_ne_bytes([answer[AT], answer[AT + 1], answer[AT + 2], answer[AT + 3]])
}

/// One system call.
pub fn state(socket: &impl AsRawFd) -> io::Result<State> {
    let (answer, _) = ask::<{ mem::size_of::<i32>() }>(socket, OPT_STATE)?;
    Ok(State::from(i32::from_ne_bytes(answer)))
}

/// The peer's identity, chosen by the peer: compare all of it, and escape it before it is shown.
/// ENODATA: no latch has proven one. A connection that broke or ended has one, too: `state` says so.
pub fn peer(socket: &impl AsRawFd) -> io::Result<Vec<u8>> {
    let (answer, size) = ask::<TEXT_MAX>(socket, OPT_PEER_ID)?;
    Ok(answer[..size].to_vec())
}

/// Before connect() or listen(): a connection to this peer, or none. Check a new connection by
/// `state`: `latchctl purge` ends wishes. EINVAL: an empty text, which would take the wish back.
pub fn expect_peer(socket: &impl AsRawFd, text: &[u8]) -> io::Result<()> {
    if text.is_empty() {
        return Err(io::Error::from_raw_os_error(EINVAL));
    }
    let size = u32::try_from(text.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the kernel reads size bytes of text.
    let failed = unsafe {
        setsockopt(
            socket.as_raw_fd(),
            SOL_LATCH,
            OPT_EXPECT_PEER,
            text.as_ptr().cast(),
            size,
        )
    };
    if failed != 0 {
        return Err(last_error());
    }
    Ok(())
}

/// Call it when read() has returned 0: an end of file alone does not show that the peer has ended
/// the connection, for another call may have taken the error.
pub fn end(socket: &impl AsRawFd) -> io::Result<End> {
    let (info, _) = ask::<INFO_SIZE>(socket, OPT_INFO)?;
    let flags = number::<16, INFO_SIZE>(&info);
    Ok(match State::from(i32::from(info[8])) {
        State::Broken => End::Broken,
        _ if flags & (AUDIT | UNPROVEN) != 0 => End::Unproven,
        State::Closed => end_of_closed(&info, flags),
        State::Established if flags & PEER_ENDED != 0 => End::Orderly,
        State::Established => End::Open,
        _ => End::Unproven,
    })
}

fn end_of_closed(info: &[u8; INFO_SIZE], flags: u32) -> End {
    let latch = (number::<32, INFO_SIZE>(info), number::<36, INFO_SIZE>(info));
    if info[9] != WHY_ENDED {
        End::Broken
    } else if flags & ABORTED != 0 {
        End::Reset
    } else if flags & INDETERMINATE != 0 || latch == (0, 0) {
        End::Unproven
    } else {
        End::Orderly
    }
}
