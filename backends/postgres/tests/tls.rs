//! TLS to the server.

use slipstream_conformance::fixture::*;
use slipstream_postgres::{PostgresOptions, PostgresStore};
use slipstream_postgres_server::Server;
use slipstream_store::{MessageStore as _, Result, StoreError};

/// Opens the store of a server over TLS, by this name of it and with these authorities.
async fn open(server: &Server, host: &str, authorities: &str) -> Result<PostgresStore> {
    let url = format!("{}?sslmode=require", server.url("postgres").replace("127.0.0.1", host));
    PostgresStore::open(PostgresOptions::new(&url)?.authorities(authorities.as_bytes())?).await
}

/// Over TLS a store opens and works if the certificate is the right one, and otherwise nothing is said to the server.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_certificate_and_name_are_looked_at() {
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate can be made");
    let (own, other) = (made("127.0.0.1"), made("127.0.0.1"));
    let server = Server::start_tls(&own.cert.pem(), &own.signing_key.serialize_pem());
    let store = open(&server, "127.0.0.1", &own.cert.pem()).await.expect("the store opens");
    let sequence = recorded(&store, message("m1", &[])).await;
    assert_eq!(sequence, slipstream_store::Sequence::FIRST);
    let over_tls = "SELECT count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE ssl AND application_name = 'slipstream'";
    assert_eq!(server.sql("postgres", over_tls), "t");
    for (host, authorities) in [("127.0.0.1", other.cert.pem()), ("localhost", own.cert.pem())] {
        let refused = open(&server, host, &authorities).await.map(drop);
        assert!(matches!(&refused, Err(StoreError::Unavailable(text)) if text.contains("certificate")), "{refused:?}");
    }
    store.close().await.expect("the store closes");
}

/// Without TLS at the server, a store that wants it does not open.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_taken_where_it_is_wanted() {
    let server = Server::start();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
    let refused = open(&server, "127.0.0.1", &own.cert.pem()).await.map(drop);
    assert!(matches!(&refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let broken = PostgresOptions::new(&server.url("postgres")).expect("a URL").authorities(b"no PEM").map(drop);
    assert!(matches!(broken, Err(StoreError::Inaccessible(_))), "{broken:?}");
}
