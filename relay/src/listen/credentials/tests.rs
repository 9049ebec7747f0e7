use std::sync::Arc;

use slipstream_store::{ClusterGroup, MessageType, PeerId, PeerKind, Tag};

use super::table::{Held, Table};
use super::*;
use crate::clock::{Clock, SystemClock};
use crate::link::{Hello, Secret};
use crate::listen::authorizer::Principal;
use crate::listen::lease::Lease;
use crate::listen::{Authorizer as _, ConnectInfo};

/// A credential for a token, or for `cert:NAME`.
fn credential(proof: &str, id: &str) -> Credential {
    let proof = match proof.strip_prefix("cert:") {
        Some(name) => Proof::Certificate(name.into()),
        None => Proof::Token(TokenHash::of(proof)),
    };
    let id = Pattern::id(id).expect("a pattern");
    Credential { name: None, proof, id, tags: Vec::new(), relay: false, may_send: None, may_target: None }
}

fn with_tags(credential: Credential, tags: &[&str]) -> Credential {
    Credential { tags: tags.iter().map(|tag| Pattern::tag(tag).expect("a pattern")).collect(), ..credential }
}

fn hello(id: &str, tags: &[&str]) -> Hello {
    Hello {
        id: PeerId::new(id).ok(),
        tags: tags.iter().map(|tag| Tag::new(tag).expect("a tag")).collect(),
        group: ClusterGroup::default(),
        kind: PeerKind::Application,
        accepts_ack_batch: false,
        max_message_bytes: None,
        token: None,
    }
}

fn table(credentials: impl IntoIterator<Item = Credential>) -> Table {
    Table::new(credentials.into_iter().map(|credential| Held { credential, lease: Lease::new() }).collect())
}

/// The status with which it is refused and the reason, or the principal's name.
fn outcome(table: &Table, hello: &Hello, token: Option<&str>, names: &[&str]) -> Result<String, (u16, String)> {
    match table.admit(hello, token, names) {
        Ok(principal) => Ok(principal.name().expect("a name").to_owned()),
        Err(refusal) => Err((refusal.status().as_u16(), refusal.reason().to_owned())),
    }
}

#[test]
fn a_pattern_is_a_name_or_the_beginning_of_names() {
    for (pattern, matching, other) in
        [("shop-1", "shop-1", "shop-12"), ("shop-*", "shop-1", "shop"), ("shop-*", "shop-", "Shop-1")]
    {
        let read = Pattern::id(pattern).expect("a pattern");
        assert!(read.matches(matching) && !read.matches(other) && !read.is_any(), "{pattern}");
        assert_eq!(read.to_string(), pattern);
    }
    let any = Pattern::id("*").expect("a pattern");
    assert!(any.is_any() && any.matches("whoever"));
    for wrong in ["", "*shop", "sh*p", "shop**", "a b", "a/*", &"a".repeat(129)] {
        assert!(Pattern::id(wrong).is_err(), "{wrong:?}");
    }
    assert!(Pattern::tag(&"a".repeat(64)).is_ok() && Pattern::tag(&"a".repeat(65)).is_err());
}

#[test]
fn a_hash_is_read_in_either_case_and_never_shown() {
    let hash = TokenHash::of("abc");
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash.to_hex(), hex);
    assert_eq!(TokenHash::from_hex(hex), Some(hash));
    assert_eq!(TokenHash::from_hex(&hex.to_uppercase()), Some(hash));
    assert!(!format!("{hash:?}").contains("ba78"));
    for wrong in
        ["", &hex[1..], &format!("{hex}0"), &hex.replace("ba", "xa"), &hex.replace("ba", "+a"), &"é".repeat(32)]
    {
        assert_eq!(TokenHash::from_hex(wrong), None, "{wrong}");
    }
}

