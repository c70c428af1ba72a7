//! An Event as a kubelet's comes from an API server: 1.26 KB, a third of it `managedFields`.

pub(crate) fn core(version: u64) -> String {
    format!(
        concat!(
            r#"{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"web-6b7c9d5f4-x2lqz.17f3a2b4c5d6e7f8","#,
            r#""namespace":"shop","uid":"3f0e2c1a-7b64-4d0e-9a53-{version:012x}","resourceVersion":"{version}","#,
            r#""creationTimestamp":"2026-11-23T20:54:31Z","managedFields":[{{"manager":"kubelet","operation":"Update","#,
            r#""apiVersion":"v1","time":"2026-11-23T21:10:02Z","fieldsType":"FieldsV1","fieldsV1":{{"f:count":{{}},"#,
            r#""f:firstTimestamp":{{}},"f:involvedObject":{{}},"f:lastTimestamp":{{}},"f:message":{{}},"f:reason":{{}},"#,
            r#""f:reportingComponent":{{}},"f:reportingInstance":{{}},"f:source":{{"f:component":{{}},"f:host":{{}}}},"f:type":{{}}}}}}]}},"#,
            r#""involvedObject":{{"kind":"Pod","namespace":"shop","name":"web-6b7c9d5f4-x2lqz","#,
            r#""uid":"0d5b9a6e-2c1f-4e8b-8d37-5a4f1b2c3d4e","apiVersion":"v1","resourceVersion":"48210","fieldPath":"spec.containers{{web}}"}},"#,
            r#""reason":"BackOff","message":"Back-off 5m0s restarting failed container=web pod=web-6b7c9d5f4-x2lqz_shop(0d5b9a6e-2c1f-4e8b-8d37-5a4f1b2c3d4e): CrashLoopBackOff, last exit code 137 after 4.1 s (OOMKilled)","#,
            r#""source":{{"component":"kubelet","host":"node-17.zone-a.internal"}},"firstTimestamp":"2026-11-23T20:54:31Z","#,
            r#""lastTimestamp":"2026-11-23T21:10:02Z","count":42,"type":"Warning","eventTime":null,"#,
            r#""reportingComponent":"kubelet","reportingInstance":"node-17.zone-a.internal"}}"#
        ),
        version = version
    )
}
