//! Where is Vault, and how does the gateway log in to it?

use std::path::PathBuf;

use super::super::raw;
use super::super::settings::default;
use super::{Resolve, time};
use crate::credential::Reference;
use crate::diagnostic::Diagnostic;
use crate::vault::{Auth, CacheSettings, Source, VaultSettings, is_path};

impl Resolve<'_> {
    pub(super) fn vault(&mut self, written: raw::Vault) -> Option<VaultSettings> {
        let raw::Vault { address, insecure_http, namespace, ca, timeout, auth, cache } = written;
        if address.starts_with("http://") && !insecure_http {
            self.error(
                "/vault/address",
                "secrets come over `https:` only",
                "use an `https:` URL, or set `insecure_http: true` for a loopback address",
            );
        }
        let ca = match ca {
            Some(ca) => Some(self.read("/vault/ca", &ca)?),
            None => None,
        };
        let auth = self.vault_auth(auth)?;
        let cache = match cache {
            Some(raw::VaultCache { file, key, age_max }) => Some(CacheSettings {
                file: self.folder.join(file),
                key: self.vault_source("/vault/cache/key", &key)?,
                age_max: time(age_max, default::VAULT_CACHE_AGE),
            }),
            None => None,
        };
        let timeout = time(timeout, default::VAULT_TIMEOUT);
        Some(VaultSettings { address, namespace, auth, ca, timeout, cache })
    }

    fn vault_auth(&mut self, written: raw::VaultAuth) -> Option<Auth> {
        let raw::VaultAuth { token_file, approle, kubernetes, jwt, certificate } = written;
        let given = [
            token_file.is_some(),
            approle.is_some(),
            kubernetes.is_some(),
            jwt.is_some(),
            certificate.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() != 1 {
            self.error(
                "/vault/auth",
                "the gateway logs in to Vault in exactly one way",
                "give one of `token_file`, `approle`, `kubernetes`, `jwt` and `certificate`",
            );
            return None;
        }
        // Read at each login rather than as a source: that one of them changes is no reason to reload.
        let file = |path: PathBuf| self.folder.join(path);
        if let Some(path) = token_file {
            return Some(Auth::TokenFile(file(path)));
        }
        if let Some(raw::VaultKubernetes { mount, role, jwt }) = kubernetes {
            let jwt = file(jwt.unwrap_or_else(|| default::VAULT_SERVICE_ACCOUNT.into()));
            let mount = self.auth_mount("kubernetes", mount)?;
            return Some(Auth::Kubernetes { mount, role, jwt });
        }
        if let Some(raw::VaultJwt { mount, role, jwt }) = jwt {
            let jwt = file(jwt);
            return Some(Auth::Jwt { mount: self.auth_mount("jwt", mount)?, role, jwt });
        }
        if let Some(raw::VaultCertificate { mount, name, chain, key }) = certificate {
            let (chain, key) = (file(chain), file(key));
            let mount = match mount {
                None => "cert".to_owned(),
                mount => self.auth_mount("certificate", mount)?,
            };
            return Some(Auth::Certificate { mount, name, chain, key });
        }
        let raw::VaultAppRole { mount, role_id, secret_id, wrapped } = approle?;
        let mount = self.auth_mount("approle", mount);
        let role_id = self.vault_source("/vault/auth/approle/role_id", &role_id);
        let secret_id = self.vault_source("/vault/auth/approle/secret_id", &secret_id);
        Some(Auth::AppRole { mount: mount?, role_id: role_id?, secret_id: secret_id?, wrapped })
    }

    fn auth_mount(&mut self, method: &str, written: Option<String>) -> Option<String> {
        let mount = written.unwrap_or_else(|| method.to_owned());
        if !is_path(&mount) {
            self.error(
                &format!("/vault/auth/{method}/mount"),
                "this is no mount of Vault",
                "name it without `auth/` and without a slash at either end",
            );
            return None;
        }
        Some(mount)
    }

    /// Where something is that Vault is shown. Never says what is written there: it may be the secret itself.
    fn vault_source(&mut self, at: &str, written: &str) -> Option<Source> {
        match written.parse() {
            Ok(Reference::File { path }) => Some(Source::File(self.folder.join(path))),
            Ok(Reference::Env { name }) => Some(Source::Variable(name)),
            _ => {
                // Whoever wrote the secret itself here must not find it in the log as well.
                let mistake = Diagnostic::error(self.place(at).hidden(), "a reference to a secret is wanted");
                self.mistakes.push(mistake.help("write `file:PATH` or `env:NAME`"));
                None
            }
        }
    }
}
