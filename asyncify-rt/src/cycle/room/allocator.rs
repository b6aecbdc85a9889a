//! The guest's allocator, of whatever shape: what it is called with.

use wasmtime::{Extern, Func, TypedFunc, WasmParams, WasmResults, WasmTy};

use crate::error::{Error, Name, Result, signature_of};
use crate::module::{Allocator, PointerWidth};
use crate::store::{ALIGN, Allocate, Free, Functions, Names, Pair, Vm, Wanted};

impl Functions {
    pub(super) fn found<T: Send + 'static>(
        vm: &mut Vm<'_, T>,
        found: &Allocator,
        width: PointerWidth,
    ) -> Result<Self> {
        match found {
            Allocator::Malloc { malloc, free } => Self::named(vm, malloc, Some(free), width),
            Allocator::AllocateOnly { malloc } => Self::named(vm, malloc, None, width),
            Allocator::CabiRealloc { realloc, free } => Ok(Self::Realloc {
                realloc: typed(vm, realloc)?,
                free: Free::named(vm, free.as_deref())?,
                names: Names::new(realloc, free.as_deref()),
            }),
            Allocator::AssemblyScript { new, pin, unpin } => Ok(Self::Managed {
                new: typed(vm, new)?,
                pin: typed(vm, pin)?,
                unpin: typed(vm, unpin)?,
            }),
        }
    }

    pub(super) fn named<T: Send + 'static>(
        vm: &mut Vm<'_, T>,
        malloc: &str,
        free: Option<&String>,
        width: PointerWidth,
    ) -> Result<Self> {
        let free = free.map(String::as_str);
        Ok(match width {
            PointerWidth::Memory32 => Self::Narrow(Pair::named(vm, malloc, free)?),
            PointerWidth::Memory64 => Self::Wide(Pair::named(vm, malloc, free)?),
        })
    }

    pub(super) fn allocate<T: Send + 'static>(
        &self,
        vm: &mut Vm<'_, T>,
        wanted: Wanted,
    ) -> Result<u64> {
        let size = wanted.size;
        let size32 =
            u32::try_from(size).map_err(|_| wanted.no_room("it is too large for the guest"));
        Ok(match self {
            Self::Narrow(pair) => pair.allocate(vm, size32?)?.into(),
            Self::Wide(pair) => pair.allocate(vm, size)?,
            Self::Realloc { realloc, names, .. } => {
                vm.allocator(&names.allocate, realloc, (0, 0, ALIGN, size32?))?.into()
            }
            Self::Managed { new, pin, .. } => {
                let object = vm.allocator("__new", new, (size32?, 0))?;
                u64::from(vm.allocator("__pin", pin, object)?)
            }
        })
    }

    /// Gives back what was asked for with this size.
    pub(super) fn release<T: Send + 'static>(
        &self,
        vm: &mut Vm<'_, T>,
        address: u64,
        size: u64,
    ) -> Result<()> {
        // Where the guest's addresses have 32 bits, so have these.
        let narrow = |value: u64| u32::try_from(value).unwrap_or_default();
        match self {
            Self::Narrow(Pair { free, names, .. }) | Self::Realloc { free, names, .. } => {
                free.release(vm, &names.free, narrow(address), narrow(size))
            }
            Self::Wide(Pair { free, names, .. }) => free.release(vm, &names.free, address, size),
            Self::Managed { unpin, .. } => vm.allocator("__unpin", unpin, narrow(address)),
        }
    }
}

impl Names {
    fn new(allocate: &str, free: Option<&str>) -> Self {
        Self { allocate: allocate.to_owned(), free: free.unwrap_or_default().to_owned() }
    }
}

/// What every address, size and alignment of a guest is.
pub(crate) trait Word: WasmTy + Copy + PartialEq + From<u32> + 'static {}
impl Word for u32 {}
impl Word for u64 {}

