//! The admin API of a relay that runs (OPERATING: "HTTP on the metrics port").

#![cfg(test)]

mod support;

use serde_json::{Value, json};
use support::{Peer, Process, Relay, Response, assert_has, eventually, get, request};

const ACT: &str = "token-of-those-who-act-0123456789";
const READ: &str = "token-of-those-who-look-012345678";

/// A relay whose peers are given up on soon.
async fn start(flags: &[&str], environment: &[(&str, &str)]) -> (Relay, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store").display().to_string();
    let fixed = ["serve", "--listen=127.0.0.1:0", "--metrics-port=0", "--storage-path", &path];
    let soon = [("SLIPSTREAM_ACK_TIMEOUT", "50ms"), ("MAX_MESSAGE_REPUBLISH_ATTEMPTS", "0")];
    let flags = fixed.into_iter().chain(flags.iter().copied());
    let relay = Relay::ready(Process::spawn(flags, &[&soon, environment].concat())).await;
    (relay, folder)
}

async fn ask(relay: &Relay, method: &str, path: &str, body: Option<Value>) -> Response {
    let (headers, body) = match body {
        Some(body) => ("Content-Type: application/json\r\n", body.to_string()),
        None => ("", String::new()),
    };
    request(relay.admin, method, path, headers, &body).await
}

/// The code of an error, which has the one form.
fn code(response: &Response) -> String {
    let body = response.json();
    let (code, message) = (body["error"]["code"].as_str(), body["error"]["message"].as_str());
    assert!(message.is_some_and(|message| !message.is_empty()), "{body}");
    code.expect("a code").to_owned()
}

/// Waits until so many deliveries were given up.
async fn dead(relay: &Relay, count: u64) {
    let look = || async { (get(relay.admin, "/api/v1/status").await.json()["deadLetters"] == count).then_some(()) };
    eventually("the dead letters", look).await;
}

#[tokio::test]
async fn the_status_tells_of_the_relay_its_store_and_its_peers() {
    let (relay, folder) = start(&["--instance-id=here"], &[]).await;
    let _app = Peer::connect(&relay, "id=app").await;
    drop(Peer::connect(&relay, "id=away").await);
    let mut shop = Peer::connect(&relay, "id=shop").await;
    ask(&relay, "POST", "/api/v1/peers/away/pause", None).await;
    let down = || async { (get(relay.admin, "/api/v1/status").await.json()["peers"]["down"] == 1).then_some(()) };
    eventually("away to be gone", down).await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "targetedInstances": ["away"]})).await;
    let status = get(relay.admin, "/api/v1/status").await.json();
    assert_eq!(
        (&status["instanceId"], &status["ready"], &status["reasons"]),
        (&json!("here"), &json!(true), &json!([]))
    );
    assert_eq!(status["peers"], json!({"up": 2, "down": 1, "paused": 1}));
    assert_eq!((&status["backlog"], &status["deadLetters"]), (&json!(1), &json!(0)));
    assert_eq!(status["listen"], json!(relay.url()));
    let store = &status["store"];
    assert_eq!((&store["engine"], &store["durability"]), (&json!("sqlite"), &json!("full")));
    assert_eq!(store["path"], json!(folder.path().join("store").display().to_string()));
    assert!(store["bytes"].as_u64() > Some(0) && store["freeBytes"].as_u64() > Some(0), "{store}");
    assert!(status["uptimeSeconds"].as_f64() > Some(0.0));
}

