//! The recipe's keys as they are written, one struct for each table. The doc comments are the schema's text, and so
//! what an editor shows.

use super::decode::keys;
use super::kinds::{Added, Flag, Later, List, Mode, Number, OneOrMore, Rule, SbomWord, Scalar, Text, Words};
use super::tables::{Item, Mapping, Numbered, Section, Setting, WordOrList};
use super::trial_keys::TestKeys;
use crate::report::Spanned;

keys! {
    /// A recipe for one minimal OCI image, or a workspace of recipes.
    RecipeKeys in "a recipe" {
        /// The image's name, without a tag: `registry.example/acme/web`. A recipe without a name is a base for
        /// `extends`, unless it is named on the command line: then its file's name is the image's.
        name: Option<Text>,
        /// Tags. Default: `latest`.
        tags: Option<List<Text>>,
        /// Recipes that this one builds on, relative to this file, or `docker://NAME` in a registry; later ones win
        /// over earlier ones, this one over all.
        extends: Option<OneOrMore>,
        /// Where absolute paths, bare program names and libraries come from: `/` (the default, this machine) or a
        /// folder, relative to this file.
        root: Option<Text>,
        /// A root for each platform.
        roots: Mapping<Text>,
        #[schemars(skip)]
        debian: Later,
        /// The platforms to build for, as `linux/amd64`: several give one index. Default: that of the binaries.
        platforms: Option<List<Text>>,
        /// Which processor variants of libraries (glibc-hwcaps) to take. Default: `baseline`, none of them.
        #[schemars(regex(pattern = r"^(baseline|none|all|x86-64-v[234]|power9|power10|z1[3-6]|.*\$\{.*)$"))]
        isa: Option<Text>,
        /// Variables for `${name}` in any string. Built in: `arch` (as `amd64`), `machine` (as `x86_64`), `multiarch`
        /// (as `x86_64-linux-gnu`), `platform` (as `linux/amd64`) and `recipe` (the file's name without `.toml`). `$$`
        /// is a dollar.
        vars: Mapping<Setting>,
        /// Programs, with the libraries that they need. The first is the entrypoint. A bare word is looked up on PATH
        /// inside the root, `/abs` is inside the root, `./rel` and `rel/ative` are beside this file.
        binaries: Added<Item<BinaryKeys>>,
        /// Libraries that no ELF header names because a program opens them at run time: soname, path or glob.
        libraries: Added<Text>,
        /// Sonames that may be missing.
        ignore_missing: Added<Text>,
        /// Paths of links that may lead nowhere.
        ignore_dangling: Added<Text>,
        /// Files, folders (ending in `/`), globs and texts. An absolute path keeps its place, a relative one says `to`.
        files: Added<Item<FileKeys>>,
        /// Installed packages that are copied whole, without documentation.
        packages: Added<Text>,
        /// Folders to make.
        dirs: Added<Item<DirectoryKeys>>,
        /// Folders that belong to the image's user.
        writable: Added<Text>,
        /// Folders that are given at run time: nothing below is ever missing.
        mounts: Added<Text>,
        /// Links to make: `"/link" = "target"`.
        symlinks: Mapping<Text>,
        /// What no ELF header asks for, as `ca-certificates`, `tzdata`, `locale:C.UTF-8`; `!name` takes one away.
        extras: Added<Text>,
        /// Company roots for the image's CA bundle.
        certificates: Section<CertificateKeys>,
        /// Whether a small init from the root, tini or catatonit, is process 1 and starts the program. Default: false.
        init: Option<Flag>,
        /// Tests of the image, which `mkimage test` runs.
        test: Added<Spanned<TestKeys>>,
        /// Who the image runs as: a name, a number, or `user:group`. Default: `nonroot`, 65532.
        user: Option<Scalar>,
        /// Accounts beside root, nobody and nonroot: `name = uid`, or a table.
        users: Mapping<Numbered<UserKeys>>,
        /// Groups beside those of the accounts: `name = gid`, or a table.
        groups: Mapping<Numbered<GroupKeys>>,
        /// The program that runs and its first arguments. Default: the first of `binaries`.
        entrypoint: Option<Words>,
        /// Arguments that the user of the image may replace.
        cmd: Option<Words>,
        /// The folder that the program starts in. Default: `/`.
        workdir: Option<Text>,
        /// Environment variables. PATH is set by default.
        env: Mapping<Text>,
        /// Ports that the program listens on: `8080`, `"53/udp"`.
        ports: Added<Scalar>,
        /// Folders that hold data.
        volumes: Added<Text>,
        /// The signal that asks the program to stop, as `SIGQUIT`.
        stop_signal: Option<Scalar>,
        /// Docker's health check; Kubernetes does not read it.
        healthcheck: Section<HealthcheckKeys>,
        /// Labels of the image's configuration.
        labels: Mapping<Text>,
        /// Annotations of the image's manifest.
        annotations: Mapping<Text>,
        /// How files are spread over layers: `auto` (by expected change, the default), `single`, `package` or a list.
        layers: Option<WordOrList<LayerKeys>>,
        /// How layers are compressed: `zstd`, `gzip`, each perhaps with a level as in `zstd:19`, or `none`.
        #[schemars(regex(pattern = r"^(zstd(:1?[0-9])?|gzip(:1?[0-9])?|none|.*\$\{.*)$"))]
        compression: Option<Text>,
        /// What an image may hold: for each rule `allow`, `warn` or `deny`; and limits.
        policy: Section<PolicyKeys>,
        /// Bills of materials to make of the image: `spdx`, `cyclonedx`. Default: none.
        sbom: Option<List<SbomWord>>,
        /// Whether a signed build states where the image comes from (SLSA provenance). Default: false.
        provenance: Option<Flag>,
        /// OpenVEX documents beside this file that are attached to the image.
        vex: Added<Text>,
        /// Recipes that share defaults. A file with this table has no other.
        workspace: Section<WorkspaceKeys>,
    }
}

