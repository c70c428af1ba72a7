//! From conditions, one after the other, to their index.

use hashbrown::HashMap;

use super::{
    Index, Step, Target,
    access::{Access, Equalities, Need, Ranges, SHORTEST_NEEDLE},
    needles::Needles,
    place,
    test::{Asked, Test},
};
use crate::{
    ast::Comparison,
    condition::Condition,
    name::{Key, Name, Place},
    program,
};

/// Collects conditions.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    tests: HashMap<Asked, u32>,
    steps: Vec<Step>,
    ends: Vec<u32>,
    ways: Vec<Vec<Access>>,
}

/// So many conditions that are found by one equality are found by texts instead, if they can be: one pass over
/// a field costs about as much as looking at so many conditions.
const CROWD: usize = 16;

/// So many texts in one field are looked for together; fewer are found as quickly one by one.
const FEW_NEEDLES: usize = 4;

// === impl Builder ===

impl Builder {
    /// Adds a condition.
    pub(crate) fn push(&mut self, condition: &Condition) {
        let first = place(self.steps.len());
        let mut needs = Vec::new();
        for step in condition.program().steps() {
            let (test, negated) = Asked::of(&step.test);
            needs.push(Access::of_test(&test, negated));
            let next = place(self.tests.len());
            let test = *self.tests.entry(test).or_insert(next);
            self.steps.push(Step {
                test,
                negated,
                inverted: step.inverted,
                pass: target(step.pass, first),
                fail: target(step.fail, first),
            });
        }
        // A program begins with its last step.
        needs.reverse();
        self.ends.push(place(self.steps.len()));
        self.ways.push(Access::of(condition.ast(), &needs));
    }

    pub(crate) fn build(mut self) -> Index {
        let chosen = self.choose();
        let guards = self.guards();
        let (mut always, mut equal, mut numbers, mut contains) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (condition, access) in chosen.into_iter().enumerate() {
            let condition = place(condition);
            let Some(access) = access else {
                always.push(condition);
                continue;
            };
            for need in access.any_of {
                match need {
                    Need::Equal(key, text) => {
                        let by_text: &mut HashMap<_, Vec<_>> = of_key(&mut equal, &key);
                        by_text.entry(text).or_default().push(condition);
                    }
                    Need::Number(key, comparison, number) => {
                        let needs: &mut Vec<_> = of_key(&mut numbers, &key);
                        needs.push((comparison, number, condition));
                    }
                    Need::Contains(key, text) => {
                        let test = self.contains(&key, text.clone().into());
                        let by_test: &mut HashMap<_, Vec<_>> = of_key(&mut contains, &key);
                        by_test.entry(test).or_default().push(condition);
                    }
                }
            }
        }
        self.finish(Filed { always, equal, numbers, contains, guards })
    }

    /// The way to find each condition; none for those that are always looked at.
    fn choose(&mut self) -> Vec<Option<Access>> {
        let ways = std::mem::take(&mut self.ways);
        let crowded = crowded(&ways);
        let choose = |(ways, crowded): (Vec<Access>, bool)| {
            let (needles, others): (Vec<_>, Vec<_>) =
                ways.into_iter().partition(Access::is_by_needles);
            let [first, second] = if crowded { [needles, others] } else { [others, needles] };
            first.into_iter().chain(second).next()
        };
        ways.into_iter().zip(crowded).map(choose).collect()
    }

    /// For each pattern, the tests of which one has to be true for it to match.
    fn guards(&mut self) -> HashMap<u32, Box<[u32]>> {
        let costly = self.tests.iter().filter(|(test, _)| test.is_costly());
        let guarded = costly.filter(|(test, _)| !test.needles().is_empty());
        let guarded: Vec<_> =
            guarded.map(|(test, at)| (test.name().clone(), test.needles().to_vec(), *at)).collect();
        guarded
            .into_iter()
            .map(|(name, needles, at)| {
                let needed = needles.into_iter().map(|text| self.contains(&name.key, text));
                (at, needed.collect())
            })
            .collect()
    }

