//! What the examples share: where they listen, and an adapter of our own.

pub mod sqlite;

use std::io::Write;
use std::net::SocketAddr;

/// The address to listen on: `PORT` of the environment, or 8080.
///
/// # Errors
/// Where `PORT` is no number.
pub fn address() -> Result<SocketAddr, std::num::ParseIntError> {
    let port = std::env::var("PORT").map_or(Ok(8080), |port| port.parse())?;
    Ok(([127, 0, 0, 1], port).into())
}

/// Tells people and tests where the page is.
pub fn announce(addresses: &[SocketAddr]) {
    for address in addresses {
        // A closed standard output leaves nobody to tell.
        let _ = writeln!(std::io::stdout(), "open http://{address}/");
    }
}
