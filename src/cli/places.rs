//! Where the images of one run go: no two of them to one name, under which the later one would replace the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mkimage::output::{Destination, Engine, real_place};
use mkimage::recipe::Recipe;
use mkimage::report::{Diagnostic, Error, Result};

use super::fleet::Chosen;
use super::recipes::USAGE;

/// Refuses outputs that do not take so many images, whatever these are called.
pub(super) fn take(count: usize, outputs: &[Destination]) -> Result<()> {
    let Some(to) = outputs.iter().find(|to| !matches!(to, Destination::Layout { .. })).filter(|_| count > 1) else {
        return Ok(());
    };
    let (title, help) = match to {
        Destination::Registry(_) => (
            format!("`{to}` is the name of one image, and {count} are built"),
            "`--push` pushes each under the name that its recipe gives; or build one recipe at a time",
        ),
        Destination::Rootfs(_) => (
            format!("`{to}` holds the files of one image, and {count} are built"),
            "build one recipe at a time, each with a folder of its own",
        ),
        _ => (
            format!("{count} images do not go into one file"),
            "one layout holds images that have different tags: `-o oci:DIR`; or build one recipe at a time",
        ),
    };
    Err(Diagnostic::error(USAGE, title).help(help).into())
}

/// Refuses recipes whose images would go to one name.
pub(super) fn distinct(
    chosen: &[Chosen],
    destinations: &[Vec<Destination>],
    engine: Option<&Engine>,
    debug: bool,
) -> Result<()> {
    let mut claims: BTreeMap<Claim, Vec<&Recipe>> = BTreeMap::new();
    for (Chosen { recipe, .. }, destinations) in chosen.iter().zip(destinations) {
        // One that is named twice only replaces itself.
        for claim in claims_of(recipe, destinations, engine, debug) {
            let recipes = claims.entry(claim).or_default();
            if recipes.iter().all(|known| known.origin != recipe.origin) {
                recipes.push(recipe);
            }
        }
    }
    let (mut errors, mut told) = (Vec::new(), BTreeSet::new());
    for (claim, recipes) in claims {
        let origins: Vec<&str> = recipes.iter().map(|recipe| recipe.origin.as_str()).collect();
        if let [first, second, ..] = &recipes[..]
            && told.insert(origins.clone())
        {
            errors.push(claim.refused(first, second, &origins[2..]));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error(errors)) }
}

/// How many further recipes are named.
const NAMED: usize = 8;

/// A name that an image gets, and where.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// An entry of a layout, which goes by the folder, however that is spelled.
    Layout { real: PathBuf, tag: String },
    /// A name with a tag, in a registry or an engine's store.
    Name(String),
}

/// What a recipe's image is called in its places.
fn claims_of(recipe: &Recipe, destinations: &[Destination], engine: Option<&Engine>, debug: bool) -> BTreeSet<Claim> {
    let own = || recipe.tags.iter().map(|tag| tag.value.as_str()).collect::<Vec<_>>();
    let mut claims = BTreeSet::new();
    let mut claim = |tags: &[&str], to: &dyn Fn(String) -> Claim| {
        for tag in tags {
            claims.insert(to((*tag).to_owned()));
            claims.extend(debug.then(|| to(format!("{tag}-debug"))));
        }
    };
    for to in destinations {
        match to {
            Destination::Layout { path, tag } => {
                let tag = tag.as_deref().or(own().first().copied()).map(str::to_owned);
                let real = real_place(path);
                claim(tag.as_deref().as_slice(), &|tag| Claim::Layout { real: real.clone(), tag });
            }
            Destination::Registry(remote) => {
                let tags = remote.tag.as_deref().map_or_else(own, |tag| vec![tag]);
                claim(&tags, &|tag| Claim::Name(format!("docker://{}:{tag}", remote.repository)));
            }
            _ => {}
        }
    }
    if let Some(engine) = engine {
        let (name, tag) = match engine {
            Engine::Storage { name: Some((name, tag)), .. } => (name, tag.as_deref()),
            _ => (&recipe.name.value, None),
        };
        let tags = tag.map_or_else(own, |tag| vec![tag]);
        claim(&tags, &|tag| Claim::Name(format!("{name}:{tag}")));
    }
    claims
}

impl Claim {
    fn refused(&self, first: &Recipe, second: &Recipe, more: &[&str]) -> Diagnostic {
        let is_own = |tag: &str| first.tags.iter().any(|own| own.value == tag.strip_suffix("-debug").unwrap_or(tag));
        let (place, help) = match self {
            Self::Layout { real, tag } => {
                let here = std::env::current_dir().ok();
                let shown = here.and_then(|here| real.strip_prefix(here).ok()).unwrap_or(real).display();
                let help = if is_own(tag) {
                    "give each a tag of its own (`tags` in its recipe), or build one at a time: into a layout of its own, \
                     `-o oci:DIR`, or under a tag, `-o oci:DIR:TAG`"
                } else {
                    "leave out the tag, so that each goes by that of its recipe, or build one recipe at a time"
                };
                (format!("oci:{shown}:{tag}"), help)
            }
            Self::Name(name) => (name.clone(), "give each a `name` or a tag (`tags`) of its own in its recipe"),
        };
        let (one, other) = (&first.origin, &second.origin);
        let title = format!("`{one}` and `{other}` both go to `{place}`, where the second would replace the first");
        let mut error = Diagnostic::error(USAGE, title).help(help);
        if let Some(shown) = more.get(..more.len().min(NAMED)).filter(|shown| !shown.is_empty()) {
            let rest = if more.len() > NAMED { ", ..." } else { "" };
            error = error.note(format!("so do {} more: {}{rest}", more.len(), shown.join(", ")));
        }
        error
    }
}
