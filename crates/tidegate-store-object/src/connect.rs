//! Makes the client of a bucket: from the environment, the ecosystem's files, and settings, of which
//! the later ones win.

use std::sync::Arc;
use std::time::Duration;

use object_store::multipart::MultipartStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use tidegate_store::{StorageError, StorageSettings};

use crate::failure;
use crate::location::{Kind, Location};
use crate::options::{Options, switch};

/// A client of one bucket.
pub(crate) trait Client: ObjectStore + MultipartStore {}

impl<C: ObjectStore + MultipartStore> Client for C {}

/// The keys of S3's settings: Flink's names, and Hadoop's.
pub(crate) const S3: [(&str, &[&str]); 6] = [
    ("endpoint", &["s3.endpoint", "s3a.endpoint", "fs.s3a.endpoint"]),
    (
        "region",
        &["s3.endpoint.region", "s3.region", "s3a.endpoint.region", "fs.s3a.endpoint.region"],
    ),
    ("access_key_id", &["s3.access-key", "s3.access.key", "s3a.access-key", "fs.s3a.access.key"]),
    (
        "secret_access_key",
        &["s3.secret-key", "s3.secret.key", "s3a.secret-key", "fs.s3a.secret.key"],
    ),
    ("session_token", &["s3.session-token", "s3.session.token", "fs.s3a.session.token"]),
    ("server_side_encryption", &["s3.server-side-encryption"]),
];
/// Whether the bucket is in the path, and not in the host's name.
pub(crate) const S3_PATH_STYLE: &[&str] = &[
    "s3.path.style.access",
    "s3.path-style-access",
    "s3a.path.style.access",
    "fs.s3a.path.style.access",
];
pub(crate) const GCS: [(&str, &[&str]); 4] = [
    (
        "service_account_path",
        &["gs.service-account-path", "fs.gs.auth.service.account.json.keyfile"],
    ),
    ("service_account_key", &["gs.service-account-key"]),
    ("bearer_token", &["gs.bearer-token"]),
    ("base_url", &["gs.endpoint"]),
];
pub(crate) const AZURE: [(&str, &[&str]); 6] = [
    ("account_name", &["azure.account-name"]),
    ("account_key", &["azure.account-key"]),
    ("sas_token", &["azure.sas-token"]),
    ("endpoint", &["azure.endpoint"]),
    ("client_id", &["azure.client-id"]),
    ("tenant_id", &["azure.tenant-id"]),
];
/// Followed by the host name of an account: Hadoop's and Flink's way to give its key.
pub(crate) const AZURE_ACCOUNT_KEY: &str = "fs.azure.account.key.";

pub(crate) fn connect(
    location: &Location,
    settings: &StorageSettings,
    options: &Options,
) -> Result<Arc<dyn Client>, StorageError> {
    match location.kind {
        #[cfg(feature = "s3")]
        Kind::S3 => s3(location, settings, options),
        #[cfg(feature = "gcs")]
        Kind::Gcs => gcs(location, settings, options),
        #[cfg(feature = "azure")]
        Kind::Azure => azure(location, settings, options),
        #[cfg(not(all(feature = "s3", feature = "gcs", feature = "azure")))]
        _ => Err(StorageError::InvalidUri {
            uri: location.uri.as_str().into(),
            available: "a scheme whose feature of tidegate-store-object is on",
        }),
    }
}

// Attempts are ours to make again: the client cannot know what their outcome means.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, ..RetryConfig::default() }
}

fn client_options(options: &Options, endpoint: Option<&str>) -> ClientOptions {
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_timeout(options.retry.attempt_timeout)
        .with_connect_timeout(options.connect_timeout)
        .with_allow_http(is_plain)
}

fn refused(location: &Location, error: &object_store::Error) -> StorageError {
    failure::configuration(&location.uri, error)
}

