//! One setting after the other.

use kube_events_core::{Item as _, event::Decoder};

use super::*;

fn back_off(at: i64) -> Happening {
    Happening::new("BackOff", "web-0", at)
}

#[test]
fn a_threshold_counts_every_occurrence_once() {
    let mut world = World::new(&json!([alert(
        &json!({"threshold": {"count": 5, "within": "10m"}, "severity": "high"})
    )]));
    assert!(world.see(back_off(0).counted(1, 0)).is_empty());
    assert!(world.see(back_off(60).counted(3, 0)).is_empty());
    // Neither the same again, nor an older state of it.
    let again = Happening { version: 7, ..back_off(60).counted(3, 0) };
    assert!(world.see(again.clone()).is_empty());
    assert!(world.hear(again, 61).is_empty());
    assert!(world.see(back_off(100).counted(4, 0)).is_empty());
    let effects = world.see(back_off(120).counted(5, 0));
    let alert = &effects.alerts[0].item;
    assert_eq!(alert.annotations["because"], "5 occurrences in 10m");
    assert_eq!(alert.annotations["rule"], "shop/object/Trouble");
    assert_eq!(alert.starts_at, time(120));
    let labels: Vec<_> = alert.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("alertname", "Trouble"),
        ("alerttype", "event"),
        ("namespace", "shop"),
        ("pod", "web-0"),
        ("severity", "high"),
    ];
    assert_eq!(labels, expected);
    assert!(world.see(back_off(130).counted(6, 0)).is_empty(), "it fires already");
    let statistics = world.rules.rules().next().unwrap().statistics();
    assert_eq!((statistics.matched, statistics.fired), (7, 1));
    assert_eq!(statistics.last_match, Some(time(130)));
}

#[test]
fn what_is_of_the_past_is_remembered_and_not_counted() {
    let mut world = World::new(&json!([alert(&json!({"repeatInterval": "10m"}))]));
    world.state.set_counting(false);
    assert_eq!(world.see(back_off(0)).alerts.len(), 1);
    assert!(world.see(back_off(1)).is_empty());
    world.state.set_counting(true);
    let counted = |world: &World| {
        let statistics = world.rules.rules().next().unwrap().statistics();
        (statistics.fired, statistics.suppressed)
    };
    assert_eq!(counted(&world), (0, 0));
    assert!(world.see(back_off(2)).is_empty(), "it is quiet for ten minutes");
    assert_eq!(world.see(back_off(700)).alerts.len(), 1);
    assert_eq!(counted(&world), (1, 1));
}

#[test]
fn occurrences_of_an_event_that_is_new_are_spread_over_its_life() {
    let fires = |count, first| {
        let mut world =
            World::new(&json!([alert(&json!({"threshold": {"count": 5, "within": "10m"}}))]));
        !world.see(back_off(36_000).counted(count, first)).is_empty()
    };
    assert!(fires(5, 35_500), "all within the window");
    assert!(!fires(27, 0), "one in 23 minutes");
    assert!(fires(301, 0), "one in two minutes: five in ten");
    assert!(!fires(4, 35_999));
}

#[test]
fn an_alert_of_a_threshold_ends_when_there_are_too_few() {
    let mut world =
        World::new(&json!([alert(&json!({"threshold": {"count": 3, "within": "10m"}}))]));
    for at in [0, 100] {
        assert!(world.see(back_off(at)).is_empty());
    }
    assert_eq!(ends(&world.see(back_off(200))), [Some(200 + 240)]);
    assert!(world.wait(259).is_empty());
    assert_eq!(ends(&world.wait(260)), [Some(260 + 240)]);
    assert!(world.told.last().unwrap().alerts[0].again);
    // The first of three is ten minutes old.
    world.wait(599);
    assert_eq!(ends(&world.wait(601)), [Some(600)]);
    assert_eq!(world.firing(601), []);
    assert!(world.wait(3799).is_empty());
    assert_eq!(world.state.statistics().groups, 1);
    world.wait(3800);
    assert_eq!(world.state.statistics().groups, 0);
    assert_eq!(world.state.statistics().bytes, 0);
}

