//! The server of a test binary.

use std::sync::OnceLock;

use slipstream_postgres::PostgresOptions;
use slipstream_postgres_server::Server;

/// The server, which is started by whoever is first. It syncs nothing: no test cuts its power, and each makes databases.
pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start_with("fsync = off"))
}

/// How to open the store in a database.
pub(crate) fn options(database: &str) -> PostgresOptions {
    PostgresOptions::new(&server().url(database)).expect("the server has a URL")
}
