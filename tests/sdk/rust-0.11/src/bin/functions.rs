// weir-run:
//! The eight functions, errors and the order of void calls.

use iii_sdk::{InitOptions, register_worker};
use weir_sdk_rust_0_11::{functions, harness::{watch, workers}, shutdown};

#[tokio::main]
async fn main() {
    watch();
    let iii = register_worker(&workers(), InitOptions::default());
    functions::run(&iii).await;
    shutdown(iii).await;
}