#[test]
fn an_event_resolves_the_alert_of_its_object_and_of_no_other() {
    let mut world = World::new(&json!([alert(&json!({"resolve": "reason=\"Started\""}))]));
    assert_eq!(world.see(back_off(0)).alerts.len(), 1);
    assert_eq!(world.see(Happening::new("BackOff", "web-1", 1)).alerts.len(), 1);
    let effects = world.see(Happening::new("Started", "web-0", 30));
    assert_eq!(ends(&effects), [Some(30)]);
    assert_eq!(effects.alerts[0].item.labels["pod"], "web-0");
    assert_eq!(world.firing(31).len(), 1);
    // Nobody says that it is over: it ends when an API server has forgotten it.
    world.wait(3600);
    assert_eq!(ends(&world.wait(3602)), [Some(3601)]);
}

#[test]
fn what_happened_before_the_recovery_fires_nothing() {
    let mut world = World::new(&json!([alert(&json!({"resolve": "reason=\"Started\""}))]));
    world.hear(Happening { version: 9, ..Happening::new("Started", "web-0", 20) }, 21);
    assert!(world.hear(Happening { version: 8, ..back_off(20) }, 22).is_empty());
    assert_eq!(world.see(back_off(23)).alerts.len(), 1);
    assert!(world.hear(Happening::new("Started", "web-0", 10), 24).is_empty());
    assert_eq!(world.firing(25).len(), 1);
}

#[test]
fn an_alert_is_kept_firing_after_its_last_event() {
    let mut world = World::new(&json!([alert(&json!({"keepFiringFor": "90s"}))]));
    world.see(back_off(0));
    world.see(back_off(50));
    assert_eq!(ends(&world.wait(139)), [Some(60 + 240), Some(120 + 240)]);
    assert_eq!(ends(&world.wait(140)), [Some(140)]);
}

#[test]
fn what_is_expected_and_does_not_come_is_told_on_a_quiet_cluster() {
    let rules = json!([{"name": "NotPulled", "type": "alert", "enable": true, "condition": "reason=\"Scheduled\"",
        "absence": {"expected": "reason=\"Pulled\"", "within": "2m"}}]);
    let mut world = World::new(&rules);
    world.see(Happening::new("Scheduled", "web-0", 0));
    world.see(Happening::new("Scheduled", "web-1", 0));
    world.see(Happening::new("Pulled", "web-1", 119));
    assert!(world.wait(179).is_empty(), "it can still be on its way");
    let effects = world.wait(180);
    assert_eq!(effects.alerts.len(), 1);
    let alert = &effects.alerts[0].item;
    assert_eq!((&*alert.labels["pod"], alert.starts_at), ("web-0", time(120)));
    assert_eq!(alert.annotations["because"], "no reason=\"Pulled\" within 2m");
    let effects = world.see(Happening::new("Pulled", "web-0", 300));
    assert_eq!(ends(&effects), [Some(300)], "it came after all");
}

#[test]
fn what_was_expected_may_come_first_or_late() {
    let rules = json!([{"name": "NotPulled", "type": "notification", "enable": true,
        "condition": "reason=\"Scheduled\"", "absence": {"expected": "reason=\"Pulled\"", "within": "2m"}}]);
    let mut world = World::new(&rules);
    world.hear(Happening::new("Pulled", "web-0", 100), 100);
    world.hear(Happening::new("Scheduled", "web-0", 60), 110);
    world.hear(Happening::new("Scheduled", "web-1", 60), 110);
    world.hear(Happening::new("Pulled", "web-1", 180), 239);
    world.hear(Happening::new("Scheduled", "web-2", 60), 239);
    world.hear(Happening::new("Pulled", "web-2", 181), 240);
    world.wait(1000);
    assert_eq!(world.notified(), 1, "web-2 was a second late");
    let told = world.told.iter().find_map(|it| it.notifications.first()).unwrap();
    assert_eq!(told.item.event.involved_object().name, "web-2");
}

