//! Is something called like a secret?

/// Whether a name is one that secrets have: `access_token`, `apiKey`, `X-Client-Secret`, `pwd`.
pub(super) fn is_called_like_one(name: &str) -> bool {
    let words = words(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let alone = words.iter().enumerate().any(|(n, word)| {
        let before = n.checked_sub(1).and_then(|n| words.get(n)).copied().unwrap_or_default();
        match *word {
            // The token that names the next page of a list opens nothing.
            "token" | "tokens" => !PAGING.contains(&before),
            word => SECRETS.contains(&word),
        }
    });
    let pairs = words.iter().zip(words.iter().skip(1));
    alone || pairs.into_iter().any(|(first, second)| PAIRS.contains(&(*first, *second)))
}

/// The words of a name, in lower case: `clientSecret`, `client_secret` and `CLIENT-SECRET` have two.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_is_lower = false;
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && before_is_lower);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        before_is_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

const SECRETS: [&str; 21] = [
    "accesstoken",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "bearer",
    "clientsecret",
    "credential",
    "credentials",
    "jwt",
    "otp",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "refreshtoken",
    "secret",
    "secrets",
    "sessionid",
];
const PAIRS: [(&str, &str); 8] = [
    ("access", "key"),
    ("api", "key"),
    ("app", "key"),
    ("auth", "key"),
    ("client", "key"),
    ("private", "key"),
    ("session", "id"),
    ("subscription", "key"),
];
const PAGING: [&str; 9] =
    ["page", "next", "prev", "previous", "continuation", "continue", "cursor", "sync", "skip"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "token",
            "access_token",
            "accessToken",
            "ACCESS_TOKEN",
            "api_key",
            "apiKey",
            "apikey",
            "X-Api-Key",
            "client_secret",
            "password",
            "user[password]",
            "pwd",
            "id_token",
            "Authorization",
            "sessionId",
            "session_id",
        ] {
            assert!(is_called_like_one(name), "{name}");
        }
        for name in [
            "pageToken",
            "nextPageToken",
            "continuation_token",
            "key",
            "monkey",
            "author",
            "passenger",
            "secretary",
            "tokenize",
            "sort_key",
            "session",
            "",
            "status",
        ] {
            assert!(!is_called_like_one(name), "{name}");
        }
    }
}
