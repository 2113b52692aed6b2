//! Serves a folder of static files on this machine only. Types, ranges and safe paths come from
//! tower-http. Must not know what the files are.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::command::command;

const USUAL_PORT: u16 = 8080;

/// Serves until the process is ended. Without a port the usual one is taken, or any free one.
pub fn serve(site: &Path, port: Option<u16>, open: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = listen(port).await?;
        let address = format!("http://localhost:{}/", listener.local_addr()?.port());
        println!("\nMKA Lab is at {address}   (Ctrl+C ends it)");
        if open {
            open_browser(&address);
        }
        axum::serve(listener, files(site)).await.context("the server stopped")
    })
}

async fn listen(port: Option<u16>) -> Result<TcpListener> {
    let bind = async |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    match bind(port.unwrap_or(USUAL_PORT)).await {
        Err(error) if port.is_none() && error.kind() == ErrorKind::AddrInUse => {
            bind(0).await.context("no port is free")
        }
        result => result.with_context(|| format!("port {} cannot be used", port.unwrap_or(USUAL_PORT))),
    }
}

/// `no-cache` makes the browser ask every time, so that a rebuilt page is seen at once.
fn files(site: &Path) -> Router {
    let no_cache = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Router::new().fallback_service(ServeDir::new(site)).layer(no_cache)
}

/// Opens the address where there is a screen; the printed address has to do where that fails.
fn open_browser(address: &str) {
    let headless = ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none());
    let (program, arguments): (&str, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ if headless => return,
        _ => ("xdg-open", &[]),
    };
    if let Ok(mut opener) = command(program) {
        opener.args(arguments).arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A browser that cannot be opened is no fault of the server's.
        let _ = opener.spawn();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};

    use super::*;

    /// One request over a plain socket, so that no client tidies the path up on the way.
    fn request(address: SocketAddr, path: &str, header: &str) -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.to_lowercase())
    }

    #[test]
    fn types_ranges_and_safe_paths() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("mka-lab-serve-{}", std::process::id()));
        let site = folder.join("site");
        fs::create_dir_all(site.join("models"))?;
        fs::write(folder.join("secret.txt"), "secret")?;
        for name in [
            "index.html",
            "mka.js",
            "mka_lab_bg.wasm",
            "models/config.json",
            "models/model.safetensors",
            "models/README.md",
        ] {
            fs::write(site.join(name), "0123456789")?;
        }
        let (tell, told) = std::sync::mpsc::channel();
        let served = files(&site);
        std::thread::spawn(move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let listener = listen(Some(0)).await?;
                tell.send(listener.local_addr()?)?;
                Ok(axum::serve(listener, served).await?)
            })
        });
        let address = told.recv()?;

        let types = [
            ("/", "text/html"),
            ("/mka.js", "text/javascript"),
            ("/mka_lab_bg.wasm", "application/wasm"),
            ("/models/config.json", "application/json"),
            ("/models/model.safetensors", "application/octet-stream"),
            ("/models/README.md", "text/markdown"),
        ];
        for (path, kind) in types {
            let answer = request(address, path, "")?;
            assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
            assert!(answer.contains(&format!("content-type: {kind}")), "{path}: {answer}");
            assert!(answer.contains("cache-control: no-cache"), "{path}: {answer}");
        }
        let part = request(address, "/models/model.safetensors", "Range: bytes=2-5\r\n")?;
        assert!(part.starts_with("http/1.1 206"), "{part}");
        assert!(part.contains("content-range: bytes 2-5/10"), "{part}");
        assert!(part.ends_with("\r\n\r\n2345"), "{part}");
        for path in ["/../secret.txt", "/%2e%2e/secret.txt", "/models/..%2f..%2fsecret.txt", "/nothing.json"] {
            let answer = request(address, path, "")?;
            assert!(answer.starts_with("http/1.1 4"), "{path}: {answer}");
            assert!(!answer.contains("secret\n"), "{path}: {answer}");
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
