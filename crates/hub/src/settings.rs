//! Where models are kept and how the network may be used.
//!
//! What it is: the environment, read once. The variables are those of the Hugging Face tools, so that nothing is
//! fetched twice, plus `PINTPOT_MODELS` for what comes from elsewhere. What it is not: a configuration file. The one
//! design choice: a pure function of a lookup, so that tests need no environment.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Error, Result};

/// The hub that `hf:` means unless `HF_ENDPOINT` says otherwise.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Folders and network settings.
#[derive(Clone)]
pub struct Settings {
    /// Models from the catalog, from packages and from plain addresses.
    pub models: PathBuf,
    /// The Hugging Face cache: `models--org--name/{blobs,refs,snapshots}`.
    pub hf_cache: PathBuf,
    /// The Hugging Face hub, without a slash at the end.
    pub hf_endpoint: String,
    /// Sent to `hf_endpoint` only.
    pub hf_token: Option<String>,
    /// Certificates to trust instead of the built-in ones, in PEM.
    pub ca_file: Option<PathBuf>,
    /// No network at all.
    pub offline: bool,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::NoHome`] when neither the variables nor a home folder say where models go.
    pub fn from_env() -> Result<Settings> {
        Settings::from_lookup(|name| std::env::var_os(name), std::env::home_dir())
    }

    fn from_lookup(var: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Result<Settings> {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let text = |name: &str| var(name).and_then(|value| value.into_string().ok());
        let path = |name: &str| var(name).map(PathBuf::from);
        // The XDG specification says that a relative path is to be ignored.
        let xdg = path("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let cache =
            xdg.or_else(|| home.filter(|home| !home.as_os_str().is_empty()).map(|home| home.join(".cache")));

        let models = path("PINTPOT_MODELS")
            .or_else(|| cache.as_ref().map(|cache| cache.join("pintpot").join("models")));
        let hf_home = path("HF_HOME").or_else(|| cache.as_ref().map(|cache| cache.join("huggingface")));
        let hf_cache = path("HF_HUB_CACHE").or_else(|| hf_home.as_ref().map(|home| home.join("hub")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| hf_home.map(|home| home.join("token")));
        let token =
            text("HF_TOKEN").or_else(|| token_file.and_then(|file| std::fs::read_to_string(file).ok()));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_string());
        let offline = text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value));
        Ok(Settings {
            models: models.ok_or(Error::NoHome)?,
            hf_cache: hf_cache.ok_or(Error::NoHome)?,
            hf_endpoint: endpoint.trim_end_matches('/').to_string(),
            hf_token: token.map(|token| token.trim().to_string()).filter(|token| !token.is_empty()),
            ca_file: path("SSL_CERT_FILE"),
            offline,
        })
    }
}

/// Never shows the token.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("models", &self.models)
            .field("hf_cache", &self.hf_cache)
            .field("hf_endpoint", &self.hf_endpoint)
            .field("hf_token", &self.hf_token.as_ref().map(|_| "set"))
            .field("ca_file", &self.ca_file)
            .field("offline", &self.offline)
            .finish()
    }
}

fn is_true(value: &str) -> bool {
    ["1", "on", "true", "yes"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(vars: &[(&str, &str)]) -> Result<Settings> {
        let lookup =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Settings::from_lookup(lookup, None)
    }

    #[test]
    fn folders_follow_the_nearest_variable() {
        for (vars, models, hf) in [
            (vec![("XDG_CACHE_HOME", "/c")], "/c/pintpot/models", "/c/huggingface/hub"),
            (vec![("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/h")], "/c/pintpot/models", "/h/hub"),
            (
                vec![("XDG_CACHE_HOME", "/c"), ("HF_HOME", "/h"), ("HF_HUB_CACHE", "/b")],
                "/c/pintpot/models",
                "/b",
            ),
            (vec![("PINTPOT_MODELS", "/m"), ("HF_HUB_CACHE", "/b")], "/m", "/b"),
        ] {
            let got = settings(&vars).unwrap();
            assert_eq!((got.models, got.hf_cache), (models.into(), hf.into()), "{vars:?}");
        }
        assert!(matches!(settings(&[("XDG_CACHE_HOME", "relative")]), Err(Error::NoHome)));
    }

    #[test]
    fn token_endpoint_and_offline() {
        let base = ("XDG_CACHE_HOME", "/nowhere");
        let got =
            settings(&[base, ("HF_TOKEN", " t\n"), ("HF_ENDPOINT", "http://h/"), ("HF_HUB_OFFLINE", "TRUE")])
                .unwrap();
        assert_eq!(
            (got.hf_token.as_deref(), got.hf_endpoint.as_str(), got.offline),
            (Some("t"), "http://h", true)
        );
        assert!(!format!("{got:?}").contains("\"t\""));
        let got = settings(&[base, ("HF_TOKEN", ""), ("HF_HUB_OFFLINE", "0")]).unwrap();
        assert_eq!((got.hf_token, got.hf_endpoint.as_str(), got.offline), (None, DEFAULT_ENDPOINT, false));
    }
}
