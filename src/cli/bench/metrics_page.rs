//! The metrics page of a relay, as the load reads it.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use slipstream_benches::load::MetricsPage;

use crate::admin::client;

/// The page of the relay with this admin URL, asked for whenever it is read.
#[derive(Debug)]
pub(super) struct Asked(pub(super) String);

#[async_trait]
impl MetricsPage for Asked {
    fn url(&self) -> &str {
        &self.0
    }

    async fn text(&self) -> Result<String, String> {
        let Self(url) = self;
        match client::ask(url, Method::GET, "/metrics", None).await {
            Ok((StatusCode::OK, page)) => Ok(String::from_utf8_lossy(&page).into_owned()),
            Ok((status, _)) => Err(format!("{url}/metrics: answered with {status}")),
            Err(fault) => Err(fault.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_is_not_there_is_named() {
        for (url, told) in
            [("http://127.0.0.1:1", "http://127.0.0.1:1/metrics"), ("https://127.0.0.1:1", "does not speak TLS yet")]
        {
            let fault = Asked(url.to_owned()).text().await.expect_err("there is none");
            assert!(fault.contains(told), "{fault}");
        }
    }
}
