//! The properties of a packet that is to be written: shown one by one, once to be measured and once to be written.

use super::property::Property;
use super::types::Version;
use super::write::{Writer, varint_len};

/// Is shown the properties of a packet one by one: to measure them, and to write them.
pub(super) struct Visit<'v>(&'v mut dyn FnMut(Property<'_>));

impl Visit<'_> {
    pub(super) fn one(&mut self, property: Property<'_>) {
        (self.0)(property);
    }

    pub(super) fn some<'p, T>(
        &mut self,
        value: Option<T>,
        property: impl FnOnce(T) -> Property<'p>,
    ) {
        if let Some(value) = value {
            self.one(property(value));
        }
    }

    pub(super) fn user_properties(&mut self, pairs: &[(&str, &str)]) {
        for (name, value) in pairs {
            self.one(Property::UserProperty(name, value));
        }
    }
}

/// What has properties to be written.
pub(super) trait PropertySource {
    /// Shows them in the order in which they are to be written, the same each time.
    fn each_property(&self, visit: &mut Visit<'_>);

    /// Bytes of all properties, without the length in front.
    fn properties_len(&self) -> usize {
        let mut len = 0;
        self.each_property(&mut Visit(&mut |property| len += property.encoded_len()));
        len
    }

    /// Bytes of the properties with the length in front; none before MQTT 5.
    fn property_block_len(&self, version: Version) -> usize {
        if !version.has_properties() {
            return 0;
        }
        let len = self.properties_len();
        varint_len(len) + len
    }

    /// Writes the properties with the length in front; nothing before MQTT 5.
    fn write_properties(&self, version: Version, writer: &mut Writer<'_>) {
        if version.has_properties() {
            writer.varint(self.properties_len());
            writer
                .append(|out| self.each_property(&mut Visit(&mut |property| property.encode(out))));
        }
    }
}
