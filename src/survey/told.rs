//! What only a recipe tells of its image: reasons, and its own policy's findings.

use std::collections::BTreeMap;

use super::{Finding, Survey, Web};
use crate::build::{Assembled, Options, Progress, Session};
use crate::explain::{Asker, Graph, Reach, called};
use crate::layer::Durability;
use crate::output::{self, Destination};
use crate::recipe::{Compression, Recipe};
use crate::report::{Error, Result, Texts};

/// What only the recipe tells.
#[derive(Debug)]
pub struct Told {
    /// Who brings what.
    pub web: Web,
    /// Where the recipe asks, by what is asked: `recipe.toml:3:9`.
    pub places: BTreeMap<String, String>,
    /// What breaks a rule of the recipe's own policy.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// The image of a recipe. It is built as `mkimage build` would, into a temporary folder, and looked at as any
    /// other: so the survey is that of the image which the recipe gives. Layers are compressed as `compression` says
    /// where the recipe does not.
    ///
    /// # Errors
    /// When it can't be built. What the policy denies is a finding, not an error.
    pub fn of_recipe(
        recipe: &Recipe,
        compression: Option<Compression>,
        texts: &Texts,
        options: &Options,
        session: &Session,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut recipe = recipe.clone();
        if let (None, Some(compression)) = (&recipe.compression, compression) {
            recipe.compression = Some(crate::report::Spanned::new(compression, recipe.span));
        }
        let assembled = session.examine(&recipe, options, progress)?;
        let mut told = Told::of(&recipe, &assembled, texts);
        let limit = recipe.policy.max_download.take();
        let folder = tempfile::Builder::new().prefix("mkimage-survey-").tempdir_in(&options.temporary);
        let folder = folder.map_err(|error| Error::io("make a folder in", &options.temporary, &error))?;
        progress.staged(folder.path());
        let path = folder.path().join("image.oci");
        let destinations = vec![Destination::Layout { path: path.clone(), tag: None }];
        let options = Options { durability: Durability::Cached, debug_twin: false, ..options.clone() };
        let packed = session.pack(&recipe, &assembled, (destinations, None), &options, progress)?;
        packed.place(&assembled.tree, &mut std::io::sink(), None, progress)?;
        let mut survey = Self::of_written(&output::open(&path)?)?
            .pop()
            .ok_or_else(|| Error::internal("a build without an image"))?;
        let tag = recipe.tags.first().map_or("latest", |tag| tag.value.as_str());
        survey.name = format!("{}:{tag}", recipe.name.value);
        if let Some(finding) = limit.and_then(|limit| crate::policy::max_download(&limit, &survey.sizes())) {
            told.findings.push(Finding::of(&finding));
        }
        survey.told = Some(told);
        Ok(survey)
    }

    fn sizes(&self) -> Vec<(u64, &str)> {
        self.layers.iter().map(|layer| (layer.size, layer.name.as_str())).collect()
    }
}

impl Told {
    fn of(recipe: &Recipe, assembled: &Assembled, texts: &Texts) -> Self {
        let graph = Graph::of(&assembled.tree, &assembled.closure, Reach::Everything);
        let mut places = BTreeMap::new();
        for (asker, _) in graph.bonds() {
            let span = match asker {
                Asker::Entry { span, .. } => Some(*span),
                Asker::Rule { span, .. } => *span,
                _ => None,
            };
            places.extend(span.map(|span| (called(recipe, texts, asker), texts.place(span))));
        }
        Self {
            web: Web::told(&graph, recipe, texts),
            places,
            findings: assembled.verdicts.findings.iter().map(Finding::of).collect(),
        }
    }
}

impl Finding {
    fn of(finding: &crate::policy::Finding) -> Self {
        Self {
            rule: finding.rule.name,
            code: finding.rule.code.to_string(),
            verdict: finding.verdict,
            summary: finding.summary.clone(),
            paths: finding.hits.iter().map(|hit| (hit.path.clone(), hit.what.clone())).collect(),
        }
    }
}