#[tokio::test]
async fn peers_are_listed_in_pages_shown_and_steered() {
    let peers = r#"[{"url":"ws://127.0.0.1:9/","id":"far"}]"#;
    let (relay, _folder) = start(&["--url-config", peers], &[]).await;
    let mut app = Peer::connect(&relay, "id=app&tags=x,y&clusterGroupId=g").await;
    let mut shop = Peer::connect(&relay, "id=shop").await;
    let page = |path: &'static str| async move { get(relay.admin, path).await.json() };
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    };
    let first = page("/api/v1/peers?limit=2").await;
    assert_eq!((ids(&first), &first["next"]), (vec!["app".to_owned(), "far".to_owned()], &json!("far")));
    let rest = page("/api/v1/peers?limit=2&after=far").await;
    assert_eq!((ids(&rest), &rest["next"]), (vec!["shop".to_owned()], &Value::Null));

    let seen = page("/api/v1/peers/app").await;
    assert_eq!((&seen["kind"], &seen["link"]), (&json!("application"), &json!("up")));
    assert_eq!((&seen["tags"], &seen["clusterGroupId"]), (&json!(["x", "y"]), &json!("g")));
    assert_eq!((&seen["configured"], &seen["alias"], &seen["deadLetters"]), (&json!(false), &Value::Null, &json!(0)));
    let refused = || async {
        let far = page("/api/v1/peers/far").await;
        (far["configured"] == true && far["lastError"].is_string() && far["link"] != "up").then_some(())
    };
    eventually("the first dial to fail", refused).await;

    let steer = |method: &'static str, path: &'static str| ask(&relay, method, path, None);
    assert_eq!(steer("POST", "/api/v1/peers/app/pause").await.json()["paused"], true);
    shop.publish(json!({"type": "SK", "key": "k", "value": 1})).await;
    app.silent().await;
    let held = page("/api/v1/peers/app").await;
    assert_eq!((&held["backlog"], &held["inFlight"]), (&json!(1), &json!(0)));
    assert!(held["oldestAgeSeconds"].is_number());
    assert_eq!(steer("POST", "/api/v1/peers/app/resume").await.json()["paused"], false);
    assert_eq!(app.take().await.raw("value"), "1");
    assert_eq!(steer("DELETE", "/api/v1/peers/app").await.status, 409);
    assert_eq!(steer("POST", "/api/v1/peers/app/disconnect").await.status, 200);
    assert_eq!(app.closed().await.0, 1001);
    let gone = || async { (page("/api/v1/peers/app").await["link"] == "down").then_some(()) };
    eventually("its link to be gone", gone).await;
    assert_eq!(code(&steer("POST", "/api/v1/peers/app/disconnect").await), "conflict");
    shop.publish(json!({"type": "SK", "key": "k", "value": 2})).await;
    assert_eq!(steer("DELETE", "/api/v1/peers/app").await.json(), json!({"id": "app", "forgotten": 1}));
    assert_eq!(code(&steer("DELETE", "/api/v1/peers/app").await), "not_found");
    relay.metric_becomes(r#"slipstream_deliveries_total{outcome="forgotten"}"#, 1.0).await;
    assert_eq!(relay.metric("slipstream_peers_forgotten_total").await, 0.0, "it did not stay away");
    assert_eq!(code(&steer("DELETE", "/api/v1/peers/far").await), "conflict");

    let declare = |body: Value| ask(&relay, "PUT", "/api/v1/peers/new", Some(body));
    assert_eq!(declare(json!({"tags": ["t"]})).await.status, 201);
    let declared = declare(json!({"tags": ["u"], "clusterGroupId": "h"})).await;
    assert_eq!((declared.status, &declared.json()["tags"]), (200, &json!(["u"])));
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "targetedTags": ["u"]})).await;
    assert_eq!(page("/api/v1/peers/new").await["backlog"], 1);
    for (wrong, part) in [
        (json!({"tags": ["a b"]}), "tag: expected"),
        (json!({"tag": []}), "unknown field"),
        (json!({"clusterGroupId": ""}), "cluster group: expected"),
    ] {
        let refused = declare(wrong).await;
        assert_eq!((refused.status, code(&refused).as_str()), (400, "invalid_request"));
        assert_has(&refused.body, [part]);
    }
    for path in
        ["/api/v1/peers?limit=0", "/api/v1/peers?limit=1001", "/api/v1/peers?after=a%20b", "/api/v1/peers?page=2"]
    {
        assert_eq!(code(&get(relay.admin, path).await), "invalid_request", "{path}");
    }
}

