//! Recipes and policies in registries: read for `extends` and `--policy`, held to the lock file; written by
//! `push --recipe`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use mkimage::lock::{DRIFT, Locks, Mode};
use mkimage::oci::Digest;
use mkimage::output::{self, Push};
use mkimage::recipe::{self, Fetch, Fetched, Wanted};
use mkimage::registry::{Pushed, Remote};
use mkimage::report::{Diagnostic, Result, Texts};

use super::registries::RegistryArgs;

/// What was read, or why it was not, by name and the digest that was asked for.
type Known = BTreeMap<(String, Option<Digest>), Result<Fetched>>;

/// How recipes of registries are read in a run: each once, by the digest that the lock file has where that is kept to.
pub(super) fn fetching(registries: RegistryArgs, locks: Arc<Locks>) -> Fetch {
    let known: Mutex<Known> = Mutex::default();
    Box::new(move |wanted: &Wanted<'_>| {
        let pin = wanted.lock.map(|place| locks.pin(place, wanted.name)).transpose()?.flatten();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || fetch(&registries, wanted, pin, locks.mode());
        known.entry((wanted.name.to_owned(), pin)).or_insert_with(read).clone()
    })
}

/// With `--frozen` what the lock file says is what is asked for; with `--locked` a tag that has moved is an error.
fn fetch(registries: &RegistryArgs, wanted: &Wanted<'_>, pin: Option<Digest>, mode: Mode) -> Result<Fetched> {
    let remote = Remote::parse(wanted.name)?;
    let client = registries.client()?;
    let Some(pin) = pin.filter(|pin| remote.digest.is_none_or(|digest| digest == *pin)) else {
        return output::fetch_recipe(&client, &remote);
    };
    if mode == Mode::Locked && remote.digest.is_none() {
        let now = client.digest_of(&remote)?;
        if now != Some(pin) {
            let is = now.map_or_else(|| "not there".to_owned(), |now| now.to_string());
            let file = wanted.lock.map_or_else(|| "mkimage.lock".into(), |place| mkimage::lock::shown(&place.file));
            let title = format!("`{}` is {is}, and {pin} in `{file}`, and --locked was given", wanted.name);
            let accepts = match wanted.lock.map(|place| place.name.as_str()) {
                Some("") => format!("--policy {}", wanted.name),
                recipe => recipe.unwrap_or_default().to_owned(),
            };
            return Err(Diagnostic::error(DRIFT, title)
                .help(format!("`mkimage lock {accepts}` accepts it, `--frozen` builds with the one that was locked"))
                .into());
        }
    }
    output::fetch_recipe(&client, &remote.at(pin))
}

/// Pushes a recipe or policy, which holds no path beside it.
pub(super) fn push(push: Push<'_>, file: &Path, to: &Remote, tags: &[String], texts: &mut Texts) -> Result<Pushed> {
    let text = recipe::publishable(file, texts)?;
    let name = file.file_name().map_or_else(|| "recipe.toml".into(), |name| name.to_string_lossy());
    output::push_recipe(push, to, tags, &name, &text)
}
