//! `--find-max`: the measured step again and again, at the rates that a search asks for.

use crate::load::engine::{Engine, Finished};
use crate::load::host::Sampler;
use crate::load::job::{Phase, StepPlan, Traffic};
use crate::load::plan::SearchPlan;
use crate::load::result::{self, Run};
use crate::load::search::Search;

use super::{Bench, BenchError, Done};

impl Bench<'_> {
    /// Opens what there is to open, and searches.
    pub(super) fn search(
        &mut self,
        plan: &SearchPlan,
        sampler: Sampler,
        found: &mut Option<result::Search>,
    ) -> Result<(Run, Finished), BenchError> {
        let mut engine = self.start()?;
        let mut done = self.begin(&sampler);
        for phase in self.phases {
            match phase {
                Phase::Step(step) => {
                    *found = Some(self.attempts(plan, step, &mut engine, &sampler, &mut done)?);
                }
                other => {
                    if !self.phase(other, &mut engine, &sampler, &mut done)? {
                        break;
                    }
                }
            }
        }
        self.finish(engine, sampler, done)
    }

    fn attempts(
        &mut self,
        plan: &SearchPlan,
        template: &StepPlan,
        engine: &mut Engine,
        sampler: &Sampler,
        done: &mut Done,
    ) -> Result<result::Search, BenchError> {
        let mut search = Search::new(
            plan.slo.clone(),
            plan.start_rate,
            plan.max_rate,
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
        Ok(search.finish())
    }
}
