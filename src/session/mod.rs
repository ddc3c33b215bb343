//! A session: the driver of one run, and the only place where the rooms meet.
//!
//! The loop stands in `driver.rs`. It asks the protocol for the next step, carries it out, and writes what happened into
//! the journal; the state is the fold of that journal and nothing else:
//!
//! ```text
//! deploy if due
//! baseline: smoke test, analysis, candidate benchmark, analysis
//! loop
//!     ask the model; each of its calls passes the gate or is refused
//!     one change -> smoke test -> analysis -> candidate benchmark -> analysis -> final benchmark -> analysis
//!     KEEP: commit the measured text    REVERT: put the incumbent back
//!     report, next iteration
//! until the target is reached and confirmed, a budget is spent, or the user says stop
//! last duel: the best kernel against the original
//! ```

mod ask;
mod calls;
mod claim;
mod commit;
mod deploy;
mod driver;
mod error;
mod find;
mod ground;
mod kernel;
mod marks;
mod measure;
mod open;
mod parts;
mod queue;
mod transcript;
mod wish;

pub use deploy::{Deployed, Deployment, deploy};
pub use driver::{Session, now};
pub use error::SessionError;
pub use find::{fold_run, recording_path, run_folder};
pub use ground::recorded_mission;
pub use open::{MakeObserver, Options};
pub use parts::{Opening, Parts};
pub use wish::StopFlag;
