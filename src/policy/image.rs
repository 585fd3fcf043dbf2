//! Rules about the image as a whole: its user and where it comes from.

use super::rules::{HOST_ROOT, ROOT_USER};
use super::{Finding, Judge};
use crate::recipe::{Id, Verdict};

impl Judge<'_> {
    pub(super) fn root_user(&self) -> Option<Finding> {
        let (verdict, set_at) = self.asks(&ROOT_USER).filter(|_| self.facts.uid == 0)?;
        let summary = match verdict {
            Verdict::Deny => "policy forbids the user root, and the image would run as it",
            _ => "the image runs as root",
        };
        let user = &self.facts.recipe.user;
        let said = match &user.user {
            Id::Name(name) if name != "root" => format!("`{name}` has uid 0"),
            _ => "asked for here".to_owned(),
        };
        Some(Finding {
            set_at,
            asked_at: user.span.map(|span| (span, said)).into_iter().collect(),
            helps: vec!["without `user` the image runs as nonroot, 65532:65532".to_owned()],
            ..Finding::new(&ROOT_USER, verdict, summary.to_owned())
        })
    }

    pub(super) fn host_root(&self) -> Option<Finding> {
        let (verdict, set_at) = self.asks(&HOST_ROOT)?;
        let host = self.facts.host_root.filter(|host| host.ci || set_at.is_some())?;
        let distribution = host.distribution;
        let summary = match verdict {
            Verdict::Deny => format!("policy forbids the building machine as root, and this is one of {distribution}"),
            _ => {
                format!("the root is the building machine itself, {distribution}: another one may build another image")
            }
        };
        let helps = vec!["name a folder or an image as `root`".to_owned()];
        Some(Finding { set_at, helps, ..Finding::new(&HOST_ROOT, verdict, summary) })
    }
}