#[test]
fn a_group_is_quiet_for_a_while_after_it_has_fired() {
    for kind in ["notification", "alert"] {
        let mut world = World::new(&json!([rule(kind, &json!({"repeatInterval": "10m"}))]));
        let told = |effects: &Effects| effects.notifications.len() + effects.alerts.len();
        assert_eq!(told(&world.see(back_off(0))), 1);
        assert_eq!(told(&world.see(back_off(300))), 0);
        assert_eq!(told(&world.see(Happening::new("BackOff", "web-1", 301))), 1);
        assert_eq!(told(&world.see(back_off(599))), 0);
        assert_eq!(told(&world.see(back_off(600))), 1);
        let statistics = world.rules.rules().next().unwrap().statistics();
        assert_eq!((statistics.fired, statistics.suppressed), (3, 2), "{kind}");
    }
}

#[test]
fn pods_of_one_workload_count_together() {
    let threshold = json!({"count": 3, "within": "10m"});
    let mut world =
        World::new(&json!([alert(&json!({"threshold": threshold, "groupBy": ["owner"]}))]));
    world.see(Happening::new("BackOff", "web-7d9f8c6b5-x2x4z", 1));
    world.see(Happening::new("BackOff", "db-0", 2));
    world.see(Happening::new("BackOff", "web-7d9f8c6b5-9xk2p", 3));
    let effects = world.see(Happening::new("BackOff", "web-5b9fd7c44c-vbt8n", 4));
    let labels = &effects.alerts[0].item.labels;
    assert_eq!(
        (&*labels["owner"], &*labels["namespace"], labels.get("pod")),
        ("web", "shop", None)
    );
}

#[test]
fn events_with_the_same_label_count_together() {
    let threshold = json!({"count": 2, "within": "10m"});
    let names = json!(["metadata.labels['shop.example/team']", "metadata.annotations[\"owner\"]"]);
    let mut world = World::new(&json!([alert(&json!({"threshold": threshold, "groupBy": names}))]));
    let of = |team: &str, pod: &str, at| Happening {
        labels: json!({"shop.example/team": team}),
        ..Happening::new("BackOff", pod, at)
    };
    assert!(world.see(of("blue", "web-0", 1)).is_empty());
    assert!(world.see(of("green", "web-0", 2)).is_empty());
    assert!(world.see(back_off(3)).is_empty(), "without the label it is a group of its own");
    let effects = world.see(of("blue", "db-0", 4));
    let labels = &effects.alerts[0].item.labels;
    assert_eq!(labels["label_shop_example_team"], "blue");
    assert_eq!((labels.get("annotation_owner"), labels.get("pod")), (None, None));
}

#[test]
fn a_clock_that_is_ahead_closes_no_window() {
    let mut world =
        World::new(&json!([alert(&json!({"threshold": {"count": 3, "within": "1m"}}))]));
    world.see(back_off(0));
    world.hear(Happening::new("BackOff", "web-0", 86_400), 10);
    let effects = world.see(back_off(20));
    assert_eq!(effects.alerts.len(), 1, "it counts as what it was when it came");
}

#[test]
fn what_was_missed_for_a_while_is_told_once_however_old_it_is() {
    let mut world = World::new(&json!([alert(&json!({"keepFiringFor": "1m"}))]));
    let effects = world.hear(back_off(0), 3000);
    assert_eq!(ends(&effects), [None], "the sink decides how long, and whether it is too old");
    world.hear(back_off(2000), 3000);
    assert_eq!(world.told.len(), 2);
    assert!(world.wait(9000).is_empty());
}

