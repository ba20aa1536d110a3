//! `--find-max`: the measured step again and again, at the rates that a search asks for.

use crate::load::engine::{Engine, Finished};
use crate::load::host::Sampler;
use crate::load::job::{Phase, StepPlan, Traffic};
use crate::load::plan::SearchPlan;
use crate::load::result::{self, Run};
use crate::load::search::Search;

use super::{Bench, BenchError, Done};

/// The run, what the search found, and what it has to say.
type Found = ((Run, Finished), Option<result::Search>, Vec<String>);

impl Bench<'_> {
    /// Opens what there is to open, and searches.
    pub(super) fn search(
        &mut self,
        plan: &SearchPlan,
        sampler: Sampler,
    ) -> Result<Found, BenchError> {
        let mut done = self.begin(&sampler);
        let mut engine = self.start()?;
        let (mut found, mut notes) = (None, Vec::new());
        for phase in self.phases {
            match phase {
                Phase::Step(step) => {
                    let search = self.attempts(plan, step, &mut engine, &sampler, &mut done)?;
                    notes.extend_from_slice(&search.notes());
                    found = Some(search.finish());
                }
                other => {
                    if !self.phase(other, &mut engine, &sampler, &mut done)? {
                        break;
                    }
                }
            }
        }
        self.tidy_up(&mut engine, &sampler)?;
        Ok((self.finish(engine, sampler, done)?, found, notes))
    }

    fn attempts(
        &mut self,
        plan: &SearchPlan,
        template: &StepPlan,
        engine: &mut Engine,
        sampler: &Sampler,
        done: &mut Done,
    ) -> Result<Search, BenchError> {
        let mut search = Search::new(
            plan.slo.clone(),
            plan.start_rate,
            plan.max_rate.unwrap_or(f64::INFINITY),
            plan.precision,
        );
        while let Some(rate) = search.next_rate() {
            let each_max = None;
            let step = Phase::Step(StepPlan {
                name: format!("{rate:.0} msg/s"),
                rate: Some(rate),
                traffic: Traffic::Publish {
                    pace: plan.pace(rate),
                    each_max,
                },
                ..template.clone()
            });
            if !self.phase(&step, engine, sampler, done)? {
                break;
            }
            let Some((step, _)) = done.steps.last() else {
                break;
            };
            search.tried(rate, step);
        }
        Ok(search)
    }
}
