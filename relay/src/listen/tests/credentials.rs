//! What the authorizer gets to see, and what comes of what it says.

use super::*;

#[tokio::test]
async fn the_authorizer_decides() {
    struct Token;
    #[async_trait]
    impl Authorizer for Token {
        async fn authorize(&self, hello: &Hello, _: &ConnectInfo) -> Result<Principal, Refusal> {
            match hello.token.as_ref().map(Secret::expose) {
                Some("good") => Ok(Principal::named("shop")),
                Some(_) => Err(Refusal::forbidden("this token may not")),
                None => Err(Refusal::unauthorized("a bearer token is required")),
            }
        }
    }
    let running = start_with(ListenLimits::default(), EchoRelay::default(), Token);
    let answer = running.ask(&upgrade("/", "")).await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.to_lowercase().contains("www-authenticate: bearer"),
        "{answer}"
    );
    for (token, status) in [("bad", Some(403)), ("good", None)] {
        let options = ClientOptions { token: Some(Secret::new(token.to_owned())), ..ClientOptions::default() };
        let got = match Client::connect(&running.url(), &options).await {
            Ok(_) => None,
            Err(ConnectError::Handshake(HandshakeError::Refused { status, .. })) => Some(status.as_u16()),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(got, status);
    }
    let admitted = running.relay.admitted.lock();
    let names: Vec<_> = admitted.iter().map(|(_, principal)| principal.as_deref()).collect();
    assert_eq!(names, [Some("shop")], "who is refused is not admitted, and the principal goes with the peer");
}

#[tokio::test]
async fn a_slow_or_broken_authorizer_holds_up_nobody_else() {
    struct Moody;
    #[async_trait]
    impl Authorizer for Moody {
        async fn authorize(&self, hello: &Hello, _: &ConnectInfo) -> Result<Principal, Refusal> {
            match hello.id.as_ref().map(PeerId::as_str) {
                Some("slow") => std::future::pending().await,
                Some("panic") => panic!("a panic was asked for"),
                _ => Ok(Principal::unrestricted()),
            }
        }
    }
    let limits =
        ListenLimits { max_connections: 3, handshake_timeout: Duration::from_millis(500), ..ListenLimits::default() };
    let running = start_with(limits, EchoRelay::default(), Moody);
    let refused = timeout(PATIENCE, running.connect("panic")).await.expect("it hangs up");
    refused.expect_err("its authorizer panicked");
    let (slow, quick) = tokio::join!(running.connect("slow"), async {
        until("the slow one is there", || !running.tracker.is_empty()).await;
        running.connect("quick").await
    });
    slow.expect_err("the handshake takes too long");
    quick.expect("it is not held up");
}
