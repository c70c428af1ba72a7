//! What a stranger's first program does with the published crates, without a cluster.

use kube_events_core::Event;

fn main() {
    let json = br#"{
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "web-0.1", "namespace": "shop", "uid": "u-1", "resourceVersion": "7"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "type": "Warning"
    }"#;
    let event = Event::decode(json).expect("an Event");
    assert_eq!((event.namespace(), event.reason()), ("shop", "BackOff"));
    println!("{}", event.json());
}