#[test]
fn rules_that_stay_as_they_are_keep_what_they_remember() {
    let resolve = json!({"resolve": "reason=\"Started\""});
    let mut world = World::new(&json!([alert(&resolve)]));
    world.see(back_off(0));
    let other = json!({"name": "Other", "type": "alert", "enable": true, "condition": "count>9"});
    world.rules = rules_of("shop", &json!([other, alert(&resolve)]));
    assert!(world.state.adopt(&world.rules, time(10)).is_empty());
    assert_eq!(ends(&world.see(Happening::new("Started", "web-0", 20))), [Some(20)]);
    world.see(back_off(30));
    let changed = alert(&json!({"resolve": "reason=\"Started\"", "severity": "high"}));
    world.rules = rules_of("shop", &json!([changed]));
    assert_eq!(ends(&world.state.adopt(&world.rules, time(40))), [Some(40)]);
    world.see(back_off(50));
    world.rules = RuleSet::default();
    assert_eq!(ends(&world.state.adopt(&world.rules, time(60))), [Some(60)]);
    assert_eq!(world.state.statistics().groups, 0);
    assert_eq!(world.state.next_due(), None);
}

#[test]
fn a_rule_whose_list_changes_begins_anew() {
    let set = |reasons: &[&str], others: &[&str]| {
        let rule = json!({"name": "Trouble", "type": "alert", "enable": true, "keepFiringFor": "1h",
            "condition": "reason in @reasons"});
        let spec = json!({"rules": [rule], "lists": {"reasons": reasons, "others": others}});
        let spec: RuleSpec = serde_json::from_value(spec).unwrap();
        let mut set = RuleSet::builder();
        set.add("shop", "object", &Scope::Namespace("shop".into()), &spec);
        set.build()
    };
    let mut world = World::new(&json!([]));
    world.rules = set(&["BackOff"], &["a"]);
    world.state.adopt(&world.rules, time(0));
    world.see(back_off(1));
    world.rules = set(&["BackOff"], &["b"]);
    assert!(world.state.adopt(&world.rules, time(2)).is_empty(), "it does not name that list");
    assert_eq!(ends(&world.state.adopt(&set(&["Failed"], &["b"]), time(3))), [Some(3)]);
}

#[test]
fn objects_of_the_kind_cluster_have_an_alert_each() {
    let rules = rules_of("shop", &json!([alert(&json!({"resolve": "reason=\"Started\""}))]));
    let mut state = State::default();
    state.adopt(&rules, time(0));
    let labels = |decoder: &Decoder, state: &mut State, name: &str| {
        let event = json!({"metadata": {"uid": name}, "reason": "BackOff",
            "involvedObject": {"kind": "Cluster", "name": name, "namespace": "shop"}});
        let event = decoder.decode(event.to_string().as_bytes()).unwrap();
        let effects = state.observe(&rules.evaluate(&event), time(1));
        let labels = &effects.alerts[0].item.labels;
        ["cluster", "name"].map(|label| labels.get(label).cloned().unwrap_or_default())
    };
    let north = Decoder::default().cluster("north");
    assert_eq!(labels(&north, &mut state, "a"), ["north", "a"]);
    assert_eq!(labels(&north, &mut state, "b"), ["north", "b"]);
    assert_eq!(labels(&Decoder::default(), &mut state, "c"), ["c", ""]);
}

#[test]
fn the_oldest_group_makes_room_and_its_alert_ends() {
    let options = StateOptions { groups: 2, ..StateOptions::default() };
    let rules = json!([alert(&json!({"resolve": "reason=\"Started\""}))]);
    let mut world = World::with(&rules, options);
    for (at, pod) in [(1, "a"), (2, "b"), (3, "a")] {
        world.see(Happening::new("BackOff", pod, at));
    }
    let effects = world.see(Happening::new("BackOff", "c", 4));
    assert_eq!(ends(&effects), [Some(244), Some(4)]);
    assert_eq!(effects.alerts[1].item.labels["pod"], "b");
    let statistics = world.state.statistics();
    assert_eq!((statistics.groups, statistics.firing, statistics.evicted), (2, 2, 1));
}

