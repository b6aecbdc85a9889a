//! Where a value is converted, for errors.

use super::ParamInfo;
use crate::error::{Error, Trap};
use crate::parts::memory::OutOfBounds;

/// Where a value is converted: for errors only.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// An import's module; `None` for an export.
    module: Option<&'a str>,
    name: &'a str,
    /// The parameters that are left.
    params: &'a [ParamInfo],
}

impl<'a> Site<'a> {
    pub(crate) fn import(module: &'a str, name: &'a str, params: &'a [ParamInfo]) -> Self {
        Self { module: Some(module), name, params }
    }

    pub(crate) fn export(name: &'a str, params: &'a [ParamInfo]) -> Self {
        Self { module: None, name, params }
    }

    pub(super) fn next(self) -> Self {
        Self { params: self.params.get(1..).unwrap_or_default(), ..self }
    }

    /// The result's.
    pub(crate) fn result(self) -> Self {
        Self { params: &[], ..self }
    }

    /// The error of a parameter or, where none are left, of the result.
    #[cold]
    pub(crate) fn error(self, cause: Trap) -> Error {
        let function = match self.module {
            None => self.name.to_owned(),
            Some(module) => format!("{module}.{}", self.name),
        };
        let parameter = self.params.first().map_or("result", |param| param.name).to_owned();
        let cause = cause.into_inner();
        let cause = match cause.downcast::<Error>() {
            // It is this function that was passed too much, whoever called it.
            Ok(error) if matches!(*error, Error::Limit { .. }) => {
                return error.in_function(&function);
            }
            Ok(error) => return *error,
            Err(cause) => cause,
        };
        let cause = match cause.downcast::<OutOfBounds>() {
            Ok(range) => {
                let OutOfBounds { ptr, len, memory_size } = *range;
                return Error::BadPointer { function, parameter, ptr, len, memory_size };
            }
            Err(cause) => cause,
        };
        match cause.downcast::<std::str::Utf8Error>() {
            Ok(source) => Error::NotUtf8 { function, parameter, source: *source },
            Err(source) => Error::BadValue { function, parameter, source },
        }
    }
}
