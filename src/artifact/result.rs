//! The runner's result object.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::ArtifactError;

/// What stands under `json_result` and in the artifact's `.json`: the original's keys, and ours under `afterhours`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultObject {
    /// The harness's exit code; 124 for a time-out.
    pub exit_code: i32,
    /// The harness's standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Whether its time ran out.
    pub timed_out: bool,
    /// The harness's name.
    pub harness_name: String,
    /// The profile's name.
    pub profile: String,
    /// The time it had, in seconds.
    pub timeout_seconds: u32,
    /// The time it took, in seconds.
    pub elapsed_seconds: f64,
    /// The folder in which it ran.
    pub stage_dir: String,
    /// The volume that kept compiled kernels, where the runner has one.
    #[serde(default)]
    pub cache_volume: Option<String>,
    /// What the original does not have: device, both sides' figures, their comparison.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub afterhours: Value,
}

impl ResultObject {
    /// Returns it as [`Artifact::json_result`](super::Artifact::json_result).
    ///
    /// # Errors
    /// [`ArtifactError::Unwritable`] where the elapsed time is no number, which JSON cannot say.
    pub fn to_value(&self) -> Result<Value, ArtifactError> {
        if !self.elapsed_seconds.is_finite() {
            return Err(ArtifactError::Unwritable(format!("elapsed_seconds is {}", self.elapsed_seconds)));
        }
        serde_json::to_value(self).map_err(|error| ArtifactError::Unwritable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result() -> ResultObject {
        ResultObject {
            exit_code: 124,
            stdout: "stage=1/3\n".to_owned(),
            stderr: String::new(),
            timed_out: true,
            harness_name: "matmul".to_owned(),
            profile: "smoke".to_owned(),
            timeout_seconds: 180,
            elapsed_seconds: 180.25,
            stage_dir: "/tmp/stage".to_owned(),
            cache_volume: None,
            afterhours: Value::Null,
        }
    }

    #[test]
    fn it_has_the_originals_keys_and_no_others_unless_there_is_more_to_say() {
        let value = result().to_value().unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        let original = [
            "cache_volume",
            "elapsed_seconds",
            "exit_code",
            "harness_name",
            "profile",
            "stage_dir",
            "stderr",
            "stdout",
            "timed_out",
            "timeout_seconds",
        ];
        assert_eq!(keys, original);
    }

    #[test]
    fn what_is_ours_comes_back() {
        let result = ResultObject { afterhours: json!({"device": {"name": "cpu"}}), ..result() };
        let value = result.to_value().unwrap();
        assert_eq!(serde_json::from_value::<ResultObject>(value).unwrap(), result);
    }

    #[test]
    fn a_time_that_is_no_number_is_refused() {
        assert!(ResultObject { elapsed_seconds: f64::NAN, ..result() }.to_value().is_err());
    }
}
