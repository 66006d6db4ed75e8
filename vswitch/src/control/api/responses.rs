//! How requests fail, for the document.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{
        ContentBuilder, Ref, RefOr,
        response::{Response, ResponseBuilder, ResponsesBuilder},
    },
};

use super::answer::{JSON, Problem};

/// Of requests that change nothing.
pub(super) struct Reading;

/// Of requests that change something.
pub(super) struct Changing;

const READING: &[(&str, &str)] = &[
    ("400", "The query or the name is not understood."),
    ("404", "What it is about is not there."),
    ("500", "The switch failed."),
    ("503", "The switch is starting or ending, or too much is asked of it at once."),
];

const CHANGING: &[(&str, &str)] = &[
    (
        "400",
        "The request or the configuration that would come of it is wrong. Nothing has changed.",
    ),
    ("404", "What it is about is not there."),
    ("408", "The body did not arrive in time."),
    ("409", "It does not go with what there is now. Nothing has changed."),
    ("412", "What was to be changed is no longer what `if-match` says. Nothing has changed."),
    ("413", "The body is too large."),
    ("415", "The body's type is not understood."),
    ("500", "The system refused: a port could not be opened, for example. Nothing has changed."),
    ("503", "The switch is ending."),
    ("507", "The change could not be kept for the next start. Nothing has changed."),
];

fn responses(of: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let response = |description: &str| {
        let problem = Ref::from_schema_name(Problem::name());
        let content = ContentBuilder::new().schema(Some(problem)).build();
        ResponseBuilder::new().description(description).content(JSON, content)
    };
    let all = of.iter().map(|&(status, description)| (status, response(description)));
    ResponsesBuilder::new().responses_from_iter(all).build().responses
}

impl IntoResponses for Reading {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(READING)
    }
}

impl IntoResponses for Changing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(CHANGING)
    }
}
