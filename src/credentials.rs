//! Whom the listener lets in: what the configuration says of credentials, read at the start and again when it changes.

use std::path::PathBuf;
use std::sync::Arc;

use tracing::info;

use crate::config::{self, Config, Faults};
use crate::listen::{AllowAll, AnyCertificate, Authorizer, Credentials, EndAtExpiry};
use crate::reload::Watched;

/// Whom the listener lets in.
pub(crate) struct Access {
    authorizer: Arc<dyn Authorizer>,
    file: Option<AuthFile>,
}

/// The file of credentials, and those of it that are in force.
#[derive(Clone)]
struct AuthFile {
    path: PathBuf,
    credentials: Arc<Credentials>,
    asks_for_certificates: bool,
}

impl Access {
    /// Reads what the configuration names.
    ///
    /// # Errors
    /// All that is wrong with the auth file.
    pub(crate) fn load(config: &Config) -> Result<Self, Faults> {
        let asks_for_certificates = config.tls_client_ca.is_some();
        let file = match &config.auth_file {
            Some(path) => {
                let credentials = Arc::new(Credentials::new(config::read_credentials(path)?));
                Some(AuthFile { path: path.clone(), credentials, asks_for_certificates })
            }
            None => None,
        };
        let authorizer: Arc<dyn Authorizer> = match &file {
            Some(file) => Arc::clone(&file.credentials) as _,
            None if asks_for_certificates => Arc::new(AnyCertificate),
            None => Arc::new(AllowAll),
        };
        let authorizer = if config.tls_end_at_expiry { Arc::new(EndAtExpiry(authorizer)) } else { authorizer };
        Ok(Self { authorizer, file })
    }

    /// Who decides for the listener.
    pub(crate) fn authorizer(&self) -> Arc<dyn Authorizer> {
        Arc::clone(&self.authorizer)
    }

    /// The auth file, to be read again when it changes.
    pub(crate) fn watched(&self) -> Option<Watched> {
        let file = self.file.clone()?;
        let seen = file.clone();
        Some(Watched {
            purpose: "credentials",
            paths: vec![file.path.clone()],
            reload: Box::new(move || file.reload().map_err(|faults| faults.in_one_line())),
            warnings: Box::new(move || seen.warnings()),
        })
    }

    /// What an operator should know of it, though it can be used.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.file.as_ref().map(AuthFile::warnings).unwrap_or_default()
    }
}

impl AuthFile {
    /// Reads the file again and puts it in force. The links of credentials that were taken away or changed end.
    ///
    /// # Errors
    /// All that is wrong with it. Then what was in force stays, and no link ends.
    fn reload(&self) -> Result<(), Faults> {
        let replaced = self.credentials.replace(config::read_credentials(&self.path)?);
        let (kept, added, ended) = (replaced.kept, replaced.added, replaced.ended);
        info!(file = %self.path.display(), kept, added, ended, "the credentials were replaced");
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.credentials.knows_certificates() && !self.asks_for_certificates {
            warnings.push(format!(
                "SLIPSTREAM_AUTH_FILE: {} has a certificate_subject, and no client is asked for a certificate; expected \
                 SLIPSTREAM_TLS_CLIENT_CA too",
                self.path.display()
            ));
        }
        warnings
    }
}
