//! Ports that get in each other's way.

use std::net::IpAddr;

use super::{Config, ConfigError};

/// Refuses one port for two listeners, of which the second could not be had: of workers, clients and operators, named in this order.
///
/// # Errors
/// The later of two that are the same.
pub(super) fn refuse_equal(config: &Config, names: &[String; 3]) -> Result<(), ConfigError> {
    let admin = (config.admin.host.as_str(), if config.admin.enabled { config.admin.port } else { 0 });
    let listeners = [(config.worker.host.as_str(), config.worker.port), (config.stream.host.as_str(), config.stream.port), admin];
    for (index, (host, port)) in listeners.into_iter().enumerate() {
        let same = listeners[..index].iter().position(|(other, taken)| port != 0 && port == *taken && overlap(host, other));
        if let Some(before) = same {
            let reason = format!("{port} is that of {} already; take another one", names[before]);
            return Err(ConfigError::Conflict { key: names[index].clone(), reason });
        }
    }
    Ok(())
}

/// Whether two hosts are one address, as far as can be told without asking for names.
fn overlap(one: &str, other: &str) -> bool {
    let address = |host: &str| if host == "localhost" { Some(IpAddr::from([127, 0, 0, 1])) } else { host.parse().ok() };
    match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other || one.is_unspecified() || other.is_unspecified(),
        // A name: that of an address of this machine.
        (Some(address), None) | (None, Some(address)) => address.is_unspecified(),
        (None, None) => one == other,
    }
}
