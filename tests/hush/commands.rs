//! What the commands say to a relay that asks for a token, and of secrets that were given to them in the wrong place.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::logged::{Logged, table};
use super::secrets::Secrets;
use crate::support::{Process, ran, written};

#[tokio::test]
async fn commands_show_no_secret() {
    let (folder, mut secrets) = (tempfile::tempdir().expect("a folder"), Secrets::default());
    let [token, wrong, payload] = ["the token", "the wrong token", "the payload"].map(|what| secrets.make(what));
    let auth = written(folder.path(), "auth.toml", &table(&mut secrets, &token));
    let place = Logged::start(folder.path(), &["--auth-file", &auth], &[]).await;
    let (url, nowhere) = (place.relay.url(), "ws://127.0.0.1:1/");
    let admin = format!("http://{}", place.relay.admin);
    let value = json!({ "total": payload }).to_string();
    let right = [("SLIPSTREAM_TOKEN", token.as_str())];
    let file = written(folder.path(), "token", &token);
    let wrongs = [
        ("SLIPSTREAM_TOKEN", wrong.clone()),
        ("SLIPSTREAM_TOKEN", format!("{wrong} {wrong}")),
        ("SLIPSTREAM_TOKEN", format!("Bearer {wrong}")),
    ];
    let with_query = format!("{url}?token={token}");
    let with_user = url.replace("ws://", &format!("ws://me:{token}@"));
    for to in
        [&url, nowhere, &with_query, &with_user, &format!("{nowhere}?token={token}"), &format!("http://h/?{token}")]
    {
        for environment in [
            &[][..],
            &right,
            &[(wrongs[0].0, &wrongs[0].1)],
            &[(wrongs[1].0, &wrongs[1].1)],
            &[(wrongs[2].0, &wrongs[2].1)],
        ] {
            let send = ["send", "--to", to, "--id", "a", "--timeout", "10s"];
            secrets.look_at(&[&send[..], &["key", &value]].concat(), environment, "").await;
            secrets
                .look_at(&[&send[..], &["--message-id-field", "id", "key", "-"]].concat(), environment, &value)
                .await;
            // What it prints on stdout it is for.
            let listen = ["listen", "--to", to, "--id", "b", "--once", "--timeout", "100ms", "--count", "1"];
            secrets.look_at_faults(&listen, environment, "").await;
        }
    }
    let bench = ["bench", "relay", "--to", &url, "--admin", &admin, "--messages", "100", "--warmup", "0s"];
    secrets.look_at(&bench, &right, "").await;
    secrets.look_at(&bench, &[("SLIPSTREAM_TOKEN", &wrong)], "").await;
    for (url, file) in
        [(&url, &file), (&url, &auth), (&url, &token), (&url, &format!("{}/{token}", folder.path().display()))]
    {
        secrets.look_at(&["send", "--to", url, "--token-file", file, "key", "1"], &[], "").await;
    }
    let user = format!("http://me:{token}@127.0.0.1:1");
    for admin in [&user, &format!("http://127.0.0.1:1/?token={token}")] {
        secrets.look_at(&["store", "backup", "--admin", admin, "x.db"], &[], "").await;
    }
    for arguments in [
        &["send", "--token", &token, "key", "1"][..],
        &["send", &format!("--token={token}"), "key", "1"],
        &["serve", "--admin-token", &token],
        &["serve", &format!("--token={token}")],
        &["token", &token],
        &["token", "--id", "*", &format!("--token={token}")],
        &["listen", "--password", &token],
    ] {
        secrets.look_at(arguments, &[], "").await;
    }
    demo(&mut secrets, folder.path()).await;
    place.end(&mut secrets, "the relay").await;
    secrets.assert_kept();
}

/// `tls demo` and `token`, whose secrets are those that they have made.
async fn demo(secrets: &mut Secrets, folder: &Path) {
    let demo = folder.join("demo");
    let mut made = Process::spawn(["tls", "demo", demo.to_str().expect("UTF-8")], &[]);
    assert!(made.end().await.success());
    for name in ["app.key", "relay-aws.key"] {
        secrets.keep_key("a key of the demo", &fs::read_to_string(demo.join(name)).expect("a key"));
    }
    secrets.look("tls demo", &[made.stdout(), made.stderr()].concat());
    secrets.look_at(&["tls", "demo", demo.to_str().expect("UTF-8")], &[], "").await;
    let (code, stdout, told) = ran(&["token", "a-token-of-ones-own"], &[]).await;
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(told.contains("expected no token") && !told.contains("ones-own"), "{told}");
}
