//! Networks of a test's own, which can be cut: a server in a network namespace, with one cable to its clients and one to Redis.

use std::io::{Write, stderr};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A hardware address that nobody has: what is sent there is gone, and nobody is told.
const NOWHERE: &str = "02:00:00:00:00:01";

/// See the [module](self). Gone with the value.
pub(crate) struct Namespace {
    pub(crate) name: String,
    /// The first of its sixteen addresses.
    base: u32,
    n: u32,
}

impl Namespace {
    /// Whether such networks can be had; where not, it is said why the test is skipped.
    pub(crate) fn can_be_had() -> bool {
        let name = format!("weir-try-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let attempt = |args: &str| match Command::new("ip").args(args.split(' ')).output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(format!("`ip` of iproute2: {error}")),
        };
        let made = attempt(&format!("netns add {name}")).and_then(|()| {
            let cable = attempt(&format!("-n {name} link add try-a type veth peer name try-b"));
            ip(&format!("netns delete {name}"));
            cable
        });
        let Err(trouble) = made else { return true };
        // Past the harness, which shows nothing of tests that pass.
        let _ = writeln!(stderr(), "SKIPPED: network namespaces cannot be made ({trouble}); run this test as root");
        false
    }

    pub(crate) fn new() -> Self {
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        // Of the addresses that are set aside for tests of networks (RFC 2544), so that nobody else has them, but for tests beside this one.
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + rand::random_range(0..1 << 13) * 16;
        let namespace = Self { name: format!("weir-{}-{n}", std::process::id()), base, n };
        let name = &namespace.name;
        ip(&format!("netns add {name}"));
        // The admin port is there.
        ip(&format!("-n {name} link set lo up"));
        for (cable, here, there) in [("c", namespace.clients(), namespace.host()), ("r", namespace.redis(), namespace.to_redis())] {
            let (outer, inner) = (namespace.outer(cable), cable);
            ip(&format!("link add {outer} type veth peer name {inner} netns {name}"));
            ip(&format!("address add {here}/30 dev {outer}"));
            ip(&format!("link set {outer} up"));
            ip(&format!("-n {name} address add {there}/30 dev {inner}"));
            ip(&format!("-n {name} link set {inner} up"));
        }
        namespace
    }

    fn outer(&self, cable: &str) -> String {
        format!("w{cable}{}-{}", std::process::id(), self.n)
    }

    fn address(&self, n: u32) -> String {
        Ipv4Addr::from(self.base + n).to_string()
    }

    fn clients(&self) -> String {
        self.address(1)
    }

    /// The address of a server inside.
    pub(crate) fn host(&self) -> String {
        self.address(2)
    }

    /// The address of Redis, as it is seen from inside.
    pub(crate) fn redis(&self) -> String {
        self.address(5)
    }

    /// The address of a server inside, as it is seen from where Redis is.
    pub(crate) fn to_redis(&self) -> String {
        self.address(6)
    }

    /// Pulls the cable to Redis.
    pub(crate) fn pull(&self) {
        ip(&format!("-n {} link set r down", self.name));
    }

    /// Plugs it in again.
    pub(crate) fn plug(&self) {
        ip(&format!("-n {} link set r up", self.name));
    }

    /// From now on everything is lost on the way, in both directions, and no end is told.
    pub(crate) fn swallow(&self) {
        ip(&format!("-n {} neighbor replace {} lladdr {NOWHERE} dev r nud permanent", self.name, self.redis()));
        ip(&format!("neighbor replace {} lladdr {NOWHERE} dev {} nud permanent", self.to_redis(), self.outer("r")));
    }

    /// Ends that.
    pub(crate) fn carry(&self) {
        ip(&format!("-n {} neighbor delete {} dev r", self.name, self.redis()));
        ip(&format!("neighbor delete {} dev {}", self.to_redis(), self.outer("r")));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cables go with their ends inside; those outside go first, for a namespace may outlive its name.
        for cable in ["c", "r"] {
            let _ = Command::new("ip").args(["link", "delete", &self.outer(cable)]).output();
        }
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

fn ip(args: &str) {
    let done = Command::new("ip").args(args.split(' ')).output().expect("`ip` of iproute2");
    assert!(done.status.success(), "ip {args}: {}", String::from_utf8_lossy(&done.stderr));
}