#[test]
fn a_token_is_found_wherever_it_stands_and_another_is_not() {
    let table = table((0..100).map(|number| credential(&format!("token-{number}"), &format!("peer-{number}"))));
    for number in 0..100 {
        let (token, id) = (format!("token-{number}"), format!("peer-{number}"));
        assert_eq!(outcome(&table, &hello(&id, &[]), Some(&token), &[]), Ok(id));
    }
    for wrong in ["", "token-100", "Token-1", "token-1 ", &TokenHash::of("token-1").to_hex()] {
        let (status, reason) = outcome(&table, &hello("peer-1", &[]), Some(wrong), &[]).expect_err("refused");
        assert_eq!((status, reason.as_str()), (401, "this token is not known here"), "{wrong}");
    }
    let (status, reason) = outcome(&table, &hello("peer-1", &[]), None, &[]).expect_err("refused");
    assert!(status == 401 && reason.contains("Authorization: Bearer") && !reason.contains("certificate"), "{reason}");
}

#[test]
fn what_a_credential_does_not_permit_is_named() {
    let exact = with_tags(credential("exact", "shop-1"), &["aws", "team-*"]);
    let prefix = credential("prefix", "shop-*");
    let relay = Credential { relay: true, ..credential("relay", "relay-*") };
    let any = with_tags(credential("any", "*"), &["*"]);
    let table = table([exact, prefix, relay, any]);
    let relay = |id: &str| Hello { kind: PeerKind::Relay, ..hello(id, &[]) };
    for (token, hello) in [
        ("exact", hello("shop-1", &[])),
        ("exact", hello("shop-1", &["aws", "team-a"])),
        ("prefix", hello("shop-2", &[])),
        ("relay", relay("relay-aws")),
        ("relay", hello("relay-aws", &[])),
        ("any", hello("", &[])),
        ("any", hello("whoever", &["whatever"])),
    ] {
        assert!(outcome(&table, &hello, Some(token), &[]).is_ok(), "{token} {hello:?}");
    }
    for (token, hello, told) in [
        ("exact", hello("shop-2", &[]), "id: this credential is for shop-1, not for shop-2"),
        ("exact", hello("", &[]), "id: this credential is for shop-1; name the id that you link under"),
        ("exact", hello("shop-1", &["aws", "gcp"]), "tags: this credential does not permit gcp"),
        ("exact", relay("shop-1"), "Slipstream-Kind: this credential does not permit a relay"),
        ("prefix", hello("shop", &[]), "id: this credential is for shop-*, not for shop"),
        ("prefix", hello("", &[]), "id: this credential is for shop-*; name the id that you link under"),
        ("prefix", hello("shop-2", &["aws"]), "tags: this credential does not permit aws"),
        ("any", relay("whoever"), "Slipstream-Kind: this credential does not permit a relay"),
    ] {
        assert_eq!(outcome(&table, &hello, Some(token), &[]), Err((403, told.to_owned())), "{token}");
    }
}

#[test]
fn an_id_that_a_credential_names_is_covered_by_no_pattern_of_another() {
    let exact = |token: &str| credential(token, "azure-1");
    let table = table([credential("any", "*"), credential("prefix", "azure-*"), exact("one"), exact("other")]);
    for (token, id) in [("any", "azure-2"), ("prefix", "azure-10"), ("one", "azure-1"), ("other", "azure-1")] {
        assert!(outcome(&table, &hello(id, &[]), Some(token), &[]).is_ok(), "{token} {id}");
    }
    for (token, ids) in [("any", "*"), ("prefix", "azure-*")] {
        let told = format!("id: this credential is for {ids}, but not for azure-1, which another credential names");
        assert_eq!(outcome(&table, &hello("azure-1", &[]), Some(token), &[]), Err((403, told)));
    }
}

#[test]
fn a_certificate_with_an_id_of_its_own_has_it_also_behind_a_pattern() {
    let table = table([credential("cert:app", "*"), credential("cert:azure", "azure-1")]);
    let named = |id: &str| outcome(&table, &hello(id, &[]), None, &["app", "azure"]);
    assert_eq!((named("azure-1").as_deref(), named("shop").as_deref()), (Ok("azure"), Ok("app")));
}