#[test]
fn of_many_namespaces_the_greediest_makes_room() {
    let spec = |name: &str| {
        let rule = alert(&json!({"name": name, "resolve": "reason=\"Started\""}));
        serde_json::from_value::<RuleSpec>(json!({"rules": [rule]})).unwrap()
    };
    let mut set = RuleSet::builder();
    for namespace in ["shop", "bank"] {
        set.add(namespace, "o", &Scope::Namespace(namespace.into()), &spec(namespace));
    }
    let rules = set.build();
    let mut state = State::new(StateOptions { bytes: 40_000, ..StateOptions::default() });
    state.adopt(&rules, time(0));
    let mut hear = |n: u64, namespace: &str| {
        let event = json!({"metadata": {"uid": n.to_string()}, "reason": "BackOff",
            "involvedObject": {"kind": "Pod", "name": format!("p-{n}"), "namespace": namespace}});
        let event = Decoder::default().decode(event.to_string().as_bytes()).unwrap();
        assert!(event.size() < 1000);
        state.observe(&rules.evaluate(&event), time(1))
    };
    hear(0, "bank");
    let ended: Vec<_> = (1..200).flat_map(|n| hear(n, "shop").alerts).collect();
    let ended = ended.iter().filter(|alert| alert.item.ends_at == Some(time(1)));
    let ended: Vec<_> = ended.map(|alert| &*alert.item.labels["namespace"]).collect();
    assert!(ended.len() > 100 && ended.iter().all(|namespace| *namespace == "shop"));
    assert!(state.statistics().bytes <= 40_000);
}

/// Rules of the scopes and names given, in this order.
fn sets(rules: &[(Scope, Value)]) -> RuleSet {
    let mut set = RuleSet::builder();
    for (place, (scope, rule)) in rules.iter().enumerate() {
        let spec: RuleSpec = serde_json::from_value(json!({ "rules": [rule] })).unwrap();
        set.add("rules", &place.to_string(), scope, &spec);
    }
    let set = set.build();
    assert!(set.problems().is_empty(), "{:?}", set.problems());
    set
}

#[test]
fn a_flood_about_one_namespace_ends_no_alert_about_another() {
    let options = StateOptions { groups: 10, ..StateOptions::default() };
    let rule = alert(&json!({"resolve": "reason=\"Started\""}));
    let mut world = World::with(&json!([rule]), options);
    world.rules = sets(&[(Scope::Cluster, rule)]);
    world.state.adopt(&world.rules, time(0));
    world.see(Happening::new("BackOff", "db", 1).within("bank"));
    for at in 2..50 {
        // What only recovers makes room before what fires.
        let reason = if at % 2 == 0 { "BackOff" } else { "Started" };
        world.see(Happening::new(reason, &format!("p-{at}"), at));
    }
    let firing = world.firing(50);
    assert!(firing.iter().any(|(pod, ..)| pod == "db"), "{firing:?}");
    let fires_in_shop = firing.iter().filter(|(pod, ..)| pod.starts_with("p-")).count();
    assert!(fires_in_shop >= 8, "{firing:?}");
    assert!(world.state.statistics().evicted > 30);
}

/// Whoever may write rules and long Events would end by them what the cluster's rules have found.
#[test]
fn what_rules_of_a_namespace_take_is_no_room_of_the_clusters() {
    let options = StateOptions { bytes: 300_000, ..StateOptions::default() };
    let wide = alert(&json!({"keepFiringFor": "1h"}));
    let narrow = |n: usize| alert(&json!({"name": format!("own-{n}"), "keepFiringFor": "1h"}));
    let own = (0..40).map(|n| (Scope::Namespace("shop".into()), narrow(n)));
    let rules: Vec<_> = own.chain([(Scope::Cluster, wide)]).collect();
    let mut world = World::with(&json!([]), options);
    world.rules = sets(&rules);
    world.state.adopt(&world.rules, time(0));
    world.see(Happening::new("BackOff", "db", 1));
    for at in 2..30 {
        world.see(Happening::new("BackOff", &format!("p-{at}"), at));
    }
    assert!(world.state.statistics().evicted > 100);
    let of_the_cluster = |alert: &&Alert| alert.labels["alertname"] == "Trouble";
    let ended = world.alerts.values().filter(of_the_cluster);
    assert!(ended.clone().count() == 29 && ended.clone().all(|it| it.ends_at > Some(time(200))));
}