#[tokio::test]
async fn a_message_is_traced_from_its_record_to_what_became_of_each_delivery() {
    let (relay, _folder) = start(&["--instance-id=here"], &[]).await;
    let mut app = Peer::connect(&relay, "id=app").await;
    let mut held = Peer::connect(&relay, "id=held").await;
    let _deaf = Peer::connect(&relay, "id=deaf").await;
    let mut shop = Peer::connect(&relay, "id=shop&clusterGroupId=shops").await;
    ask(&relay, "POST", "/api/v1/peers/held/pause", None).await;
    let id = "order/4711?x=%41#";
    let message = json!({"type": "SK", "key": "k", "value": 1, "messageId": id, "clusterGroupId": "shops"});
    shop.publish(&message).await;
    app.take().await;
    dead(&relay, 1).await;
    let path = "/api/v1/messages/order%2F4711%3Fx%3D%2541%23";
    let trace = || async {
        let trace = get(relay.admin, path).await.json();
        (trace["deliveries"][0]["state"] == "acknowledged").then_some(trace)
    };
    let trace = eventually("the acknowledgement", trace).await;
    assert_eq!((&trace["messageId"], &trace["clusterGroupId"]), (&json!(id), &json!("shops")));
    assert_eq!((&trace["type"], &trace["key"], &trace["receivedFrom"]), (&json!("SK"), &json!("k"), &json!("shop")));
    assert_eq!(trace["messagePath"], json!(["shop", "here"]));
    let deliveries = trace["deliveries"].as_array().expect("deliveries");
    let states: Vec<_> = deliveries.iter().map(|each| (each["peer"].as_str(), each["state"].as_str())).collect();
    let expected = [("app", "acknowledged"), ("deaf", "dead"), ("held", "pending")];
    assert_eq!(states, expected.map(|(peer, state)| (Some(peer), Some(state))));
    assert!(deliveries[0]["settledAt"].as_str() >= trace["receivedAt"].as_str());
    assert_eq!((&deliveries[1]["reason"], &deliveries[2]["settledAt"]), (&json!("unacknowledged"), &Value::Null));

    held.silent().await;
    ask(&relay, "POST", "/api/v1/peers/held/resume", None).await;
    held.message().await;
    assert_eq!(get(relay.admin, &format!("{path}?clusterGroupId=shops")).await.status, 200);
    for missing in [format!("{path}?clusterGroupId=others"), "/api/v1/messages/nothing".to_owned()] {
        assert_eq!(code(&get(relay.admin, &missing).await), "not_found");
    }
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": id, "clusterGroupId": "singleton"})).await;
    let both = get(relay.admin, path).await;
    assert_eq!(both.status, 409);
    assert_has(&both.body, ["shops", "singleton"]);
}