impl<P: Word> Pair<P>
where
    P: WasmParams + WasmResults,
{
    fn named<T: Send + 'static>(
        vm: &mut Vm<'_, T>,
        malloc: &str,
        free: Option<&str>,
    ) -> Result<Self> {
        let func = exported(vm, malloc)?;
        let allocate = match (func.typed(&vm.store), func.typed(&vm.store)) {
            (Ok(sized), _) => Allocate::Size(sized),
            (_, Ok(aligned)) => Allocate::Aligned(aligned),
            _ => return Err(wrong::<P, T>(vm, malloc, &func, ["(size)", "(size, align)"], true)),
        };
        let names = Names::new(malloc, free);
        let free = Free::named(vm, free)?;
        match (&allocate, &free) {
            (Allocate::Size(_), Free::Aligned(_)) => Err(Error::Config(format!(
                "allocator function {} is told an alignment, and {} is not; name the one that it belongs to",
                Name(&names.free),
                Name(malloc)
            ))),
            _ => Ok(Self { allocate, free, names }),
        }
    }

    fn allocate<T: Send + 'static>(&self, vm: &mut Vm<'_, T>, size: P) -> Result<P> {
        match &self.allocate {
            Allocate::Size(allocate) => vm.allocator(&self.names.allocate, allocate, size),
            Allocate::Aligned(allocate) => {
                vm.allocator(&self.names.allocate, allocate, (size, P::from(ALIGN)))
            }
        }
    }
}

impl<P: Word> Free<P>
where
    P: WasmParams + WasmResults,
{
    fn named<T: Send + 'static>(vm: &mut Vm<'_, T>, name: Option<&str>) -> Result<Self> {
        let Some(name) = name else {
            return Ok(Self::Never);
        };
        let func = exported(vm, name)?;
        let store = &vm.store;
        match (func.typed(store), func.typed(store), func.typed(store)) {
            (Ok(pointer), ..) => Ok(Self::Pointer(pointer)),
            (_, Ok(sized), _) => Ok(Self::Sized(sized)),
            (.., Ok(aligned)) => Ok(Self::Aligned(aligned)),
            _ => {
                let shapes = ["(pointer)", "(pointer, size)", "(pointer, size, align)"];
                Err(wrong::<P, T>(vm, name, &func, shapes, false))
            }
        }
    }

    fn release<T: Send + 'static>(
        &self,
        vm: &mut Vm<'_, T>,
        name: &str,
        address: P,
        size: P,
    ) -> Result<()> {
        match self {
            Self::Never => Ok(()),
            Self::Pointer(free) => vm.allocator(name, free, address),
            // Nothing was allocated for nothing.
            _ if size == P::from(0) => Ok(()),
            Self::Sized(free) => vm.allocator(name, free, (address, size)),
            Self::Aligned(free) => vm.allocator(name, free, (address, size, P::from(ALIGN))),
        }
    }
}

fn exported<T: Send + 'static>(vm: &Vm<'_, T>, name: &str) -> Result<Func> {
    match vm.export(name) {
        Some(Extern::Func(func)) => Ok(func),
        _ => Err(Error::Config(format!(
            "allocator function {}: the guest exports no such function",
            Name(name)
        ))),
    }
}

fn typed<T, P, R>(vm: &Vm<'_, T>, name: &str) -> Result<TypedFunc<P, R>>
where
    T: Send + 'static,
    P: WasmParams,
    R: WasmResults,
{
    let wrong = |error| Error::Config(format!("allocator function {}: {error}", Name(name)));
    exported(vm, name)?.typed(&vm.store).map_err(wrong)
}

/// A function of another type than an allocator's.
#[cold]
fn wrong<P: Word, T: Send + 'static>(
    vm: &Vm<'_, T>,
    name: &str,
    func: &Func,
    shapes: impl IntoIterator<Item = &'static str>,
    answers: bool,
) -> Error {
    let shapes: Vec<_> = shapes.into_iter().collect();
    let of = P::valtype();
    Error::Config(format!(
        "allocator function {} has the type {}, and should be {}{}, each an {of}",
        Name(name),
        signature_of(&func.ty(&vm.store)),
        shapes.join(" or "),
        if answers { " -> pointer" } else { " -> ()" },
    ))
}

impl<T: Send + 'static> Vm<'_, T> {
    /// Calls a function of the guest's allocator.
    fn allocator<P, R>(&mut self, name: &str, func: &TypedFunc<P, R>, params: P) -> Result<R>
    where
        P: WasmParams,
        R: WasmResults,
    {
        self.nested(name, func, params).map_err(|error| error.in_allocator(name))
    }
}
