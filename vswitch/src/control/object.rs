//! Bridges, ports and mirrors as they are asked for, made and shown, one by one.

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, de::Error, ser,
};
use serde_json::{Map, Value};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Type,
        schema::{AnyOfBuilder, Object as ObjectSchema, Schema},
    },
};

use super::{Bridge, Mirror, Port, Status};
use crate::config::{
    BridgeConfig, Config, MirrorConfig, PortConfig,
    keys::{self, Section},
    plan::Change,
};

/// What a configuration has by name: a bridge, a port, a mirror.
pub trait Object: Section + Clone + PartialEq + Send + Sync + 'static {
    /// How one that runs is shown.
    type Status: Clone + PartialEq + Serialize + DeserializeOwned + ToSchema + Send + 'static;

    /// The word for one.
    const WORD: &'static str;
    /// The word for all: in the configuration and in paths.
    const WORDS: &'static str;
    /// What it is called in the names of types.
    const TYPE: &'static str;

    /// All of a configuration.
    fn all(config: &Config) -> &IndexMap<String, Self>;
    /// All of a configuration, to be changed.
    fn all_mut(config: &mut Config) -> &mut IndexMap<String, Self>;
    /// All that run, by name.
    fn running(status: Status) -> impl Iterator<Item = (String, Self::Status)>;
    /// What of the configuration cannot be without the one of this name, as in `port vm1`.
    fn users(config: &Config, name: &str) -> Vec<String>;
}

impl Object for BridgeConfig {
    type Status = Bridge;

    const WORD: &'static str = "bridge";
    const WORDS: &'static str = "bridges";
    const TYPE: &'static str = "Bridge";

    fn all(config: &Config) -> &IndexMap<String, Self> {
        &config.bridges
    }

    fn all_mut(config: &mut Config) -> &mut IndexMap<String, Self> {
        &mut config.bridges
    }

    fn running(status: Status) -> impl Iterator<Item = (String, Bridge)> {
        status.bridges.into_iter().map(|bridge| (bridge.name.clone(), bridge))
    }

    fn users(config: &Config, name: &str) -> Vec<String> {
        let ports = config.ports.iter().filter(|(_, port)| port.bridge == name);
        let ports = ports.map(|(port, _)| format!("port {port}"));
        let mirrors = config.mirrors.iter().filter(|(_, mirror)| mirror.bridge == name);
        ports.chain(mirrors.map(|(mirror, _)| format!("mirror {mirror}"))).collect()
    }
}

impl Object for PortConfig {
    type Status = Port;

    const WORD: &'static str = "port";
    const WORDS: &'static str = "ports";
    const TYPE: &'static str = "Port";

    fn all(config: &Config) -> &IndexMap<String, Self> {
        &config.ports
    }

    fn all_mut(config: &mut Config) -> &mut IndexMap<String, Self> {
        &mut config.ports
    }

    fn running(status: Status) -> impl Iterator<Item = (String, Port)> {
        status.ports.into_iter().map(|port| (port.name.clone(), port))
    }

    fn users(config: &Config, name: &str) -> Vec<String> {
        let uses = |mirror: &MirrorConfig| {
            mirror.to == name || mirror.ports.iter().any(|port| port == name)
        };
        let mirrors = config.mirrors.iter().filter(|(_, mirror)| uses(mirror));
        mirrors.map(|(mirror, _)| format!("mirror {mirror}")).collect()
    }
}

impl Object for MirrorConfig {
    type Status = Mirror;

    const WORD: &'static str = "mirror";
    const WORDS: &'static str = "mirrors";
    const TYPE: &'static str = "Mirror";

    fn all(config: &Config) -> &IndexMap<String, Self> {
        &config.mirrors
    }

    fn all_mut(config: &mut Config) -> &mut IndexMap<String, Self> {
        &mut config.mirrors
    }

    fn running(status: Status) -> impl Iterator<Item = (String, Mirror)> {
        status.mirrors.into_iter().map(|mirror| (mirror.name.clone(), mirror))
    }

    fn users(_: &Config, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// One that is to be made: `{"name": …}` and its keys.
#[derive(Clone, Debug, PartialEq)]
pub struct New<T> {
    /// Its name, of which there is none yet.
    pub name: String,
    /// Its keys.
    pub config: T,
}

/// One that there is: `{"name": …}`, its keys, and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T: Object> {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub config: T,
    /// How it is; absent if it went in this moment.
    pub status: Option<T::Status>,
}

/// Keys to be changed: those that are not there stay, `null` takes one away (RFC 7396). Only documents what a JSON
/// object may have; there are no values of it.
#[derive(Debug)]
pub struct Patch<T>(std::convert::Infallible, std::marker::PhantomData<T>);

/// What a change comes to, or would come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// Whether nothing was done: it was only asked for what would be.
    pub dry_run: bool,
    /// One after the other; none if everything was as wanted.
    pub changes: Vec<Change>,
}

