//! `mkimage run`.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use mkimage::path::ImagePath;
use mkimage::recipe::{self, Platform, Recipe};
use mkimage::registry::Remote;
use mkimage::report::{Diagnostic, Error, Result, Texts};
use mkimage::run::{Account, Image, Mapping, Mount, Network, Start, Streams, folder_of};

use super::console::Console;
use super::recipes::{RecipeArgs, USAGE, platform, usage};
use super::registries::RegistryArgs;
use super::subject::Subject;
use super::unpacked::{Entered, Workplace};
use super::{environment, images, interrupt};

/// The exit code when the program was not started.
const NOT_STARTED: u8 = 125;

/// Start an image here, in namespaces, without daemon or root.
///
/// The image's files can't be written, but for /tmp, /run, its volumes and the recipe's writable folders, which go away
/// at the end. The exit code is the program's; 125 when it was not started.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recipe, or a layout, archive or `docker://NAME` that was built; oci:DIR:TAG for one of several images.
    #[arg(value_name = "RECIPE|IMAGE", default_value = "mkimage.toml")]
    image: PathBuf,
    #[command(flatten)]
    registries: RegistryArgs,
    /// The image for this platform, of several; default: that of this machine.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,
    /// Arguments in place of the image's cmd.
    #[arg(last = true, value_name = "ARGS")]
    words: Vec<String>,
    /// Set a variable; NAME alone takes it from here.
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Mount a file or folder of this machine.
    #[arg(long, value_name = "HOST:PATH[:ro]")]
    volume: Vec<String>,
    /// Run as this user.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Start in this folder.
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,
    /// Start this program in place of the image's entrypoint.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// The network: the machine's, or none but a loopback.
    #[arg(long, value_enum, default_value_t = Net::Host, value_name = "WHICH")]
    network: Net,
    /// Let the program write to the image's files; the changes go away at the end.
    #[arg(long)]
    read_write: bool,
    /// The runtime: runc, crun, bwrap or a path. Default: the first that works (`MKIMAGE_RUNTIME`).
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Net {
    /// That of this machine: the image's ports are the machine's.
    Host,
    /// None but a loopback of its own.
    None,
}

