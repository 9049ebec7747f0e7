//! What one message costs on its way through the protocol: reading, rewriting, answering.
//!
//! The message is what an application typically sends: 256 bytes of value, a ULID, two tags, a path of one hop, about
//! 500 bytes in all.
#![expect(clippy::panic, reason = "a bench that cannot make its message has nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use slipstream_relay::protocol::{self, DEFAULT_MAX_DEPTH, Envelope, Incoming, Sender};
use slipstream_store::{ClusterGroup, Identity, MessageId, PeerId, PeerKind, Stamp};
use ulid::Ulid;

const ASSIGNED: Ulid = Ulid::from_parts(1_700_000_000_000, 42);

fn id(text: &str) -> PeerId {
    PeerId::new(text).unwrap_or_else(|error| panic!("{error}"))
}

fn sender() -> Sender {
    Sender { id: id("pi-aws-1"), group: ClusterGroup::singleton(), kind: PeerKind::Application }
}

fn text() -> String {
    format!(
        r#"{{"type":"SK","key":"order:123","value":"{}","messageId":"{ASSIGNED}","originInstanceId":"pi-aws-1","sourceInstanceId":"pi-aws-1","messagePath":["pi-aws-1"],"targetedTags":["aws","production"],"clusterGroupId":"cluster-1"}}"#,
        "v".repeat(254)
    )
}

fn message<'a>(text: &'a str, sender: &Sender) -> Envelope<'a> {
    match protocol::decode(text, sender, DEFAULT_MAX_DEPTH, || ASSIGNED) {
        Ok(Incoming::Message(envelope)) => envelope,
        other => panic!("the benched text is a message: {other:?}"),
    }
}

fn decoder(c: &mut Criterion) {
    let (sender, relay, text) = (sender(), id("relay-aws"), text());
    let identity = Identity { group: ClusterGroup::singleton(), id: MessageId::from(ASSIGNED) };
    let stamp = Some(Stamp { epoch: ASSIGNED, number: 123_456_789 });
    let ack = format!(r#"{{"type":"ACK","messageId":"{ASSIGNED}"}}"#);
    let batch = format!(
        r#"{{"type":"ACK","messageIds":["{}"],"clusterGroupId":"cluster-1"}}"#,
        vec![ASSIGNED.to_string(); 256].join("\",\"")
    );

    let mut group = c.benchmark_group("protocol");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode a message", |b| {
        b.iter(|| {
            // By reference, so that the bench adds no move.
            black_box(&message(black_box(&text), &sender));
        })
    });
    let minimal = format!(r#"{{"type":"SK","key":"order:123","value":"{}"}}"#, "v".repeat(254));
    group.bench_function("decode a message with no optional field", |b| {
        b.iter(|| {
            black_box(&message(black_box(&minimal), &sender));
        });
    });
    let envelope = message(&text, &sender);
    let path = envelope.outgoing_path(&sender.id, &relay);
    group.bench_function("encode a message", |b| {
        b.iter(|| black_box(envelope.encode(&sender.id, black_box(&path), stamp)));
    });
    group.bench_function("fingerprint", |b| b.iter(|| black_box(&envelope).fingerprint()));
    group.bench_function("read an ACK", |b| {
        b.iter(|| black_box(protocol::decode(black_box(&ack), &sender, DEFAULT_MAX_DEPTH, || ASSIGNED)).is_ok());
    });
    let mut out = Vec::with_capacity(1_024);
    group.bench_function("write an ACK", |b| {
        b.iter(|| {
            out.clear();
            protocol::write_ack(&mut out, &relay, black_box(&identity), usize::MAX);
            black_box(out.len())
        });
    });
    group.throughput(Throughput::Elements(256));
    group.bench_function("read an ACK of 256 ids", |b| {
        b.iter(|| black_box(protocol::decode(black_box(&batch), &sender, DEFAULT_MAX_DEPTH, || ASSIGNED)).is_ok());
    });
    group.finish();
}

criterion_group!(benches, decoder);
criterion_main!(benches);