    /// The test whether a field contains a text.
    fn contains(&mut self, key: &Key, text: String) -> u32 {
        let name = Name { key: key.clone(), steps: Box::default() };
        let next = place(self.tests.len());
        *self.tests.entry(Asked::contains(&name, text)).or_insert(next)
    }

    fn finish(self, filed: Filed) -> Index {
        let Self { tests, steps, ends, .. } = self;
        let Filed { always, equal, numbers, mut contains, mut guards } = filed;
        // Texts that only tests ask for are found along with those that conditions are found by.
        let mut texts: ByKey<Vec<(Box<str>, u32)>> = Vec::new();
        for (test, at) in &tests {
            let key = &test.name().key;
            let is_text = matches!(key.place(), Place::Field(field) if !field.is_number());
            if let Some(text) = test.needle().filter(|_| is_text && test.name().steps.is_empty())
                && text.len() >= SHORTEST_NEEDLE
            {
                of_key(&mut texts, key).push((text.into(), *at));
            }
        }
        let (mut needles, mut searched) = (Vec::new(), HashMap::new());
        for (key, texts) in texts {
            let lead: &mut HashMap<_, Vec<u32>> = of_key(&mut contains, &key);
            if lead.is_empty() && texts.len() < FEW_NEEDLES {
                continue;
            }
            searched.extend(texts.iter().map(|(_, test)| (*test, place(needles.len()))));
            let texts = texts.into_iter().map(|(text, test)| {
                let conditions = lead.remove(&test).unwrap_or_default();
                (text, test, conditions)
            });
            needles.push(Needles::new(key, texts.collect()));
        }
        let mut tests: Vec<_> = tests.into_iter().collect();
        tests.sort_unstable_by_key(|(_, at)| *at);
        let tests = tests.into_iter().map(|(test, at)| match searched.get(&at) {
            Some(needles) => Test::Searched(*needles),
            None => match guards.remove(&at) {
                Some(needed) => Test::Guarded { needed, test },
                None => Test::Alone(test),
            },
        });
        Index {
            tests: tests.collect(),
            steps: steps.into(),
            ends: ends.into(),
            always: always.into(),
            equalities: equal.into_iter().map(|(key, texts)| Equalities::new(key, texts)).collect(),
            ranges: numbers.into_iter().map(|(key, needs)| Ranges::new(key, &needs)).collect(),
            needles: needles.into(),
        }
    }
}

/// Whether each condition would be found by its best equality along with many others.
fn crowded(ways: &[Vec<Access>]) -> Vec<bool> {
    let mut crowds: HashMap<(&str, &str), usize> = HashMap::new();
    let needs = ways.iter().flatten().flat_map(|access| &access.any_of);
    for equality in needs.filter_map(Need::equality) {
        *crowds.entry(equality).or_default() += 1;
    }
    let is_in_a_crowd = |access: &Access| {
        let crowded = |need: &Need| need.equality().is_none_or(|need| crowds[&need] > CROWD);
        access.any_of.iter().any(crowded)
    };
    ways.iter().map(|ways| ways.iter().all(is_in_a_crowd)).collect()
}

/// The conditions by what they are found by, for each field.
struct Filed {
    always: Vec<u32>,
    equal: ByKey<HashMap<Box<str>, Vec<u32>>>,
    numbers: ByKey<Vec<(Comparison, f64, u32)>>,
    contains: ByKey<HashMap<u32, Vec<u32>>>,
    guards: HashMap<u32, Box<[u32]>>,
}

/// What is kept for each field; there are few.
type ByKey<T> = Vec<(Key, T)>;

fn of_key<'a, T: Default>(list: &'a mut ByKey<T>, key: &Key) -> &'a mut T {
    let at = list.iter().position(|(other, _)| other == key).unwrap_or_else(|| {
        list.push((key.clone(), T::default()));
        list.len() - 1
    });
    &mut list[at].1
}

fn target(target: program::Target, first: u32) -> Target {
    match target {
        program::Target::True => Target::TRUE,
        program::Target::False => Target::FALSE,
        program::Target::Step(step) => Target(first + step),
    }
}
