//! What holds whatever happens.

use proptest::prelude::*;

use super::*;

const REASONS: [&str; 4] = ["BackOff", "Started", "Scheduled", "Pulled"];

fn rules() -> Value {
    json!([
        alert(&json!({"name": "Often", "threshold": {"count": 4, "within": "3m"}})),
        alert(&json!({"name": "OftenUntil", "threshold": {"count": 3, "within": "2m"},
            "resolve": "reason=\"Started\"", "keepFiringFor": "20m"})),
        alert(&json!({"name": "Until", "resolve": "reason=\"Started\""})),
        alert(&json!({"name": "Kept", "keepFiringFor": "100s"})),
        alert(
            &json!({"name": "Absent", "condition": "reason=\"Scheduled\"", "keepFiringFor": "20m",
            "absence": {"expected": "reason=\"Pulled\"", "within": "2m"}})
        ),
        rule("notification", &json!({"name": "Rarely", "repeatInterval": "4m"})),
        rule("notification", &json!({"name": "Soon", "repeatInterval": "20s"})),
    ])
}

/// Happenings of ten minutes in order, each with how much later it is heard of.
fn happenings(lateness: i64) -> impl Strategy<Value = Vec<(Happening, i64)>> {
    let one = (0..4_usize, 0..2_usize, 0..600_i64, any::<bool>(), 0..=lateness);
    proptest::collection::vec(one, 0..60).prop_map(|all| {
        let mut all: Vec<_> = all
            .into_iter()
            .map(|(reason, pod, at, own, late)| {
                let happening = Happening::new(REASONS[reason], &format!("web-{pod}"), at);
                (happening, own, late)
            })
            .collect();
        all.sort_by_key(|(happening, ..)| happening.at);
        let mut counts = BTreeMap::<String, (u64, i64)>::new();
        let count = |(n, (happening, own, late)): (usize, (Happening, bool, i64))| {
            let mut happening = if own {
                // Two that are alike but for their version are two.
                Happening { uid: format!("u{n}"), ..happening }
            } else {
                let key = format!("{}-{}", happening.reason, happening.pod);
                let (count, first) = counts.entry(key).or_insert((0, happening.at));
                *count += 1;
                happening.counted(*count, *first)
            };
            happening.version = 1000 + n as u64;
            (happening, late)
        };
        all.into_iter().enumerate().map(count).collect()
    })
}

/// All happenings as they are heard of, and then time until a second.
fn play(happenings: &[(Happening, i64)], until: i64) -> World {
    let mut world = World::new(&rules());
    let mut heard: Vec<_> = happenings.iter().map(|(it, late)| (it.at + late, it)).collect();
    heard.sort_by_key(|(received, _)| *received);
    for (received, happening) in heard {
        world.hear(happening.clone(), received);
    }
    world.wait(until);
    world
}

/// All that was told, whenever somebody asked for it.
fn told(world: World) -> Effects {
    let mut all = Effects::default();
    world.told.into_iter().for_each(|effects| all.extend(effects));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_arrival_does_not_matter(late in happenings(59)) {
        let prompt: Vec<_> = late.iter().map(|(it, _)| (it.clone(), 0)).collect();
        for until in [660, 800] {
            let (prompt, late) = (play(&prompt, until), play(&late, until));
            prop_assert_eq!(prompt.firing(until), late.firing(until), "at {}", until);
            prop_assert_eq!(prompt.notified(), late.notified());
        }
    }

    #[test]
    fn what_comes_twice_counts_once(all in happenings(59), again in proptest::collection::vec(0..120_i64, 60)) {
        let twice = all.iter().zip(again).map(|((it, late), more)| (it.clone(), late + more));
        let twice: Vec<_> = all.iter().cloned().chain(twice).collect();
        prop_assert_eq!(told(play(&all, 800)), told(play(&twice, 800)));
    }

    #[test]
    fn a_replay_gives_the_same_each_time(all in happenings(600)) {
        prop_assert_eq!(play(&all, 5000).told, play(&all, 5000).told);
    }

    #[test]
    fn bounds_hold_and_nobody_is_left_firing(all in happenings(100), groups in 1..4_usize, bytes in 2000..40_000_usize) {
        let options = StateOptions { groups, bytes, events: 16, ..StateOptions::default() };
        let mut world = World::with(&rules(), options);
        let mut now = 0;
        for (happening, late) in all {
            now = now.max(happening.at + late);
            world.hear(happening, now);
            let statistics = world.state.statistics();
            prop_assert!(statistics.bytes <= bytes && statistics.groups <= 7 * groups);
            prop_assert_eq!(world.firing(now).len(), statistics.firing);
        }
        world.wait(100_000);
        prop_assert_eq!(world.state.statistics().groups, 0);
        prop_assert_eq!(world.state.statistics().bytes, 0);
        prop_assert_eq!(world.firing(100_000).len(), 0);
    }
}
