//! Constants, statics and unit structs by the names of variables: a pattern would mean them.

#![allow(missing_docs, missing_debug_implementations, dead_code)]
#![allow(non_upper_case_globals, non_camel_case_types)]

const host: u32 = 0;
static imports: u32 = 0;
const cx: u32 = 0;
struct answer;
struct arg0;
const arg1: u32 = 0;
static lookup: u32 = 0;

pub struct Host;

#[asyncify::imports(module = "env")]
impl Host {
    async fn open(&self, path: &str, out: &mut asyncify::OutBuf) -> u32 {
        let _ = (path, out);
        host
    }

    fn log(&self, _: &str, level: u32) {
        let _ = level;
    }

    fn intern<T: Send + 'static>(&self, _: &mut asyncify::GuestCx<'_, T>, text: &str) -> u32 {
        let _ = text;
        0
    }
}

#[asyncify::exports]
pub trait App {
    async fn run(&self, _: &str, pages: u32) -> u32;
    fn quit(&self, _: &str, _: u32);
}