#[test]
fn of_several_credentials_for_one_certificate_the_first_that_permits_counts() {
    let table = table([
        credential("cert:machine-7", "machine-7"),
        Credential { name: Some("the shop".into()), ..credential("cert:shop.example", "shop-*") },
        credential("token", "other"),
    ]);
    let names = ["shop.example", "machine-7"];
    assert_eq!(outcome(&table, &hello("machine-7", &[]), None, &names).as_deref(), Ok("machine-7"));
    assert_eq!(outcome(&table, &hello("shop-1", &[]), None, &names).as_deref(), Ok("the shop"));
    let first = "id: this credential is for machine-7, not for other";
    assert_eq!(outcome(&table, &hello("other", &[]), None, &names), Err((403, first.to_owned())));
    let (status, reason) =
        outcome(&table, &hello("shop-1", &[]), None, &["shop.exampl", "Machine-7"]).expect_err("refused");
    assert!(status == 401 && reason.contains("shop.exampl, Machine-7"), "{reason}");
}

#[test]
fn a_token_decides_also_beside_a_certificate() {
    let table = table([credential("cert:machine-7", "machine-7"), credential("token", "shop-1")]);
    let names = ["machine-7"];
    assert!(outcome(&table, &hello("shop-1", &[]), Some("token"), &names).is_ok());
    assert_eq!(outcome(&table, &hello("machine-7", &[]), Some("token"), &names).expect_err("refused").0, 403);
    assert_eq!(outcome(&table, &hello("machine-7", &[]), Some("wrong"), &names).expect_err("refused").0, 401);
}

#[test]
fn what_may_be_sent_goes_with_the_principal() {
    let types = vec![MessageType::new("SK").expect("a type")];
    let bounded = Credential { may_send: Some(types), may_target: Some(Vec::new()), ..credential("token", "shop-1") };
    let principal = table([bounded]).admit(&hello("shop-1", &[]), Some("token"), &[]).expect("let in");
    let types = ["SK", "CMD"].map(|name| MessageType::new(name).expect("a type"));
    assert!(principal.permits(&types[0], &[]).expect_err("no tags").starts_with("targetedTags"));
    assert!(principal.permits(&types[1], &[]).expect_err("not this type").starts_with("type"));
}

async fn admitted(credentials: &Credentials, id: &str, token: &str) -> Principal {
    let hello = Hello { token: Some(Secret::new(token.to_owned())), ..hello(id, &[]) };
    let info = ConnectInfo::new(([127, 0, 0, 1], 1).into());
    credentials.authorize(&hello, &info).await.expect("let in")
}

#[tokio::test]
async fn a_lease_ends_when_its_credential_is_taken_away_or_changed_and_only_then() {
    let given = || ["kept", "renamed", "changed", "gone"].map(|token| credential(token, token));
    let credentials = Credentials::new(given().into());
    let mut principals = Vec::new();
    for token in ["kept", "renamed", "changed", "gone"] {
        principals.push(admitted(&credentials, token, token).await);
    }
    let [kept, renamed, changed, _] = given();
    let renamed = Credential { name: Some("another name".into()), ..renamed };
    let changed = with_tags(changed, &["aws"]);
    let replaced = credentials.replace(vec![credential("new", "new"), changed, renamed, kept]);
    assert_eq!(replaced, Replaced { kept: 2, added: 2, ended: 2 });
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let ended = |principal: Principal| {
        let clock = Arc::clone(&clock);
        tokio::spawn(async move { principal.ended(&*clock).await })
    };
    let [kept, renamed, changed, gone] = <[Principal; 4]>::try_from(principals).expect("four").map(ended);
    assert_eq!(changed.await.expect("no panic"), "the credential was changed");
    assert_eq!(gone.await.expect("no panic"), "the credential was taken away");
    assert!(!kept.is_finished() && !renamed.is_finished());
    assert_eq!(credentials.replace(Vec::new()), Replaced { kept: 0, added: 0, ended: 4 });
    for ended in [kept, renamed] {
        assert_eq!(ended.await.expect("no panic"), "the credential was taken away", "it kept its lease");
    }
}

