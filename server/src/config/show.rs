//! Prints the effective settings with where each value came from, as TOML or JSON.

use super::{ConfigError, Loaded};

/// The settings as TOML that can be used as a settings file; each value that is no default says where it came from.
///
/// # Errors
/// [`ConfigError::Invalid`] if a value has no form in TOML, such as a path that is not UTF-8.
pub fn as_toml(loaded: &Loaded) -> Result<String, ConfigError> {
    let text = toml::to_string(&loaded.settings)
        .map_err(|error| ConfigError::Invalid { why: error.to_string() })?;
    let mut section = String::new();
    let mut shown = String::with_capacity(text.len() * 2);
    for line in text.lines() {
        let list = line.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
        if let Some(name) = list {
            // A list comes from one place as a whole.
            section = name.to_owned();
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        }
        shown.push_str(line);
        if let Some((key, _)) = line.split_once(" = ") {
            let setting = if section.ends_with('.') || section.is_empty() {
                format!("{section}{key}")
            } else {
                section.clone()
            };
            let origin = loaded.origins.get(&setting);
            shown.push_str("  # ");
            shown.push_str(origin.map_or("default", String::as_str));
        }
        shown.push('\n');
    }
    Ok(shown)
}

/// The settings as JSON: `settings` and the `origins` of those that are no default.
pub fn as_json(loaded: &Loaded) -> serde_json::Value {
    serde_json::json!({ "settings": loaded.settings, "origins": loaded.origins })
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Sources, load};
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        let flags = vec![("engine.instances".to_owned(), "9".to_owned())];
        let loaded = load(&Sources { flags, ..Sources::default() }).unwrap();
        let shown = as_toml(&loaded).unwrap();
        assert!(shown.contains("instances = 9  # flag --engine-instances\n"), "{shown}");
        assert!(shown.contains("region = \"local\"  # default\n"), "{shown}");
        assert_eq!(toml::from_str::<Settings>(&shown).unwrap(), loaded.settings);
    }
}
