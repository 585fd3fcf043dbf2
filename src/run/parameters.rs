//! What an image's configuration says of starting it.

use serde_json::Value;

use crate::path::ImagePath;

/// The execution parameters of an image (OCI image specification, `config.md`). What is not of its form is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters {
    /// `User`.
    pub user: String,
    /// `Env`.
    pub env: Vec<String>,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `WorkingDir`.
    pub workdir: String,
    /// `Volumes`.
    pub volumes: Vec<ImagePath>,
    /// `ExposedPorts`.
    pub ports: Vec<String>,
    /// `StopSignal`.
    pub stop_signal: Option<String>,
}

impl Parameters {
    /// Reads an image configuration.
    pub fn of(configuration: &Value) -> Self {
        let config = &configuration["config"];
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let list = |key: &str| -> Vec<String> {
            config[key].as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
        };
        let keys = |key: &str| config[key].as_object().into_iter().flat_map(|table| table.keys());
        let workdir = text("WorkingDir");
        Self {
            user: text("User"),
            env: list("Env"),
            entrypoint: list("Entrypoint"),
            cmd: list("Cmd"),
            workdir: if workdir.is_empty() { "/".to_owned() } else { workdir },
            volumes: keys("Volumes").filter_map(|path| ImagePath::new(path).ok()).collect(),
            ports: keys("ExposedPorts").cloned().collect(),
            stop_signal: config["StopSignal"].as_str().map(str::to_owned),
        }
    }

    /// The entrypoint and, after it, `args` or the image's `Cmd`.
    pub fn command(&self, args: Option<&[String]>) -> Vec<String> {
        self.entrypoint.iter().chain(args.unwrap_or(&self.cmd)).cloned().collect()
    }

    /// `Env` with other variables over it.
    pub fn environment<'a>(&self, over: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
        let mut all = self.env.clone();
        for (name, value) in over {
            all.retain(|known| known.split('=').next() != Some(name));
            all.push(format!("{name}={value}"));
        }
        all
    }

    /// The first TCP port.
    pub fn tcp_port(&self) -> Option<u16> {
        self.ports.iter().find_map(|port| port.strip_suffix("/tcp").unwrap_or(port).parse().ok())
    }
}