#[tokio::test]
async fn what_is_in_flight_is_told_from_what_waits() {
    let (relay, _folder) = start(&["--ack-timeout=1h"], &[]).await;
    let mut app = Peer::connect(&relay, "id=app").await;
    drop(Peer::connect(&relay, "id=away").await);
    let mut shop = Peer::connect(&relay, "id=shop").await;
    shop.publish(json!({"type": "SK", "key": "k", "value": 1, "messageId": "m"})).await;
    let message = app.message().await;
    let states = || async {
        let trace = get(relay.admin, "/api/v1/messages/m").await.json();
        [0, 1].map(|index| trace["deliveries"][index]["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(states().await, ["in_flight", "pending"]);
    app.acknowledge(&message).await;
    eventually("the ACK", || async { (states().await == ["acknowledged", "pending"]).then_some(()) }).await;
}

/// Has `app` refuse the messages m1 to m3, and `deaf` not answer m4, which is held back from `app`. Returns `app`.
async fn three_rejected_and_one_unanswered(relay: &Relay) -> Peer {
    let mut shop = Peer::connect(relay, "id=shop").await;
    let mut app = Peer::connect(relay, "id=app").await;
    for number in 1..=3 {
        shop.publish(
            json!({"type": "SK", "key": format!("k{number}"), "value": number, "messageId": format!("m{number}")}),
        )
        .await;
        let id = app.message().await.id().to_owned();
        app.send(json!({"type": "NACK", "messageId": id, "reason": "no", "code": "invalid"})).await;
        dead(relay, number).await;
    }
    let _deaf = Peer::connect(relay, "id=deaf").await;
    ask(relay, "POST", "/api/v1/peers/app/pause", None).await;
    shop.publish(json!({"type": "EVENT", "value": 4, "messageId": "m4"})).await;
    dead(relay, 4).await;
    app
}

#[tokio::test]
async fn dead_letters_are_listed_counted_shown_redriven_and_purged() {
    let (relay, _folder) = start(&[], &[]).await;
    let mut app = three_rejected_and_one_unanswered(&relay).await;
    let list = |query: &'static str| async move {
        let page = get(relay.admin, &format!("/api/v1/dead-letters{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.body);
        page.json()
    };
    let groups = list("/groups").await;
    let expected = [("app", "rejected", 3), ("deaf", "unacknowledged", 1)];
    let expected = expected.map(|(peer, reason, count)| json!({"peer": peer, "reason": reason, "count": count}));
    assert_eq!(groups["items"], json!(expected));
    let first = list("?peer=app&limit=2").await;
    let ids = |page: &Value| {
        page["items"].as_array().expect("items").iter().map(|it| it["messageId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ["m1", "m2"]);
    let next = first["next"].as_str().expect("more").to_owned();
    let rest = get(relay.admin, &format!("/api/v1/dead-letters?peer=app&limit=2&after={next}")).await.json();
    assert_eq!((ids(&rest), &rest["next"]), (vec![json!("m3")], &Value::Null));
    assert_eq!(ids(&list("?reason=unacknowledged").await), ["m4"]);
    assert_eq!(ids(&list("?messageId=m2").await), ["m2"]);
    let item = &first["items"][0];
    assert_eq!((&item["peer"], &item["type"], &item["key"]), (&json!("app"), &json!("SK"), &json!("k1")));
    assert_has(item["reason"].as_str().expect("a reason"), ["rejected: no"]);
    assert!(item.get("message").is_none());
    let shown = get(relay.admin, &format!("/api/v1/dead-letters/app/{}", item["sequence"])).await.json();
    assert_eq!(shown["message"]["value"], 1);
    assert_eq!(list("?peer=app&payload=true").await["items"][2]["message"]["value"], 3);
    assert_eq!(code(&get(relay.admin, "/api/v1/dead-letters/shop/1").await), "not_found");

    let redrive = |order: Value| ask(&relay, "POST", "/api/v1/dead-letters/redrive", Some(order));
    for (wrong, part) in [
        (json!({}), "expected peer, reason, messageId, or all=true"),
        (json!({"all": true, "peer": "app"}), "all: expected nothing else"),
        (json!({"sequence": 1}), "expected peer too"),
        (json!({"all": true, "rate": 0}), "rate: expected 1 to"),
        (json!({"everything": true}), "unknown field"),
    ] {
        let refused = redrive(wrong).await;
        assert_eq!((refused.status, code(&refused).as_str()), (400, "invalid_request"));
        assert_has(&refused.body, [part]);
    }
    let counted = redrive(json!({"peer": "app", "dryRun": true})).await.json();
    assert_eq!((&counted["matched"], &counted["done"], &counted["state"]), (&json!(3), &json!(0), &json!("done")));
    ask(&relay, "POST", "/api/v1/peers/app/resume", None).await;
    assert_eq!(app.take().await.raw("value"), "4");
    let one = redrive(json!({"peer": "app", "sequence": item["sequence"]})).await.json();
    assert_eq!((&one["matched"], &one["done"]), (&json!(1), &json!(1)));
    assert_eq!(app.take().await.raw("value"), "1", "it comes at once");
    let rest = redrive(json!({"peer": "app", "rate": 1000})).await.json();
    assert_eq!((&rest["matched"], &rest["done"], &rest["skipped"]), (&json!(2), &json!(2), &json!(0)));
    for value in ["2", "3"] {
        assert_eq!(app.take().await.raw("value"), value);
    }
    let purged = ask(&relay, "DELETE", "/api/v1/dead-letters?reason=unacknowledged", None).await.json();
    assert_eq!((&purged["action"], &purged["done"]), (&json!("purge"), &json!(1)));
    assert_eq!(list("").await["items"], json!([]));
    assert_eq!(list("/sweep").await, purged);
}

#[tokio::test]
async fn many_dead_letters_are_redriven_in_their_order() {
    const COUNT: u64 = 600;
    let (relay, _folder) = start(&["--ack-timeout=1h"], &[]).await;
    let mut app = Peer::connect(&relay, "id=app").await;
    let mut shop = Peer::connect(&relay, "id=shop").await;
    for number in 0..COUNT {
        shop.publish(json!({"type": "EVENT", "value": number})).await;
        let id = app.message().await.id().to_owned();
        app.send(json!({"type": "NACK", "messageId": id, "reason": "no", "code": "invalid"})).await;
    }
    dead(&relay, COUNT).await;
    let redriven = ask(&relay, "POST", "/api/v1/dead-letters/redrive?all=true", None).await.json();
    assert_eq!((&redriven["state"], &redriven["done"]), (&json!("done"), &json!(COUNT)));
    for number in 0..COUNT {
        assert_eq!(app.take().await.raw("value"), number.to_string());
    }
}

#[tokio::test]
async fn a_sweep_with_a_rate_goes_on_until_it_is_cancelled() {
    let (relay, _folder) = start(&[], &[]).await;
    let _deaf = Peer::connect(&relay, "id=deaf").await;
    let mut shop = Peer::connect(&relay, "id=shop").await;
    for number in 0..30 {
        shop.publish(json!({"type": "EVENT", "value": number})).await;
    }
    dead(&relay, 30).await;
    ask(&relay, "POST", "/api/v1/peers/deaf/pause", None).await;
    let begun = ask(&relay, "POST", "/api/v1/dead-letters/redrive?all=true&rate=1", None).await;
    assert_eq!((begun.status, &begun.json()["state"]), (202, &json!("running")));
    let other = ask(&relay, "DELETE", "/api/v1/dead-letters?all=true", None).await;
    assert_eq!(code(&other), "conflict");
    let cancelled = ask(&relay, "DELETE", "/api/v1/dead-letters/sweep", None).await.json();
    assert_eq!(cancelled["state"], "cancelled");
    let done = cancelled["done"].as_u64().expect("a count");
    assert!((1..30).contains(&done), "{cancelled}");
    assert_eq!(code(&ask(&relay, "DELETE", "/api/v1/dead-letters/sweep", None).await), "conflict");
    let purged = ask(&relay, "DELETE", "/api/v1/dead-letters?all=true", None).await.json();
    assert_eq!(purged["done"], 30 - done);
}

#[tokio::test]
async fn tokens_let_read_or_act_and_every_action_is_in_the_audit_log() {
    let tokens = [("SLIPSTREAM_ADMIN_TOKEN", ACT), ("SLIPSTREAM_ADMIN_READ_TOKEN", READ)];
    let (relay, _folder) = start(&["--metrics-host=0.0.0.0"], &tokens).await;
    let _app = Peer::connect(&relay, "id=app").await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let pause = "/api/v1/peers/app/pause";
    let other = bearer("token-of-somebody-else-0123456789");
    let basic = format!("Authorization: Basic {ACT}\r\n");
    for (method, path) in [("GET", "/api/v1/status"), ("POST", pause), ("GET", "/api/v1/nothing")] {
        for headers in ["", other.as_str(), basic.as_str()] {
            let refused = request(relay.admin, method, path, headers, "").await;
            assert_eq!((refused.status, code(&refused).as_str()), (401, "unauthorized"), "{headers}");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        }
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(relay.admin, path).await.status, 200, "{path}");
    }
    let reader = bearer(READ);
    let read = |method: &'static str, path: &'static str| request(relay.admin, method, path, &reader, "");
    assert_eq!(read("GET", "/api/v1/status").await.status, 200);
    let refused = read("POST", pause).await;
    assert_eq!((refused.status, code(&refused).as_str()), (403, "forbidden"));
    let crossed = format!("{}Origin: http://evil.example\r\n", bearer(ACT));
    assert_eq!(code(&request(relay.admin, "POST", pause, &crossed, "").await), "cross_site");

    eventually("the refusals to be told", || async {
        let log = relay.process.stderr();
        let told = |code: &str| log.lines().filter(|line| line.contains(code) && line.contains("is refused")).count();
        ([told("unauthorized"), told("forbidden"), told("cross_site")] == [1, 1, 1]).then_some(())
    })
    .await;
    request(
        relay.admin,
        "PUT",
        "/api/v1/logging",
        &(bearer(ACT) + "Content-Type: application/json\r\n"),
        r#"{"level":"error"}"#,
    )
    .await;
    assert_eq!(request(relay.admin, "POST", pause, &bearer(ACT), "").await.status, 200);
    let log = eventually("the audit log", || async {
        let log = relay.process.stderr();
        log.contains("peer.pause").then_some(log)
    })
    .await;
    let line = log.lines().find(|line| line.contains("peer.pause")).expect("a line");
    assert_has(line, ["slipstream::audit", "what=\"app\"", "outcome=\"done\"", "admin token", "127.0.0.1"]);
    assert!([ACT, READ].iter().all(|token| !log.contains(token)), "{log}");
}
