//! Settings, URL_CONFIG and files that hold secrets: as they should be, and with a fault beside the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::secrets::Secrets;
use crate::support::{Files, written};

/// The secrets of a configuration.
struct Place {
    files: Files,
    secrets: Secrets,
    token: String,
    /// Keys in PEM: of ECDSA, and a short one.
    key: String,
    short: String,
}

impl Place {
    fn new() -> Self {
        let (files, mut secrets) = (Files::usual(), Secrets::default());
        files.openssl("genpkey -algorithm ED25519 -out short.key");
        files.openssl("pkey -in relay.key -aes256 -passout pass:secret -out encrypted.key");
        let token = secrets.make("the token");
        let [key, short] = ["relay.key", "short.key"].map(|name| files.read(name));
        secrets.keep_key("the key", &key);
        secrets.keep_key("the short key", &short);
        Self { files, secrets, token, key, short }
    }

    /// A file of this text, and its path.
    fn file(&self, name: &str, text: &str) -> String {
        written(self.files.folder(), name, text)
    }

    /// What `config check`, `config show` and a start say to this environment. None of them gets further than to its
    /// faults, or to a store that cannot be.
    async fn look_at(&mut self, environment: &[(&str, &str)], flags: &[&str]) {
        for command in [&["config", "check"][..], &["config", "show"], &["config", "show", "--json"]] {
            self.secrets.look_at(&[command, flags].concat(), environment, "").await;
        }
        let nowhere = ["serve", "--metrics-port=0", "--storage-path=/dev/null/store"];
        self.secrets.look_at(&[&nowhere[..], flags].concat(), environment, "").await;
    }
}

