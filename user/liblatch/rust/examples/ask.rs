// SPDX-License-Identifier: BSD-2-Clause
//! Asks its own connection for its peer, ten times a second, one JSON object a line:
//!
//!     ask serve|connect ADDR PORT [PEER]
//!     ask tell FD
//!
//! With PEER a connection is made to this peer, or not at all. "tell" asks a descriptor that it has
//! got, once. Addresses are IPv4; errors are numbers.
use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::raw::{c_int, c_void};
use std::os::unix::io::{AsRawFd, FromRawFd, OwnedFd};
use std::process::exit;
use std::thread;
use std::time::Duration;

// std opens and connects in one step, and a wish belongs between: crates such as socket2 do, too.
const AF_INET: c_int = 2;
const SOCK_STREAM: c_int = 1;

#[repr(C)]
struct SockaddrIn {
    family: u16,
    port: u16,
    address: u32,
    zero: [u8; 8],
}

extern "C" {
    fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, address: *const c_void, size: u32) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn connect(fd: c_int, address: *const c_void, size: u32) -> c_int;
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn with_wish(peer: Option<&str>) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is new, and nothing else owns it.
    let made = unsafe { OwnedFd::from_raw_fd(checked(socket(AF_INET, SOCK_STREAM, 0))?) };
    if let Some(text) = peer {
        latch::expect_peer(&made, text.as_bytes())?;
    }
    Ok(made)
}

fn raw(address: SocketAddrV4) -> SockaddrIn {
    SockaddrIn {
        family: AF_INET as u16,
        port: address.port().to_be(),
        address: u32::from(*address.ip()).to_be(),
        zero: [0; 8],
    }
}

fn accepted(address: SocketAddrV4, peer: Option<&str>) -> io::Result<TcpStream> {
    let made = with_wish(peer)?;
    let to = raw(address);
    // SAFETY: the kernel reads 16 bytes of to.
    unsafe {
        checked(bind(made.as_raw_fd(), (&to as *const SockaddrIn).cast(), 16))?;
        checked(listen(made.as_raw_fd(), 8))?;
    }
    println!("{{\"listening\": true}}");
    Ok(TcpListener::from(made).accept()?.0)
}

fn connected(address: SocketAddrV4, peer: Option<&str>) -> io::Result<TcpStream> {
    let made = with_wish(peer)?;
    let to = raw(address);
    // SAFETY: the kernel reads 16 bytes of to.
    unsafe { checked(connect(made.as_raw_fd(), (&to as *const SockaddrIn).cast(), 16))? };
    let stream = TcpStream::from(made);
    if peer.is_some() && latch::state(&stream)? != latch::State::Established {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(stream)
}

// ---- JSON, of a text that others have chosen

fn text_of(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{:04x}", unit));
                }
            }
        }
    }
    out + "\""
}

fn error_of<T>(answer: &io::Result<T>) -> String {
    match answer {
        Ok(_) => String::from("null"),
        Err(error) => error
            .raw_os_error()
            .map_or(String::from("\"other\""), |number| number.to_string()),
    }
}

fn say(stream: &impl AsRawFd) {
    let (state, peer, end) = (latch::state(stream), latch::peer(stream), latch::end(stream));
    println!(
        "{{\"state\": {}, \"state_error\": {}, \"peer\": {}, \"peer_error\": {}, \"end\": {}, \"end_error\": {}}}",
        text_of(state.as_ref().map_or(String::new(), |found| format!("{:?}", found)).as_bytes()),
        error_of(&state),
        text_of(peer.as_ref().map_or(&[][..], |found| found)),
        error_of(&peer),
        text_of(end.as_ref().map_or(String::new(), |found| format!("{:?}", found)).as_bytes()),
        error_of(&end)
    );
}

fn fail(error: io::Error) -> ! {
    println!("{{\"failed\": {}}}", error_of::<()>(&Err(error)));
    exit(1)
}

fn read_until_end(mut stream: TcpStream) {
    let mut buffer = [0; 512];
    while stream.read(&mut buffer).map_or(false, |length| length > 0) {}
}

fn ask_on(mut stream: TcpStream) -> ! {
    let reader = stream.try_clone().unwrap_or_else(|error| fail(error));
    thread::spawn(move || read_until_end(reader));
    loop {
        let _ = stream.write(b"ask\n");
        say(&stream);
        thread::sleep(Duration::from_millis(100));
    }
}

fn usage() -> ! {
    eprintln!("usage: ask serve|connect ADDR PORT [PEER] | tell FD");
    exit(2)
}

fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["tell", number] => {
            let fd = number.parse().unwrap_or_else(|_| usage());
            // SAFETY: the caller has given this descriptor to this program.
            say(&unsafe { OwnedFd::from_raw_fd(fd) });
        }
        [kind, address, port, ..] if words.len() <= 4 => {
            let address: Ipv4Addr = address.parse().unwrap_or_else(|_| usage());
            let address = SocketAddrV4::new(address, port.parse().unwrap_or_else(|_| usage()));
            let peer = words.get(3).copied();
            let stream = match kind {
                "serve" => accepted(address, peer),
                "connect" => connected(address, peer),
                _ => usage(),
            };
            ask_on(stream.unwrap_or_else(|error| fail(error)))
        }
        _ => usage(),
    }
}
