//! Where an import's task is while no call waits in it: a place for each, of whatever type.

use std::any::{Any, TypeId};

use crate::error::{Error, Result};

/// A place for each import, by its index.
#[derive(Default)]
pub(crate) struct Tasks(Vec<Option<(TypeId, Box<dyn Any + Send>)>>);

impl Tasks {
    /// The place of an import's task, made when there is none.
    #[inline]
    pub(crate) fn place<P: Default + Send + 'static>(&mut self, index: usize) -> Result<&mut P> {
        // Two lists of imports count from the same index on.
        if !matches!(self.0.get(index), Some(Some((ty, _))) if *ty == TypeId::of::<P>()) {
            self.make::<P>(index);
        }
        let place = self.0.get_mut(index).and_then(Option::as_mut);
        let place = place.and_then(|(_, place)| place.downcast_mut());
        place.ok_or_else(|| Error::out_of_step("a task is gone".to_owned()))
    }

    #[cold]
    fn make<P: Default + Send + 'static>(&mut self, index: usize) {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        self.0[index] = Some((TypeId::of::<P>(), Box::new(P::default())));
    }

    /// Forgets all of them. They are made anew when they are needed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