/// The base64 of a key, without the lines that begin and end it.
fn bare(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

/// Texts of `URL_CONFIG` with the token or the key in them.
fn peers(place: &Place) -> Vec<String> {
    let Place { files, token, key, short, .. } = place;
    let certificate = files.read("relay.pem");
    let encrypted = files.read("encrypted.key");
    let fields = |fields: serde_json::Value| {
        let mut entry = json!({"url": "wss://127.0.0.1:1/"});
        entry.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        json!([entry]).to_string()
    };
    let own = |certificate: &str, key: &str| fields(json!({"cert": certificate, "key": key}));
    let whole = fields(json!({"token": token, "cert": certificate, "key": key}));
    let text = |text: String| text;
    vec![
        whole.clone(),
        STANDARD.encode(&whole),
        whole[..whole.len() - 2].to_owned(),
        whole[..whole.len() - 40].to_owned(),
        whole.replace("}]", "},]"),
        whole.replace("\":\"", "\"=\""),
        STANDARD.encode(&whole)[3..].to_owned(),
        STANDARD.encode(&whole[..whole.len() - 5]),
        text(format!("{{\"token\":\"{token}\"}}")),
        text(format!("[\"{token}\"]")),
        text(format!("\"{token}\"")),
        token.clone(),
        text(format!("[{{\"url\":\"ws://h/\",\"token\":{token}}}]")),
        text(format!("[{{\"url\":\"ws://h/\",\"token\":\"{token}\",\"token\":\"{token}\"}}]")),
        text(format!("[{{\"url\":\"ws://h/\",\"token\":\"{token}\\u00\"}}]")),
        text(format!("[{{\"url\":\"ws://h/\",\"token\":\"{token}\n\"}}]")),
        fields(json!({"token": [token]})),
        fields(json!({"token": {"value": token}})),
        fields(json!({"token": format!("{token} {token}")})),
        fields(json!({"tokn": token})),
        fields(json!({"TOKEN": token, "colour": token})),
        fields(json!({"authorization": format!("Bearer {token}")})),
        fields(json!({"url": format!("ws://me:{token}@host/")})),
        fields(json!({"url": format!("wss://{token}@host:1/")})),
        fields(json!({"url": format!("ws://host/path?key={token}")})),
        fields(json!({"url": format!("ws://host/path?key={token}#part")})),
        fields(json!({"url": format!("http://host/?key={token}")})),
        fields(json!({"url": format!("ws://host:99999/?key={token}")})),
        fields(json!({"url": format!("ws://host:{token}/")})),
        fields(json!({"url": token})),
        own(key, &certificate),
        own(&certificate, &key.replace('\n', "")),
        own(&certificate, &key.replace('\n', "\\n")),
        own(&certificate, &key.replace('\n', "\n  ")),
        own(&certificate, &key[..key.len() - 40]),
        own(&certificate, &key.replacen("MIG", "M!G", 1)),
        own(&certificate, &key.replace("PRIVATE", "PUBLIC")),
        own(&certificate, &encrypted),
        own(&certificate, short),
        own(&certificate, &bare(key)),
        own(&certificate, &bare(short)),
        own(&certificate, key.trim_start_matches('-')),
        own(&certificate, short.trim_start_matches("-----BEGIN PRIVATE KEY-----\n")),
        fields(json!({"ca": bare(short)})),
        fields(json!({"key": key})),
    ]
}

#[tokio::test]
async fn peers_to_dial_show_no_secret_whatever_is_wrong_with_them() {
    let mut place = Place::new();
    for text in peers(&place) {
        place.look_at(&[("URL_CONFIG", &text)], &[]).await;
        let file = place.file("peers.json", &text);
        // What it prints of peers without a fault is what it is for.
        place.secrets.look_at_faults(&["config", "encode", &file], &[], "").await;
        place.secrets.look_at_faults(&["config", "encode", "-"], &[], &text).await;
    }
    place.secrets.assert_kept();
}

#[tokio::test]
async fn settings_show_no_secret_that_was_put_in_the_wrong_place() {
    let mut place = Place::new();
    let (token, key, short) = (place.token.clone(), place.key.clone(), place.short.clone());
    let url = format!("postgres://slipstream:{token}@db.example/slipstream");
    let table = format!("[[credential]]\ntoken = \"{token}\"\nid = \"*\"\n");
    for (name, value) in [
        ("SLIPSTREAM_TOKENS", &token),
        ("SLIPSTREAM_ADMIN_TOKEN", &token),
        ("SLIPSTREAM_OTLP_HEADERS", &token),
        ("SLIPSTREAM_OTLP_HEADERS", &format!("authorization=Bearer%20{token}")),
        ("SLIPSTREAM_OTLP_HEADERS", &format!("authorization={token},\n")),
        ("SLIPSTREAM_OTLP_ENDPOINT", &url),
        ("SLIPSTREAM_OTLP_ENDPOINT", &url.replace("postgres", "http")),
        ("SLIPSTREAM_SECRET", &token),
        ("METRICS_TOKEN", &token),
        ("SLIPSTREAM_STORE_URL", &url),
        ("SLIPSTREAM_STORE_URL", &url.replace("postgres:", "mysql:")),
        ("SLIPSTREAM_STORE_URL", &format!("host=db password={token}")),
        ("SLIPSTREAM_STORE", &url),
        ("SLIPSTREAM_STORAGE_PATH", &url),
        ("SLIPSTREAM_AUTH_FILE", &table),
        ("SLIPSTREAM_TOKEN", &token),
        ("SLIPSTREAM_URL", &url),
        ("SLIPSTREAM_SUBSCRIBERS", &format!("[{{\"id\":\"a\",\"token\":\"{token}\"}}]")),
        ("SLIPSTREAM_SUBSCRIBERS", &format!("[{{\"id\":\"a\",\"token\":\"{token}\"")),
    ] {
        place.look_at(&[(name, value)], &[]).await;
    }
    let certificate = place.files.text("relay.pem");
    for value in [&key, &bare(&key), &short, &bare(&short)] {
        for [first, second] in [["SLIPSTREAM_TLS_CERT", "SLIPSTREAM_TLS_KEY"], ["METRICS_TLS_CERT", "METRICS_TLS_KEY"]]
        {
            place.look_at(&[(first, &certificate), (second, value)], &[]).await;
            place.look_at(&[(first, value), (second, &certificate)], &[]).await;
        }
        place.look_at(&[("SLIPSTREAM_TLS_CLIENT_CA", value)], &[]).await;
    }
    place.secrets.assert_kept();
}

#[tokio::test]
async fn files_of_keys_show_nothing_of_them() {
    let mut place = Place::new();
    let key = place.key.clone();
    let certificate = place.files.text("relay.pem");
    for text in [
        key.replace('\n', ""),
        key.replace('\n', "\n  "),
        key[..key.len() - 40].to_owned(),
        key.replacen("MIG", "M!G", 1),
        key.replace("PRIVATE", "PUBLIC"),
        key.clone() + &key,
        bare(&key),
        bare(&place.short),
        place.short.clone(),
        place.files.read("encrypted.key"),
        place.token.clone(),
    ] {
        let file = place.file("wrong.key", &text);
        place.look_at(&[("SLIPSTREAM_TLS_CERT", &certificate), ("SLIPSTREAM_TLS_KEY", &file)], &[]).await;
        place.look_at(&[("SLIPSTREAM_TLS_CERT", &file), ("SLIPSTREAM_TLS_KEY", &file)], &[]).await;
        place.look_at(&[("SLIPSTREAM_AUTH_FILE", &file)], &[]).await;
        place.look_at(&[("SLIPSTREAM_CONFIG", &file)], &[]).await;
    }
    place.secrets.assert_kept();
}

#[tokio::test]
async fn the_settings_file_shows_no_secret() {
    let mut place = Place::new();
    let (token, key) = (place.token.clone(), place.key.clone());
    let peer = |fields: &str| format!("[[peer]]\nurl = \"wss://127.0.0.1:1/\"\n{fields}\n");
    for text in [
        peer(&format!("token = \"{token}\"")),
        peer(&format!("token = {token}")),
        peer(&format!("token = \"{token}")),
        peer(&format!("token = '{token}' '{token}'")),
        peer(&format!("token = \"{token}\"\ntoken = \"{token}\"")),
        peer(&format!("token = [\"{token}\"]")),
        peer(&format!("tokn = \"{token}\"")),
        peer(&format!("token \"{token}\"")),
        peer(&token),
        peer(&format!("key = \"{}\"", bare(&key))),
        peer(&format!("cert = '''{key}'''\nkey = '''{key}'''")),
        format!("token = \"{token}\"\n"),
        format!("admin_token = \"{token}\"\n"),
        format!("url_config = [{{url = \"ws://host/\", token = \"{token}\"}}]\n"),
        format!("url_config = {{token = \"{token}\"}}\n"),
        format!("tls_key = '''{key}'''\n"),
        format!("auth_file = {{token = \"{token}\"}}\n"),
        format!("\u{feff}token = \"{token}\u{0}\"\n"),
    ] {
        let file = place.file("settings.toml", &text);
        place.look_at(&[("SLIPSTREAM_CONFIG", &file)], &[]).await;
    }
    let file = place.files.path("settings.toml");
    std::fs::write(&file, [peer("").as_bytes(), b"token = \"\xff", token.as_bytes()].concat()).expect("written");
    place.look_at(&[("SLIPSTREAM_CONFIG", file.to_str().expect("UTF-8"))], &[]).await;
    place.secrets.assert_kept();
}

#[tokio::test]
async fn the_auth_file_shows_neither_a_token_nor_a_hash() {
    let mut place = Place::new();
    let token = place.token.clone();
    let hash: String = std::iter::repeat_with(|| fastrand::digit(16)).take(64).collect();
    place.secrets.keep("the hash", &hash);
    let table = |fields: &str| format!("[[credential]]\nid = \"shop-*\"\n{fields}\n");
    let right = table(&format!("token_sha256 = \"{hash}\""));
    for text in [
        right.clone(),
        right.clone() + &right,
        right.replace("id = ", "ids = "),
        table(&format!("token_sha256 = \"{token}\"")),
        table(&format!("token_sha256 = {token}")),
        table(&format!("token_sha256 = \"{token}")),
        table(&format!("token_sha256 = [\"{token}\"]")),
        table(&format!("token_sha256 = \"{hash}0\"")),
        table(&format!("token_sha256 = \"sha256:{hash}\"")),
        table(&format!("token_sha256 = \"{hash}\"\ntoken_sha256 = \"{hash}\"")),
        table(&format!("token_sha256 \"{hash}\"")),
        table(&format!("token_sha = \"{hash}\"")),
        table(&format!("token = \"{token}\"")),
        table(&format!("bearer = \"{token}\"")),
        table(&format!("certificate_subject = \"{hash}\"\ntoken_sha256 = \"{hash}\"")),
        table(&format!("token_sha256 = \"{hash}\"\n{token} = true")),
        table(&format!("token_sha256 = \"{hash}\"\ntags = [\"{token}=\"]")),
        table(&format!("token_sha256 = \"{hash}\"\nmay_send = [\"{token}\"]")),
        table(&format!("token_sha256 = \"{hash}\"\nmay_target = \"{token}\"")),
        table(&format!("token_sha256 = \"{hash}\"\n[[{token}]]")),
        table(&token),
        format!("token = \"{token}\"\n"),
        format!("{token}\n"),
        format!("credential = [\"{token}\"]\n"),
        format!("[credential]\ntoken = \"{token}\"\n"),
    ] {
        let file = place.file("auth.toml", &text);
        place.look_at(&[("SLIPSTREAM_AUTH_FILE", &file)], &[]).await;
    }
    place.secrets.assert_kept();
}
