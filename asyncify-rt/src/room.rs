//! Room in the guest's memory for what the host places there.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::{Extern, TypedFunc};

use crate::cx::GuestCx;
use crate::error::{Error, Name, Result};
use crate::module::{Allocator, Findings, PointerWidth};

/// Where the window and the shadow stacks' regions go.
///
/// A memory that the host grows is not safe for every guest: Emscripten's heap takes all of it.
/// So the guest's own allocator comes first, if it exports one.
///
/// ```
/// # use asyncify::{Guest, Module, wasmtime::Engine};
/// # futures::executor::block_on(async {
/// # let module = Module::new(&Engine::default(), r#"(module (memory 2))"#)?;
/// use asyncify::Place;
///
/// // The guest is known to leave its second page alone.
/// let place = Place::Range(0x10000..0x20000);
/// let guest = Guest::builder(&module).place(place).instantiate().await?;
///
/// // A minified module: `w` and `N` are its `malloc` and `free`.
/// let place = Place::Functions { malloc: "w".to_owned(), free: "N".to_owned() };
/// assert!(Guest::builder(&module).place(place).instantiate().await.is_err(), "not this one");
/// # Ok::<(), asyncify::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Place {
    /// From the guest's allocator if it exports one, else from grown memory.
    #[default]
    Auto,
    /// From the guest's allocator, by the names of its two exports, which have the types of C's
    /// `malloc` and `free`. A minified module needs this.
    Functions {
        /// Allocates: `(size) -> pointer`, 0 when there is no room.
        malloc: String,
        /// Frees: `(pointer)`.
        free: String,
    },
    /// From memory that the host adds to the guest's.
    Grow,
    /// From these addresses, which the guest leaves alone.
    Range(Range<u64>),
}

/// The room there is, found when the guest is linked.
#[derive(Default)]
pub(crate) struct Room {
    /// The guest's allocator: it also places arguments and answers.
    functions: Option<Arc<Functions>>,
    source: Source,
}

#[derive(Default)]
enum Source {
    Functions,
    #[default]
    Grow,
    Range(Range<u64>),
}

enum Functions {
    Malloc32 {
        malloc: TypedFunc<u32, u32>,
        free: TypedFunc<u32, ()>,
    },
    Malloc64 {
        malloc: TypedFunc<u64, u64>,
        free: TypedFunc<u64, ()>,
    },
    /// `cabi_realloc(old, old_size, align, new_size)`.
    Realloc(TypedFunc<(u32, u32, u32, u32), u32>),
    /// AssemblyScript's `__new(size, class)`: an object stays only while it is pinned.
    Managed {
        new: TypedFunc<(u32, u32), u32>,
        pin: TypedFunc<u32, u32>,
        unpin: TypedFunc<u32, ()>,
    },
}

/// What a function of the allocator is called in an error.
const ALLOCATOR: &str = "the guest's allocator";

/// Everything that is placed is aligned to 16 bytes, as a shadow stack must be.
const ALIGN: u32 = 16;

impl Room {
    pub(crate) fn new<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        place: Place,
        findings: &Findings,
    ) -> Result<Self> {
        let named = match &place {
            Place::Functions { malloc, free } => Some((malloc.as_str(), free.as_str())),
            _ => None,
        };
        let functions = match (named, findings.allocator()) {
            (Some((malloc, free)), _) => {
                Some(Functions::malloc(cx, malloc, free, findings.pointer_width())?)
            }
            (None, Some(found)) => Some(Functions::found(cx, found, findings.pointer_width())?),
            (None, None) => None,
        };
        let source = match place {
            Place::Range(range) => Source::Range(range),
            Place::Auto | Place::Functions { .. } if functions.is_some() => Source::Functions,
            Place::Auto | Place::Functions { .. } | Place::Grow => Source::Grow,
        };
        Ok(Self { functions: functions.map(Arc::new), source })
    }
}

impl Functions {
    fn malloc<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        malloc: &str,
        free: &str,
        width: PointerWidth,
    ) -> Result<Self> {
        Ok(match width {
            PointerWidth::Memory32 => {
                Self::Malloc32 { malloc: typed(cx, malloc)?, free: typed(cx, free)? }
            }
            PointerWidth::Memory64 => {
                Self::Malloc64 { malloc: typed(cx, malloc)?, free: typed(cx, free)? }
            }
        })
    }

    fn found<T: Send + 'static>(
        cx: &mut GuestCx<'_, T>,
        found: &Allocator,
        width: PointerWidth,
    ) -> Result<Self> {
        match found {
            Allocator::Malloc { malloc, free } => Self::malloc(cx, malloc, free, width),
            Allocator::CabiRealloc { realloc } => Ok(Self::Realloc(typed(cx, realloc)?)),
            Allocator::AssemblyScript { new, pin, unpin } => Ok(Self::Managed {
                new: typed(cx, new)?,
                pin: typed(cx, pin)?,
                unpin: typed(cx, unpin)?,
            }),
        }
    }
}

