//! The fields of an Event that a condition can see: a closed set.

/// Declares the fields with their names, so that the two cannot drift apart.
macro_rules! fields {
    ($($variant:ident = $name:literal,)*) => {
        /// A field of an Event, resolved from its name when a condition is compiled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is documented by its name in a condition")]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Field {
            /// Every field.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in a condition.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The field of this name. Names are case-sensitive.
            pub fn resolve(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    MetadataName = "metadata.name",
    MetadataGenerateName = "metadata.generateName",
    MetadataNamespace = "metadata.namespace",
    MetadataSelfLink = "metadata.selfLink",
    MetadataUid = "metadata.uid",
    MetadataResourceVersion = "metadata.resourceVersion",
    MetadataGeneration = "metadata.generation",
    MetadataDeletionGracePeriodSeconds = "metadata.deletionGracePeriodSeconds",
    MetadataLabels = "metadata.labels",
    MetadataAnnotations = "metadata.annotations",
    MetadataFinalizers = "metadata.finalizers",
    MetadataOwnerReferences = "metadata.ownerReferences",
    MetadataManagedFields = "metadata.managedFields",
    InvolvedObjectKind = "involvedObject.kind",
    InvolvedObjectNamespace = "involvedObject.namespace",
    InvolvedObjectName = "involvedObject.name",
    InvolvedObjectUid = "involvedObject.uid",
    InvolvedObjectApiVersion = "involvedObject.apiVersion",
    InvolvedObjectResourceVersion = "involvedObject.resourceVersion",
    InvolvedObjectFieldPath = "involvedObject.fieldPath",
    RelatedKind = "related.kind",
    RelatedNamespace = "related.namespace",
    RelatedName = "related.name",
    RelatedUid = "related.uid",
    RelatedApiVersion = "related.apiVersion",
    RelatedResourceVersion = "related.resourceVersion",
    RelatedFieldPath = "related.fieldPath",
    Reason = "reason",
    Message = "message",
    Type = "type",
    Action = "action",
    ReportingComponent = "reportingComponent",
    ReportingInstance = "reportingInstance",
    SourceComponent = "source.component",
    SourceHost = "source.host",
    Count = "count",
    SeriesCount = "series.count",
    Occurrences = "occurrences",
    TypeMetaKind = "TypeMeta.kind",
    TypeMetaApiVersion = "TypeMeta.apiVersion",
}

/// A prefix of field names: it has no value of its own, but `exists` can ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Group {
    /// `metadata`
    Metadata,
    /// `involvedObject`
    InvolvedObject,
    /// `source`
    Source,
    /// `TypeMeta`
    TypeMeta,
    /// `related`
    Related,
    /// `series`
    Series,
}

impl Group {
    /// The group of this name.
    pub fn resolve(name: &str) -> Option<Self> {
        Some(match name {
            "metadata" => Self::Metadata,
            "involvedObject" => Self::InvolvedObject,
            "source" => Self::Source,
            "TypeMeta" => Self::TypeMeta,
            "related" => Self::Related,
            "series" => Self::Series,
            _ => return None,
        })
    }
}

impl Field {
    /// Whether the field's value is a number rather than a text.
    pub fn is_number(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::SeriesCount
                | Self::Occurrences
                | Self::MetadataGeneration
                | Self::MetadataDeletionGracePeriodSeconds
        )
    }

    /// Whether every Event has a value for it, if only `""` or 0.
    pub fn is_always_there(self) -> bool {
        let name = self.name();
        let of_group = name.starts_with("related.") || name.starts_with("series.");
        !of_group && self != Self::MetadataDeletionGracePeriodSeconds
    }

    /// Whether the value is a map or list of the Event, shown as one text.
    pub fn is_collection(self) -> bool {
        matches!(
            self,
            Self::MetadataLabels
                | Self::MetadataAnnotations
                | Self::MetadataFinalizers
                | Self::MetadataOwnerReferences
                | Self::MetadataManagedFields
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_resolves_to_its_field() {
        for field in Field::ALL {
            assert_eq!(Field::resolve(field.name()), Some(*field));
            if let Some((group, _)) = field.name().split_once('.') {
                assert!(Group::resolve(group).is_some(), "{group}");
            }
        }
    }
}
