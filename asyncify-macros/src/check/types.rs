//! What a type is made of, by syntax.

use proc_macro2::Ident;
use syn::visit::{self, Visit};
use syn::{Lifetime, PathSegment, Type, TypeImplTrait, TypeInfer, TypeReference};

/// The parts of a type that a rule is about: the first of each kind.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) impl_trait: Option<&'a TypeImplTrait>,
    pub(super) self_type: Option<&'a Ident>,
    /// A lifetime other than `'static`.
    pub(super) lifetime: Option<&'a Lifetime>,
    /// A reference that is not `'static`.
    pub(super) reference: Option<&'a TypeReference>,
    /// `_`, which the compiler refuses in any signature.
    pub(super) infer: Option<&'a TypeInfer>,
}

impl<'a> Parts<'a> {
    pub(super) fn of(ty: &'a Type) -> Self {
        let mut parts = Self::default();
        parts.visit_type(ty);
        parts
    }
}

impl<'a> Visit<'a> for Parts<'a> {
    fn visit_type_impl_trait(&mut self, node: &'a TypeImplTrait) {
        // Nothing inside is a mistake of its own.
        self.impl_trait.get_or_insert(node);
    }

    fn visit_path_segment(&mut self, node: &'a PathSegment) {
        if node.ident == "Self" {
            self.self_type.get_or_insert(&node.ident);
        }
        visit::visit_path_segment(self, node);
    }

    fn visit_lifetime(&mut self, node: &'a Lifetime) {
        if node.ident != "static" {
            self.lifetime.get_or_insert(node);
        }
    }

    fn visit_type_reference(&mut self, node: &'a TypeReference) {
        if node.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static") {
            self.reference.get_or_insert(node);
        }
        visit::visit_type_reference(self, node);
    }

    fn visit_type_infer(&mut self, node: &'a TypeInfer) {
        self.infer.get_or_insert(node);
    }
}
