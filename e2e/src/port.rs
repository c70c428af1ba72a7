//! Free loopback ports.

use std::{io, net::TcpListener};

/// `N` different ports that nothing on 127.0.0.1 listened on a moment ago.
///
/// # Errors
/// When the system gives no port.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    // All are held until the last is chosen, so that no two are the same.
    let held: Vec<_> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
