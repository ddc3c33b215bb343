//! What a mission says of a language model.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::OpenAiError;
use super::key::Key;
use super::price::Price;
use super::prices;
use super::surroundings::Surroundings;
use crate::protocol::Budget;

const OPENAI: &str = "https://api.openai.com/v1";
const OPENAI_KEY: &str = "OPENAI_API_KEY";
const OPENAI_URL: &str = "OPENAI_BASE_URL";
/// What a fallback has of its own where it does not say it: these belong to one model alone.
const OWN: [&str; 5] = ["name", "price", "context_tokens", "max_output_tokens", "fallback"];
/// What a fallback at another endpoint does not inherit: a key goes to the endpoint that it was given for.
const OF_ENDPOINT: [&str; 4] = ["base_url", "api", "api_key_env", "api_key_file"];
/// Where a key may come from: a fallback that names one does not have the other's as well.
const KEYS: [&str; 2] = ["api_key_env", "api_key_file"];

/// Which of OpenAI's two interfaces the endpoint speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// Chat Completions, which nearly every server speaks.
    #[default]
    Chat,
    /// Responses.
    Responses,
}

/// A model, its endpoint, and how long it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// As the endpoint calls it.
    pub name: String,
    /// What the endpoint speaks.
    pub api: Api,
    /// Without a slash at its end.
    pub base_url: String,
    /// Empty where the endpoint asks for none.
    pub key: Key,
    /// Most tokens in an answer.
    pub max_output_tokens: Option<u32>,
    /// From 0 to 2.
    pub temperature: Option<f64>,
    /// As the endpoint spells it.
    pub reasoning_effort: Option<String>,
    /// What tokens cost, by the mission or else by the list.
    pub price: Option<Price>,
    /// Whether it is the list's.
    pub is_price_listed: bool,
    /// How many tokens the model can read and write in one exchange.
    pub context_tokens: Option<u64>,
    /// The longest silence within an attempt.
    pub stall: Duration,
    /// The longest attempt.
    pub turn: Duration,
    /// Whom to ask where this model does not answer, in this order.
    pub fallback: Vec<Settings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "provider")]
    _provider: Option<String>,
    name: String,
    #[serde(default)]
    api: Api,
    base_url: Option<String>,
    api_key_env: Option<String>,
    api_key_file: Option<PathBuf>,
    max_output_tokens: Option<u32>,
    temperature: Option<f64>,
    reasoning_effort: Option<String>,
    price: Option<Price>,
    context_tokens: Option<u64>,
    #[serde(default = "usual_stall")]
    stall_seconds: u64,
    #[serde(default = "usual_turn")]
    turn_seconds: u64,
    #[serde(default)]
    fallback: Vec<Value>,
}

fn usual_stall() -> u64 {
    300
}

fn usual_turn() -> u64 {
    1800
}

impl Settings {
    /// Returns the settings of a model known by its name alone: at OpenAI, or where `OPENAI_BASE_URL` says.
    ///
    /// # Errors
    /// Where the surroundings lack the key.
    pub fn named(name: &str, surroundings: Surroundings<'_>) -> Result<Self, OpenAiError> {
        let map = [("name".to_owned(), json!(name))];
        Self::read(&map.into_iter().collect(), surroundings)
    }

