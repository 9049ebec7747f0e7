//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::admin;
use crate::config::Config;
use crate::listen::ListenLimits;

/// What is open besides links: the store's files on every engine, the log, the listeners and the runtime's own. An idle
/// relay has fewer than half as many.
const OTHERS: u64 = 128;

/// Raises the soft limit to the hard one, and returns what is in force then; `None` where there is no limit. A soft limit
/// is low for the sake of programs that use `select`, which this one does not.
pub(super) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Some systems have another limit below the hard one.
        Err(_) => current,
    }
}

/// What an operator should know where the limit is too low for what the configuration permits.
pub(super) fn warning(limit: Option<u64>, config: &Config) -> Option<String> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let links = count(config.max_connections.get());
    let dials = count(config.peers.len());
    let pages = count(admin::MAX_CONNECTIONS);
    let beyond = count(ListenLimits::default().max_beyond);
    let wanted = links.saturating_add(dials).saturating_add(pages + beyond + OTHERS);
    let limit = limit.filter(|limit| *limit < wanted)?;
    Some(format!(
        "the limit of open files is {limit}, and {wanted} may be wanted: {links} for links (SLIPSTREAM_MAX_CONNECTIONS), {beyond} for \
         those beyond that limit, {dials} for dialled peers, {pages} for the admin port and {OTHERS} for the store and the rest; \
         expected a higher hard limit (LimitNOFILE= in systemd, ulimit -Hn in a shell, --ulimit in a container) or a lower \
         SLIPSTREAM_MAX_CONNECTIONS"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EmbeddedEngine, Sources, read_file};

    #[test]
    fn a_limit_below_what_is_permitted_is_doubted() {
        let sources =
            Sources { flags: &[], environment: &[], read_file: &read_file, engines: &[EmbeddedEngine::Sqlite.into()] };
        let config = Config::load(&sources).expect("the defaults are no fault");
        assert_eq!(warning(None, &config), None);
        assert_eq!(warning(Some(10_448), &config), None);
        let told = warning(Some(10_447), &config).expect("one too few");
        for part in ["10447", "10448", "10000 for links", "SLIPSTREAM_MAX_CONNECTIONS", "LimitNOFILE"] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }
}
