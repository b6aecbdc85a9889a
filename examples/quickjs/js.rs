//! QuickJS in hand: values are made, read and freed by the guest's own functions.
//!
//! The release build's exports are minified. What each is called was read in the JavaScript that
//! the package has beside the module.

use asyncify::wasmtime::{WasmParams, WasmResults};
use asyncify::{GuestCx, GuestPtr, Result, Slice};

use crate::limits;

/// `JSRuntime`, of which the host only has pointers.
pub(crate) struct JsRuntime;
/// `JSContext`.
pub(crate) struct JsContext;
/// `JSValue`, on the guest's heap.
pub(crate) struct JsValue;

pub(crate) type Runtime = GuestPtr<JsRuntime>;
pub(crate) type Context = GuestPtr<JsContext>;
/// A `JSValue*`. Who owns it frees it with [`Js::free`].
pub(crate) type Value = GuestPtr<JsValue>;

/// The functions that never run a script's code, so that the host may call them at any time.
pub(crate) mod name {
    pub(crate) const THROW: &str = "x";
    pub(crate) const NEW_ERROR: &str = "y";
    pub(crate) const SET_MEMORY_LIMIT: &str = "z";
    pub(crate) const SET_MAX_STACK_SIZE: &str = "E";
    pub(crate) const GET_UNDEFINED: &str = "F";
    pub(crate) const GET_NULL: &str = "G";
    pub(crate) const NEW_RUNTIME: &str = "L";
    pub(crate) const NEW_CONTEXT: &str = "O";
    pub(crate) const FREE_VALUE: &str = "Q";
    pub(crate) const FREE_C_STRING: &str = "T";
    pub(crate) const DUP_VALUE: &str = "U";
    pub(crate) const NEW_OBJECT: &str = "V";
    pub(crate) const GET_FLOAT64: &str = "_";
    pub(crate) const NEW_STRING: &str = "$";
    pub(crate) const GET_STRING: &str = "aa";
    pub(crate) const GET_PROP_NUMBER: &str = "ja";
    pub(crate) const DEFINE_PROP: &str = "la";
    pub(crate) const RESOLVE_EXCEPTION: &str = "oa";
    pub(crate) const TYPE_OF: &str = "sa";
    pub(crate) const PROMISE_STATE: &str = "xa";
    pub(crate) const PROMISE_RESULT: &str = "ya";
    pub(crate) const NEW_FUNCTION: &str = "Ea";
    pub(crate) const ARGUMENT: &str = "Fa";
    pub(crate) const ENABLE_INTERRUPT_HANDLER: &str = "Ga";
    pub(crate) const DISABLE_INTERRUPT_HANDLER: &str = "Ha";
    pub(crate) const ENABLE_MODULE_LOADER: &str = "Ia";
}

/// How far a promise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// The value is no promise.
    None,
    Pending,
    Fulfilled,
    Rejected,
}

/// The guest, and the context whose values are meant.
pub(crate) struct Js<'a, 'g, T: Send + 'static> {
    cx: &'a mut GuestCx<'g, T>,
    context: Context,
}

/// Makes a runtime, a context in it, and lets both load modules through the host.
pub(crate) fn new_context<T: Send + 'static>(
    cx: &mut GuestCx<'_, T>,
) -> Result<(Runtime, Context)> {
    let runtime: u32 = cx.call(name::NEW_RUNTIME, ())?;
    let all_intrinsics = 0_u32;
    let context: u32 = cx.call(name::NEW_CONTEXT, (runtime, all_intrinsics))?;
    cx.call::<_, ()>(name::SET_MAX_STACK_SIZE, (runtime, limits::JS_STACK))?;
    cx.call::<_, ()>(name::SET_MEMORY_LIMIT, (runtime, limits::JS_HEAP))?;
    let own_normalize = 1_u32;
    cx.call::<_, ()>(name::ENABLE_MODULE_LOADER, (runtime, own_normalize))?;
    Ok((GuestPtr::new(runtime), GuestPtr::new(context)))
}

/// The text at `address`, up to its NUL.
pub(crate) fn c_string<T: Send + 'static>(cx: &GuestCx<'_, T>, address: u32) -> String {
    let bytes = cx.memory().get(address as usize..).unwrap_or_default();
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    // A lone surrogate is no UTF-8.
    String::from_utf8_lossy(text).into_owned()
}

/// The text as C has it. It cannot hold a NUL of its own.
pub(crate) fn c_bytes(text: &str) -> Vec<u8> {
    let mut bytes = text.replace('\0', "\u{fffd}").into_bytes();
    bytes.push(0);
    bytes
}

