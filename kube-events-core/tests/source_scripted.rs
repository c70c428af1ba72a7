//! The Kubernetes source against a server whose answers are scripted, in virtual time.
#![allow(clippy::unwrap_used, reason = "it is how a test fails")]

mod script;

use std::{num::NonZeroU32, time::Duration};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use kube_events_core::source::{Start, kubernetes};

use self::script::{Answer, Piece, Script, added, event, expired, line, page, told};

fn after(version: &str, age: Option<SignedDuration>) -> kubernetes::WatchOptions {
    let start = Start::After {
        resource_version: version.into(),
        time: age.map(|age| Timestamp::now() - age),
    };
    kubernetes::WatchOptions { start, ..Default::default() }
}

fn held() -> kubernetes::WatchOptions {
    kubernetes::WatchOptions::default()
}

const RECENTLY: Option<SignedDuration> = Some(SignedDuration::from_mins(30));

/// The first `count` things that are observed.
async fn observe(script: &Script, options: kubernetes::WatchOptions, count: usize) -> Vec<String> {
    let observed = kubernetes::events(script.client(), options).take(count);
    observed.map(|observed| told(&observed)).collect().await
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_listed_in_pages_and_then_watched() {
    let script = Script::new([
        Answer::page("10", "next", &[event("a", 1), event("b", 2)]),
        Answer::page("10", "", &[event("c", 3)]),
        Answer::watch(&[added("d", 11), added("e", 12)]),
    ]);
    let observed = observe(&script, held(), 7).await;
    assert_eq!(observed, ["a@1", "b@2", "c@3", "progress 10", "d@11", "e@12", "progress 12"]);
    assert_eq!(script.calls(), ["list", "list next", "watch 10"]);
    let requests = script.requests();
    assert!(requests[0].starts_with("/api/v1/events?") && requests[0].contains("limit=500"));
    assert!(requests[2].contains("allowWatchBookmarks=true"), "{}", requests[2]);
    let seconds: u32 = requests[2]
        .split(['?', '&'])
        .find_map(|pair| pair.strip_prefix("timeoutSeconds=")?.parse().ok())
        .unwrap();
    assert!((50..=70).contains(&seconds));
}

#[tokio::test(start_paused = true)]
async fn a_start_from_now_gives_nothing_that_is_held() {
    let script = Script::new([
        Answer::page("10", "next", &[event("a", 1)]),
        Answer::watch(&[added("b", 11)]),
    ]);
    let options = kubernetes::WatchOptions { start: Start::Now, ..held() };
    assert_eq!(observe(&script, options, 3).await, ["progress 10", "b@11", "progress 11"]);
    assert_eq!(script.calls(), ["probe", "watch 10"]);
}

#[tokio::test(start_paused = true)]
async fn a_stored_position_is_watched_from_without_a_list() {
    let script = Script::new([Answer::probe("99"), Answer::watch(&[added("b", 11)])]);
    assert_eq!(observe(&script, after("10", None), 2).await, ["b@11", "progress 11"]);
    assert_eq!(script.calls(), ["probe", "watch 10"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_token_is_not_understood_begins_anew() {
    let set_back = Answer::failure(504, "").cause("ResourceVersionTooLarge");
    for refusal in [set_back, Answer::failure(400, "")] {
        let script = Script::new([
            Answer::page("10", "next", &[event("a", 1)]),
            refusal,
            Answer::page("7", "", &[event("b", 6)]),
            Answer::watch(&[added("c", 8)]),
        ]);
        let observed = observe(&script, held(), 5).await;
        assert_eq!(observed[0], "a@1");
        assert_eq!(observed[2..], ["b@6", "progress 7", "c@8"], "{observed:?}");
        assert_eq!(script.calls(), ["list", "list next", "list", "watch 7"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_that_is_set_back_during_a_list_is_a_gap() {
    let script = Script::new([
        Answer::probe("99"),
        Answer::watch(&[expired()]),
        Answer::probe("99"),
        Answer::page("99", "next", &[event("a", 11)]),
        Answer::failure(504, "").cause("ResourceVersionTooLarge"),
        Answer::page("7", "", &[]),
        Answer::page("7", "", &[event("b", 6)]),
        Answer::watch(&[added("c", 8)]),
    ]);
    let observed = observe(&script, after("10", RECENTLY), 6).await;
    assert_eq!(observed[0], "a@11");
    assert_eq!(observed[2..], ["gap WentBack 10..7", "b@6", "progress 7", "c@8"], "{observed:?}");
}

/// A server that is slow for a moment has not forgotten where the list was.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_late_is_asked_for_again() {
    let script = Script::new([
        Answer::page("10", "next", &[event("a", 1)]),
        Answer::failure(504, ""),
        Answer::page("10", "", &[event("b", 2)]),
    ]);
    observe(&script, held(), 4).await;
    assert_eq!(script.calls(), ["list", "list next", "list next"]);
}

#[tokio::test(start_paused = true)]
async fn after_an_expired_watch_only_what_is_newer_is_given() {
    let list = Answer::page("99", "", &[event("old", 9), event("at", 10), event("new", 11)]);
    for refusal in [Answer::failure(410, ""), Answer::watch(&[expired()])] {
        let script = Script::new([
            Answer::probe("99"),
            refusal,
            Answer::probe("99"),
            list.clone(),
            Answer::watch(&[added("x", 100)]),
        ]);
        let observed = observe(&script, after("10", RECENTLY), 4).await;
        assert_eq!(observed, ["new@11", "progress 99", "x@100", "progress 100"]);
        assert_eq!(script.calls(), ["probe", "watch 10", "probe", "list", "watch 99"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_when_events_may_have_come_and_gone() {
    for (age, is_gap) in [
        (Some(SignedDuration::from_mins(61)), true),
        (None, true),
        (Some(SignedDuration::from_mins(59)), false),
        (Some(SignedDuration::from_mins(-120)), false),
    ] {
        let script = Script::new([
            Answer::probe("99"),
            Answer::watch(&[expired()]),
            Answer::probe("99"),
            Answer::page("99", "", &[event("new", 11)]),
        ]);
        let observed = observe(&script, after("10", age), 2).await;
        let expected =
            if is_gap { ["gap Expired 10..99", "new@11"] } else { ["new@11", "progress 99"] };
        assert_eq!(observed, expected, "{age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_hour_is_no_gap_while_the_watch_is_alive() {
    let quiet = std::iter::repeat_n([Answer::watch(&[]), Answer::probe("50")], 90).flatten();
    let script = Script::new([Answer::page("10", "", &[])].into_iter().chain(quiet).chain([
        Answer::watch(&[expired()]),
        Answer::probe("99"),
        Answer::page("99", "", &[event("new", 98)]),
    ]));
    let observed = observe(&script, held(), 93).await;
    assert!(observed[..91].iter().all(|told| told == "progress 10"), "{observed:?}");
    assert_eq!(observed[91..], ["new@98", "progress 99"]);
    assert!(script.times().last().unwrap() > &Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn versions_that_went_back_are_a_gap_and_everything_is_listed() {
    let script = Script::new([
        Answer::probe("7"),
        Answer::page("7", "", &[event("a", 5)]),
        Answer::watch(&[added("b", 8)]),
    ]);
    let observed = observe(&script, after("10", RECENTLY), 5).await;
    assert_eq!(observed, ["gap WentBack 10..7", "a@5", "progress 7", "b@8", "progress 8"]);
    assert_eq!(script.calls(), ["probe", "list", "watch 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_the_future_is_found_out_though_it_is_silent() {
    let script = Script::new([
        Answer::page("1000", "", &[]),
        Answer::watch(&[]),
        Answer::probe("7"),
        Answer::page("7", "", &[event("a", 5)]),
    ]);
    let observed = observe(&script, held(), 5).await;
    let expected = ["progress 1000", "progress 1000", "gap WentBack 1000..7", "a@5", "progress 7"];
    assert_eq!(observed, expected);
    assert!(script.times()[2] <= Duration::from_secs(71));
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_snapshot_expires_goes_on_as_of_now_and_repeats_nothing() {
    let script = Script::new([
        Answer::page("10", "first", &[event("a", 1)]),
        Answer::failure(410, r#""continue":"later""#),
        Answer::page("20", "", &[event("b", 2), event("c", 15), event("d", 18)]),
        Answer::watch(&[
            added("a", 12),
            added("c", 14),
            added("c", 15),
            added("d", 18),
            added("a", 19),
            added("c", 21),
            added("c", 15),
        ]),
    ]);
    let observed = observe(&script, held(), 10).await;
    let listed = ["a@1", "b@2", "c@15", "d@18", "progress 10"];
    assert_eq!(observed[..5], listed);
    assert_eq!(observed[5..], ["a@12", "a@19", "c@21", "c@15", "progress 15"]);
    assert_eq!(script.calls(), ["list", "list first", "list later", "watch 10"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_breaks_off_is_asked_for_again_and_given_once() {
    let items = [event("a", 1), event("b", 2), event("c", 3)];
    let whole = page("10", "", &items);
    let cut = whole.find(r#"{"metadata":{"name":"c""#).unwrap() + 20;
    let half = Piece::Text(whole[..cut].into());
    for end in [vec![Piece::Break], vec![], vec![Piece::Hang]] {
        let script = Script::new([
            Answer::new([half.clone()].into_iter().chain(end)),
            Answer::page("12", "", &[event("a", 1), event("b", 11), event("c", 3)]),
        ]);
        let observed = observe(&script, held(), 6).await;
        assert_eq!(observed[..2], ["a@1", "b@2"]);
        assert!(observed[2].starts_with("error: list Events"), "{observed:?}");
        assert_eq!(observed[3..], ["b@11", "c@3", "progress 12"]);
        assert_eq!(script.calls()[..2], ["list", "list"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_cut_off_is_no_event_and_comes_again_whole() {
    let cut = &added("c", 12)[..40];
    for end in [vec![], vec![Piece::Break]] {
        let text = Piece::Text([&added("b", 11), cut].concat().into());
        let script = Script::new([
            Answer::page("10", "", &[]),
            Answer::new([text].into_iter().chain(end)),
            Answer::probe("12"),
            Answer::watch(&[added("c", 12)]),
        ]);
        let observed = observe(&script, held(), 6).await;
        assert_eq!(observed[..3], ["progress 10", "b@11", "progress 11"]);
        assert!(observed[3].starts_with("error: watch Events"), "{observed:?}");
        assert_eq!(observed[4..], ["c@12", "progress 12"]);
        assert_eq!(script.calls(), ["list", "watch 10", "probe", "watch 11"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_found_within_ninety_seconds() {
    let script = Script::new([
        Answer::page("10", "", &[]),
        Answer::new([Piece::Text(added("b", 11).into()), Piece::Hang]),
        Answer::probe("12"),
        Answer::watch(&[added("c", 12)]),
    ]);
    let observed = observe(&script, held(), 6).await;
    assert!(observed[3].contains("no answer within"), "{observed:?}");
    assert_eq!(observed[4..], ["c@12", "progress 12"]);
    assert!(script.waits()[1] <= Duration::from_secs(90), "{:?}", script.waits());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_given_up() {
    let script = Script::new([Answer::silence(), Answer::page("10", "", &[])]);
    let observed = observe(&script, held(), 2).await;
    assert!(observed[0].contains("no answer within 30s"), "{observed:?}");
    assert_eq!(observed[1], "progress 10");
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_or_marked_is_progress_only() {
    let script = Script::new([
        Answer::page("10", "", &[]),
        Answer::watch(&[added("a", 11), line("DELETED", &event("a", 12))]),
        Answer::watch(&[line("BOOKMARK", r#"{"metadata":{"resourceVersion":"30"}}"#)]),
    ]);
    let observed = observe(&script, held(), 5).await;
    assert_eq!(observed, ["progress 10", "a@11", "progress 12", "progress 12", "progress 30"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_be_decoded_is_told_and_its_neighbours_are_given() {
    let bad = line("ADDED", r#"{"count":"many"}"#);
    let script = Script::new([
        Answer::page("10", "", &[event("a", 1), r#"{"count":"x"}"#.into(), event("b", 2)]),
        Answer::watch(&[
            added("c", 11),
            bad.clone(),
            "no json\n".into(),
            line("RENAMED", "{}"),
            "\n".into(),
            added("d", 12),
        ]),
    ]);
    let observed = observe(&script, held(), 10).await;
    assert_eq!(observed[..4], ["a@1", r#"undecodable {"count":"x"}"#, "b@2", "progress 10"]);
    let told = format!("undecodable {}", bad.trim_end());
    assert_eq!(observed[4..7], ["c@11", &told, "undecodable no json"]);
    assert!(observed[7].contains("RENAMED"));
    assert_eq!(observed[8..], ["d@12", "progress 12"]);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_passed_over() {
    let long = line("ADDED", &format!(r#"{{"message":"{}"}}"#, "x".repeat(4096)));
    let script = Script::new([
        Answer::page("10", "", &[]),
        Answer::watch(&[added("c", 11), long, added("d", 12)]),
    ]);
    let options = kubernetes::WatchOptions { max_line: 1024, ..held() };
    let observed = observe(&script, options, 5).await;
    assert_eq!(observed[1], "c@11");
    assert!(observed[2].starts_with("undecodable") && observed[2].len() < 2048);
    assert_eq!(observed[3..], ["d@12", "progress 12"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_tried_again_more_and_more_slowly() {
    let refusals = std::iter::repeat_n(Answer::failure(403, ""), 8);
    let script = Script::new(refusals.chain([Answer::page("10", "", &[])]));
    let observed = observe(&script, held(), 9).await;
    assert!(observed[..8].iter().all(|told| told.contains("403 Because: no")), "{observed:?}");
    assert_eq!(observed[8], "progress 10");
    let waits = script.waits();
    assert!(waits[0] <= Duration::from_secs(3) && waits[7] >= Duration::from_secs(30), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(61)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_when_it_says() {
    let script =
        Script::new([Answer::failure(429, "").retry_after(45), Answer::page("10", "", &[])]);
    let observed = observe(&script, held(), 2).await;
    assert!(observed[0].contains("429"));
    assert!((45..50).contains(&script.times()[1].as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_watch_at_once_is_not_pressed() {
    let ends = std::iter::repeat_n([Answer::new([]), Answer::probe("10")], 6);
    let script = Script::new([Answer::page("10", "", &[])].into_iter().chain(ends.flatten()));
    let observed = observe(&script, held(), 7).await;
    assert!(observed[1..].iter().all(|told| told.starts_with("error: watch Events")));
    assert!(*script.times().last().unwrap() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn selectors_narrow_lists_and_watches_but_not_probes() {
    let script = Script::new([
        Answer::page("10", "", &[event("a", 1)]),
        Answer::watch(&[]),
        Answer::probe("10"),
    ]);
    let options = kubernetes::WatchOptions {
        api: kube_events_core::event::Api::EventsV1,
        namespaces: vec!["shop".into()],
        label_selector: Some("app=web".into()),
        field_selector: Some("type=Warning".into()),
        cluster: Some("north".into()),
        page_size: NonZeroU32::new(7).unwrap(),
        ..held()
    };
    let mut events = kubernetes::events(script.client(), options);
    let first = events.next().await.unwrap().unwrap();
    let kube_events_core::source::Observed::Event(first) = first else { panic!("{first:?}") };
    assert_eq!(first.cluster(), Some("north"));
    assert!(first.json().starts_with(r#"{"kind":"Event","apiVersion":"events.k8s.io/v1""#));
    let _: Vec<_> = tokio::time::timeout(Duration::from_secs(80), events.collect::<Vec<_>>())
        .await
        .unwrap_or_default();
    let requests = script.requests();
    for (request, is_narrow) in [(&requests[0], true), (&requests[1], true), (&requests[2], false)]
    {
        assert!(request.starts_with("/apis/events.k8s.io/v1/namespaces/shop/events?"));
        assert_eq!(request.contains("labelSelector=app%3Dweb"), is_narrow, "{request}");
        assert_eq!(request.contains("fieldSelector=type%3DWarning"), is_narrow, "{request}");
    }
    assert!(requests[0].contains("limit=7"));
}

#[tokio::test(start_paused = true)]
async fn the_progress_of_several_namespaces_is_the_least_of_theirs() {
    let script = Script::new([
        Answer::page("10", "", &[event("a", 1)]),
        Answer::page("12", "", &[event("b", 2)]),
        Answer::watch(&[added("c", 20)]),
        Answer::watch(&[added("d", 15)]),
    ]);
    let options = kubernetes::WatchOptions { namespaces: vec!["x".into(), "y".into()], ..held() };
    let observed = observe(&script, options, 6).await;
    let progress: Vec<_> = observed.iter().filter(|told| told.starts_with("progress")).collect();
    assert_eq!(progress, ["progress 10", "progress 15"], "{observed:?}");
    assert_eq!(observed[5], "progress 15");
    assert!(script.requests()[0].starts_with("/api/v1/namespaces/x/events?"));
}