#[test]
fn a_rule_of_the_same_name_ends_no_alert_of_the_cluster() {
    let wide = alert(&json!({"resolve": "reason=\"Started\""}));
    let narrow = alert(&json!({"keepFiringFor": "1s"}));
    let shop = Scope::Namespace("shop".into());
    for rules in [
        [(Scope::Cluster, wide.clone()), (shop.clone(), narrow.clone())],
        [(shop.clone(), narrow.clone()), (Scope::Cluster, wide.clone())],
    ] {
        let mut world = World::new(&json!([]));
        world.rules = sets(&rules);
        world.state.adopt(&world.rules, time(0));
        world.see(back_off(0));
        for at in [5, 65, 125] {
            world.wait(at);
            assert_eq!(world.firing(at).len(), 1, "{at}");
        }
        // Nor when it is changed or goes.
        world.rules = sets(&[(Scope::Cluster, wide.clone())]);
        let wide_goes_on = world.state.adopt(&sets(&rules[..0]), time(126));
        assert_eq!(ends(&wide_goes_on), [Some(126)]);
    }
    // Of two of one scope the first is told of, and when it is over the other one.
    let mut world = World::new(&json!([]));
    world.rules = sets(&[(shop.clone(), narrow), (shop, wide)]);
    world.state.adopt(&world.rules, time(0));
    world.see(back_off(0));
    assert_eq!(ends(&world.wait(2)), [Some(1)]);
    world.wait(61);
    assert_eq!(world.firing(61).len(), 1);
    assert_eq!(ends(&world.see(Happening::new("Started", "web-0", 70))), [Some(70)]);
}

#[test]
fn clocks_of_seconds_and_of_less_are_put_in_one_order() {
    let absent = json!({"name": "NotPulled", "type": "alert", "enable": true,
        "condition": "reason=\"Scheduled\"", "absence": {"expected": "reason=\"Pulled\"", "within": "2m"}});
    let mut world = World::new(&json!([absent]));
    world.hear(Happening::new("Scheduled", "web-0", 5).and(300), 6);
    world.hear(Happening::new("Pulled", "web-0", 5), 6);
    assert!(world.wait(600).is_empty(), "it came in the same second");
    world.hear(Happening::new("Pulled", "web-1", 700).and(100), 701);
    world.hear(Happening::new("Scheduled", "web-1", 700).and(300), 701);
    world.wait(1000);
    assert_eq!(world.firing(1000).len(), 1, "both clocks say that it came before");

    let mut world = World::new(&json!([alert(&json!({"resolve": "reason=\"Started\""}))]));
    world.hear(back_off(5).and(300), 6);
    assert_eq!(ends(&world.hear(Happening::new("Started", "web-0", 5), 6)).len(), 1);
    assert_eq!(world.firing(7), []);
}

#[test]
fn what_comes_too_late_to_be_put_in_order_does_not_turn_it_round() {
    let rules = json!([alert(&json!({"resolve": "reason=\"Started\""}))]);
    let mut world = World::new(&rules);
    world.see(back_off(10));
    world.hear(Happening::new("Started", "web-0", 5), 80);
    assert_eq!(world.firing(80).len(), 1, "it fails since then");
    let mut world = World::new(&rules);
    world.see(back_off(0));
    world.see(Happening::new("Started", "web-0", 10));
    world.hear(back_off(5), 80);
    assert_eq!(world.firing(80), [], "it is well since then");
    assert_eq!(world.see(back_off(90)).alerts.len(), 1);
}