impl<'a, 'g, T: Send + 'static> Js<'a, 'g, T> {
    pub(crate) fn new(cx: &'a mut GuestCx<'g, T>, context: Context) -> Self {
        Self { cx, context }
    }

    fn call<P: WasmParams, R: WasmResults>(&mut self, name: &str, params: P) -> Result<R> {
        self.cx.call(name, params)
    }

    /// Calls what takes the context and a pointer, and answers a value.
    fn make(&mut self, name: &str, argument: u32) -> Result<Value> {
        let context = self.context.address();
        Ok(GuestPtr::new(self.call(name, (context, argument))?))
    }

    /// Lends `text` to the guest while `body` runs.
    fn with_text<R>(
        &mut self,
        text: &str,
        body: impl FnOnce(&mut Self, u32) -> Result<R>,
    ) -> Result<R> {
        let placed = self.cx.place(&c_bytes(text))?;
        let result = body(self, placed.ptr);
        self.cx.free(placed)?;
        result
    }

    pub(crate) fn free(&mut self, value: Value) -> Result<()> {
        let context = self.context.address();
        self.call(name::FREE_VALUE, (context, value.address()))
    }

    pub(crate) fn null(&mut self) -> Result<Value> {
        let null: u32 = self.call(name::GET_NULL, ())?;
        self.make(name::DUP_VALUE, null)
    }

    /// The `undefined` that nobody owns.
    pub(crate) fn undefined(&mut self) -> Result<Value> {
        Ok(GuestPtr::new(self.call(name::GET_UNDEFINED, ())?))
    }

    pub(crate) fn string(&mut self, text: &str) -> Result<Value> {
        self.with_text(text, |js, text| js.make(name::NEW_STRING, text))
    }

    pub(crate) fn object(&mut self) -> Result<Value> {
        let context = self.context.address();
        Ok(GuestPtr::new(self.call(name::NEW_OBJECT, context)?))
    }

    /// An item of a list.
    pub(crate) fn item(&mut self, list: Value, index: u32) -> Result<Value> {
        let context = self.context.address();
        Ok(GuestPtr::new(self.call(name::GET_PROP_NUMBER, (context, list.address(), index))?))
    }

    /// A function that calls the host with `id`.
    pub(crate) fn function(&mut self, name: &str, id: u32) -> Result<Value> {
        let context = self.context.address();
        let (length, constructor) = (1_u32, 0_u32);
        self.with_text(name, |js, name| {
            let params = (context, name, length, constructor, id);
            Ok(GuestPtr::new(js.call(name::NEW_FUNCTION, params)?))
        })
    }

    /// Gives `object` a property. It is defined, not set: a setter would be the script's own code.
    pub(crate) fn define(&mut self, object: Value, key: &str, value: Value) -> Result<()> {
        let (key, none) = (self.string(key)?, self.undefined()?.address());
        let (context, name) = (self.context.address(), key.address());
        let (configurable, enumerable, has_value) = (1_u32, 1_u32, 1_u32);
        let (object, value) = (object.address(), value.address());
        let params =
            (context, object, name, value, none, none, configurable, enumerable, has_value);
        self.call::<_, ()>(name::DEFINE_PROP, params)?;
        self.free(key)
    }

    /// Throws an `Error`: the answer of a host function that fails. QuickJS adds the stack when
    /// the exception reaches the first frame of the script.
    pub(crate) fn throw(&mut self, message: &str) -> Result<Value> {
        let context = self.context.address();
        let error = GuestPtr::new(self.call(name::NEW_ERROR, context)?);
        let text = self.string(message)?;
        self.define(error, "message", text)?;
        let thrown = self.make(name::THROW, error.address())?;
        self.free(text)?;
        self.free(error)?;
        Ok(thrown)
    }

    /// What was thrown, if `value` says that something was.
    pub(crate) fn thrown(&mut self, value: Value) -> Result<Option<Value>> {
        let error = self.make(name::RESOLVE_EXCEPTION, value.address())?;
        Ok((!error.is_null()).then_some(error))
    }

    /// One of a host function's arguments, which nobody owns.
    pub(crate) fn argument(&mut self, argv: u32, index: u32) -> Result<Value> {
        Ok(GuestPtr::new(self.call(name::ARGUMENT, (argv, index))?))
    }

    pub(crate) fn number(&mut self, value: Value) -> Result<f64> {
        let context = self.context.address();
        self.call(name::GET_FLOAT64, (context, value.address()))
    }

    /// The text of a string.
    pub(crate) fn text(&mut self, value: Value) -> Result<String> {
        let address = self.make(name::GET_STRING, value.address())?.address();
        let text = c_string(self.cx, address);
        let context = self.context.address();
        self.call::<_, ()>(name::FREE_C_STRING, (context, address))?;
        Ok(text)
    }

    /// What JavaScript's `typeof` says.
    pub(crate) fn type_of(&mut self, value: Value) -> Result<String> {
        let address = self.make(name::TYPE_OF, value.address())?.address();
        let text = c_string(self.cx, address);
        self.cx.free(Slice { ptr: address, len: 0 })?;
        Ok(text)
    }

    pub(crate) fn promise(&mut self, value: Value) -> Result<Promise> {
        let context = self.context.address();
        Ok(match self.call::<_, i32>(name::PROMISE_STATE, (context, value.address()))? {
            0 => Promise::Pending,
            1 => Promise::Fulfilled,
            2 => Promise::Rejected,
            _ => Promise::None,
        })
    }

    /// What a settled promise was settled with.
    pub(crate) fn settled(&mut self, promise: Value) -> Result<Value> {
        self.make(name::PROMISE_RESULT, promise.address())
    }
}
