//! What a type is made of, by syntax.

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Lifetime, PathSegment, Token, Type, TypeImplTrait, TypeInfer, TypeParamBound, TypeReference,
    TypeTraitObject,
};

/// The parts of a type that a rule is about: the first of each kind.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) impl_trait: Option<&'a TypeImplTrait>,
    /// Whether there is an `impl` or `dyn` of a trait called `Future`.
    pub(crate) future: bool,
    pub(crate) self_type: Option<&'a Ident>,
    /// A lifetime other than `'static`.
    pub(crate) lifetime: Option<&'a Lifetime>,
    /// A reference that is not `'static`.
    pub(crate) reference: Option<&'a TypeReference>,
    /// `_`, which the compiler refuses in any signature.
    pub(crate) infer: Option<&'a TypeInfer>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(ty: &'a Type) -> Self {
        let mut parts = Self::default();
        parts.visit_type(ty);
        parts
    }

    /// Whether a value of the type may hold what it does not own.
    pub(crate) fn borrows(&self) -> bool {
        self.lifetime.is_some() || self.reference.is_some()
    }
}

impl<'a> Visit<'a> for Parts<'a> {
    fn visit_type_impl_trait(&mut self, node: &'a TypeImplTrait) {
        // Nothing inside is a mistake of its own.
        self.impl_trait.get_or_insert(node);
        self.future |= is_future(&node.bounds);
    }

    fn visit_type_trait_object(&mut self, node: &'a TypeTraitObject) {
        self.future |= is_future(&node.bounds);
        visit::visit_type_trait_object(self, node);
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

/// Whether one of the bounds is called `Future`.
fn is_future(bounds: &Punctuated<TypeParamBound, Token![+]>) -> bool {
    bounds.iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| last.ident == "Future")
        }
        _ => false,
    })
}

/// Where the type names `parameter`, a type parameter of its function.
pub(super) fn mention<'a>(ty: &'a Type, parameter: &Ident) -> Option<&'a Ident> {
    struct Search<'a, 's>(&'s Ident, Option<&'a Ident>);
    impl<'a> Visit<'a> for Search<'a, '_> {
        fn visit_ident(&mut self, ident: &'a Ident) {
            if ident == self.0 {
                self.1.get_or_insert(ident);
            }
        }
    }
    let mut search = Search(parameter, None);
    search.visit_type(ty);
    search.1
}