pub(super) fn run(args: &Args, entered: &Entered, console: &Console) -> ExitCode {
    let mut texts = Texts::default();
    match start(args, entered, console, &mut texts) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            console.show(&error.0, &texts);
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn start(args: &Args, entered: &Entered, console: &Console, texts: &mut Texts) -> Result<u8> {
    let workplace = Workplace::new(entered, args.runtime.as_deref())?;
    let launcher = workplace.launcher()?;
    let image = if is_image(&args.image) {
        workplace.unpack(&images::open(&args.image, &args.registries, console)?, args.platform.as_ref())?
    } else {
        workplace.build(&one_recipe(args, texts)?, console)?
    };
    let user = args.user.as_deref().unwrap_or(&image.parameters.user);
    let account = Account::find(&image.rootfs, user)?;
    if matches!(entered, Ok(Mapping::One)) && account.uid != 0 {
        console.say("note: only one user is mapped here: all files are its own (newuidmap and /etc/subuid give more)");
    }
    let network = if args.network == Net::Host { Network::Caller { host: true } } else { Network::None };
    if args.network == Net::Host && !image.parameters.ports.is_empty() {
        console.say(&format!("note: the network is the machine's: ports {}", image.parameters.ports.join(", ")));
    }
    let words = (!args.words.is_empty()).then_some(args.words.as_slice());
    let command = match &args.entrypoint {
        Some(program) => std::iter::once(program.clone()).chain(args.words.iter().cloned()).collect(),
        None => image.parameters.command(words),
    };
    let env = variables(&args.env);
    let start = Start {
        args: command,
        env: image.parameters.environment(env.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
        workdir: args.workdir.clone().unwrap_or_else(|| image.parameters.workdir.clone()),
        account,
        mounts: mounts(args, &image, workplace.folder())?,
        read_only: !args.read_write,
        terminal: environment::stdin_is_terminal() && environment::stdout_is_terminal(),
        network,
        rootfs: image.rootfs,
    };
    let streams = || Ok(Streams { stdin: Stdio::inherit(), stdout: Stdio::inherit(), stderr: Stdio::inherit() });
    interrupt::keep();
    let mut running = match launcher.launch(&start, streams) {
        Ok(running) => running,
        Err(error) => return interrupt::give_up().ok_or(error),
    };
    if let Some(process) = running.process() {
        interrupt::forward_to(process);
    }
    running.wait()
}

fn one_recipe(args: &Args, texts: &mut Texts) -> Result<Recipe> {
    let mut named = RecipeArgs::of(&args.image).asking(&args.registries);
    named.platform.extend(args.platform.clone());
    let loaded = named.load(texts)?;
    let recipes: Vec<Recipe> = loaded.into_iter().flat_map(|loaded| loaded.recipes).collect();
    if recipe::by_index(&recipes).count() != 1 {
        return Err(Diagnostic::error(USAGE, format!("`{}` is not one recipe", args.image.display()))
            .help("name the recipe of one image")
            .into());
    }
    recipe::for_this_machine(&recipes).cloned().ok_or_else(|| not_here(&recipes))
}

/// No image of an index is for this machine.
pub(super) fn not_here(parts: &[Recipe]) -> Error {
    let platforms = parts.iter().filter_map(|part| part.platform.as_ref());
    let names: Vec<String> = platforms.clone().map(|platform| platform.value.to_string()).collect();
    let name = parts.first().map_or("", |part| &part.origin);
    let title = format!("`{name}` has no image for {}, which this machine is", Platform::host());
    Diagnostic::error(USAGE, title)
        .at_some(platforms.map(|platform| platform.span).next(), "only for others")
        .note(format!("it is for {}", names.join(", ")))
        .help("`--platform` starts one of them, where the kernel knows an emulator for it")
        .into()
}

/// Whether it is an image that was built: in a registry, a folder with an index, a file that is no TOML, or what says
/// so.
fn is_image(path: &Path) -> bool {
    if path.to_str().is_some_and(Remote::is_meant) {
        return true;
    }
    if path.is_dir() {
        return path.join("index.json").is_file();
    }
    if path.is_file() {
        return path.extension().is_none_or(|ending| ending != "toml");
    }
    // Behind a prefix as `oci:` there is another path.
    matches!(path.to_str().map(Subject::parse), Some(Subject::Written(written, _)) if written != path)
}

fn variables(given: &[String]) -> Vec<(String, String)> {
    let one = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.clone(), environment::variable(text)?)),
    };
    given.iter().filter_map(one).collect()
}

fn mounts(args: &Args, image: &Image, folder: &Path) -> Result<Vec<Mount>> {
    let path = |text: &str| ImagePath::new(text).map_err(|why| usage(format!("`{text}` {why}")));
    let mut mounts = vec![Mount::Memory { to: path("/tmp")?, mode: 0o1777 }];
    let run = path("/run")?;
    let mut writable: Vec<ImagePath> = image.parameters.volumes.iter().chain(&image.writable).cloned().collect();
    writable.push(run);
    writable.sort();
    writable.dedup();
    for (number, to) in writable.into_iter().enumerate() {
        let from = folder.join(format!("data-{number}"));
        folder_of(&image.rootfs, &to, &from, 0o755)
            .map_err(|error| Error::io("copy", to.to_string().as_ref(), &error))?;
        mounts.push(Mount::Bind { from, to, read_only: false });
    }
    if args.network == Net::Host {
        for file in ["/etc/hosts", "/etc/resolv.conf"] {
            if let Ok(from) = std::fs::canonicalize(file) {
                mounts.push(Mount::Bind { from, to: path(file)?, read_only: true });
            }
        }
    }
    for text in &args.volume {
        let (pair, read_only) = text.strip_suffix(":ro").map_or((text.as_str(), false), |pair| (pair, true));
        let pair = pair.strip_suffix(":rw").unwrap_or(pair);
        let Some((from, to)) = pair.rsplit_once(':').filter(|(from, _)| !from.is_empty()) else {
            return Err(usage(format!("`{text}` is no volume, as `./data:/data` or `./conf:/etc/app:ro`")));
        };
        let from = std::fs::canonicalize(from).map_err(|error| Error::io("mount", from.as_ref(), &error))?;
        mounts.push(Mount::Bind { from, to: path(to)?, read_only });
    }
    Ok(mounts)
}
