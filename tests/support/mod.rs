//! What several test files share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::new_without_default,
    clippy::missing_panics_doc,
    reason = "each test file uses a part"
)]

pub mod endpoint;
pub mod machine;
pub mod talk;
