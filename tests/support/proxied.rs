//! Real proxies as processes: HAProxy, nginx and stunnel, with the configurations of docs/behind-a-proxy.md.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::{eventually, own_loopback, within};

/// Where Debian has them. Not every user's path has `sbin`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What nginx needs besides an example, so that it runs beside others, in a folder of its own and as whoever tests.
const NGINX: &str = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n\
    daemon off; master_process off; pid nginx.pid; error_log stderr; events {}\n";
const NGINX_HTTP: &str = "http { access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; \
    uwsgi_temp_path t4; scgi_temp_path t5;";

/// A kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Haproxy,
    Nginx,
    Stunnel,
}

/// A proxy that runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Proxied {
    /// Where it takes connections.
    pub address: SocketAddr,
    _child: Child,
}

/// Makes a key and a certificate for `localhost`, in one file.
pub async fn certificate(folder: &Path) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
                     -keyout key.pem -out certificate.pem";
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split_whitespace()).current_dir(folder).env("PATH", PATH);
    let made = within("a certificate", openssl.output()).await.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let parts = ["certificate.pem", "key.pem"].map(|part| std::fs::read(folder.join(part)).expect("it was made"));
    std::fs::write(folder.join("relay.pem"), parts.concat()).expect("it can be written");
}

impl Proxied {
    /// Starts a proxy with an example of the page, in a folder that has a certificate.
    pub async fn start(kind: Kind, example: &str, relay: SocketAddr, folder: &Path) -> Self {
        let address = free();
        let pem = folder.join("relay.pem").display().to_string();
        // First, because the relay's own port may begin with 443.
        let own = match kind {
            Kind::Haproxy => example.replace(":443", &address.to_string()),
            Kind::Nginx | Kind::Stunnel => example.replace("443", &address.to_string()),
        };
        assert_ne!(own, example, "the port of the example is another one:\n{example}");
        let own = own.replace("127.0.0.1:7171", &relay.to_string()).replace("/etc/ssl/relay.pem", &pem);
        let own = match kind {
            Kind::Haproxy => own,
            Kind::Nginx => NGINX.to_owned() + &own.replacen("http {", NGINX_HTTP, 1),
            Kind::Stunnel => format!("foreground = yes\npid =\n{own}"),
        };
        Self { address, _child: run(kind, &own, address, folder).await }
    }

    /// Starts what speaks TLS with the proxy at `to` for a client that does not, and connects from the address `from`.
    pub async fn client(from: IpAddr, to: SocketAddr, folder: &Path) -> Self {
        let address = free();
        let config = format!(
            "foreground = yes\npid =\n[client]\nclient = yes\naccept = {address}\nconnect = {to}\nlocal = {from}\n"
        );
        Self { address, _child: run(Kind::Stunnel, &config, address, folder).await }
    }
}

/// An address that nobody else uses.
fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind((own_loopback(), 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}

/// Whether somebody listens there. It makes no connection, which the proxy would pass on: that would still be counted, or be in
/// its handshake, when the first one of a test comes.
fn listens(address: SocketAddr) -> bool {
    const LISTEN: &str = "0A";
    let IpAddr::V4(ip) = address.ip() else { panic!("{address}: expected an IPv4 address") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    table.lines().any(|line| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next() == Some(&local) && columns.nth(1) == Some(LISTEN)
    })
}

async fn run(kind: Kind, config: &str, address: SocketAddr, folder: &Path) -> Child {
    let file = folder.join(format!("{address}.conf"));
    std::fs::write(&file, config).expect("it can be written");
    let (program, arguments) = match kind {
        Kind::Haproxy => ("haproxy", vec!["-db".as_ref(), "-f".as_ref(), file.as_os_str()]),
        Kind::Nginx => ("nginx", vec!["-p".as_ref(), folder.as_os_str(), "-c".as_ref(), file.as_os_str()]),
        Kind::Stunnel => ("stunnel4", vec![file.as_os_str()]),
    };
    let log = std::fs::File::create(folder.join(format!("{address}.log"))).expect("it can be written");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("PATH", PATH).stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(log.try_clone().expect("a second handle")).stderr(log);
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("{program}: {error}. On Debian: apt-get install haproxy nginx libnginx-mod-stream stunnel4 openssl")
    });
    let said = || std::fs::read_to_string(folder.join(format!("{address}.log"))).unwrap_or_default();
    eventually("a proxy that listens", || {
        let ended = child.try_wait().expect("it can be awaited");
        async move {
            assert!(ended.is_none(), "{program} ended with {ended:?}:\n{config}\n{}", said());
            listens(address).then_some(())
        }
    })
    .await;
    child
}
