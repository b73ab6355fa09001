//! A run of load: one thread that sends what is due over whatever connection is free, and takes answers as they come.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::load::account::Report;
use crate::load::alarm::Alarm;
use crate::load::link::{Asked, Link, Progress};
use crate::load::{Pace, Plan, Schedule};

/// The alarm's; connections have their numbers.
const ALARM: Token = Token(usize::MAX);

/// Between two looks at whether an answer is overdue or a connection can be made again.
const PATROL: Duration = Duration::from_millis(50);

/// Sends what was planned and waits until all is answered or given up.
///
/// # Errors
/// When no connection can be made at the beginning.
pub fn run(plan: &Plan) -> io::Result<Report> {
    let mut generator = Generator::new(plan)?;
    let mut events = Events::with_capacity(1024);
    let mut patrolled = Instant::now();
    loop {
        generator.send();
        let now = Instant::now();
        if generator.is_over(now) {
            return Ok(generator.conclude(now));
        }
        let timeout = generator.set_alarm(now)?;
        match generator.poll.poll(&mut events, Some(timeout)) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            done => done?,
        }
        for event in events.iter().filter(|event| event.token() != ALARM) {
            generator.look(event.token().0, event.is_writable());
            generator.send();
        }
        if patrolled.elapsed() >= PATROL {
            patrolled = Instant::now();
            generator.patrol(patrolled);
        }
    }
}

struct Generator<'a> {
    plan: &'a Plan,
    poll: Poll,
    alarm: Alarm,
    /// Each by its number; none where a connection broke and is not made again yet.
    links: Vec<Option<Link>>,
    /// Those without a request, the longest free first, so that all are used alike.
    free: VecDeque<usize>,
    schedule: Option<Schedule>,
    /// The next request that is to be sent.
    next: u64,
    begun: Instant,
    /// From then on requests count.
    counts_from: Instant,
    ends: Instant,
    last_answer: Instant,
    report: Report,
}

impl<'a> Generator<'a> {
    fn new(plan: &'a Plan) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        let link =
            |number| Link::connect(plan.target.address, poll.registry(), Token(number)).map(Some);
        let links = (0..plan.connections).map(link).collect::<io::Result<Vec<_>>>()?;
        let whole = plan.warm_up + plan.duration;
        let schedule = match plan.pace {
            Pace::Constant(per_second) => Some(Schedule::new(per_second, whole)),
            Pace::Closed => None,
        };
        let begun = Instant::now();
        Ok(Self {
            plan,
            alarm,
            free: (0..links.len()).collect(),
            links,
            poll,
            schedule,
            next: 0,
            begun,
            counts_from: begun + plan.warm_up,
            ends: begun + whole,
            last_answer: begun,
            report: Report::new(plan.pace),
        })
    }

    /// When the next request is meant to be sent; none once all were.
    fn intended(&self, now: Instant) -> Option<Instant> {
        match &self.schedule {
            Some(schedule) => schedule.intended(self.next).map(|since| self.begun + since),
            None => (now < self.ends).then_some(now),
        }
    }

    /// Sends all that is due, as far as connections are free.
    fn send(&mut self) {
        while let Some(number) = self.free.front().copied() {
            let now = Instant::now();
            let Some(intended) = self.intended(now).filter(|intended| *intended <= now) else {
                return;
            };
            self.free.pop_front();
            let Some(Some(link)) = self.links.get_mut(number) else { continue };
            self.next += 1;
            let asked = Asked { intended, sent: now };
            if intended >= self.counts_from {
                self.report.sent(&asked, link.free_since);
            }
            if link.ask(&self.plan.target.request, asked) == Progress::Broken {
                self.lose(number, now);
            }
        }
    }

    /// Something happened on that connection.
    fn look(&mut self, number: usize, is_writable: bool) {
        let Some(Some(link)) = self.links.get_mut(number) else { return };
        let progress = link.look(&self.plan.target.request, is_writable);
        let now = Instant::now();
        match progress {
            Progress::Waiting => {}
            Progress::Broken => self.lose(number, now),
            Progress::Answered(answer) => {
                let asked = link.asked.take();
                link.free_since = now;
                if let Some(asked) = asked.filter(|asked| asked.intended >= self.counts_from) {
                    self.report.answered(&asked, answer.status, now);
                    self.last_answer = now;
                }
                match answer.keeps {
                    true => self.free.push_back(number),
                    false => self.replace(number),
                }
            }
        }
    }

    /// A connection broke, with a request under way or not.
    fn lose(&mut self, number: usize, now: Instant) {
        let link = self.links.get_mut(number).and_then(Option::take);
        if let Some(asked) = link.and_then(|link| link.asked)
            && asked.intended >= self.counts_from
        {
            self.report.broken += 1;
            self.last_answer = now;
        }
        self.replace(number);
    }

    /// Connects anew; what cannot be done now is tried again on patrol.
    fn replace(&mut self, number: usize) {
        let Some(place) = self.links.get_mut(number) else { return };
        self.free.retain(|free| *free != number);
        // The old one first: the registry knows a connection by its file.
        *place = None;
        *place = Link::connect(self.plan.target.address, self.poll.registry(), Token(number)).ok();
        if place.is_some() {
            self.free.push_back(number);
        }
    }

    /// Gives up what is overdue.
    fn patrol(&mut self, now: Instant) {
        for number in 0..self.links.len() {
            let Some(place) = self.links.get_mut(number) else { continue };
            let asked = place.as_ref().and_then(|link| link.asked);
            if place.is_some()
                && asked.is_none_or(|asked| {
                    now.saturating_duration_since(asked.sent) < self.plan.timeout
                })
            {
                continue;
            }
            if let Some(asked) = asked.filter(|asked| asked.intended >= self.counts_from) {
                self.report.unanswered(&asked, now);
            }
            self.replace(number);
        }
    }

    /// All is sent and answered, or it has waited long enough.
    fn is_over(&self, now: Instant) -> bool {
        let is_idle = || self.links.iter().flatten().all(|link| link.asked.is_none());
        let is_sent = now >= self.ends && self.intended(now).is_none();
        (is_sent && is_idle()) || now >= self.ends + self.plan.timeout
    }

    /// Rings when the next request is due, where one can be sent then; how long a poll may last besides.
    fn set_alarm(&mut self, now: Instant) -> io::Result<Duration> {
        match self.intended(now).filter(|_| !self.free.is_empty()) {
            Some(intended) => self.alarm.set(intended, PATROL),
            None => Ok(PATROL),
        }
    }

    /// What is still under way or not even sent was not answered.
    fn conclude(mut self, now: Instant) -> Report {
        let under_way = self.links.iter().flatten().filter_map(|link| link.asked);
        for asked in under_way.filter(|asked| asked.intended >= self.counts_from) {
            self.report.unanswered(&asked, now);
        }
        while let Some(intended) = self.schedule.and_then(|_| self.intended(now)) {
            self.next += 1;
            if intended >= self.counts_from {
                self.report.unsent(intended, now);
            }
        }
        let until = if self.report.unanswered > 0 { now } else { self.last_answer };
        self.report.ended(self.plan, until.saturating_duration_since(self.counts_from));
        self.report
    }
}
