//! `mkimage plan`: what a build would build, and how it is spread over machines, in the forms that CI services and
//! clusters read. Builds nothing.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use mkimage::build;
use mkimage::recipe::Recipe;
use mkimage::report::{Diagnostic, Result, Texts};
use serde_json::{Value, json};

use super::console::Console;
use super::fleet::{Choice, Chosen};
use super::format::print_json;
use super::recipes::{RecipeArgs, usage};

/// The jobs that a matrix of GitHub may have.
const MOST_JOBS: usize = 256;

/// Say what a build would build and how it is spread over machines; builds nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    recipes: RecipeArgs,
    #[command(flatten)]
    chosen: Choice,
    /// Spread the recipes over so many machines, as `build --shard` does.
    #[arg(long, value_name = "N", conflicts_with = "shard")]
    shards: Option<NonZeroUsize>,
    /// What is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    format: Form,
    /// The container image with mkimage, for k8s-job.
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// The persistent volume claim with the recipes, for k8s-job.
    #[arg(long, value_name = "NAME", default_value = "workspace")]
    claim: String,
    /// Further arguments of `mkimage build`, for k8s-job, as `--push --tag 1.1`.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Form {
    /// All that is known of the recipes and their shares.
    #[default]
    Json,
    /// The matrix of a workflow of GitHub Actions: a job for each share, or for each recipe.
    GithubMatrix,
    /// An Indexed Job of Kubernetes with a pod for each share.
    K8sJob,
}

pub(super) fn run(args: &Args, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match plan(args, console, &mut texts) {
        Ok(code) => code,
        Err(error) => console.fail(&error, &texts),
    }
}

fn plan(args: &Args, console: &Console, texts: &mut Texts) -> Result<ExitCode> {
    let loaded = args.recipes.load(texts)?;
    for loaded in &loaded {
        console.show(&loaded.warnings, texts);
    }
    // All platforms of a recipe go to one machine, which makes their index.
    let first = |recipe: &&Recipe| recipe.part.number == 0;
    let all: Vec<&Recipe> = loaded.iter().flat_map(|loaded| &loaded.recipes).filter(first).collect();
    let shares = args.shards.map(|shards| build::shares(&all, shards.get()));
    let share_of = |recipe: &Recipe| {
        let place = all.iter().position(|one| one.origin == recipe.origin && one.folder == recipe.folder)?;
        Some(shares.as_ref()?[place])
    };
    let chosen = args.chosen.of(&loaded, console)?;
    match args.format {
        Form::Json => {
            let recipes = chosen.iter().map(|chosen| {
                let mut about = about(chosen.recipe);
                about["shard"] = share_of(chosen.recipe).map_or(Value::Null, |share| json!(share + 1));
                about
            });
            Ok(print_json(console, json!({ "recipes": recipes.collect::<Vec<_>>(), "shards": args.shards })))
        }
        Form::GithubMatrix => matrix(args, &chosen, share_of, console),
        Form::K8sJob => job(args, &chosen, console),
    }
}

fn about(recipe: &Recipe) -> Value {
    json!({
        "recipe": recipe.origin,
        "name": recipe.name.value,
        "tags": recipe.tags.iter().map(|tag| &tag.value).collect::<Vec<_>>(),
        "platform": recipe.platform.as_ref().map(|platform| platform.value.to_string()),
        "weight": build::weight(recipe),
    })
}

fn matrix(
    args: &Args,
    chosen: &[Chosen],
    share_of: impl Fn(&Recipe) -> Option<usize>,
    console: &Console,
) -> Result<ExitCode> {
    let first = |chosen: &&Chosen| chosen.recipe.part.number == 0;
    let jobs: Vec<Value> = match args.shards {
        None => chosen
            .iter()
            .filter(first)
            .map(|chosen| json!({ "recipe": chosen.recipe.origin, "name": chosen.recipe.name.value }))
            .collect(),
        Some(shards) => {
            let job = |share: usize| {
                let own = chosen.iter().filter(first).filter(|chosen| share_of(chosen.recipe) == Some(share));
                let names: Vec<&str> = own.map(|chosen| chosen.recipe.name.value.as_str()).collect();
                // A machine without work need not be started.
                (!names.is_empty()).then(
                    || json!({ "shard": format!("{}/{shards}", share + 1), "recipes": names.len(), "names": names }),
                )
            };
            (0..shards.get()).filter_map(job).collect()
        }
    };
    if jobs.len() > MOST_JOBS {
        let title = format!("{} jobs are more than a matrix may have, which is {MOST_JOBS}", jobs.len());
        return Err(Diagnostic::error(build::TOO_MANY_JOBS, title)
            .help("`--shards N` spreads the recipes over N jobs")
            .into());
    }
    let mut line = mkimage::oci::canonical(&json!({ "include": jobs }));
    line.push(b'\n');
    Ok(console.print(&String::from_utf8_lossy(&line)))
}

fn job(args: &Args, chosen: &[Chosen], console: &Console) -> Result<ExitCode> {
    let Some(image) = &args.image else { return Err(usage("`--format k8s-job` needs `--image REF`".to_owned())) };
    let Some(shards) = args.shards else { return Err(usage("`--format k8s-job` needs `--shards N`".to_owned())) };
    if args.chosen.shard.is_some() || chosen.is_empty() {
        return Err(usage("there is nothing to spread over the pods of a job".to_owned()));
    }
    let recipes = args.recipes.recipes.iter().map(|path| path.display().to_string());
    let command: Vec<String> = ["mkimage".to_owned(), "build".to_owned()]
        .into_iter()
        .chain(recipes)
        .chain([format!("--shard=auto/{shards}")])
        .chain(args.chosen.words())
        .chain(args.arguments.iter().cloned())
        .collect();
    let container = json!({
        "name": "mkimage",
        "image": image,
        "command": command,
        "workingDir": "/workspace",
        "volumeMounts": [{ "name": "workspace", "mountPath": "/workspace" }],
    });
    let document = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "generateName": "mkimage-" },
        "spec": {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": shards,
            "backoffLimit": 3 * shards.get(),
            "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": [{ "name": "workspace", "persistentVolumeClaim": { "claimName": args.claim } }],
            } },
        },
    });
    let mut text = mkimage::oci::canonical(&document);
    text.push(b'\n');
    Ok(console.print(&String::from_utf8_lossy(&text)))
}