/// Rules that count use up what there is for putting things in order.
#[test]
fn an_absence_is_told_in_time_though_its_group_was_not_in_order() {
    let counts = |n: usize| {
        let threshold = json!({"count": 3, "within": "1h"});
        alert(&json!({"name": format!("A{n}"), "condition": "type=\"Warning\"",
            "threshold": threshold, "groupBy": ["type"], "labels": {"n": n.to_string()}}))
    };
    let absence = json!({"expected": "reason=\"Started\"", "within": "10s"});
    let absent = rule(
        "notification",
        &json!({"name": "Absent", "condition": "reason=\"Failed\"", "absence": absence}),
    );
    for others in [0, 499] {
        let rules: Vec<_> = (0..others).map(counts).chain([absent.clone()]).collect();
        let mut world = World::new(&json!(rules));
        let often = |reason: &str, version: u64, at: i64| Happening {
            count: 9,
            first: at - 500,
            version,
            ..Happening::new(reason, "web-0", at)
        };
        for at in 1..9_i64 {
            world.see(often("Noise", at.unsigned_abs(), at));
        }
        world.hear(often("Failed", 21, 103), 103);
        world.hear(often("Started", 22, 112), 113);
        world.hear(often("Failed", 20, 100), 113);
        world.wait(300);
        assert_eq!(world.notified(), 1, "beside {others} rules");
    }
}

#[test]
fn of_many_event_objects_those_seen_last_are_told_apart() {
    let rules = json!([alert(&json!({"threshold": {"count": 1401, "within": "1h"}}))]);
    let mut world = World::new(&rules);
    for second in 0..1400 {
        world.see(back_off(second));
    }
    for again in [1399, 600] {
        world.hear(back_off(again), 1401);
        assert_eq!(world.state.statistics().firing, 0, "{again} was counted");
    }
    world.hear(back_off(0), 1401);
    assert_eq!(world.state.statistics().firing, 1, "nobody knows the first any more");
}

/// A recorder whose Event has expired meanwhile creates it again, with the count that it had.
#[test]
fn an_event_that_is_made_anew_counts_what_is_new() {
    let rules = json!([alert(&json!({"threshold": {"count": 6, "within": "3h"}}))]);
    let made = |uid: &str, count: u64, first: i64, at: i64| Happening {
        uid: uid.into(),
        name: "web-0.17".into(),
        ..back_off(at).counted(count, first)
    };
    let mut world = World::new(&rules);
    world.see(made("a", 4, 0, 0));
    world.see(made("b", 5, 0, 5400));
    assert_eq!(world.state.statistics().firing, 0, "five times");
    world.see(made("b", 6, 0, 5500));
    assert_eq!(world.state.statistics().firing, 1);
    // Others that got the name, one of which says that it began with the first.
    for first in [100, 0] {
        let mut world = World::new(&rules);
        world.see(made("a", 4, 0, 0));
        world.see(made("b", 2, first, 200));
        assert_eq!(world.state.statistics().firing, 1, "{first}");
    }
}

/// There is not room for taking so much anew for one that came late.
#[test]
fn what_could_not_be_put_in_order_at_once_is_so_when_it_settles() {
    let rules = json!([alert(&json!({
        "threshold": {"count": 3, "within": "10m"}, "resolve": "reason=\"Started\"",
        "groupBy": ["involvedObject.namespace"],
    }))]);
    let mut world = World::new(&rules);
    for second in 0..140 {
        for pod in 0..5 {
            world.see(Happening::new("BackOff", &format!("web-{pod}"), second));
        }
    }
    world.hear(Happening::new("Started", "web-0", 100), 140);
    world.wait(210);
    assert_eq!(world.state.statistics().firing, 1, "it failed 195 times after the recovery");
    world.hear(Happening::new("Started", "web-0", 220), 220);
    assert_eq!(world.state.statistics().firing, 0);
}

