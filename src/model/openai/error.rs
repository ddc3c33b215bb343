//! Why a language model cannot be asked as the mission says.

use thiserror::Error;

/// What stands in the way of a run's first question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenAiError {
    /// The settings are of no use, or the endpoint takes no request made of them.
    #[error("model: {0}")]
    Settings(String),
    /// There is no key, or none of use.
    #[error("model: {0}")]
    Key(String),
    /// The endpoint refuses the key or the account.
    #[error("model: {0}")]
    Denied(String),
    /// The endpoint cannot be reached.
    #[error("model: {0}")]
    Unreachable(String),
}

impl OpenAiError {
    /// Tells whether the environment must change, rather than the mission or the command line.
    pub fn is_environment(&self) -> bool {
        !matches!(self, Self::Settings(_))
    }
}
