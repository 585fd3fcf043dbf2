//! What the command line says of the policy: a floor below recipes, and reports of verdicts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mkimage::build::Progress;
use mkimage::lock::Locks;
use mkimage::output;
use mkimage::policy::{self, Finding, Judged};
use mkimage::recipe::{self, Floor, Loaded, Platform, Recipe};
use mkimage::report::{Result, Texts};

use super::environment;
use super::recipes::{RecipeArgs, usage};

/// A policy below recipes.
#[derive(Debug, Default, clap::Args)]
pub(super) struct PolicyArgs {
    /// A policy that recipes can only tighten, a TOML file with [policy], or `docker://NAME` (`MKIMAGE_POLICY`).
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// The policy, held to a lock file where it comes from a registry.
    pub(super) fn floor(
        &self,
        lock: Option<&Path>,
        recipes: &RecipeArgs,
        locks: &Arc<Locks>,
        texts: &mut Texts,
    ) -> Result<Option<Floor>> {
        let file = self.policy.clone().or_else(|| environment::variable("MKIMAGE_POLICY").map(PathBuf::from));
        file.map(|file| recipe::load_floor(&file, lock, &recipes.held_context(locks)?, texts)).transpose()
    }
}

/// The policy of a run.
#[derive(Debug, Default, clap::Args)]
pub(super) struct JudgeArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Write the verdicts to a file, repeatable: FILE.sarif (SARIF 2.1.0) or FILE.xml (`JUnit`).
    #[arg(long, value_name = "FILE")]
    policy_report: Vec<PathBuf>,
}

/// Verdicts, as they come.
#[derive(Debug, Default)]
pub(super) struct Reports {
    judged: Mutex<Vec<Judged>>,
}

impl JudgeArgs {
    /// Lays the floor below all recipes.
    pub(super) fn lay(
        &self,
        loaded: &mut [Loaded],
        recipes: &RecipeArgs,
        locks: &Arc<Locks>,
        texts: &mut Texts,
    ) -> Result<()> {
        let lock = loaded.iter().flat_map(|loaded| &loaded.recipes).find_map(|recipe| recipe.lock.as_ref());
        let lock = lock.map(|place| place.file.clone());
        let Some(floor) = self.policy.floor(lock.as_deref(), recipes, locks, texts)? else { return Ok(()) };
        let floor = Arc::new(floor);
        for loaded in loaded {
            let members = loaded.workspace.iter_mut().flat_map(|workspace| &mut workspace.members);
            for recipe in loaded.recipes.iter_mut().chain(members) {
                recipe.policy.floor = Some(Arc::clone(&floor));
            }
        }
        Ok(())
    }

    /// Whether verdicts are to be written.
    pub(super) fn is_reported(&self) -> bool {
        !self.policy_report.is_empty()
    }

    /// Refuses files of which nobody knows the form, before any work.
    pub(super) fn check(&self) -> Result<()> {
        match self.policy_report.iter().find(|path| form(path).is_none()) {
            None => Ok(()),
            Some(path) => {
                let says = "ends neither in .sarif (SARIF) nor in .xml (JUnit)";
                Err(usage(format!("the report `{}` {says}", path.display())))
            }
        }
    }

    /// Writes the reports that were asked for, in the order of the images' names.
    pub(super) fn write(&self, reports: &Reports, texts: &Texts) -> Result<()> {
        let mut judged = reports.judged.lock().unwrap_or_else(PoisonError::into_inner);
        judged.sort_by(|a, b| (&a.image, &a.recipe, &a.platform).cmp(&(&b.image, &b.recipe, &b.platform)));
        for path in &self.policy_report {
            let bytes = match form(path) {
                Some(Form::JUnit) => policy::junit(&judged).into_bytes(),
                Some(Form::Sarif) | None => mkimage::oci::canonical(&policy::sarif(&judged, texts)),
            };
            output::publish(path, &bytes)?;
        }
        Ok(())
    }
}

impl Reports {
    /// Hears of the verdicts on a recipe's images, beside what `progress` hears.
    pub(super) fn hearing<'a, P: Progress>(&'a self, recipe: &'a Recipe, progress: P) -> Hearing<'a, P> {
        Hearing { reports: self, recipe, progress }
    }
}

/// Passes on what a build is doing, and keeps its verdicts.
pub(super) struct Hearing<'a, P> {
    reports: &'a Reports,
    recipe: &'a Recipe,
    progress: P,
}

impl<P: Progress> Progress for Hearing<'_, P> {
    fn stage(&self, name: &str) {
        self.progress.stage(name);
    }

    fn staged(&self, path: &Path) {
        self.progress.staged(path);
    }

    fn judged(&self, platform: &Platform, verdicts: &policy::Verdicts) {
        let image = self.recipe.name.value.clone();
        let (recipe, platform) = (self.recipe.origin.clone(), platform.to_string());
        let unpacked = policy::download_limit(&self.recipe.policy).is_some();
        let judged = Judged { image, recipe, platform, verdicts: verdicts.clone(), unpacked };
        let mut all = self.reports.judged.lock().unwrap_or_else(PoisonError::into_inner);
        // The twin for debugging is judged before the image itself, and is not what is reported.
        all.retain(|known| {
            (&known.image, &known.recipe, &known.platform) != (&judged.image, &judged.recipe, &judged.platform)
        });
        all.push(judged);
    }

    fn weighed(&self, platform: &Platform, finding: Option<&Finding>) {
        let mut all = self.reports.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = (&self.recipe.name.value, &self.recipe.origin, &platform.to_string());
        for judged in all.iter_mut().filter(|known| (&known.image, &known.recipe, &known.platform) == whose) {
            judged.unpacked = false;
            judged.verdicts.findings.extend(finding.cloned());
        }
    }
}

enum Form {
    Sarif,
    JUnit,
}

fn form(path: &Path) -> Option<Form> {
    match path.extension()?.to_str()? {
        "sarif" => Some(Form::Sarif),
        "xml" => Some(Form::JUnit),
        _ => None,
    }
}