#[test]
fn an_absence_that_goes_on_is_one_alert_and_several_notifications() {
    let absent = |kind: &str| {
        json!([{"name": "NotStarted", "type": kind, "enable": true,
            "condition": "reason=\"Killing\"", "absence": {"expected": "reason=\"Started\"", "within": "2m"}}])
    };
    let mut world = World::new(&absent("alert"));
    let mut other = World::new(&absent("notification"));
    for at in (0..7200).step_by(600) {
        world.see(Happening::new("Killing", "web-0", at));
        other.see(Happening::new("Killing", "web-0", at));
        if at > 600 {
            assert_eq!(world.firing(at).len(), 1, "{at}");
        }
    }
    world.wait(6600 + 3599);
    assert_eq!(world.firing(6600 + 3599).len(), 1, "an hour after the last one");
    world.wait(6600 + 3602);
    assert_eq!(world.firing(6600 + 3602), []);
    other.wait(10_000);
    assert_eq!(other.notified(), 12);
}

#[test]
fn a_late_event_that_makes_one_of_two_takes_no_later_one_away() {
    let mut world = World::new(&json!([rule(
        "notification",
        &json!({"threshold": {"count": 2, "within": "1m"}})
    )]));
    for at in [0, 1, 62, 63] {
        world.see(back_off(at));
    }
    assert_eq!(world.notified(), 2, "at 1 and at 63");
    assert!(world.hear(back_off(59).counted(2, 58), 64).is_empty(), "it never stopped in between");
    for at in [300, 320] {
        world.see(back_off(at));
    }
    assert_eq!(world.notified(), 3);
}

#[test]
fn a_late_event_that_fires_before_others_is_the_one_that_is_told() {
    let mut world = World::new(&json!([rule("notification", &json!({"repeatInterval": "20s"}))]));
    world.see(back_off(130));
    let effects = world.hear(back_off(100), 140);
    let told: Vec<_> = effects.notifications.iter().map(|it| it.item.event.message()).collect();
    assert_eq!(told, ["BackOff 100"]);
    assert_eq!(world.notified(), 2);
}

#[test]
fn counts_beyond_all_measure_are_harmless() {
    let rules = json!([alert(&json!({"threshold": {"count": 5, "within": "10m"}}))]);
    let mut world = World::new(&rules);
    world.see(back_off(100).counted((u64::MAX >> 1) - 1, -60_000_000_000));
    world.see(back_off(101).counted(u64::MAX >> 1, 0));
}

#[test]
fn the_samples_are_right() {
    #[derive(serde::Deserialize)]
    struct Object {
        spec: RuleSpec,
    }
    let text = include_str!("../../../deploy/samples/more/stateful-rules.yaml");
    let object: Object = serde_saphyr::from_str(text).unwrap();
    let mut set = RuleSet::builder();
    set.add("system", "samples", &Scope::Cluster, &object.spec);
    let set = set.build();
    assert!(set.problems().is_empty(), "{:?}", set.problems());
    assert_eq!(set.rules().filter(|rule| rule.has_state()).count(), 4);
}

#[test]
fn a_route_holds_for_what_follows_later() {
    let route = json!({"name": "R", "type": "route", "enable": true, "condition": "reason=\"BackOff\"",
        "sinks": ["pager"]});
    let mut world = World::new(&json!([route, alert(&json!({"resolve": "reason=\"Started\""}))]));
    world.see(back_off(0));
    world.see(Happening::new("Started", "web-0", 10));
    let names = world.told.iter().flat_map(|it| &it.alerts).map(|it| it.route.names());
    let pager = ["pager".to_owned()];
    assert_eq!(names.collect::<Vec<_>>(), [Some(&pager[..]), Some(&pager[..])]);
}