    /// Reads the map of a mission.
    ///
    /// # Errors
    /// Unknown keys and values of no use, by name; a key that the surroundings lack.
    pub fn read(map: &Map<String, Value>, surroundings: Surroundings<'_>) -> Result<Self, OpenAiError> {
        let written: Written = serde_path_to_error::deserialize(Value::Object(map.clone())).map_err(|error| {
            OpenAiError::Settings(match error.path().to_string() {
                path if path == "." => error.inner().to_string(),
                path => format!("{path}: {}", error.inner()),
            })
        })?;
        let fallback = written
            .fallback
            .iter()
            .map(|entry| Self::read(&inherited(map, entry)?, surroundings).map_err(|error| within("fallback", error)));
        let fallback = fallback.collect::<Result<_, _>>()?;
        // The environment's endpoint is the user's own word, as the mission's is not: it alone may have OpenAI's key unasked.
        let from_environment = (surroundings.variable)(OPENAI_URL).filter(|url| !url.trim().is_empty());
        let own = written.base_url.is_none();
        let base_url = written.base_url.or(from_environment).unwrap_or_else(|| OPENAI.to_owned());
        let base_url = base_url.trim().trim_end_matches('/').to_owned();
        let is_openai = is_openai(&base_url);
        let key = match (written.api_key_env, written.api_key_file) {
            (Some(_), Some(_)) => {
                Err(OpenAiError::Settings("give `api_key_env` or `api_key_file`, not both".to_owned()))
            }
            (Some(variable), None) => surroundings.needed_key(&variable),
            (None, Some(file)) => surroundings.key_in(&file),
            (None, None) if is_openai => surroundings.needed_key(OPENAI_KEY),
            (None, None) if own => surroundings.key(OPENAI_KEY),
            (None, None) => Ok(Key::default()),
        };
        let name = written.name.trim();
        let listed = if is_openai { prices::listed(name) } else { None };
        let settings = Self {
            name: name.to_owned(),
            api: written.api,
            base_url,
            key: Key::default(),
            max_output_tokens: written.max_output_tokens,
            temperature: written.temperature,
            reasoning_effort: written.reasoning_effort,
            price: written.price.or(listed),
            is_price_listed: written.price.is_none() && listed.is_some(),
            context_tokens: written.context_tokens,
            stall: Duration::from_secs(written.stall_seconds),
            turn: Duration::from_secs(written.turn_seconds),
            fallback,
        };
        settings.check().map_err(OpenAiError::Settings)?;
        Ok(Self { key: key?, ..settings })
    }

    fn check(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.base_url)
            .map_err(|error| format!("base_url is no URL ({error}); write one such as {OPENAI}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("base_url must begin with http:// or https://; write one such as {OPENAI}"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "base_url must hold neither user, password nor query; keys belong into `api_key_env`".to_owned()
            );
        }
        if self.name.is_empty() {
            return Err("name is empty; write the model's name at the endpoint".to_owned());
        }
        if self.max_output_tokens.is_some_and(|tokens| tokens < 16) {
            return Err("max_output_tokens must be at least 16".to_owned());
        }
        if self.context_tokens.is_some_and(|tokens| tokens < 4096) {
            return Err("context_tokens must be at least 4096: a mission and its tools need as much".to_owned());
        }
        if let (Some(output), Some(context)) = (self.max_output_tokens, self.context_tokens)
            && u64::from(output) >= context
        {
            return Err(format!(
                "max_output_tokens ({output}) leaves no room for a prompt in context_tokens ({context})"
            ));
        }
        if self.temperature.is_some_and(|warm| !(0.0..=2.0).contains(&warm)) {
            return Err("temperature must be from 0 to 2".to_owned());
        }
        let possible = Duration::from_secs(1)..=Duration::from_secs(86_400);
        if !possible.contains(&self.stall) || !possible.contains(&self.turn) {
            return Err("stall_seconds and turn_seconds must be from 1 to 86400".to_owned());
        }
        if self.price.is_some_and(|price| !price.is_possible()) {
            return Err("price must hold USD per million tokens, 0 or more".to_owned());
        }
        Ok(())
    }

    /// Says by which prices that the mission does not give the run counts, where it does.
    pub fn listed_price(&self) -> Option<String> {
        self.price.filter(|_| self.is_price_listed).map(|price| prices::told(&self.name, &price))
    }

    /// Tells whether the endpoint is OpenAI's own.
    pub(super) fn is_openai(&self) -> bool {
        is_openai(&self.base_url)
    }

    /// Returns this model and those that are asked in its place, in order.
    pub fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.fallback)
    }

    /// Returns how many tokens every one of the models can read and write in one exchange, where the mission says so.
    pub fn smallest_context(&self) -> Option<u64> {
        self.all().filter_map(|model| model.context_tokens).min()
    }

    /// Refuses a budget that cannot be counted, or that no answer fits into.
    ///
    /// # Errors
    /// The key, and the remedy.
    pub fn check_budget(&self, budget: &Budget) -> Result<(), OpenAiError> {
        for model in self.all() {
            let name = &model.name;
            let problem = match (budget.usd, model.price) {
                (Some(_), None) => format!(
                    "the budget has `usd`, and {name} has no price: add `price: {{prompt: …, completion: …}}` (USD per \
                     million tokens) to its settings, or use a budget of `tokens`"
                ),
                (Some(_), Some(price)) if price.is_free() => format!(
                    "the budget has `usd`, and {name} costs nothing: it would never be spent; use a budget of `tokens`"
                ),
                _ => match (budget.tokens, model.max_output_tokens) {
                    (Some(tokens), Some(answer)) if tokens <= u64::from(answer) => format!(
                        "the budget has {tokens} `tokens`, and one answer of {name} may have {answer} \
                         (`max_output_tokens`): give the run more, or the answer fewer"
                    ),
                    _ => continue,
                },
            };
            return Err(OpenAiError::Settings(problem));
        }
        Ok(())
    }
}