#[cfg(feature = "s3")]
fn s3(
    location: &Location,
    settings: &StorageSettings,
    options: &Options,
) -> Result<Arc<dyn Client>, StorageError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};
    let mut builder = AmazonS3Builder::from_env();
    let profile = crate::aws_files::profile();
    let files = [
        (Key::AccessKeyId, "aws_access_key_id"),
        (Key::SecretAccessKey, "aws_secret_access_key"),
        (Key::Token, "aws_session_token"),
        (Key::Region, "region"),
        (Key::Endpoint, "endpoint_url"),
    ];
    // Credentials are taken together from one place.
    let has_credentials = builder.get_config_value(&Key::AccessKeyId).is_some();
    for (key, name) in files {
        let is_credential = name.starts_with("aws_");
        let is_set = if is_credential {
            has_credentials
        } else {
            builder.get_config_value(&key).is_some()
                || key == Key::Region && builder.get_config_value(&Key::DefaultRegion).is_some()
        };
        if let (false, Some(value)) = (is_set, profile.get(name)) {
            builder = builder.with_config(key, value);
        }
    }
    for (name, keys) in S3 {
        if let Some(value) = settings.first_of(keys) {
            let key = name.parse::<Key>().map_err(|error| refused(location, &error))?;
            builder = builder.with_config(key, value);
        }
    }
    if settings.first_of(S3[2].1).is_some() && settings.first_of(S3[4].1).is_none() {
        // A session token of the environment does not belong to this key.
        builder = builder.with_config(Key::Token, "");
    }
    let mut path_style = builder.get_config_value(&Key::Endpoint).is_some();
    if let Some(text) = settings.first_of(S3_PATH_STYLE) {
        path_style = switch(S3_PATH_STYLE[0], text)?;
    }
    let endpoint = builder.get_config_value(&Key::Endpoint);
    let client = builder
        .with_bucket_name(&location.name)
        .with_virtual_hosted_style_request(!path_style)
        .with_retry(once())
        .with_client_options(client_options(options, endpoint.as_deref()))
        .build();
    Ok(Arc::new(client.map_err(|error| refused(location, &error))?))
}

#[cfg(feature = "gcs")]
fn gcs(
    location: &Location,
    settings: &StorageSettings,
    options: &Options,
) -> Result<Arc<dyn Client>, StorageError> {
    use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Key};
    let mut builder = GoogleCloudStorageBuilder::from_env();
    for (name, keys) in GCS {
        if let Some(value) = settings.first_of(keys) {
            let key = name.parse::<Key>().map_err(|error| refused(location, &error))?;
            builder = builder.with_config(key, value);
        }
    }
    let endpoint = builder.get_config_value(&Key::BaseUrl);
    let client = builder
        .with_bucket_name(&location.name)
        .with_retry(once())
        .with_client_options(client_options(options, endpoint.as_deref()))
        .build();
    Ok(Arc::new(client.map_err(|error| refused(location, &error))?))
}

#[cfg(feature = "azure")]
fn azure(
    location: &Location,
    settings: &StorageSettings,
    options: &Options,
) -> Result<Arc<dyn Client>, StorageError> {
    use object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};
    let mut builder = MicrosoftAzureBuilder::from_env();
    for (name, keys) in AZURE {
        if let Some(value) = settings.first_of(keys) {
            let key = name.parse::<Key>().map_err(|error| refused(location, &error))?;
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = &location.account {
        builder = builder.with_account(account);
        let host = format!("{account}.");
        let mut keys = settings.below(AZURE_ACCOUNT_KEY);
        if let Some((_, key)) = keys.find(|(name, _)| name.starts_with(&host)) {
            builder = builder.with_access_key(key);
        }
    }
    let endpoint = builder.get_config_value(&Key::Endpoint);
    let client = builder
        .with_container_name(&location.name)
        .with_retry(once())
        .with_client_options(client_options(options, endpoint.as_deref()))
        .build();
    Ok(Arc::new(client.map_err(|error| refused(location, &error))?))
}
