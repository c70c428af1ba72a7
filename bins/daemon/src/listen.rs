//! Where a server listens.

use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use clap::Args;
use tokio::net::TcpListener;

/// The option that says where a program's server listens.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ListenOptions {
    /// The address of probes, metrics and what else the program serves. `:PORT` is every address of
    /// the machine.
    #[arg(long, value_name = "ADDRESS", default_value_t)]
    pub listen: ListenAddress,
}

/// An address to listen at: `host:port`, or `:port` for every address of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

/// A text that is no address to listen at.
#[derive(Debug, thiserror::Error)]
#[error("not an address like 127.0.0.1:8443 or :8443: {0:?}")]
pub struct ListenAddressError(String);

// === impl ListenAddress ===

impl ListenAddress {
    /// Listens.
    ///
    /// # Errors
    ///
    /// When the address cannot be resolved, is taken, or is not this machine's.
    pub async fn bind(&self) -> io::Result<TcpListener> {
        if !self.host.is_empty() {
            return TcpListener::bind((self.host.as_str(), self.port)).await;
        }
        match TcpListener::bind((Ipv6Addr::UNSPECIFIED, self.port)).await {
            // A machine may have no IPv6 at all.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, self.port)).await
            }
            listener => listener,
        }
    }
}

impl Default for ListenAddress {
    /// `:8443`.
    fn default() -> Self {
        Self { host: String::new(), port: 8443 }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let error = || ListenAddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(error)?,
            None if host.contains(':') => return Err(error()),
            None => host,
        };
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in [":8443", "127.0.0.1:0", "[::1]:9000", "localhost:80"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        assert_eq!(ListenAddress::default().to_string(), ":8443");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "8443", "host", "host:", "host:70000", "::1:80", "[::1:80"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn every_address_of_the_machine_is_listened_at() {
        let listener = ":0".parse::<ListenAddress>().unwrap().bind().await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.ip().is_unspecified());
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).await.unwrap();
    }
}
