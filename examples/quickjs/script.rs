//! A script and its jobs, in a runtime of QuickJS that is this script's alone.
//!
//! QuickJS keeps what a runtime is doing in that runtime: the chain of its frames, its pending
//! exception, its jobs. So scripts that wait at one time need one each; then nothing of one is in
//! the way of another, though all have one memory and one interpreter.

use asyncify::{Guest, Result};

use crate::interpreter::QuickJsExports;
use crate::js::{self, Context, Js, Promise, Runtime, Value};
use crate::rejections::Rejections;
use crate::values::{Arguments, CText, Ignored, Request, Source};

/// `JS_EVAL_TYPE_MODULE`.
const AS_MODULE: u32 = 1;

pub(crate) struct Script {
    guest: Guest,
    quickjs: QuickJsExports,
    rejections: Rejections,
    runtime: Runtime,
    context: Context,
    undefined: Value,
    /// The prelude's functions: one makes text of any value, the other runs the next timer.
    inspect: Value,
    turn: Value,
}

/// How a script ended.
pub(crate) enum Outcome {
    /// With this value, as text.
    Value(String),
    /// With an exception that nothing caught, as text with its stack.
    Uncaught(String),
    /// With a promise that was rejected and that nobody handles: why, as text.
    Rejected(String),
    /// It waits for a promise that nothing settles any more.
    Unsettled,
}

/// What came of a timer's turn.
enum Turn {
    Taken,
    Thrown(Value),
    /// There are no timers.
    None,
}

impl Script {
    pub(crate) async fn new(
        guest: &Guest,
        quickjs: &QuickJsExports,
        rejections: &Rejections,
    ) -> Result<Self> {
        let (guest, quickjs, rejections) = (guest.clone(), quickjs.clone(), rejections.clone());
        let (runtime, context) = guest.with(js::new_context).await??;
        let undefined = guest.with(|cx| Js::new(cx, context).undefined()).await??;
        // Until the prelude has run.
        let (inspect, turn) = (undefined, undefined);
        let mut this =
            Self { guest, quickjs, rejections, runtime, context, undefined, inspect, turn };
        this.prelude().await?;
        Ok(this)
    }

    /// Runs the prelude with the host's functions.
    async fn prelude(&mut self) -> Result<()> {
        let source = Source(include_str!("prelude.js").to_owned());
        let file = CText("<prelude>".to_owned());
        let prelude = self.quickjs.eval(self.context, source, file, false, 0).await?;
        let host = self
            .with(|js| {
                let host = js.object()?;
                for (id, name) in (1..).zip(Request::NAMES) {
                    let function = js.function(name, id)?;
                    js.define(host, name, function)?;
                    js.free(function)?;
                }
                Ok(host)
            })
            .await?;
        let functions = self.call(prelude, vec![host]).await?;
        let (inspect, turn) = self
            .with(|js| {
                js.free(host)?;
                js.free(prelude)?;
                let both = (js.item(functions, 0)?, js.item(functions, 1)?);
                js.free(functions)?;
                Ok(both)
            })
            .await?;
        (self.inspect, self.turn) = (inspect, turn);
        Ok(())
    }

    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// Runs a script, and the jobs and timers that it leaves.
    pub(crate) async fn run(&self, source: String, file: &str, module: bool) -> Result<Outcome> {
        let flags = if module { AS_MODULE } else { 0 };
        let (source, file) = (Source(source), CText(file.to_owned()));
        let value = self.quickjs.eval(self.context, source, file, !module, flags).await?;
        if let Some(error) = self.with(|js| js.thrown(value)).await? {
            return Ok(Outcome::Uncaught(self.text(error).await?));
        }
        loop {
            if let Some(error) = self.jobs().await? {
                return Ok(Outcome::Uncaught(self.text(error).await?));
            }
            // What `main()` of an `async function main` gives, or a module that awaits.
            let promise = self.with(|js| js.promise(value)).await?;
            let rejected = self.rejected().await?;
            if promise == Promise::Rejected {
                let error = self.with(|js| js.settled(value)).await?;
                return Ok(Outcome::Uncaught(self.text(error).await?));
            }
            if let Some(text) = rejected {
                return Ok(Outcome::Rejected(text));
            }
            match self.turn().await? {
                Turn::Taken => {}
                Turn::Thrown(error) => return Ok(Outcome::Uncaught(self.text(error).await?)),
                Turn::None if promise == Promise::Pending => return Ok(Outcome::Unsettled),
                Turn::None => return Ok(Outcome::Value(self.text(value).await?)),
            }
        }
    }

    /// Runs jobs until none are left: what one of them threw.
    async fn jobs(&self) -> Result<Option<Value>> {
        let all = -1;
        let ended = self.quickjs.execute_jobs(self.runtime, all, Ignored).await?;
        self.with(|js| match js.type_of(ended)?.as_str() {
            "number" => js.free(ended).map(|()| None),
            _ => Ok(Some(ended)),
        })
        .await
    }

    /// Why the first of the promises was rejected that nobody handles.
    async fn rejected(&self) -> Result<Option<String>> {
        let mut first = None;
        for reason in self.rejections.take(self.context) {
            let text = self.text(reason).await?;
            first.get_or_insert(text);
        }
        Ok(first)
    }

    /// Waits for the next timer, if there is one.
    async fn turn(&self) -> Result<Turn> {
        let turn = self.call(self.turn, Vec::new()).await?;
        self.with(|js| match js.thrown(turn)? {
            Some(error) => Ok(Turn::Thrown(error)),
            None if js.number(turn)? == 0.0 => Ok(Turn::None),
            None => Ok(Turn::Taken),
        })
        .await
    }

    /// A value as text, and the value freed. It may run the script's own getters.
    async fn text(&self, value: Value) -> Result<String> {
        let text = self.call(self.inspect, vec![value]).await?;
        self.with(|js| {
            let shown = match js.thrown(text)? {
                None => js.text(text)?,
                Some(error) => {
                    js.free(error)?;
                    "a value that cannot be shown".to_owned()
                }
            };
            js.free(text)?;
            js.free(value)?;
            Ok(shown)
        })
        .await
    }

    async fn call(&self, function: Value, arguments: Vec<Value>) -> Result<Value> {
        self.quickjs.call(self.context, function, self.undefined, Arguments(arguments)).await
    }

    async fn with<R>(&self, body: impl FnOnce(&mut Js<'_, '_, ()>) -> Result<R>) -> Result<R> {
        self.guest.with(|cx| body(&mut Js::new(cx, self.context))).await?
    }
}