fn is_openai(base_url: &str) -> bool {
    reqwest::Url::parse(base_url).is_ok_and(|url| url.host_str() == Some("api.openai.com"))
}

fn within(key: &str, error: OpenAiError) -> OpenAiError {
    match error {
        OpenAiError::Settings(message) => OpenAiError::Settings(format!("{key}: {message}")),
        other => other,
    }
}

/// Returns the settings of the fallback `entry`, a name or a map, of the model in `map`.
fn inherited(map: &Map<String, Value>, entry: &Value) -> Result<Map<String, Value>, OpenAiError> {
    let entry = match entry {
        Value::String(name) => [("name".to_owned(), json!(name))].into_iter().collect(),
        Value::Object(entry) => entry.clone(),
        other => return Err(OpenAiError::Settings(format!("fallback: {other} is neither a model's name nor a map"))),
    };
    if entry.contains_key("fallback") {
        return Err(OpenAiError::Settings("fallback: a fallback has none of its own; list them all in one".to_owned()));
    }
    let elsewhere = entry.contains_key("base_url");
    let has_key = KEYS.iter().any(|key| entry.contains_key(*key));
    let mut settings = map.clone();
    settings.retain(|key, _| {
        let key = key.as_str();
        let is_own = OWN.contains(&key) || elsewhere && OF_ENDPOINT.contains(&key) || has_key && KEYS.contains(&key);
        !is_own
    });
    settings.extend(entry);
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(map: Value, variables: &[(&str, &str)]) -> Result<Settings, OpenAiError> {
        let mut map = map.as_object().cloned().unwrap();
        map.insert("provider".to_owned(), json!("openai"));
        map.entry("name").or_insert(json!("m"));
        let variable = |name: &str| Some(variables.iter().find(|(known, _)| *known == name)?.1.to_owned());
        Settings::read(&map, Surroundings { variable: &variable, root: Path::new("/nowhere") })
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (map, says) in [
            (json!({"temprature": 1}), "temprature"),
            (json!({"name": " "}), "name is empty"),
            (json!({"name": 3}), "name"),
            (json!({"api": "completions"}), "api"),
            (json!({"base_url": "localhost:8080/v1"}), "base_url"),
            (json!({"base_url": "ftp://x"}), "http://"),
            (json!({"base_url": "http://me:secret@x/v1"}), "api_key_env"),
            (json!({"temperature": 3}), "temperature"),
            (json!({"turn_seconds": 0}), "turn_seconds"),
            (json!({"max_output_tokens": 0}), "max_output_tokens"),
            (json!({"context_tokens": 10}), "context_tokens"),
            (json!({"context_tokens": 8192, "max_output_tokens": 8192}), "leaves no room"),
            (json!({"price": {"prompt": -1.0, "completion": 1.0}}), "price"),
            (json!({"api_key_env": "A", "api_key_file": "b"}), "not both"),
            (json!({"fallback": [3]}), "fallback"),
            (json!({"fallback": [{"name": "n", "fallback": ["o"]}]}), "fallback"),
            (json!({"fallback": [{"name": "n", "temperature": 9}]}), "fallback: temperature"),
        ] {
            let error = read(map, &[("OPENAI_API_KEY", "sk"), ("A", "sk")]).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_key_goes_only_to_the_endpoint_that_it_is_for() {
        let variables = [("OPENAI_API_KEY", " sk-night\n"), ("MINE", "sk-mine")];
        let key = |map| read(map, &variables).map(|settings| settings.key.expose().to_owned());
        assert_eq!(key(json!({})), Ok("sk-night".to_owned()));
        assert_eq!(key(json!({"base_url": "http://127.0.0.1:1/v1/"})), Ok(String::new()));
        assert_eq!(key(json!({"base_url": "http://x/v1", "api_key_env": "MINE"})), Ok("sk-mine".to_owned()));
        let here = [("OPENAI_BASE_URL", "http://127.0.0.1:1/v1"), ("OPENAI_API_KEY", "sk-night")];
        let settings = read(json!({}), &here).unwrap();
        assert_eq!((settings.base_url.as_str(), settings.key.expose()), ("http://127.0.0.1:1/v1", "sk-night"));
        assert_eq!(read(json!({}), &here[..1]).unwrap().key, Key::default());
    }

    #[test]
    fn a_key_that_is_not_there_is_missed_by_name_and_none_is_ever_shown() {
        let error = read(json!({}), &[("OPENAI_API_KEY", " ")]).unwrap_err();
        assert!(error.is_environment() && error.to_string().contains("OPENAI_API_KEY"), "{error}");
        let error = read(json!({}), &[("OPENAI_API_KEY", "sk-a\nb")]).unwrap_err();
        assert!(!error.to_string().contains("sk-a"), "{error}");
        let error = read(json!({"base_url": "http://x", "api_key_env": "MINE"}), &[]).unwrap_err().to_string();
        assert!(error.contains("MINE"), "{error}");
        let error = read(json!({"api_key_file": "keys/mine"}), &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere/keys/mine"), "{error}");
    }

    #[test]
    fn a_fallback_inherits_what_is_not_another_model_s_own() {
        let settings = read(
            json!({
                "base_url": "http://a/v1", "api_key_env": "MINE", "temperature": 0.5,
                "price": {"prompt": 1, "completion": 2}, "context_tokens": 9000,
                "fallback": ["n", {"name": "o", "base_url": "http://b/v1", "context_tokens": 5000}]
            }),
            &[("MINE", "sk-mine"), ("OPENAI_API_KEY", "sk-night")],
        );
        let settings = settings.unwrap();
        let [same, other] = settings.fallback.as_slice() else { panic!("{settings:?}") };
        assert_eq!((same.name.as_str(), same.base_url.as_str(), same.key.expose()), ("n", "http://a/v1", "sk-mine"));
        assert_eq!((same.price, same.context_tokens, same.temperature), (None, None, Some(0.5)));
        assert_eq!((other.base_url.as_str(), other.key.expose()), ("http://b/v1", ""));
        assert_eq!(settings.smallest_context(), Some(5000));
    }

    #[test]
    fn a_price_of_the_mission_stands_above_the_list_s_which_is_said_where_it_counts() {
        let key = [("OPENAI_API_KEY", "sk")];
        let listed = read(json!({"name": "gpt-5-mini"}), &key).unwrap();
        assert!(listed.listed_price().unwrap().contains("gpt-5-mini is counted at the list prices of"));
        let own = json!({"name": "gpt-5-mini", "price": {"prompt": 7, "completion": 8}});
        let own = read(own, &key).unwrap();
        assert_eq!((own.price.unwrap().prompt, own.listed_price()), (7.0, None));
    }

    #[test]
    fn a_budget_that_cannot_be_counted_is_refused() {
        let check = |map, budget: Budget| read(map, &[("OPENAI_API_KEY", "sk")]).unwrap().check_budget(&budget);
        let usd = Budget { usd: Some(1.0), ..Budget::default() };
        let priced = |usd: f64| json!({"price": {"prompt": usd, "completion": usd}});
        assert!(check(json!({}), usd).unwrap_err().to_string().contains("price"));
        assert_eq!(check(json!({"name": "gpt-5-mini"}), usd), Ok(()), "OpenAI's own price is known");
        let elsewhere = json!({"name": "gpt-5-mini", "base_url": "http://127.0.0.1:1/v1"});
        assert!(check(elsewhere, usd).unwrap_err().to_string().contains("price"));
        assert!(check(priced(0.0), usd).unwrap_err().to_string().contains("never"));
        assert_eq!(check(priced(2.0), usd), Ok(()));
        let mut with_fallback = priced(2.0);
        with_fallback["fallback"] = json!(["cheap"]);
        assert!(check(with_fallback, usd).unwrap_err().to_string().contains("cheap"));
        let tokens = Budget { tokens: Some(1000), ..Budget::default() };
        assert!(check(json!({"max_output_tokens": 1000}), tokens).unwrap_err().to_string().contains("one answer"));
        assert_eq!(check(json!({"max_output_tokens": 999}), tokens), Ok(()));
    }
}