keys! {
    /// A program.
    #[schemars(extend("required" = ["from"]))]
    BinaryKeys in "`binaries`" {
        /// Where it comes from: a path, or a bare word that is looked up on PATH inside the root.
        from: Option<Text>,
        /// Where it goes. Default: the same place; `/usr/bin/NAME` for a path beside this file.
        to: Option<Text>,
        /// Permission bits, as `"0755"`.
        mode: Option<Mode>,
        /// Owner: `name|uid[:group|gid]`. Default: root.
        owner: Option<Text>,
        /// File capabilities to set, as `cap_net_bind_service`; needs its line under `[policy]`.
        caps: Option<List<Text>>,
        /// Libraries that it loads by name at run time.
        dlopen: Option<List<Text>>,
        /// The name of the layer that holds it.
        layer: Option<Text>,
    }
}

keys! {
    /// What is copied into the image, or written there.
    FileKeys in "`files`" {
        /// Where it comes from: `/abs` inside the root, `rel/ative` beside this file; a folder ends in `/`.
        from: Option<Text>,
        /// Where it goes; ending in `/`: into that folder, under its own name. Default for `/abs`: the same place.
        to: Option<Text>,
        /// Text to write, in place of `from`.
        content: Option<Text>,
        /// Globs below `from` that stay out; `X/**` drops X with all below it.
        exclude: Option<List<Text>>,
        /// Permission bits of files, as `"0644"`. Default: 0755 for what its owner may execute, else 0644.
        mode: Option<Mode>,
        /// Permission bits of folders. Default: 0755.
        dir_mode: Option<Mode>,
        /// Owner: `name|uid[:group|gid]`. Default: root.
        owner: Option<Text>,
        /// Modification time: seconds since 1970, or `content` for one that changes with the content. Default: 1980.
        mtime: Option<Scalar>,
        /// Links in a copied folder: `keep` them with their targets (the default) or `follow` them.
        #[schemars(extend("enum" = ["keep", "follow"]))]
        links: Option<Text>,
        /// Whether it may be missing.
        optional: Option<Flag>,
        /// Whether the libraries of ELF files in it come along. Default: true.
        libs: Option<Flag>,
        /// `keep` the file capabilities of the source; needs its line under `[policy]`.
        #[schemars(extend("enum" = ["keep"]))]
        capabilities: Option<Text>,
        /// The name of the layer that holds it.
        layer: Option<Text>,
    }
}

