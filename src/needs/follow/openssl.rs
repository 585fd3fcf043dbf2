//! What OpenSSL's configuration names, from its sections: files to include and providers to load (config(5)).

use super::Directive;

/// Providers that are part of libcrypto.
const BUILT_IN: [&str; 3] = ["base", "default", "null"];

/// The includes, and a directive `provider` for each provider that is loaded from a module.
pub(super) fn directives(pairs: &[(String, Directive)]) -> Vec<Directive> {
    let value = |section: &str, name: &str| {
        let found = pairs.iter().rev().find(|(own, pair)| own == section && pair.name == name);
        found.and_then(|(_, pair)| pair.arguments.first()).cloned()
    };
    let mut all: Vec<Directive> =
        pairs.iter().filter(|(_, pair)| pair.name == ".include").map(|(_, pair)| pair.clone()).collect();
    let providers = value("", "openssl_conf").and_then(|section| value(&section, "providers"));
    let providers = pairs.iter().filter(|(section, _)| Some(section) == providers.as_ref());
    for (_, pair) in providers.filter(|(_, pair)| !pair.name.starts_with('.')) {
        let Some(section) = pair.arguments.first() else { continue };
        let is_here = pairs.iter().any(|(own, _)| own == section);
        let word = value(section, "activate").unwrap_or_default().to_lowercase();
        // A section that is not here is in a file that is included, as `fips_sect` is in `fipsmodule.cnf`.
        let is_active = !is_here || matches!(word.as_str(), "1" | "yes" | "true" | "on");
        let module = value(section, "module");
        if !is_active || (module.is_none() && BUILT_IN.contains(&pair.name.as_str())) {
            continue;
        }
        let module = module.unwrap_or_else(|| pair.name.clone());
        let module = if module.contains('/') { module } else { format!("{}.so", module.trim_end_matches(".so")) };
        all.push(Directive { name: "provider".to_owned(), arguments: vec![module], ..pair.clone() });
    }
    all
}