/// What [`New`] says of a port, and so on.
pub type NewPort = New<PortConfig>;
/// A bridge to be made.
pub type NewBridge = New<BridgeConfig>;
/// A mirror to be made.
pub type NewMirror = New<MirrorConfig>;
/// A port and its state.
pub type PortItem = Item<PortConfig>;
/// A bridge and its state.
pub type BridgeItem = Item<BridgeConfig>;
/// A mirror and its state.
pub type MirrorItem = Item<MirrorConfig>;
/// Keys of a port to be changed.
pub type PortPatch = Patch<PortConfig>;
/// Keys of a bridge to be changed.
pub type BridgePatch = Patch<BridgeConfig>;
/// Keys of a mirror to be changed.
pub type MirrorPatch = Patch<MirrorConfig>;

fn named<T: Section, E: ser::Error>(name: &str, config: &T) -> Result<Map<String, Value>, E> {
    let mut object = Map::new();
    object.insert("name".to_owned(), name.into());
    object.extend(keys::object("", config).map_err(E::custom)?);
    Ok(object)
}

impl<T: Object> Serialize for New<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named(&self.name, &self.config)?.serialize(serializer)
    }
}

impl<T: Object> Serialize for Item<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = named::<T, S::Error>(&self.name, &self.config)?;
        if let Some(status) = &self.status {
            let status = serde_json::to_value(status).map_err(ser::Error::custom)?;
            object.insert("status".to_owned(), status);
        }
        object.serialize(serializer)
    }
}

impl<'de, T: Object> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Map::deserialize(deserializer)?;
        let name = match object.shift_remove("name") {
            Some(Value::String(name)) => name,
            _ => return Err(D::Error::custom("the answer has no name")),
        };
        let status = object.shift_remove("status").map(T::Status::deserialize).transpose();
        let status = status.map_err(D::Error::custom)?;
        let config = keys::read(&name, &Value::Object(object)).map_err(D::Error::custom)?;
        Ok(Self { name, config, status })
    }
}

const NAME: &str = "Unique among those of its kind: 1 to 63 letters, digits, dots, dashes or underscores, not a dot first.";

/// The schema of a type's keys, to be changed.
fn schema_of<T: Section>() -> ObjectSchema {
    match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        // A section is a table of keys; the tests of the document would find one that is not.
        _ => ObjectSchema::new(),
    }
}

fn name_schema() -> ObjectSchema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(NAME))
        .min_length(Some(1))
        .max_length(Some(63))
        .build()
}

impl<T: Object> PartialSchema for New<T> {
    fn schema() -> RefOr<Schema> {
        let mut object = schema_of::<T>();
        object.properties.insert("name".to_owned(), name_schema().into());
        object.required.insert(0, "name".to_owned());
        object.description = Some(format!("A {} that is to be made.", T::WORD));
        Schema::Object(object).into()
    }
}

impl<T: Object> ToSchema for New<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("New{}", T::TYPE).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}

impl<T: Object> PartialSchema for Item<T> {
    fn schema() -> RefOr<Schema> {
        let mut object = schema_of::<T>();
        object.properties.insert("name".to_owned(), name_schema().into());
        let mut status = Ref::from_schema_name(T::Status::name());
        status.description = "How it is; absent if it went in this moment.".to_owned();
        object.properties.insert("status".to_owned(), status.into());
        object.required.insert(0, "name".to_owned());
        object.description = Some(format!("A {}: its keys, and how it is if it runs.", T::WORD));
        Schema::Object(object).into()
    }
}

impl<T: Object> ToSchema for Item<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Item", T::TYPE).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
        schemas.push((T::Status::name().into(), T::Status::schema()));
        T::Status::schemas(schemas);
    }
}

impl<T: Object> PartialSchema for Patch<T> {
    fn schema() -> RefOr<Schema> {
        let mut object = schema_of::<T>();
        let required = std::mem::take(&mut object.required);
        for (key, schema) in &mut object.properties {
            if !required.contains(key) {
                let null = ObjectBuilder::new().schema_type(Type::Null).build();
                let either = AnyOfBuilder::new().item(schema.clone()).item(null);
                *schema = Schema::AnyOf(either.build()).into();
            }
        }
        object.description = Some(format!(
            "Keys of a {} to be changed (a merge patch, RFC 7396): those that are not there stay, null takes one away.",
            T::WORD
        ));
        Schema::Object(object).into()
    }
}

impl<T: Object> ToSchema for Patch<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}Patch", T::TYPE).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}
