//! How a run ends.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which budget was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// See [`super::Budget::iterations`].
    Iterations,
    /// See [`super::Budget::wall_ms`].
    Wall,
    /// See [`super::Budget::tokens`].
    Tokens,
    /// See [`super::Budget::usd`].
    Usd,
    /// See [`super::Budget::no_progress`].
    NoProgress,
    /// See [`super::Budget::infra_failures`].
    InfraFailures,
}

impl BudgetKind {
    /// Returns the budget's key in a mission.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Iterations => "iterations",
            Self::Wall => "wall",
            Self::Tokens => "tokens",
            Self::Usd => "usd",
            Self::NoProgress => "no_progress",
            Self::InfraFailures => "infra_failures",
        }
    }
}

/// How the user said stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopSource {
    /// Ctrl-C or a termination signal.
    Signal,
    /// `agent stop`.
    Command,
}

/// Why a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StopReason {
    /// The target was reached, and the last duel confirmed it.
    TargetReached,
    /// A budget was spent before the target.
    Budget {
        /// Which.
        budget: BudgetKind,
    },
    /// The user said stop.
    User,
    /// The model, the runner or the kernel as found makes it impossible to go on.
    Blocked {
        /// What happened, and what would help.
        message: String,
    },
}

impl StopReason {
    /// Returns the reason as one word for the status: `target_reached`, `budget_wall`, `user`, `blocked`.
    pub fn code(&self) -> String {
        match self {
            Self::TargetReached => "target_reached".to_owned(),
            Self::Budget { budget } => format!("budget_{}", budget.as_str()),
            Self::User => "user".to_owned(),
            Self::Blocked { .. } => "blocked".to_owned(),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetReached => f.write_str("target reached and confirmed"),
            Self::Budget { budget } => write!(f, "the budget `{}` is spent", budget.as_str()),
            Self::User => f.write_str("stopped by the user"),
            Self::Blocked { message } => write!(f, "blocked: {message}"),
        }
    }
}
