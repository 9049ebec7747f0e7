//! The metrics page of a relay, as the load reads it.

use async_trait::async_trait;
use hyper::{Method, StatusCode};
use slipstream_benches::load::MetricsPage;

use crate::admin::{AdminUrl, client};

/// The page of the relay with this admin URL, asked for whenever it is read.
#[derive(Debug)]
pub(super) struct Asked(pub(super) AdminUrl);

#[async_trait]
impl MetricsPage for Asked {
    fn url(&self) -> &str {
        self.0.as_str()
    }

    async fn text(&self) -> Result<String, String> {
        let url = self.url();
        match client::ask(&self.0, Method::GET, "/metrics", None).await {
            Ok((StatusCode::OK, page)) => Ok(String::from_utf8_lossy(&page).into_owned()),
            Ok((status, _)) => Err(format!("{url}/metrics: answered with {status}")),
            Err(fault) => Err(fault.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::ClientTls;

    #[tokio::test]
    async fn a_page_that_is_not_there_is_named() {
        for url in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
            let fault = Asked(AdminUrl::new(url, ClientTls::default(), None)).text().await.expect_err("there is none");
            assert!(fault.contains(&format!("{url}/metrics")), "{fault}");
        }
    }
}
