//! The elements of SPDX 2.3's JSON, in its words. Fields stand in the order of their keys, which canonical JSON asks
//! for.
#![expect(clippy::struct_field_names, reason = "the format's own names")]

use serde::Serialize;

use crate::oci::Hex;

/// The whole document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[serde(rename = "SPDXID")]
    pub(super) id: &'static str,
    pub(super) creation_info: CreationInfo<'a>,
    pub(super) data_license: &'static str,
    pub(super) document_namespace: String,
    pub(super) files: Vec<File<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) has_extracted_licensing_infos: Vec<ExtractedLicence<'a>>,
    pub(super) name: String,
    pub(super) packages: Vec<Package<'a>>,
    pub(super) relationships: Vec<Relationship<'a>>,
    pub(super) spdx_version: &'static str,
}

#[derive(Serialize)]
pub(super) struct CreationInfo<'a> {
    pub(super) created: &'a str,
    pub(super) creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExtractedLicence<'a> {
    pub(super) extracted_text: &'a str,
    pub(super) license_id: &'a str,
    pub(super) name: &'a str,
}

/// What is optional of a package is left out where it is not known.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package<'a> {
    #[serde(rename = "SPDXID")]
    pub(super) id: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) checksums: Vec<Checksum<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copyright_text: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) download_location: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) external_refs: Vec<ExternalReference>,
    pub(super) files_analyzed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) license_concluded: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) license_declared: Option<&'a str>,
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) package_verification_code: Option<VerificationCode>,
    pub(super) primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_info: Option<String>,
    pub(super) supplier: String,
    pub(super) version_info: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerificationCode {
    pub(super) package_verification_code_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExternalReference {
    pub(super) reference_category: &'static str,
    pub(super) reference_locator: String,
    pub(super) reference_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File<'a> {
    #[serde(rename = "SPDXID")]
    pub(super) id: &'a str,
    pub(super) checksums: [Checksum<'a>; 2],
    pub(super) file_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Checksum<'a> {
    pub(super) algorithm: &'static str,
    pub(super) checksum_value: Hex<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Relationship<'a> {
    #[serde(rename = "relatedSpdxElement")]
    pub(super) to: &'a str,
    #[serde(rename = "relationshipType")]
    pub(super) kind: &'static str,
    #[serde(rename = "spdxElementId")]
    pub(super) from: &'a str,
}