keys! {
    /// A folder to make.
    #[schemars(extend("required" = ["path"]))]
    DirectoryKeys in "`dirs`" {
        /// Its absolute path.
        path: Option<Text>,
        /// Permission bits. Default: `"0755"`.
        mode: Option<Mode>,
        /// Owner: `name|uid[:group|gid]`. Default: root.
        owner: Option<Text>,
    }
}

keys! {
    /// Company roots for the CA bundle.
    CertificateKeys in "[certificates]" {
        /// PEM files or globs.
        add: Option<List<Text>>,
        /// Whether only these are trusted.
        only: Option<Flag>,
    }
}

keys! {
    /// An account.
    #[schemars(extend("required" = ["uid"]))]
    UserKeys in "[users]" {
        /// Its number.
        uid: Option<Number>,
        /// The number of its group. Default: the uid.
        gid: Option<Number>,
        /// Its home. Default: `/nonexistent`.
        home: Option<Text>,
        /// Its login shell. Default: `/sbin/nologin`.
        shell: Option<Text>,
        /// Further groups that it belongs to.
        groups: Option<List<Text>>,
    }
}

keys! {
    /// A group.
    #[schemars(extend("required" = ["gid"]))]
    GroupKeys in "[groups]" {
        /// Its number.
        gid: Option<Number>,
    }
}

keys! {
    /// Docker's health check.
    HealthcheckKeys in "[healthcheck]" {
        /// The program to run and its arguments; it exits with 0 when all is well.
        test: Option<Words>,
        /// Time between two runs, as `10s`.
        #[schemars(with = "Text")]
        interval: Option<Scalar>,
        /// Time that one run may take.
        #[schemars(with = "Text")]
        timeout: Option<Scalar>,
        /// Time that the service has to start.
        #[schemars(with = "Text")]
        start_period: Option<Scalar>,
        /// Failures in a row until it counts as unhealthy.
        retries: Option<Number>,
    }
}

keys! {
    /// A layer of a list.
    #[schemars(extend("required" = ["name"]))]
    LayerKeys in "`layers`" {
        /// Its name.
        name: Option<Text>,
        /// Packages whose files it takes.
        packages: Option<List<Text>>,
        /// Globs of paths in the image that it takes.
        paths: Option<List<Text>>,
    }
}

