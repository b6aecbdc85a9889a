//! What scripts ask of the host: async Rust where something waits.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::sync::{Mutex, OnceCell};

use crate::values::{
    Answer, CText, HostCall, LoadModule, ModuleSource, NormalizeModule, Reply, Request,
};
use crate::{server, with_causes};

pub(crate) struct Host {
    client: reqwest::Client,
    /// The example's own pages, served when a script first asks for one.
    server: OnceCell<String>,
    input: Mutex<Lines<BufReader<Stdin>>>,
}

/// The callbacks of QuickJS's glue, under their minified names.
#[asyncify::imports(module = "a")]
impl Host {
    /// A script called one of the functions that the prelude was handed.
    #[asyncify(name = "i")]
    async fn call_function(&self, call: HostCall) -> Reply {
        Reply { context: call.context, answer: self.answer(call.request).await }
    }

    /// `import`: the guest waits for the file.
    #[asyncify(name = "g")]
    async fn load_module(&self, module: LoadModule) -> ModuleSource {
        let source = tokio::fs::read_to_string(&module.name).await;
        let source =
            source.map_err(|error| format!("cannot load module '{}': {error}", module.name));
        ModuleSource { context: module.context, source }
    }

    /// Names a module by its path: `./x.js` stands beside the module that imports it.
    #[asyncify(name = "f")]
    fn normalize_module(module: NormalizeModule) -> CText {
        if !module.name.starts_with('.') {
            return CText(module.name);
        }
        let folder = Path::new(&module.base).parent().unwrap_or(Path::new(""));
        CText(without_dots(&folder.join(module.name)).to_string_lossy().into_owned())
    }

    /// Whether to end the script. It is never asked, as no interrupt handler is set.
    #[asyncify(name = "h")]
    fn interrupt(_runtime: u32) -> bool {
        false
    }

    /// A host function was collected; the prelude's live as long as the runtime.
    #[asyncify(name = "t")]
    fn free_host_ref(_runtime: u32, _id: u32) {}

    /// Meant for the JavaScript host, which must size its own unwind buffer.
    #[asyncify(name = "u")]
    fn set_asyncify_stack_size(_size: u32, _default: u32) {}
}

impl Host {
    pub(crate) fn new() -> Self {
        let input = Mutex::new(BufReader::new(tokio::io::stdin()).lines());
        Self { client: reqwest::Client::new(), server: OnceCell::new(), input }
    }

    async fn answer(&self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Sleep(time) => {
                tokio::time::sleep(time).await;
                Ok(Answer::Undefined)
            }
            Request::Print(text) => {
                println!("{text}");
                Ok(Answer::Undefined)
            }
            Request::PrintError(text) => {
                eprintln!("{text}");
                Ok(Answer::Undefined)
            }
            Request::ReadLine(prompt) => {
                let line = self.read_line(&prompt).await;
                let line = line.map_err(|error| format!("readLine: {error}"))?;
                Ok(line.map_or(Answer::Null, Answer::Text))
            }
            Request::Fetch(url) => {
                let text = self.fetch(&url).await;
                text.map(Answer::Text)
                    .map_err(|error| format!("fetch {url}: {}", with_causes(&*error)))
            }
        }
    }

    /// A line of standard input; nothing at its end.
    pub(crate) async fn read_line(&self, prompt: &str) -> std::io::Result<Option<String>> {
        print!("{prompt}");
        std::io::stdout().flush()?;
        self.input.lock().await.next_line().await
    }

    /// A page's text. A path alone is one of the example's own pages.
    async fn fetch(&self, url: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        let full = if url.starts_with('/') {
            format!("{}{url}", self.server.get_or_try_init(server::start).await?)
        } else {
            url.to_owned()
        };
        let page = self.client.get(full).send().await.map_err(reqwest::Error::without_url)?;
        if !page.status().is_success() {
            return Err(page.status().to_string().into());
        }
        Ok(page.text().await.map_err(reqwest::Error::without_url)?)
    }
}

fn without_dots(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if clean.file_name().is_some() => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}
