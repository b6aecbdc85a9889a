//! What a type is made of, by syntax. It never knows what a name stands for, and tells no mistake.

use proc_macro2::Ident;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    BoundLifetimes, GenericParam, Lifetime, ParenthesizedGenericArguments, PathSegment, Token,
    TraitBound, Type, TypeFnPtr, TypeImplTrait, TypeInfer, TypeParamBound, TypeReference,
    TypeTraitObject,
};

/// The parts of a type that a rule is about: the first of each kind.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) impl_trait: Option<&'a TypeImplTrait>,
    /// Whether there is an `impl` or `dyn` of a trait called `Future`.
    pub(crate) future: bool,
    pub(crate) self_type: Option<&'a Ident>,
    /// A lifetime other than `'static` and those that the type itself binds, as `for<'a>` does.
    pub(crate) lifetime: Option<&'a Lifetime>,
    /// A reference with such a lifetime.
    pub(crate) reference: Option<&'a TypeReference>,
    /// `_`, which the compiler refuses in any signature.
    pub(crate) infer: Option<&'a TypeInfer>,
    /// The lifetimes of each `for<…>` around what is visited.
    bound: Vec<&'a Ident>,
    /// Whether it is in a signature, as `fn(&str)` and `Fn(&str)` are: what is elided is bound there.
    in_signature: bool,
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

    /// Whether the lifetime is of the type's surroundings.
    fn is_free(&self, lifetime: Option<&Lifetime>) -> bool {
        match lifetime {
            Some(Lifetime { ident, .. }) if ident != "_" => {
                ident != "static" && !self.bound.contains(&ident)
            }
            _ => !self.in_signature,
        }
    }

    /// Visits what stands behind `for<…>`, or in a signature.
    fn binding(
        &mut self,
        lifetimes: Option<&'a BoundLifetimes>,
        signature: bool,
        visit: impl FnOnce(&mut Self),
    ) {
        let (outer, in_signature) = (self.bound.len(), self.in_signature);
        let params = lifetimes.into_iter().flat_map(|lifetimes| &lifetimes.lifetimes);
        self.bound.extend(params.filter_map(|param| match param {
            GenericParam::Lifetime(param) => Some(&param.lifetime.ident),
            _ => None,
        }));
        self.in_signature |= signature;
        visit(self);
        self.bound.truncate(outer);
        self.in_signature = in_signature;
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
        if self.is_free(Some(node)) {
            self.lifetime.get_or_insert(node);
        }
    }

    fn visit_type_reference(&mut self, node: &'a TypeReference) {
        if self.is_free(node.lifetime.as_ref()) {
            self.reference.get_or_insert(node);
        }
        visit::visit_type_reference(self, node);
    }

    fn visit_type_fn_ptr(&mut self, node: &'a TypeFnPtr) {
        self.binding(node.lifetimes.as_ref(), true, |parts| visit::visit_type_fn_ptr(parts, node));
    }

    fn visit_parenthesized_generic_arguments(&mut self, node: &'a ParenthesizedGenericArguments) {
        self.binding(None, true, |parts| {
            visit::visit_parenthesized_generic_arguments(parts, node);
        });
    }

    fn visit_trait_bound(&mut self, node: &'a TraitBound) {
        self.binding(node.lifetimes.as_ref(), false, |parts| visit::visit_trait_bound(parts, node));
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
