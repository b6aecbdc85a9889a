//! What Emscripten's C library asks of its host. QuickJS needs little of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use asyncify::{GuestCx, Trap};

const PAGE: u64 = 64 << 10;
/// WASI's numbers of "not supported" and "cannot seek".
const NOSYS: u32 = 52;
const SPIPE: u32 = 70;

/// The C library's imports, under their minified names.
#[derive(Default)]
pub(crate) struct Emscripten {
    /// Whether a line on standard error is not finished.
    open_line: AtomicBool,
}

#[asyncify::imports(module = "a")]
impl Emscripten {
    #[asyncify(name = "b")]
    fn assert_fail<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        condition: u32,
        file: u32,
        line: u32,
        _function: u32,
    ) -> Result<(), Trap> {
        let [condition, file] = [condition, file].map(|text| crate::js::c_string(cx, text));
        Err(Trap::new(format!("assertion failed in QuickJS: {condition}, at {file}:{line}")))
    }

    #[asyncify(name = "q")]
    fn abort() -> Result<(), Trap> {
        Err(Trap::new("QuickJS aborted"))
    }

    #[asyncify(name = "r")]
    fn exit(code: i32) -> Result<(), Trap> {
        Err(Trap::new(format!("QuickJS exited with code {code}")))
    }

    /// Grows the memory for the heap. The guest is told whether that worked.
    #[asyncify(name = "k")]
    fn resize_heap<T: Send + 'static>(cx: &mut GuestCx<'_, T>, wanted: u32) -> bool {
        let size = cx.memory().len() as u64;
        // A fifth more than is asked for, so that a growing heap asks seldom.
        let generous = (u64::from(wanted) + size / 5).div_ceil(PAGE);
        let exact = u64::from(wanted).div_ceil(PAGE);
        [generous, exact].into_iter().any(|pages| cx.grow_memory(pages - size / PAGE).is_some())
    }

    /// Milliseconds since 1970.
    #[asyncify(name = "p")]
    fn date_now() -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
    }

    /// Scripts see UTC: QuickJS asks for the local time's offset only, which is 0.
    #[asyncify(name = "m")]
    fn localtime<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        _time: i64,
        tm: u32,
    ) -> Result<(), Trap> {
        const FIELDS: usize = 10;
        Ok(cx.write(tm, &[0; FIELDS * 4])?)
    }

    #[asyncify(name = "n")]
    fn tzset<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        timezone: u32,
        daylight: u32,
        standard_name: u32,
        daylight_name: u32,
    ) -> Result<(), Trap> {
        cx.write(timezone, &[0; 4])?;
        cx.write(daylight, &[0; 4])?;
        cx.write(standard_name, b"UTC\0")?;
        Ok(cx.write(daylight_name, b"UTC\0")?)
    }

    /// No timer is ever set: QuickJS uses none.
    #[asyncify(name = "j")]
    fn set_timer(_which: i32, _ms: f64) -> i32 {
        0
    }

    #[asyncify(name = "l")]
    fn clear_keepalive() {}

    #[asyncify(name = "e")]
    fn environ_sizes<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        count: u32,
        bytes: u32,
    ) -> Result<u32, Trap> {
        cx.write(count, &[0; 4])?;
        cx.write(bytes, &[0; 4])?;
        Ok(0)
    }

    #[asyncify(name = "d")]
    fn environ(_pointers: u32, _bytes: u32) -> u32 {
        0
    }

    #[asyncify(name = "c")]
    fn close(_fd: u32) -> u32 {
        NOSYS
    }

    #[asyncify(name = "o")]
    fn seek(_fd: u32, _offset: i64, _whence: u32, _new_offset: u32) -> u32 {
        SPIPE
    }

    /// What QuickJS itself prints: its diagnostics. Scripts print through the host.
    #[asyncify(name = "s")]
    fn write<T: Send + 'static>(
        &self,
        cx: &mut GuestCx<'_, T>,
        _fd: u32,
        parts: u32,
        count: u32,
        written: u32,
    ) -> Result<u32, Trap> {
        let mut total = 0_u32;
        for part in 0..count {
            let [ptr, len] = [0, 4].map(|field| parts.wrapping_add(part * 8 + field));
            let (ptr, len) = (word(cx, ptr)?, word(cx, len)?);
            let text = String::from_utf8_lossy(cx.read(ptr, len)?);
            let newline = !self.open_line.swap(!text.ends_with('\n'), Ordering::Relaxed);
            eprint!("{}{text}", if newline && !text.is_empty() { "quickjs: " } else { "" });
            total += len;
        }
        cx.write(written, &total.to_le_bytes())?;
        Ok(0)
    }
}

fn word<T: Send + 'static>(cx: &GuestCx<'_, T>, address: u32) -> Result<u32, Trap> {
    let bytes = cx.read(address, 4)?.first_chunk().copied().unwrap_or_default();
    Ok(u32::from_le_bytes(bytes))
}
