//! How values go into a log of changes that are no types of ours, or that serde would encode byte by byte.

/// Bytes, owned or shared.
pub(super) mod bytes {
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{Deserializer, Error, SeqAccess, Visitor};
    use serde::ser::Serializer;

    pub(in crate::store) fn serialize<T: AsRef<[u8]>, S: Serializer>(
        bytes: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes.as_ref())
    }

    pub(in crate::store) fn deserialize<'de, T: From<Vec<u8>>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_byte_buf(Bytes(PhantomData))
    }

    struct Bytes<T>(PhantomData<T>);

    impl<'de, T: From<Vec<u8>>> Visitor<'de> for Bytes<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("bytes")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<T, E> {
            Ok(bytes.to_vec().into())
        }

        fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<T, E> {
            Ok(bytes.into())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<T, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = sequence.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes.into())
        }
    }
}

/// What an event does to a room.
pub(super) mod effect {
    use mimi_linearized::room::Effect;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(in crate::store) fn serialize<S: Serializer>(
        effect: &Effect,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match effect {
            Effect::Applied => 0,
            Effect::SoftFailed => 1,
            Effect::Rejected => 2,
        })
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Effect, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Effect::Applied),
            1 => Ok(Effect::SoftFailed),
            2 => Ok(Effect::Rejected),
            other => Err(D::Error::custom(format_args!("{other} means no effect"))),
        }
    }
}
