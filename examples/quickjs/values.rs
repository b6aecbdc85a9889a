//! What crosses between QuickJS and Rust, as types that read and build themselves in the guest.

use std::time::Duration;

use asyncify::{FromGuest, GuestCx, GuestPtr, IntoGuest, Slice, Trap};

use crate::js::{Context, Js, Value, c_bytes, c_string};

/// What a script asks of the host.
pub(crate) enum Request {
    Sleep(Duration),
    Fetch(String),
    ReadLine(String),
    Print(String),
    PrintError(String),
}

impl Request {
    /// The functions that the prelude is handed. Their place here is their id.
    pub(crate) const NAMES: [&str; 5] = ["sleep", "fetch", "readLine", "print", "printError"];
}

/// `qts_host_call_function(ctx, this, argc, argv, id)`: read while the guest is in hand.
pub(crate) struct HostCall {
    pub(crate) context: Context,
    pub(crate) request: Request,
}

impl FromGuest for HostCall {
    type Abi = (u32, u32, u32, u32, u32);

    fn from_guest<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (context, _this, count, arguments, id): Self::Abi,
    ) -> Result<Self, Trap> {
        let context = GuestPtr::new(context);
        let mut js = Js::new(cx, context);
        // The prelude passes one argument, of the right type.
        let argument = match count {
            0 => js.undefined()?,
            _ => js.argument(arguments, 0)?,
        };
        // An id of 0 means none to QuickJS's glue.
        let name = Request::NAMES.get((id as usize).wrapping_sub(1));
        let request = match name {
            Some(&"sleep") => {
                let seconds = js.number(argument)? / 1000.0;
                Request::Sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default())
            }
            Some(&"fetch") => Request::Fetch(js.text(argument)?),
            Some(&"readLine") => Request::ReadLine(js.text(argument)?),
            Some(&"print") => Request::Print(js.text(argument)?),
            Some(&"printError") => Request::PrintError(js.text(argument)?),
            _ => return Err(Trap::new(format!("the script called the unknown function {id}"))),
        };
        Ok(Self { context, request })
    }
}

/// What a host function returns.
pub(crate) enum Answer {
    Undefined,
    Null,
    Text(String),
}

/// The `JSValue*` that answers a [`HostCall`]; an error is thrown as a JavaScript exception.
pub(crate) struct Reply {
    pub(crate) context: Context,
    pub(crate) answer: Result<Answer, String>,
}

impl IntoGuest for Reply {
    type Abi = u32;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        let mut js = Js::new(cx, self.context);
        let value = match self.answer {
            // The glue takes a null pointer for it.
            Ok(Answer::Undefined) => Value::new(0),
            Ok(Answer::Null) => js.null()?,
            Ok(Answer::Text(text)) => js.string(&text)?,
            Err(message) => js.throw(&message)?,
        };
        Ok(value.address())
    }
}

/// `qts_host_load_module_source(rt, ctx, name)`.
pub(crate) struct LoadModule {
    pub(crate) context: Context,
    pub(crate) name: String,
}

impl FromGuest for LoadModule {
    type Abi = (u32, u32, u32);

    fn from_guest<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (_runtime, context, name): Self::Abi,
    ) -> Result<Self, Trap> {
        Ok(Self { context: GuestPtr::new(context), name: c_string(cx, name) })
    }
}

/// A module's text, which the guest frees, or the exception that is thrown instead.
pub(crate) struct ModuleSource {
    pub(crate) context: Context,
    pub(crate) source: Result<String, String>,
}

impl IntoGuest for ModuleSource {
    type Abi = u32;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        match self.source {
            Ok(source) => CText(source).into_guest(cx),
            Err(message) => {
                let mut js = Js::new(cx, self.context);
                let thrown = js.throw(&message)?;
                js.free(thrown)?;
                Ok(0)
            }
        }
    }
}

/// `qts_host_normalize_module(rt, ctx, base, name)`.
pub(crate) struct NormalizeModule {
    pub(crate) base: String,
    pub(crate) name: String,
}

impl FromGuest for NormalizeModule {
    type Abi = (u32, u32, u32, u32);

    fn from_guest<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        (_runtime, _context, base, name): Self::Abi,
    ) -> Result<Self, Trap> {
        Ok(Self { base: c_string(cx, base), name: c_string(cx, name) })
    }
}

/// A C string: the guest's to free as an import's answer, the call's as an export's argument.
pub(crate) struct CText(pub(crate) String);

impl IntoGuest for CText {
    type Abi = u32;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(cx.place(&c_bytes(&self.0))?.ptr)
    }
}

/// A script's text: a pointer and a length, with a NUL behind the last byte, which QuickJS wants.
pub(crate) struct Source(pub(crate) String);

impl IntoGuest for Source {
    type Abi = Slice;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<Slice, Trap> {
        let mut bytes = self.0.into_bytes();
        bytes.push(0);
        let Slice { ptr, len } = cx.place(&bytes)?;
        Ok(Slice { ptr, len: len - 1 })
    }
}

/// A call's arguments: their number, and an array of pointers to them.
pub(crate) struct Arguments(pub(crate) Vec<Value>);

impl IntoGuest for Arguments {
    type Abi = (u32, u32);

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<(u32, u32), Trap> {
        let pointers: Vec<u8> =
            self.0.iter().flat_map(|value| value.address().to_le_bytes()).collect();
        let count = u32::try_from(self.0.len())?;
        Ok((count, cx.place(&pointers)?.ptr))
    }
}

/// Room for one pointer that the guest stores and nobody reads.
pub(crate) struct Ignored;

impl IntoGuest for Ignored {
    type Abi = u32;

    fn into_guest<T: Send + 'static>(self, cx: &mut GuestCx<'_, T>) -> Result<u32, Trap> {
        Ok(cx.place(&[0; 4])?.ptr)
    }
}