#[tokio::test(start_paused = true)]
async fn a_principal_ends_at_its_time_of_day() {
    use slipstream_store::Timestamp;
    use tokio::time::Instant;

    #[derive(Debug)]
    struct Paused(Instant);
    impl Clock for Paused {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_000_000 + u64::try_from(self.elapsed().as_millis()).expect("it fits"))
        }
        fn elapsed(&self) -> std::time::Duration {
            self.0.elapsed()
        }
        fn ulid(&self) -> ulid::Ulid {
            ulid::Ulid::nil()
        }
        fn random(&self) -> u64 {
            0
        }
    }
    let clock = Paused(Instant::now());
    let at = |seconds: u64| Timestamp::from_millis(1_000_000 + 1_000 * seconds);
    let principal = Principal::unrestricted().until(at(1_000)).until(at(200)).until(at(500));
    assert_eq!(principal.ended(&clock).await, "the certificate has expired");
    assert_eq!(clock.elapsed().as_secs(), 200, "the soonest end counts");
    assert_eq!(Principal::unrestricted().until(at(100)).ended(&clock).await, "the certificate has expired");
    assert_eq!(clock.elapsed().as_secs(), 200, "it was over");
}

/// A certificate for these names, which ends in a far future or has ended long ago.
fn certificate(common_name: &str, names: &[&str], has_ended: bool) -> ConnectInfo {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = rcgen::CertificateParams::new(names).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    params.not_after = rcgen::date_time_ymd(if has_ended { 2001 } else { 4000 }, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let der = params.self_signed(&key).expect("a certificate").der().to_vec();
    ConnectInfo::new(([127, 0, 0, 1], 1).into()).with_certificates([bytes::Bytes::from(der)])
}

#[tokio::test]
async fn a_certificate_is_known_by_its_common_name_and_by_its_alternative_names() {
    let credentials = Credentials::new(
        ["cert:machine-7", "cert:shop.example", "cert:10.0.0.7"].map(|name| credential(name, "*")).into(),
    );
    for (info, expected) in [
        (certificate("machine-7", &["other.example"], false), Some("machine-7")),
        (certificate("other", &["10.0.0.7"], false), Some("10.0.0.7")),
        (certificate("other", &["shop.example"], false), Some("shop.example")),
        (certificate("machine-77", &["x.shop.example"], false), None),
    ] {
        let principal = credentials.authorize(&hello("a", &[]), &info).await;
        assert_eq!(principal.as_ref().ok().and_then(Principal::name), expected, "{principal:?}");
    }
    let unreadable = ConnectInfo::new(([127, 0, 0, 1], 1).into()).with_certificates([bytes::Bytes::from_static(b"x")]);
    assert_eq!(credentials.authorize(&hello("a", &[]), &unreadable).await.expect_err("refused").status().as_u16(), 401);
}

#[tokio::test]
async fn where_any_certificate_will_do_one_is_wanted_and_its_end_can_be_that_of_the_link() {
    use crate::listen::{AnyCertificate, Authorizer, EndAtExpiry};

    let (valid, over) = (certificate("machine-7", &[], false), certificate("machine-7", &[], true));
    let none = ConnectInfo::new(([127, 0, 0, 1], 1).into());
    let principal = AnyCertificate.authorize(&hello("a", &[]), &valid).await.expect("let in");
    assert_eq!(principal.name(), Some("CN=machine-7"));
    assert_eq!(AnyCertificate.authorize(&hello("a", &[]), &none).await.expect_err("refused").status().as_u16(), 401);
    let bounded = EndAtExpiry(Arc::new(AnyCertificate));
    let clock = SystemClock::new();
    let over = bounded.authorize(&hello("a", &[]), &over).await.expect("the transport looks at the dates");
    assert_eq!(over.ended(&clock).await, "the certificate has expired");
    let valid = bounded.authorize(&hello("a", &[]), &valid).await.expect("let in");
    let ending = std::pin::pin!(valid.ended(&clock));
    assert!(futures_poll(ending).is_pending());
}

fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}