keys! {
    /// What an image may hold.
    PolicyKeys in "[policy]" {
        /// Programs named sh, bash, dash, busybox and the like. Default: deny.
        shell: Option<Rule>,
        /// Files that run with the rights of their owner or group. Default: deny.
        setuid: Option<Rule>,
        /// An image that runs as root. Default: deny.
        root_user: Option<Rule>,
        /// Files and folders that anyone may write to, but for sticky folders. Default: deny.
        world_writable: Option<Rule>,
        /// Private keys, password files and the like. Default: deny.
        secrets: Option<Rule>,
        /// Programs that are not position-independent. Default: warn.
        no_pie: Option<Rule>,
        /// Programs and libraries whose relocations stay writable. Default: warn.
        partial_relro: Option<Rule>,
        /// Programs and libraries that ask for an executable stack. Default: warn.
        exec_stack: Option<Rule>,
        /// Files from the root that no package owns. Default: warn.
        unowned: Option<Rule>,
        /// A build from the machine's own root in CI. Default: warn.
        host_root: Option<Rule>,
        /// File capabilities. Default: deny.
        capabilities: Option<Rule>,
        /// ELF files for another machine or another libc inside copied folders. Default: warn.
        foreign_elf: Option<Rule>,
        /// Symbol versions that no library in the image has. Default: deny.
        symbol_versions: Option<Rule>,
        /// Libraries that a program seems to load by name and that the recipe does not explain. Default: allow.
        dlopen: Option<Rule>,
        /// Libraries that `dlopen` does not count: `"libfoo.so.1" = "why the service never loads it"`.
        ignore_dlopen: Mapping<Text>,
        /// Programs and libraries whose code can be written to. Default: warn.
        textrel: Option<Rule>,
        /// Programs and libraries that look for libraries where others may write. Default: warn.
        unsafe_rpath: Option<Rule>,
        /// Programs and libraries without stack protection. Default: allow.
        no_canary: Option<Rule>,
        /// Most bytes of the image, unpacked: a number, or as `25MB` or `24MiB`.
        max_size: Option<Scalar>,
        /// Most bytes of all layers as they are compressed, which is what a first pull takes.
        max_download: Option<Scalar>,
        /// Most files.
        max_files: Option<Number>,
        /// Globs of paths that must not be in the image.
        deny_files: Option<List<Text>>,
        /// Packages that must not be in the image.
        deny_packages: Option<List<Text>>,
        /// The only packages that may be in the image.
        allow_packages: Option<List<Text>>,
        /// Licences, as SPDX names them, that packages of the image must not need.
        deny_licenses: Option<List<Text>>,
        /// The only licences that packages of the image may need.
        allow_licenses: Option<List<Text>>,
        /// Findings that are known and accepted.
        waive: Added<Spanned<WaiveKeys>>,
        /// Rules that no recipe may waive; only in a policy that is laid over recipes.
        forbid_waivers: Option<List<Text>>,
    }
}

keys! {
    /// A finding that is known and accepted.
    #[schemars(extend("required" = ["rule", "reason"]))]
    WaiveKeys in "`policy.waive`" {
        /// The rule.
        rule: Option<Text>,
        /// A glob of the paths that may break it; without it all that breaks it.
        path: Option<Text>,
        /// Why it is accepted.
        reason: Option<Text>,
        /// The last day on which it holds, as `2027-01-31`.
        until: Option<Scalar>,
    }
}

keys! {
    /// A variable's value from the environment.
    SettingKeys in "a variable" {
        /// The environment variable that holds the value.
        env: Option<Text>,
        /// The value when the environment variable is not set.
        default: Option<Text>,
    }
}

keys! {
    /// Recipes that share defaults.
    #[schemars(extend("required" = ["members"]))]
    WorkspaceKeys in "[workspace]" {
        /// Paths or globs of the recipes, relative to this file; a folder stands for its mkimage.toml.
        members: Option<List<Text>>,
        /// Globs of recipes that are no members all the same.
        exclude: Option<List<Text>>,
        /// The lock file of all members, relative to this file; mkimage.lock when absent.
        lock: Option<Text>,
        /// Whether files that several images have go into common layers.
        shared_layers: Option<Flag>,
        /// What holds for every member that does not say otherwise.
        defaults: Section<RecipeKeys>,
    }
}

impl PolicyKeys {
    /// The rules that are set, by name.
    pub(super) fn rules(&self) -> Vec<(&'static str, &Rule)> {
        let rules = [
            ("shell", &self.shell),
            ("setuid", &self.setuid),
            ("root-user", &self.root_user),
            ("world-writable", &self.world_writable),
            ("secrets", &self.secrets),
            ("no-pie", &self.no_pie),
            ("partial-relro", &self.partial_relro),
            ("exec-stack", &self.exec_stack),
            ("unowned", &self.unowned),
            ("host-root", &self.host_root),
            ("capabilities", &self.capabilities),
            ("foreign-elf", &self.foreign_elf),
            ("symbol-versions", &self.symbol_versions),
            ("dlopen", &self.dlopen),
            ("textrel", &self.textrel),
            ("unsafe-rpath", &self.unsafe_rpath),
            ("no-canary", &self.no_canary),
        ];
        rules.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value))).collect()
    }
}