fn typed<T, P, R>(cx: &mut GuestCx<'_, T>, name: &str) -> Result<TypedFunc<P, R>>
where
    T: Send + 'static,
    P: wasmtime::WasmParams,
    R: wasmtime::WasmResults,
{
    let wrong =
        |reason: String| Error::Config(format!("allocator function {}: {reason}", Name(name)));
    let Some(Extern::Func(func)) = cx.export(name) else {
        return Err(wrong("the guest exports no such function".to_owned()));
    };
    func.typed(&cx.store).map_err(|error| wrong(error.to_string()))
}

impl<T: Send + 'static> GuestCx<'_, T> {
    /// Room for the window or a region: at least `size` bytes, that nobody else uses.
    pub(crate) fn make_room(&mut self, what: &'static str, size: u64) -> Result<Range<u64>> {
        let no_room = |reason: &str| Error::NoRoom { what, size, reason: reason.to_owned() };
        match &mut self.rt().room.source {
            Source::Functions => {
                let start = self.allocate(what, size)?;
                Ok(start..range_end(start, size))
            }
            Source::Range(range) => {
                let (first, last) = (range.start, range.end);
                let start = first.checked_next_multiple_of(ALIGN.into());
                let room = start.and_then(|start| Some(start..start.checked_add(size)?));
                let room = room.filter(|room| room.end <= last);
                let room = room.ok_or_else(|| no_room("the range that was named is used up"))?;
                if room.end > self.memory().len() as u64 {
                    return Err(no_room("the range that was named lies outside the memory"));
                }
                self.rt().room.source = Source::Range(room.end..last);
                Ok(room)
            }
            Source::Grow => {
                let memory = self.rt().memory.ok_or(Error::NoMemory)?;
                let page = memory.page_size(&self.store);
                // A page may be a single byte.
                let end = memory.data_size(&self.store) as u64;
                let start = end.next_multiple_of(ALIGN.into());
                let pages = (start - end).saturating_add(size).div_ceil(page);
                memory
                    .grow(&mut self.store, pages)
                    .map_err(|error| no_room(&format!("the memory cannot grow: {error}")))?;
                Ok(start..end + pages * page)
            }
        }
    }

    /// Gives back what [`make_room`](Self::make_room) made, where it can be given back.
    pub(crate) fn give_back(&mut self, address: u64) {
        if matches!(self.rt().room.source, Source::Functions) {
            // What cannot be freed stays behind in the guest's own memory.
            let _ = self.release(address);
        }
    }

    /// Memory from the guest's allocator.
    pub(crate) fn allocate(&mut self, what: &'static str, size: u64) -> Result<u64> {
        let no_room = |reason: &str| Error::NoRoom { what, size, reason: reason.to_owned() };
        let Some(functions) = self.rt().room.functions.clone() else {
            return Err(no_room("it exports no allocator"));
        };
        let size32 = u32::try_from(size).map_err(|_| no_room("it is too large for the guest"));
        let address = match &*functions {
            Functions::Malloc32 { malloc, .. } => self.nested(ALLOCATOR, malloc, size32?)?.into(),
            Functions::Malloc64 { malloc, .. } => self.nested(ALLOCATOR, malloc, size)?,
            Functions::Realloc(realloc) => {
                self.nested(ALLOCATOR, realloc, (0, 0, ALIGN, size32?))?.into()
            }
            Functions::Managed { new, pin, .. } => {
                let object = self.nested(ALLOCATOR, new, (size32?, 0))?;
                u64::from(self.nested(ALLOCATOR, pin, object)?)
            }
        };
        if address == 0 {
            return Err(no_room("its allocator has none"));
        }
        match range_end(address, size) {
            end if end <= self.memory().len() as u64 => Ok(address),
            _ => Err(no_room("its allocator answered an address outside the memory")),
        }
    }

    /// Gives memory back to the guest's allocator.
    pub(crate) fn release(&mut self, address: u64) -> Result<()> {
        let Some(functions) = self.rt().room.functions.clone() else {
            return Ok(());
        };
        let address32 = u32::try_from(address).unwrap_or_default();
        match &*functions {
            Functions::Malloc32 { free, .. } => self.nested(ALLOCATOR, free, address32),
            Functions::Malloc64 { free, .. } => self.nested(ALLOCATOR, free, address),
            // `realloc` to nothing needs the old size, and not every guest frees by it.
            Functions::Realloc(_) => Ok(()),
            Functions::Managed { unpin, .. } => self.nested(ALLOCATOR, unpin, address32),
        }
    }
}

fn range_end(start: u64, size: u64) -> u64 {
    start.saturating_add(size)
}
