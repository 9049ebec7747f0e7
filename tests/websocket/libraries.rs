//! Echoes in other libraries, each a process, as a server and as a client.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::case::MAX_MESSAGE;
use crate::support::{npm_workshop, python_workshop, run, within, workshop};

/// The command that starts an echo of this library, without what says how.
pub(crate) async fn command(library: &str) -> Command {
    match library {
        "ws" => {
            let folder = npm_workshop("rfc6455-ws", &["tests/websocket/echo.mjs"]).await;
            let mut command = Command::new("node");
            command.arg(folder.join("echo.mjs"));
            command
        }
        "websockets" => {
            let folder = python_workshop("rfc6455-websockets", &["tests/websocket/echo.py"]).await;
            let mut command = Command::new(folder.join(".venv/bin/python"));
            command.arg(folder.join("echo.py"));
            command
        }
        "libwebsockets" => {
            let folder = workshop("rfc6455-libwebsockets", &["tests/websocket/echo.c"]);
            let program = ["-O1", "-Wall", "-Werror", "-o", "echo", "echo.c", "-lwebsockets"];
            run("cc", program, &folder).await;
            Command::new(folder.join("echo"))
        }
        other => panic!("there is no echo in {other}"),
    }
}

/// Starts a server. Returns it, and where it listens.
pub(crate) async fn serve(mut command: Command) -> (Child, SocketAddr) {
    command.arg("serve").arg(MAX_MESSAGE.to_string()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut server = command.spawn().expect("it starts");
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped")).lines();
    let line = within("the port of an echo", lines.next_line()).await.expect("it prints").expect("a line");
    let port: u16 = line.parse().expect("a port");
    (server, ([127, 0, 0, 1], port).into())
}

/// Starts a client that dials this server again and again.
pub(crate) fn dial(mut command: Command, server: SocketAddr) -> Child {
    command.arg("dial").arg(MAX_MESSAGE.to_string()).arg(server.port().to_string());
    command.kill_on_drop(true).spawn().expect("it starts")
}
