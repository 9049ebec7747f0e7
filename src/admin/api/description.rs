//! The description of the API in OpenAPI 3.1: what the handlers say of themselves, and what they have in common.

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi as Description, PathItem, Ref, ResponseBuilder,
    SecurityRequirement,
};

use crate::admin::error::ErrorBody;

#[derive(OpenApi)]
#[openapi(components(schemas(ErrorBody)))]
struct Common;

/// Completes what the handlers say.
pub(in crate::admin) fn describe(mut api: Description) -> Description {
    api.merge(Common::openapi());
    api.info = InfoBuilder::new()
        .title("Slipstream admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("What an operator sees of a relay, and does with it. docs/operations.md says more."))
        .build();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "SLIPSTREAM_ADMIN_TOKEN, or to look only SLIPSTREAM_ADMIN_READ_TOKEN. None is wanted where neither is set.",
    ));
    let components = api.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
    for path in api.paths.paths.values_mut() {
        operations(path).for_each(complete);
    }
    api
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.delete].into_iter().filter_map(Option::as_mut)
}

/// Every operation may be refused, in one form, and may want a token.
fn complete(operation: &mut Operation) {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
    let refused = ResponseBuilder::new().description("Why not.").content("application/json", body).build();
    operation.responses.responses.insert("default".to_owned(), refused.into());
    operation.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("token", Vec::<String>::new())]);
}
